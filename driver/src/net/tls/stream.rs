//! A TLS connection over another stream.
//!
//! Its calls wait only where the calls of the inner stream do. What was decrypted is delivered before
//! the inner stream is read, and what was encrypted is sent before it is read, as the peer may wait
//! for that.
//!
//! [`TlsStream::shutdown`] and [`TlsStream::reset`] need no lock, except to send close_notify. So
//! another thread can end a connection whose thread waits for the peer.

use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustls::ProtocolVersion;

use super::TlsSettings;
use super::session::{MAX_BATCH, TlsSession};
use crate::net::Stream;
use crate::os;

/// The least buffer that ciphertext is received in; a smaller one has one of [`RECEIVE_SIZE`] in its
/// place. In bytes.
const MIN_DIRECT: usize = 1 << 10;
/// The space that is added to a partial record, in bytes: the rest of a record, and the beginning of
/// the next one.
const RECEIVE_SIZE: usize = 17 << 10;

/// A connection that is encrypted, or begins to be.
pub(in crate::net) struct TlsStream {
    inner: Stream,
    session: Mutex<TlsSession>,
    /// A [`Phase`].
    phase: AtomicU8,
    /// The last read has filled its buffer, or there is plaintext that was not read.
    has_more: AtomicBool,
    /// There is ciphertext that the inner stream did not take.
    wants_write: AtomicBool,
    reset_on_close: AtomicBool,
}

/// How far the connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    Handshake,
    Tls12,
    Tls13,
    /// The client speaks plain HTTP: no call encrypts or decrypts.
    Plain,
}

impl Phase {
    const ALL: [Self; 4] = [Self::Handshake, Self::Tls12, Self::Tls13, Self::Plain];
}

impl fmt::Debug for TlsStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TlsStream").field(&self.inner).field(&self.phase()).finish()
    }
}

impl TlsStream {
    pub(super) fn new(inner: Stream, settings: &TlsSettings) -> io::Result<Self> {
        Ok(Self {
            inner,
            session: Mutex::new(TlsSession::new(settings.config())?),
            phase: AtomicU8::new(Phase::Handshake as u8),
            has_more: AtomicBool::new(false),
            wants_write: AtomicBool::new(false),
            reset_on_close: AtomicBool::new(false),
        })
    }

    pub(in crate::net) fn inner(&self) -> &Stream {
        &self.inner
    }

    fn phase(&self) -> Phase {
        Phase::ALL[usize::from(self.phase.load(Ordering::Relaxed)) % Phase::ALL.len()]
    }

    pub(in crate::net) fn is_handshaking(&self) -> bool {
        self.phase() == Phase::Handshake
    }

    pub(in crate::net) fn is_plain_http(&self) -> bool {
        self.phase() == Phase::Plain
    }

