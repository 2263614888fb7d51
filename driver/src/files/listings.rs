//! Making listings within bounds, but for the waiting.
//!
//! A listing of few entries is made at once. When it turns out to be a large one it needs a permit,
//! of which there are few ([`Site::max_large_listings`]), and is begun anew with it; it keeps the
//! permit until it is sent, since until then it takes memory. It is given up when its client has
//! left.
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
use crate::os::ErrorClass;
use crate::permit_wait::{NoPermit, PermitTimeouts, PermitWait};
use crate::semaphore::{Permit, Semaphore};

/// After so many entries, the client is looked for.
const ENTRIES_PER_DISCONNECT_CHECK: u32 = 256;

/// The permits for large listings.
#[derive(Debug)]
pub(crate) struct ListingPermits {
    permits: Arc<Semaphore>,
}

/// A listing, and the permit for its size, if it needs one.
#[derive(Debug)]
pub struct Listing {
    bytes: Vec<u8>,
    _permit: Option<Permit>,
}

/// Why there is no listing.
#[derive(Debug)]
pub enum ListingError {
    /// It is a large one, and needs a permit.
    NeedsPermit,
    /// There was no permit for it, or its client has disconnected.
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

    /// The listing of the directory at `path` of `cache`. `disconnect` says whether its client has
    /// left.
    pub(crate) fn build(
        &self,
        (cache, site): (&FileCache, &Site),
        (path, view): (&[u8], View),
        mut permit: Option<Permit>,
        mut disconnect: impl FnMut() -> Option<Disconnect>,
    ) -> Result<Listing, ListingError> {
        let mut rows = Rows::new(view, site.max_listing_entries);
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
    /// How long it is, in bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Its bytes, in pieces to be sent. It keeps its permit until it is dropped.
    pub fn chunks(&self) -> impl Iterator<Item = &[u8]> + Send {
        self.bytes.chunks(FLUSH_THRESHOLD)
    }
}

impl ListingError {
    /// Whether descriptors or memory are used up: it may be listed once others have given some
    /// back.
    #[must_use]
    pub fn is_exhausted(&self) -> bool {
        matches!(self, Self::Io(error) if ErrorClass::of(error) == ErrorClass::Exhausted)
    }

    /// What is answered; `None` is 503, since descriptors or memory are used up, or the file system
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
                f.write_str("not listed: too many large directories are being listed")
            }
            Self::NoPermit(NoPermit::ShuttingDown) => {
                f.write_str("not listed, since the server stops")
            }
            Self::NoPermit(NoPermit::Disconnected(disconnect)) => {
                write!(f, "not listed, since {disconnect}")
            }
            Self::Io(error) => error.fmt(f),
        }
    }
}
