//! One request that [`StopConditions`](super::StopConditions) watch, from its header until its response
//! was sent.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::Ordering;
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use doorstep_core::log::Ending;

use super::tally::{TransferEnd, TransferKind};
use super::{Shared, TransferRefused};
use crate::exchange::ExchangeState;

/// The status of an upload whose body did not arrive in time.
const REQUEST_TIMEOUT: u16 = 408;
/// Those of a request that is no upload for its handler.
const METHOD_NOT_ALLOWED: u16 = 405;
const NOT_IMPLEMENTED: u16 = 501;

/// A request, and the transfer that it may be. Dropped before it has ended, it was cut.
#[derive(Debug)]
pub(crate) struct WatchedRequest {
    shared: Arc<Shared>,
    /// The hash of the client and the path.
    key: u64,
    is_upload: bool,
    transfer: Option<TransferKind>,
    /// The connection is closed after the response, and how its client closes it decides.
    is_confirmed: bool,
}

impl WatchedRequest {
    pub(super) fn begin(shared: &Arc<Shared>, exchange: &ExchangeState<'_>) -> Self {
        static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        let key = HASHER.hash_one((exchange.client_addr().ip(), exchange.head().path()));
        shared.lock().begin_request();
        Self { shared: shared.clone(), key, is_upload: false, transfer: None, is_confirmed: false }
    }

    /// Begins the transfer of an upload, if the request is one.
    pub(super) fn begin_upload(&mut self, method: &[u8]) -> Result<(), TransferRefused> {
        let takes_uploads = self.shared.uploads.load(Ordering::Relaxed);
        if !takes_uploads || !matches!(method, b"PUT" | b"POST") {
            return Ok(());
        }
        self.is_upload = true;
        self.begin_transfer(TransferKind::Whole)
    }

    /// Begins the transfer of a download, which counts if it `reaches_end`: the last byte of the file.
    pub(crate) fn begin_download(&mut self, reaches_end: bool) -> Result<(), TransferRefused> {
        match self.transfer {
            None if reaches_end => self.begin_transfer(TransferKind::Whole),
            None => self.begin_transfer(TransferKind::Part),
            Some(_) => Ok(()), // of the same request
        }
    }

    fn begin_transfer(&mut self, transfer: TransferKind) -> Result<(), TransferRefused> {
        self.shared.lock().begin_transfer(transfer)?;
        self.transfer = Some(transfer);
        Ok(())
    }

    /// Whether how the client closes the connection is to decide about a download, if it is a whole one
    /// that counts: then the connection has to be closed after the response.
    pub(crate) fn confirm(&mut self) -> bool {
        let is_whole = !self.is_upload && self.transfer == Some(TransferKind::Whole);
        self.is_confirmed = is_whole && self.shared.lock().report().count.is_some();
        self.is_confirmed
    }

    /// Whether a response that was sent is not yet known to be complete.
    pub(crate) fn is_confirmed_by_close(&self) -> bool {
        self.is_confirmed
    }

    /// The client has closed the connection, or is not waited for any longer.
    pub(crate) fn confirmed(mut self) {
        self.end_transfer(TransferEnd::Complete);
    }

    /// The response with this status has ended so.
    pub(crate) fn end(mut self, status: u16, ending: Ending) {
        let is_success = matches!(status, 200..=299 | 303);
        self.end_transfer(match (ending, self.is_upload) {
            (_, true) if matches!(status, METHOD_NOT_ALLOWED | NOT_IMPLEMENTED) => {
                TransferEnd::Refused
            }
            (Ending::Complete, true) if status == REQUEST_TIMEOUT => TransferEnd::Cut,
            (Ending::Complete, true) if !is_success => TransferEnd::Refused,
            (Ending::Complete, _) => TransferEnd::Complete,
            _ => TransferEnd::Cut,
        });
    }

    fn end_transfer(&mut self, end: TransferEnd) {
        let Some(transfer) = self.transfer.take() else { return };
        let stops = self.shared.lock().end_transfer(transfer, end, self.key);
        if stops {
            // This may be an event loop, and a stop may wait.
            let shared = self.shared.clone();
            self.shared.shutdown.stop_on_thread(move || _ = shared.changed.notify(usize::MAX));
        }
    }
}

impl Drop for WatchedRequest {
    fn drop(&mut self) {
        self.end_transfer(TransferEnd::Cut);
        let is_idle = self.shared.lock().end_request(Instant::now());
        if is_idle {
            self.shared.changed.notify(usize::MAX);
        }
    }
}
