//! Sending part of a file to a client.
//!
//! It is sent by several calls, so that other connections can be served between them. Before the
//! last one, it is checked whether the file has changed. If it has, it is not sent to its end, and
//! the client sees that the response is incomplete (B-174).

use std::fs::File;
use std::io::{self, ErrorKind};
use std::sync::Arc;

use super::change_guard::TransferGuard;
use crate::net::Stream;
use crate::transfers::Transfer;

/// The least size of the parts in which a file is sent, in bytes.
const MIN_CHUNK: usize = 4 << 10;

/// Bytes of a file that are still to be sent.
#[derive(Debug)]
pub struct FileTransfer<'f> {
    file: &'f File,
    offset: u64,
    left: u64,
    sent: u64,
    max_chunk: usize,
    guard: TransferGuard,
    /// Where bytes are counted for others, if they are.
    report: Option<Arc<Transfer>>,
}

impl<'f> FileTransfer<'f> {
    /// A transfer of `count` bytes of `file` from `offset`, at most `max_chunk` of them by one call
    /// (at least 4 KiB): [`Config::max_sendfile_chunk`](crate::Config::max_sendfile_chunk).
    ///
    /// # Errors
    /// Returns an error if the metadata of the file cannot be read.
    pub fn new(file: &'f File, offset: u64, count: u64, max_chunk: usize) -> io::Result<Self> {
        let max_chunk = max_chunk.max(MIN_CHUNK);
        let guard = TransferGuard::new(file, count, max_chunk as u64)?;
        Ok(Self { file, offset, left: count, sent: 0, max_chunk, guard, report: None })
    }

    /// Counts the bytes in `report`, too.
    pub(crate) fn reported_to(mut self, report: Option<Arc<Transfer>>) -> Self {
        self.report = report;
        self
    }

    /// Whether all of it was sent.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.left == 0
    }

    /// The number of bytes that were sent.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Sends a part by one call. Returns the number of bytes sent.
    ///
    /// # Errors
    /// Returns [`ErrorKind::UnexpectedEof`] if the file has become shorter,
    /// [`ErrorKind::InvalidData`] if it was written to, [`ErrorKind::WouldBlock`] if the stream
    /// takes nothing now, or the error of the file or the stream.
    pub fn send(&mut self, stream: &Stream) -> io::Result<usize> {
        self.guard.check_before_send(self.file, self.left)?;
        let max =
            usize::try_from(self.left).map_or(self.max_chunk, |left| left.min(self.max_chunk));
        let n = stream.send_file(self.file, self.offset, max)?;
        if n == 0 && self.left > 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let count = (n as u64).min(self.left);
        self.offset += count;
        self.left -= count;
        self.sent += count;
        if let Some(report) = &self.report {
            report.add(count);
        }
        Ok(n)
    }
}
