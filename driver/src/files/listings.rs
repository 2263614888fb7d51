//! Directory listings, within bounds.
//!
//! A listing of few entries is made at once. A large one needs a permit, of which there are few
//! ([`Site::max_large_listings`]): if there is none, the listing is begun again when there is. It
//! keeps the permit until it is sent, since it takes memory until then. It is aborted when its
//! client has disconnected.
//!
//! [`Site::max_large_listings`]: doorstep_core::site::Site::max_large_listings

use std::cell::Cell;
use std::fmt;
use std::io::{self, ErrorKind};
use std::sync::Arc;

use doorstep_core::site::listing::{Filter, Format, Page, Rows, View};
use doorstep_core::site::{NotServed, Site};

use super::readme::ReadmeSearch;
use crate::config::FLUSH_THRESHOLD;
use crate::files::FileCache;
use crate::net::Disconnect;
use crate::os::{self, ErrorClass};
use crate::permit_wait::{NoPermit, PermitTimeouts, PermitWait};
use crate::semaphore::{Permit, Semaphore};

/// The number of names after which it is checked whether the client has disconnected.
const NAMES_PER_DISCONNECT_CHECK: u32 = 256;

/// The permits for large listings.
#[derive(Debug)]
pub(crate) struct ListingPermits {
    permits: Arc<Semaphore>,
}

/// What to list.
#[derive(Debug)]
pub(crate) struct ListingRequest<'p> {
    pub(crate) path: &'p [u8],
    pub(crate) view: View,
    pub(crate) filter: Option<Filter>,
    /// `None` for a listing that is not known to be large.
    pub(crate) permit: Option<Permit>,
    /// Whether the page has a form that uploads files.
    pub(crate) takes_uploads: bool,
}

/// A directory listing, and its permit, if it needs one.
#[derive(Debug)]
pub struct Listing {
    bytes: Vec<u8>,
    _permit: Option<Permit>,
}

/// Why a directory cannot be listed.
#[derive(Debug)]
#[non_exhaustive]
pub enum ListingError {
    /// The listing is large, and needs a permit.
    NeedsPermit,
    /// There was no permit, or the client has disconnected.
    NoPermit(NoPermit),
    /// The directory cannot be read.
    Io(io::Error),
}

impl ListingPermits {
    pub(crate) fn new(site: &Site) -> Self {
        Self { permits: Semaphore::new(site.max_large_listings, usize::MAX) }
    }

    /// Waits for a permit.
    pub(crate) fn queue(&self, timeouts: PermitTimeouts) -> PermitWait {
        PermitWait::new(&self.permits, timeouts)
    }

    /// Lists a directory. `disconnect` returns whether the client has disconnected.
    pub(crate) fn build(
        &self,
        cache: &FileCache,
        site: &Site,
        request: ListingRequest<'_>,
        mut disconnect: impl FnMut() -> Option<Disconnect>,
    ) -> Result<Listing, ListingError> {
        let ListingRequest { path, view, filter, mut permit, takes_uploads } = request;
        let mut rows = Rows::new(view, site.max_listing_entries);
        let mut readme = ReadmeSearch::default();
        let has_readme = site.readme && filter.is_none() && view.format == Format::Html;
        let (mut names, why) = (0u32, Cell::new(None));
        let stop = |reason| {
            why.set(Some(reason));
            ErrorKind::Other
        };
        let matches = |name: &[u8]| {
            names = names.wrapping_add(1);
            if names.is_multiple_of(NAMES_PER_DISCONNECT_CHECK)
                && let Some(disconnect) = disconnect()
            {
                return Err(stop(ListingError::NoPermit(NoPermit::Disconnected(disconnect))).into());
            }
            Ok(filter.as_ref().is_none_or(|filter| filter.matches(name)))
        };
        let listed = cache.root().list_matching(path, site, matches, |entry| {
            if rows.len() >= Site::LARGE_LISTING_ENTRIES && permit.is_none() {
                permit = self.permits.try_acquire();
                if permit.is_none() {
                    return Err(stop(ListingError::NeedsPermit).into());
                }
            }
            if has_readme {
                readme.consider(&entry);
            }
            rows.add(entry);
            Ok(())
        });
        match (listed, why.take()) {
            (_, Some(why)) => Err(why),
            (Err(error), None) => Err(ListingError::Io(error)),
            (Ok(()), None) => {
                let readme = readme.read(cache.root(), path, site.max_readme_size);
                let mut page = Page::new(site, path);
                page.filter = filter.as_ref();
                page.now = Some(os::now());
                page.takes_uploads = takes_uploads;
                page.readme = readme.as_ref().map(|readme| readme.as_page());
                Ok(Listing { bytes: rows.write(&page), _permit: permit })
            }
        }
    }
}

impl Listing {
    /// Its length in bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Its bytes, in the parts in which they are sent.
    pub fn chunks(&self) -> impl Iterator<Item = &[u8]> + Send {
        self.bytes.chunks(FLUSH_THRESHOLD)
    }
}

impl ListingError {
    /// Whether descriptors or memory are used up: then it may be listed when some were released.
    #[must_use]
    pub fn is_exhausted(&self) -> bool {
        matches!(self, Self::Io(error) if ErrorClass::of(error) == ErrorClass::Exhausted)
    }

    /// The response. `None` is 503, since descriptors or memory are used up, or the file system
    /// fails.
    pub(crate) fn not_served(&self) -> Option<NotServed> {
        let Self::Io(error) = self else { return None };
        match ErrorClass::of(error) {
            ErrorClass::Exhausted | ErrorClass::Failed => None,
            ErrorClass::NotFound => Some(NotServed::NotFound),
            ErrorClass::Special | ErrorClass::Denied => Some(NotServed::UnreadableDirectory),
        }
    }
}

impl fmt::Display for ListingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NeedsPermit | Self::NoPermit(NoPermit::Full | NoPermit::TimedOut) => {
                f.write_str("directory listing refused: too many large directory listings at once")
            }
            Self::NoPermit(NoPermit::ShuttingDown) => {
                f.write_str("directory listing refused: the server is shutting down")
            }
            Self::NoPermit(NoPermit::Disconnected(disconnect)) => {
                write!(f, "directory listing aborted: {disconnect}")
            }
            Self::Io(error) => os::describe_error(error).fmt(f),
        }
    }
}