    pub(in crate::net) fn version(&self) -> Option<&'static str> {
        match self.phase() {
            Phase::Tls12 => Some("TLSv1.2"),
            Phase::Tls13 => Some("TLSv1.3"),
            Phase::Handshake | Phase::Plain => None,
        }
    }

    pub(in crate::net) fn has_more(&self) -> bool {
        self.has_more.load(Ordering::Relaxed)
    }

    pub(in crate::net) fn wants_write(&self) -> bool {
        self.wants_write.load(Ordering::Relaxed)
    }

    pub(in crate::net) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.is_plain_http() || buffer.is_empty() {
            return self.inner.read(buffer);
        }
        let mut session = self.session();
        let mut inner_has_more = false;
        let result = self.read_locked(&mut session, buffer, &mut inner_has_more);
        self.has_more.store(inner_has_more || session.has_plaintext(), Ordering::Relaxed);
        self.wants_write.store(session.has_unsent(), Ordering::Relaxed);
        result
    }

    fn read_locked(
        &self,
        session: &mut TlsSession,
        buffer: &mut [u8],
        has_more: &mut bool,
    ) -> io::Result<usize> {
        loop {
            if let Some(n) = session.take_plaintext(buffer) {
                *has_more |= self.has_more();
                return Ok(n);
            }
            let flushed = session.flush(|bytes| self.inner.send(bytes, false));
            if let Some(end) = session.end() {
                return end;
            }
            match flushed {
                Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
                Err(error) if session.is_congested() => return Err(error),
                _ => {}
            }
            *has_more = false;
            let is_begun = session.is_begun;
            let partial = session.partial_record();
            if partial.is_empty() && (buffer.len() >= MIN_DIRECT || !is_begun) {
                let n = self.inner.read(buffer)?;
                *has_more = n == buffer.len();
                if n == 0 {
                    return session.end_of_input();
                }
                if !is_begun && buffer[0].is_ascii_alphabetic() {
                    self.phase.store(Phase::Plain as u8, Ordering::Relaxed);
                    return Ok(n);
                }
                session.receive(&mut buffer[..n]);
            } else {
                let begin = partial.len();
                partial.resize(begin + RECEIVE_SIZE, 0);
                let received = self.inner.read(&mut partial[begin..]);
                partial.truncate(begin + *received.as_ref().unwrap_or(&0));
                let n = received?;
                if n == 0 {
                    return session.end_of_input();
                }
                *has_more = n == RECEIVE_SIZE;
                session.receive_more(n);
            }
            self.has_more.store(*has_more, Ordering::Relaxed);
            self.update_phase(session);
        }
    }

    fn update_phase(&self, session: &TlsSession) {
        if self.is_handshaking() && !session.is_handshaking() {
            let phase = match session.version() {
                Some(ProtocolVersion::TLSv1_2) => Phase::Tls12,
                _ => Phase::Tls13,
            };
            self.phase.store(phase as u8, Ordering::Relaxed);
        }
    }

    pub(in crate::net) fn send(&self, bytes: &[u8], more: bool) -> io::Result<usize> {
        self.send_by(bytes, |part, is_last| self.inner.send(part, more || !is_last))
    }

    pub(in crate::net) fn send_nonblocking(&self, bytes: &[u8], more: bool) -> io::Result<usize> {
        self.send_by(bytes, |part, is_last| self.inner.send_nonblocking(part, more || !is_last))
    }

    fn send_by(
        &self,
        bytes: &[u8],
        send: impl Fn(&[u8], bool) -> io::Result<usize>,
    ) -> io::Result<usize> {
        if self.is_plain_http() || bytes.is_empty() {
            return send(bytes, true);
        }
        let mut session = self.session();
        let result = Self::send_locked(&mut session, bytes, send);
        self.wants_write.store(session.has_unsent(), Ordering::Relaxed);
        result
    }

    fn send_locked(
        session: &mut TlsSession,
        bytes: &[u8],
        send: impl Fn(&[u8], bool) -> io::Result<usize>,
    ) -> io::Result<usize> {
        session.flush(|part| send(part, true))?;
        if let Some(n) = session.report(bytes)? {
            return Ok(n);
        }
        let n = session.encrypt(bytes)?;
        let is_last = n == bytes.len();
        match session.flush(|part| send(part, is_last)) {
            Ok(()) => Ok(n),
            Err(error) => {
                session.withhold(&bytes[..n]);
                Err(error)
            }
        }
    }

    /// Reads a part of the file and sends it. If the inner stream does not take all of it, the same
    /// part is read again by the next call.
    pub(in crate::net) fn send_file(
        &self,
        file: &File,
        offset: u64,
        count: usize,
    ) -> io::Result<usize> {
        let mut buffer = vec![0; count.min(MAX_BATCH)];
        match os::read_at(file, &mut buffer, offset)? {
            0 => Ok(0),
            n => self.send(&buffer[..n], n < count),
        }
    }

    /// To close the sending half, close_notify is sent first, as far as the inner stream takes it.
    pub(in crate::net) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        if how == Shutdown::Write
            && !self.is_plain_http()
            && let Ok(mut session) = self.session.try_lock()
        {
            session.finish();
            let _ = session.flush(|bytes| self.inner.send_nonblocking(bytes, false));
        }
        self.inner.shutdown(how)
    }

    pub(in crate::net) fn reset(&self) -> io::Result<()> {
        self.inner.reset()
    }

    pub(in crate::net) fn set_reset_on_close(&self, enabled: bool) -> io::Result<()> {
        self.reset_on_close.store(enabled, Ordering::Relaxed);
        self.inner.set_reset_on_close(enabled)
    }

    fn session(&self) -> MutexGuard<'_, TlsSession> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for TlsStream {
    /// A connection that ends as it should sends close_notify, without which the peer would take the
    /// last response for incomplete.
    fn drop(&mut self) {
        if self.is_plain_http() || *self.reset_on_close.get_mut() {
            return;
        }
        let session = self.session.get_mut().unwrap_or_else(PoisonError::into_inner);
        if !session.has_withheld() {
            session.finish();
            let _ = session.flush(|bytes| self.inner.send_nonblocking(bytes, false));
        }
    }
}
