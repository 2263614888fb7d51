//! A stream whose responses are cut in their bodies, on purpose ([`Cuts`]).
//!
//! The exchange says where the next cut is ([`CutStream::plan`]), as a number of bytes of plaintext. The
//! bytes before it are sent, and at once the connection ends: by FIN, without the close_notify of TLS, or
//! by RST. Sending is an error from then on. Reading goes on as before.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::shaping::ClosedBy;
use super::{Cuts, Stream};

/// A stream, and the cut that is planned.
#[derive(Debug)]
pub(crate) struct CutStream {
    pub(super) inner: Stream,
    cuts: Arc<Cuts>,
    /// How many bytes were sent.
    sent: AtomicU64,
    planned: Mutex<Option<PlannedCut>>,
    is_cut: AtomicBool,
}

#[derive(Debug, Clone, Copy)]
struct PlannedCut {
    /// After so many bytes of all that are sent.
    position: u64,
    closed_by: ClosedBy,
}

impl CutStream {
    pub(super) fn new(inner: Stream, cuts: Arc<Cuts>) -> Self {
        let (sent, planned, is_cut) = Default::default();
        Self { inner, cuts, sent, planned, is_cut }
    }

    pub(crate) fn cuts(&self) -> &Cuts {
        &self.cuts
    }

    /// Whether a response was cut.
    pub(crate) fn is_cut(&self) -> bool {
        self.is_cut.load(Ordering::Relaxed)
    }

    /// Whether a cut is planned. There is none behind it.
    pub(crate) fn is_planned(&self) -> bool {
        self.planned().is_some()
    }

    /// The next cut comes when `n` more bytes were sent.
    pub(crate) fn plan(&self, n: u64, closed_by: ClosedBy) {
        let position = self.sent.load(Ordering::Relaxed).saturating_add(n);
        self.set_planned(Some(PlannedCut { position, closed_by }));
    }

    /// The response ends with the last of `n` bytes that are still to be sent: if the cut would come
    /// later, the last of them is not sent; if there are none, there is no cut.
    pub(crate) fn response_ends(&self, n: u64) {
        let end = self.sent.load(Ordering::Relaxed).saturating_add(n);
        if let Some(planned) = self.planned().filter(|planned| planned.position >= end) {
            let earlier = n.checked_sub(1).map(|_| PlannedCut { position: end - 1, ..planned });
            self.set_planned(earlier);
        }
    }

    /// Sends by `send`, which gets how many bytes may be sent.
    pub(super) fn send_by(
        &self,
        max: usize,
        send: impl FnOnce(&Stream, usize) -> io::Result<usize>,
    ) -> io::Result<usize> {
        if self.is_cut() {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let Some(planned) = self.planned() else {
            let n = send(&self.inner, max)?;
            self.sent.fetch_add(n as u64, Ordering::Relaxed);
            return Ok(n);
        };
        let left = planned.position.saturating_sub(self.sent.load(Ordering::Relaxed));
        let n = match left {
            0 => 0,
            _ => send(&self.inner, max.min(usize::try_from(left).unwrap_or(usize::MAX)))?,
        };
        self.sent.fetch_add(n as u64, Ordering::Relaxed);
        if n as u64 == left {
            self.cut(planned.closed_by)?;
        }
        match n {
            0 if left == 0 => Err(ErrorKind::BrokenPipe.into()),
            n => Ok(n),
        }
    }

    pub(super) fn send_file(&self, file: &File, offset: u64, count: usize) -> io::Result<usize> {
        self.send_by(count, |inner, count| inner.send_file(file, offset, count))
    }

    fn cut(&self, closed_by: ClosedBy) -> io::Result<()> {
        self.is_cut.store(true, Ordering::Relaxed);
        match closed_by {
            ClosedBy::Fin => self.inner.transport().shutdown(Shutdown::Write),
            ClosedBy::Reset => self.inner.reset(),
        }
    }

    fn planned(&self) -> Option<PlannedCut> {
        *self.planned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_planned(&self, planned: Option<PlannedCut>) {
        *self.planned.lock().unwrap_or_else(PoisonError::into_inner) = planned;
    }
}
