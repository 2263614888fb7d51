//! Servers that end by themselves: after a number of completed transfers, or after a time without
//! requests.
//!
//! [`StopConditions`] watches the requests of a handler (`Handler::with_stop_conditions` of the front
//! ends), and stops the server by its [`ShutdownHandle`].
//!
//! **A transfer** is a download or an upload:
//!
//! - A download is a `GET` of a file by [`Files`](crate::Files) with 200, or with 206 for a range that
//!   includes the last byte of the file. So a download that was interrupted and is resumed counts once.
//!   It is completed when its last byte was given to the system. With a count, and without TLS, the
//!   connection is closed after one of more than 64 KiB: then it is completed when the client has closed it
//!   as well, or has sent nothing for the time of a lingering close; if the client resets it, the download
//!   was cut. Any other 206 is not counted. Listings, redirects, 304, error pages and responses to `HEAD`
//!   are not downloads. Another handler makes its response a download by
//!   [`ExchangeView::begin_transfer`].
//! - An upload is a `PUT` or `POST` with a response of 2xx, or of 303, which reports success to an HTML
//!   form (RFC 9110 §15.4.4). One that is refused as 405 or 501 is not counted, even if it was cut. A handler that
//!   takes no uploads is watched [without them](StopConditions::without_uploads).
//!
//! **The count is never exceeded**, however many clients come at once: a transfer reserves its place when
//! it begins. It gives the place back if it is cut, or if an upload is refused. While all places are taken,
//! other transfers get 503 with `Retry-After` ([`RETRY_AFTER`]); once the count is reached, 503 without
//! it. Listings are served all the while. When the count is reached, and no response with a part of a file
//! is in progress, the server is stopped, on a thread that is started for it, since the response may have
//! ended on an event loop ([`ShutdownHandle::stop_on_thread`]).
//!
//! **A transfer that was cut** is made good by a later one of the same client (IP address) and the same
//! path that is completed ([`TransferReport::cut`]). Whether a client has received what is in the buffers
//! of the system when it disconnects is not known: a small file is completed as soon as it was sent, and one
//! with TLS, too.
//!
//! A server whose handler is not watched, and a request that the handler does not get, such as one without
//! a valid password, are not affected.
//!
//! ```
//! use std::num::NonZeroU64;
//! use std::sync::Arc;
//! use doorstep_driver::{ShutdownHandle, StopConditions, net};
//!
//! # let acceptor = Arc::new(net::Acceptor::new(net::bind(Some("127.0.0.1"), 0)?)?);
//! # let handle = ShutdownHandle::new(acceptor);
//! let once = StopConditions::new(handle).with_count(NonZeroU64::MIN);
//! // server.serve(files.with_stop_conditions(once.clone()))?;
//! let report = once.report();
//! assert_eq!((report.completed, report.cut, report.is_count_reached()), (0, 0, false));
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! [`ExchangeView::begin_transfer`]: crate::exchange::ExchangeView::begin_transfer

mod idle_timer;
mod tally;
mod watched_request;

use std::io;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use event_listener::{Event, EventListener};

pub use idle_timer::{IdleStep, IdleTimer, poll_interval};
use tally::Tally;
pub(crate) use watched_request::WatchedRequest;

use crate::exchange::ExchangeState;
use crate::shutdown_handle::ShutdownHandle;

/// The `Retry-After` of the 503 while all places are taken: 5 s.
pub const RETRY_AFTER: Duration = Duration::from_secs(5);

/// How many clients and paths whose last transfer was cut are remembered, each in 8 bytes, so that they can
/// be made good: 4,096. Of further ones only the number is known, which stays.
pub const MAX_REMEMBERED_CUTS: usize = 4096;

/// When a server ends by itself, and what it has transferred so far. Clones are the same.
#[derive(Debug, Clone)]
pub struct StopConditions {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    shutdown: ShutdownHandle,
    tally: Mutex<Tally>,
    /// Whether `PUT` and `POST` are transfers.
    uploads: AtomicBool,
    /// Notified when no request is in progress any more, and when the count is reached.
    changed: Event,
}

/// The transfers of a server so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransferReport {
    /// The number after which the server stops; `None` if there is none.
    pub count: Option<NonZeroU64>,
    /// The number of completed transfers.
    pub completed: u64,
    /// The number of responses with files, or parts of them, and of uploads that are in progress. After the
    /// end of a server they are those of threads that hang: they were cut, too.
    pub in_progress: u64,
    /// The number of clients and paths whose last transfer was cut: by the client, by a timeout, or by the
    /// end of a shutdown. Responses with a part of a file that does not include its last byte are among
    /// them.
    pub cut: u64,
}

