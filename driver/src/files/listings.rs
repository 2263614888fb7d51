//! Directory listings, within bounds.
//!
//! A listing of few entries is made at once. A large one needs a permit, of which there are few
//! ([`Site::max_large_listings`]): if there is none, the listing is begun again when there is. It
//! keeps the permit until it is sent, since it takes memory until then. It is aborted when its
//! client has disconnected.
//!
//! [`Site::max_large_listings`]: doorstep_core::site::Site::max_large_listings

use std::fmt;
use std::io::{self, ErrorKind};
use std::sync::Arc;

use doorstep_core::site::listing::{Rows, View};
use doorstep_core::site::{NotServed, Site};

use crate::config::FLUSH_THRESHOLD;
use crate::files::FileCache;
use crate::net::Disconnect;
use crate::os::{self, ErrorClass};
use crate::permit_wait::{NoPermit, PermitTimeouts, PermitWait};
use crate::semaphore::{Permit, Semaphore};

/// The number of entries after which it is checked whether the client has disconnected.
const ENTRIES_PER_DISCONNECT_CHECK: u32 = 256;

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
    /// `None` for a listing that is not known to be large.
    pub(crate) permit: Option<Permit>,
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
        let ListingRequest { path, view, mut permit } = request;
        let mut rows = Rows::new(view, site.max_listing_entries);
        rows.offer_archive(site.archive);
        let (mut entries, mut why) = (0u32, None);
        let mut stop = |reason| {
            why = Some(reason);
            Err(ErrorKind::Other.into())
        };
        let listed = cache.list(path, site, |entry| {
            entries = entries.wrapping_add(1);
            if entries.is_multiple_of(ENTRIES_PER_DISCONNECT_CHECK)
                && let Some(disconnect) = disconnect()
            {
                return stop(ListingError::NoPermit(NoPermit::Disconnected(disconnect)));
            }
            if rows.len() >= Site::LARGE_LISTING_ENTRIES && permit.is_none() {
                permit = self.permits.try_acquire();
                if permit.is_none() {
                    return stop(ListingError::NeedsPermit);
                }
            }
            rows.add(entry);
            Ok(())
        });
        match (listed, why) {
            (_, Some(why)) => Err(why),
            (Err(error), None) => Err(ListingError::Io(error)),
            (Ok(()), None) => Ok(Listing { bytes: rows.write(path), _permit: permit }),
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
