//! Transfers in progress: responses and request bodies that take more than one write or read.
//!
//! A server whose [`Config::transfers`](crate::Config::transfers) is set lists each of them in these
//! [`Transfers`]: a response from its first write on that is not its last one, until the handler has
//! ended; a request body from when the rest of it is waited for, until it was read. A program looks at the
//! list whenever it likes: for a progress display, or for a status page. Never listed are a response that
//! leaves in one write, or that its handler gives as a whole (`body`), and a request body that has come
//! with its head.
//!
//! Nothing here waits: the lock of the list is held for an insertion, a removal or a copy. Bytes are counted
//! without it. Without `Config::transfers`, a request costs the comparison of a pointer or two.
//!
//! ```
//! use std::time::Duration;
//! use doorstep_driver::{Config, Direction, Transfers};
//!
//! let mut config = Config::default();
//! let transfers = Transfers::default();
//! config.transfers = Some(transfers.clone());
//! // Serve with this configuration, and in another thread, now and then:
//! for transfer in transfers.list() {
//!     let word = match transfer.direction() {
//!         Direction::Download => "to",
//!         Direction::Upload => "from",
//!     };
//!     let (client, path) = (transfer.client().ip(), transfer.path().escape_ascii());
//!     let total = transfer.total().map_or("?".into(), |total| total.to_string());
//!     println!("{path} {word} {client}: {} of {total} bytes", transfer.bytes());
//! }
//! # assert!(transfers.is_empty());
//! ```

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use event_listener::{Event, EventListener};

/// The transfers in progress of a server, or of several that share it. Clones are the same list.
#[derive(Debug, Clone, Default)]
pub struct Transfers(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    table: Mutex<Table>,
    /// A transfer was added.
    added: Event,
}

#[derive(Debug, Default)]
struct Table {
    /// By their numbers, so that the oldest is the first.
    entries: BTreeMap<u64, Arc<Transfer>>,
    next: u64,
}

/// Which way the bytes of a transfer go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The body of a response, to the client.
    Download,
    /// The body of a request, from the client.
    Upload,
}

/// A response or a request's body that is in progress, or was.
#[derive(Debug)]
pub struct Transfer {
    number: u64,
    client: SocketAddr,
    path: Box<[u8]>,
    direction: Direction,
    total: Option<u64>,
    started: Instant,
    bytes: AtomicU64,
}

impl Transfers {
    /// The transfers in progress, the oldest first.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<Transfer>> {
        self.table().entries.values().cloned().collect()
    }

    /// The number of transfers in progress.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table().entries.len()
    }

    /// Whether no transfer is in progress.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A listener that is notified when a transfer begins, so that a display does not have to look at
    /// an empty list. To miss none, listen before looking.
    #[must_use]
    pub fn listen(&self) -> EventListener {
        self.0.added.listen()
    }

    /// Adds a transfer, which is removed when the result is dropped.
    pub(crate) fn begin(&self, new: NewTransfer<'_>) -> ActiveTransfer {
        let mut table = self.table();
        let number = table.next;
        table.next += 1;
        let transfer = Arc::new(Transfer {
            number,
            client: new.client,
            path: new.path.into(),
            direction: new.direction,
            total: new.total,
            started: Instant::now(),
            bytes: AtomicU64::new(new.bytes),
        });
        table.entries.insert(number, transfer.clone());
        drop(table);
        self.0.added.notify(usize::MAX); // nearly free without listeners
        ActiveTransfer { transfer, transfers: self.clone() }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Two are equal if they are the same list.
impl PartialEq for Transfers {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Transfers {}

impl Transfer {
    /// A number that no other transfer of the list has had; it grows with time.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The address and port of the client: that which a trusted proxy reports, if there is one
    /// ([`ExchangeView::client_addr`](crate::exchange::ExchangeView::client_addr)).
    #[must_use]
    pub fn client(&self) -> SocketAddr {
        self.client
    }

    /// The path of the request as it was sent, percent-encoded and without the query.
    #[must_use]
    pub fn path(&self) -> &[u8] {
        &self.path
    }

    /// Which way the bytes go.
    #[must_use]
    pub fn direction(&self) -> Direction {
        self.direction
    }

    /// The length of the body in bytes: Content-Length, which for a range is that of the range. `None`
    /// if it is not known before the end.
    #[must_use]
    pub fn total(&self) -> Option<u64> {
        self.total
    }

    /// How many bytes of the body were received by the handler, or given to the system to be sent. Of
    /// the latter, some may be on their way, or in memory up to
    /// [`Config::flush_threshold`](crate::Config::flush_threshold).
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// When it was listed: not when the request came, as a handler may have worked before.
    ///
    /// At that time [`Transfer::bytes`] may have been above zero already. So the rate is the difference
    /// of `bytes` between two looks, divided by the time between them, and not `bytes` divided by the
    /// time since the start.
    #[must_use]
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Counts bytes.
    pub(crate) fn add(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// The properties of a transfer that begins.
#[derive(Clone, Copy)]
pub(crate) struct NewTransfer<'b> {
    pub(crate) client: SocketAddr,
    pub(crate) path: &'b [u8],
    pub(crate) direction: Direction,
    pub(crate) total: Option<u64>,
    /// The bytes that were transferred before.
    pub(crate) bytes: u64,
}

/// A transfer in the list, until it is dropped.
#[derive(Debug)]
pub(crate) struct ActiveTransfer {
    transfer: Arc<Transfer>,
    transfers: Transfers,
}

impl ActiveTransfer {
    pub(crate) fn transfer(&self) -> &Arc<Transfer> {
        &self.transfer
    }
}

impl Drop for ActiveTransfer {
    fn drop(&mut self) {
        self.transfers.table().entries.remove(&self.transfer.number);
    }
}

/// The transfers of one exchange.
#[derive(Debug, Default)]
pub(crate) struct ExchangeTransfers {
    pub(crate) download: Option<ActiveTransfer>,
    pub(crate) upload: Option<ActiveTransfer>,
}

#[cfg(test)]
mod tests {
    use event_listener::Listener;

    use super::*;

    fn begin(transfers: &Transfers, path: &str) -> ActiveTransfer {
        let (client, direction) = (([192, 0, 2, 1], 80).into(), Direction::Download);
        let path = path.as_bytes();
        transfers.begin(NewTransfer { client, path, direction, total: Some(10), bytes: 3 })
    }

    #[test]
    fn the_oldest_is_the_first_and_each_is_removed_when_it_is_dropped() {
        let transfers = Transfers::default();
        let listener = transfers.listen();
        let mut active: Vec<_> = ["/a", "/b", "/c"].map(|path| begin(&transfers, path)).into();
        listener.wait();
        let paths = || transfers.list().iter().map(|it| it.path().to_vec()).collect::<Vec<_>>();
        assert_eq!(paths(), [b"/a", b"/b", b"/c"]);
        drop(active.remove(1));
        active.push(begin(&transfers, "/b"));
        assert_eq!(paths(), [b"/a", b"/c", b"/b"]);
        active[0].transfer().add(4);
        let first = transfers.list().remove(0);
        drop(active);
        assert!(transfers.is_empty());
        assert_eq!((first.bytes(), first.total()), (7, Some(10)), "it can still be read");
    }

    #[test]
    fn clones_are_equal_and_other_lists_are_not() {
        let transfers = Transfers::default();
        assert_eq!(transfers, transfers.clone());
        assert_ne!(transfers, Transfers::default());
    }
}
