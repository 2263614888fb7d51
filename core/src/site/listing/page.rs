//! What a listing shows besides its entries ([`Page`]).

use crate::site::Site;

/// The directory of a listing, and what the page shows besides the entries.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Page<'a> {
    /// The settings of the directory tree.
    pub site: &'a Site,
    /// The directory: a clean path from the root; the empty path is the root.
    pub path: &'a [u8],
}

impl<'a> Page<'a> {
    /// The page of the directory at the clean path `path`.
    #[must_use]
    pub fn new(site: &'a Site, path: &'a [u8]) -> Self {
        Self { site, path }
    }
}
