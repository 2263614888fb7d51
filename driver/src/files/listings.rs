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

use crate::cgi::{Dismissal, Queue};
use crate::config::GATHER;
use crate::files::Store;
use crate::net::Departure;
use crate::os::Class;
use crate::semaphore::{Place, Places};

/// After so many entries, the client is looked for.
const LOOK: u32 = 256;

/// The permits for large listings.
#[derive(Debug)]
pub(crate) struct Listings {
    permits: Arc<Places>,
}

/// A listing, and the permit for its size, if it needs one.
#[derive(Debug)]
pub struct Listed {
    listing: Vec<u8>,
    _permit: Option<Place>,
}

/// Why there is no listing.
#[derive(Debug)]
pub enum NotListed {
    /// It is a large one, and needs a permit.
    Large,
    /// There was no permit for it, or its client has disconnected.
    Dismissed(Dismissal),
    /// The directory cannot be read.
    Failed(io::Error),
}

impl Listings {
    pub(crate) fn new(site: &Site) -> Self {
        Self { permits: Places::new(site.max_large_listings, usize::MAX) }
    }

    /// A place in the queue for a permit.
    pub(crate) fn queue(&self, site: &Site) -> Result<Queue, Dismissal> {
        let ticket = self.permits.queue().ok_or(Dismissal::Full)?;
        Ok(Queue::new(ticket, site.listing_queue_timeout, site.half_close_timeout))
    }

    /// The listing of the directory at `path` of `store`. `departure` says whether its client has
    /// left.
    pub(crate) fn make(
        &self,
        (store, site): (&Store, &Site),
        (path, view): (&[u8], View),
        mut permit: Option<Place>,
        mut departure: impl FnMut() -> Option<Departure>,
    ) -> Result<Listed, NotListed> {
        let mut rows = Rows::new(view, site.max_listing_entries);
        let (mut entries, mut why) = (0u32, None);
        let mut stop = |reason| {
            why = Some(reason);
            Err(ErrorKind::Other.into())
        };
        let listed = store.list(path, site, |entry| {
            entries = entries.wrapping_add(1);
            if entries.is_multiple_of(LOOK)
                && let Some(departure) = departure()
            {
                return stop(NotListed::Dismissed(Dismissal::Left(departure)));
            }
            if rows.len() >= Site::LARGE_LISTING_ENTRIES && permit.is_none() {
                permit = self.permits.take();
                if permit.is_none() {
                    return stop(NotListed::Large);
                }
            }
            rows.add(entry);
            Ok(())
        });
        match (listed, why) {
            (_, Some(why)) => Err(why),
            (Err(error), None) => Err(NotListed::Failed(error)),
            (Ok(()), None) => Ok(Listed { listing: rows.write(path), _permit: permit }),
        }
    }
}

impl Listed {
    /// How long it is, in bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.listing.len() as u64
    }

    /// Its bytes, in pieces to be sent. It keeps its permit until it is dropped.
    pub fn pieces(&self) -> impl Iterator<Item = &[u8]> + Send {
        self.listing.chunks(GATHER)
    }
}

impl NotListed {
    /// Whether descriptors or memory are used up: it may be listed once others have given some
    /// back.
    #[must_use]
    pub fn is_exhausted(&self) -> bool {
        matches!(self, Self::Failed(error) if Class::of(error) == Class::Exhausted)
    }

    /// What is answered; `None` is 503, since descriptors or memory are used up, or the file system
    /// fails.
    pub(crate) fn denial(&self) -> Option<NotServed> {
        let Self::Failed(error) = self else { return None };
        match Class::of(error) {
            Class::Exhausted | Class::Failed => None,
            Class::Nothing => Some(NotServed::NotFound),
            Class::Other | Class::Refused => Some(NotServed::UnreadableDirectory),
        }
    }
}

impl fmt::Display for NotListed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Large | Self::Dismissed(Dismissal::Full | Dismissal::Late) => {
                f.write_str("not listed: too many large directories are being listed")
            }
            Self::Dismissed(Dismissal::Stopped) => {
                f.write_str("not listed, since the server stops")
            }
            Self::Dismissed(Dismissal::Left(departure)) => {
                write!(f, "not listed, since {departure}")
            }
            Self::Failed(error) => error.fmt(f),
        }
    }
}
