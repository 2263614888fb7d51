//! Part of a file on its way to a socket.
//!
//! It is sent in several calls, so that other connections have their turn in between. The file is
//! looked at again before the last one: a file that was changed meanwhile is not sent to its end,
//! and the client sees that the response is incomplete.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::net::TcpStream;

use super::ChangeGuard;
use super::change_guard::TransferGuard;
use crate::net;

/// Bytes of a file that are still to be sent.
#[derive(Debug)]
pub struct FileTransfer<'f> {
    file: &'f File,
    offset: u64,
    left: u64,
    sent: u64,
    guard: TransferGuard,
}

impl<'f> FileTransfer<'f> {
    /// `count` bytes of `file` from `offset`.
    ///
    /// # Errors
    /// Returns an error if the system does not tell how long the file is.
    pub fn new(file: &'f File, offset: u64, count: u64) -> io::Result<Self> {
        let guard = ChangeGuard::for_transfer(file, count)?;
        Ok(Self { file, offset, left: count, sent: 0, guard })
    }

    /// Whether all of it was sent.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.left == 0
    }

    /// How many bytes were sent.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Sends a part by one call, at most [`net::MAX_SENDFILE_CHUNK`] bytes. Returns how many were sent.
    ///
    /// # Errors
    /// Returns [`ErrorKind::UnexpectedEof`] if the file has become shorter,
    /// [`ErrorKind::InvalidData`] if it was written to, [`ErrorKind::WouldBlock`] if the socket
    /// takes nothing now, or the error of the file or the socket.
    pub fn send(&mut self, stream: &TcpStream) -> io::Result<usize> {
        self.guard.check_before_send(self.file, self.left)?;
        let n = net::send_file(stream, self.file, self.offset, self.left)?;
        if n == 0 && self.left > 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let count = (n as u64).min(self.left);
        self.offset += count;
        self.left -= count;
        self.sent += count;
        Ok(n)
    }
}
