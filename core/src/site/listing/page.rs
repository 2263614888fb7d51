//! What a listing shows besides its entries ([`Page`], [`Readme`]).

use super::Filter;
use crate::site::Site;

/// The directory of a listing, and what the page shows besides the entries.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Page<'a> {
    /// The settings of the directory tree.
    pub site: &'a Site,
    /// The directory: a clean path from the root; the empty path is the root.
    pub path: &'a [u8],
    /// The filter of the entries, which the listing names. The caller adds only the entries that
    /// [`Filter::matches`] to the rows. Default: none.
    pub filter: Option<&'a Filter>,
    /// The current time in seconds since 1970, for the age of each entry. Default: none, and ages
    /// are not shown.
    pub now: Option<i64>,
    /// The file that is shown below the entries of an HTML page. Default: none.
    pub readme: Option<Readme<'a>>,
    /// Whether files can be uploaded to the directory: then an HTML page has a form for them. Default:
    /// false.
    pub takes_uploads: bool,
}

/// A file that is shown as text below the entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Readme<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// Its text, or the start of it. Bytes that are not UTF-8 are replaced.
    pub text: &'a [u8],
    /// Whether the text is the whole file.
    pub is_complete: bool,
}

impl<'a> Page<'a> {
    /// The page of the directory at the clean path `path`.
    #[must_use]
    pub fn new(site: &'a Site, path: &'a [u8]) -> Self {
        Self { site, path, filter: None, now: None, readme: None, takes_uploads: false }
    }
}

impl Readme<'_> {
    /// The preference for a file of this name as the text of a listing, the lowest first: the names
    /// `README.md`, `README.txt` and `README` in any letter case. `None` for any other name.
    ///
    /// ```
    /// use doorstep_core::site::listing::Readme;
    ///
    /// assert!(Readme::rank(b"README.md") < Readme::rank(b"readme"));
    /// assert_eq!(Readme::rank(b".readme"), None);
    /// ```
    #[must_use]
    pub fn rank(name: &[u8]) -> Option<u8> {
        const NAMES: [&[u8]; 3] = [b"readme.md", b"readme.txt", b"readme"];
        let at = NAMES.iter().position(|known| name.eq_ignore_ascii_case(known));
        at.map(|at| at as u8)
    }
}