impl TransferReport {
    /// Whether as many transfers were completed as the server was started for.
    #[must_use]
    pub fn is_count_reached(&self) -> bool {
        self.count.is_some_and(|count| self.completed >= count.get())
    }

    /// After the end of a server: whether everything was completed that was promised. With a count, that
    /// it was reached; without one, that nothing was cut.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        match self.count {
            Some(_) => self.is_count_reached(),
            None => self.cut == 0 && self.in_progress == 0,
        }
    }
}

/// Whether a transfer may begin: what `Exchange::begin_transfer` returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a transfer that is refused was responded to: nothing more may be sent"]
pub enum TransferStart {
    /// It has begun, or is not counted: respond.
    Begun,
    /// It is refused, and was responded to with 503: return from the handler.
    Refused,
}

/// Why a transfer may not begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TransferRefused {
    /// All places are taken: another attempt may succeed.
    AllTaken,
    /// The count was reached.
    CountReached,
}

impl StopConditions {
    /// Watches requests, and stops nothing yet. `shutdown` is the handle of the server.
    #[must_use]
    pub fn new(shutdown: ShutdownHandle) -> Self {
        let tally = Mutex::new(Tally::new(Instant::now()));
        let uploads = AtomicBool::new(true);
        Self { shared: Arc::new(Shared { shutdown, tally, uploads, changed: Event::new() }) }
    }

    /// Stops the server when `count` transfers were completed.
    #[must_use]
    pub fn with_count(self, count: NonZeroU64) -> Self {
        self.shared.lock().set_count(count);
        self
    }

    /// No `PUT` or `POST` is a transfer: for a handler that takes no uploads, such as
    /// [`Files`](crate::Files) without `with_upload`. Such requests take no place then, and are not counted
    /// if they are cut.
    #[must_use]
    pub fn without_uploads(self) -> Self {
        self.shared.uploads.store(false, Ordering::Relaxed);
        self
    }

    /// The transfers so far.
    #[must_use]
    pub fn report(&self) -> TransferReport {
        self.shared.lock().report()
    }

    /// A listener that is notified when no request is in progress any more, and when the server is
    /// stopped because of the count. To be made before looking at either.
    #[must_use]
    pub fn listen(&self) -> EventListener {
        self.shared.changed.listen()
    }

    /// The number of requests that are in progress: from the end of the header until the response was
    /// sent.
    #[must_use]
    pub fn requests_in_progress(&self) -> u64 {
        self.shared.lock().requests()
    }

    /// Since when no request has been in progress; `None` while one is.
    #[must_use]
    pub fn idle_since(&self) -> Option<Instant> {
        self.shared.lock().idle_since()
    }

    /// For front ends: begins to watch a request, before its handler is called. The handler is not called
    /// for a request that is refused, since it was responded to: then go on with
    /// [`ExchangeState::finish`], as after a handler that has returned `Ok`.
    ///
    /// # Errors
    /// Returns [`Misuse`](doorstep_core::http1::Misuse) if a response had begun before.
    pub fn begin(&self, exchange: &mut ExchangeState<'_>) -> io::Result<TransferStart> {
        let mut request = WatchedRequest::begin(&self.shared, exchange);
        let refused = request.begin_upload(exchange.head().method());
        exchange.set_watched(request);
        match refused {
            Ok(()) => Ok(TransferStart::Begun),
            Err(refused) => exchange.refuse_transfer(refused),
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A handler whose requests are watched: the result of `Handler::with_stop_conditions` of every front
/// end, which implements its `Handler` for it.
#[derive(Debug)]
pub struct WithStopConditions<H> {
    handler: H,
    conditions: StopConditions,
}

impl<H> WithStopConditions<H> {
    /// For front ends: others call `Handler::with_stop_conditions`.
    #[must_use]
    pub fn new(handler: H, conditions: StopConditions) -> Self {
        Self { handler, conditions }
    }

    /// The handler.
    #[must_use]
    pub fn handler(&self) -> &H {
        &self.handler
    }

    /// The conditions.
    #[must_use]
    pub fn conditions(&self) -> &StopConditions {
        &self.conditions
    }
}
