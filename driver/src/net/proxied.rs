//! A stream that begins with a header of the PROXY protocol.
//!
//! Reading consumes the header first. It takes exactly its bytes from the stream below: what follows
//! them is read by the next call, so a short read means the same as without a header. Until the header is
//! complete, its addresses are those of the stream below, which is the proxy.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::{Mutex, OnceLock, PoisonError};

use doorstep_core::proxy_protocol::{self, Header};

use super::Stream;

/// Bytes that are looked at in one call. Nearly every header is shorter.
const PEEK_SIZE: usize = 256;

/// A stream, and the header at its beginning.
pub(super) struct Proxied {
    pub(super) inner: Stream,
    header: OnceLock<Header>,
    /// What was consumed of an incomplete header.
    received: Mutex<Vec<u8>>,
}

impl Proxied {
    pub(super) fn new(inner: Stream) -> Self {
        Self { inner, header: OnceLock::new(), received: Mutex::default() }
    }

    /// The header, once it is complete.
    pub(super) fn header(&self) -> Option<&Header> {
        self.header.get()
    }

    pub(super) fn peer_addr(&self) -> SocketAddr {
        self.header().and_then(|header| header.source).unwrap_or_else(|| self.inner.peer_addr())
    }

    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        let reported = self.header().and_then(|header| header.destination);
        reported.map_or_else(|| self.inner.local_addr(), Ok)
    }

    /// Reads the header, and then what follows it.
    ///
    /// # Errors
    /// Returns `Interrupted` once, when the header is complete, because from then on another
    /// deadline applies; `InvalidData` if it is invalid; and `UnexpectedEof` if the stream ends in it.
    pub(super) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.header.get().is_some() {
            return self.inner.read(buffer);
        }
        match self.read_header()? {
            None => Ok(0),
            Some(header) => {
                let _ = self.header.set(header);
                Err(ErrorKind::Interrupted.into())
            }
        }
    }

    /// Reads the header; `None` if the stream ends before its first byte, as that of a proxy that
    /// checks whether the server accepts connections.
    #[inline(never)] // its array would stand on the stack of every connection that is read
    fn read_header(&self) -> io::Result<Option<Header>> {
        let mut received = self.received.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let mut bytes = [0; PEEK_SIZE];
            let n = self.inner.peek(&mut bytes)?;
            if n == 0 && received.is_empty() {
                return Ok(None);
            }
            if n == 0 {
                return Err(unexpected_end());
            }
            let before = received.len();
            received.extend_from_slice(&bytes[..n]);
            let parsed = proxy_protocol::parse(&received);
            let size = match &parsed {
                Ok(Some((_, size))) => *size,
                Ok(None) => received.len(),
                Err(_) => before, // they stay: every later call finds the same error
            };
            received.truncate(size);
            self.consume(&mut bytes[..size - before])?;
            let parsed = parsed.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
            if let Some((header, _)) = parsed {
                *received = Vec::new();
                return Ok(Some(header));
            }
        }
    }

    /// Reads as many bytes as `buffer` has, which have arrived.
    fn consume(&self, mut buffer: &mut [u8]) -> io::Result<()> {
        while !buffer.is_empty() {
            match self.inner.read(buffer)? {
                0 => return Err(unexpected_end()),
                n => buffer = &mut buffer[n..],
            }
        }
        Ok(())
    }
}

fn unexpected_end() -> io::Error {
    let message = "the connection ended within its PROXY protocol header";
    io::Error::new(ErrorKind::UnexpectedEof, message)
}

impl fmt::Debug for Proxied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Proxied");
        out.field("inner", &self.inner).field("header", &self.header.get()).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "proxied_tests.rs"]
mod tests;
