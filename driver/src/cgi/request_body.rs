//! The body of a request for a script: it is received completely, and becomes the script's stdin.
//!
//! A small body is held in memory, and passed as a file in memory (`memfd_create`). A larger one is
//! written block by block to a temporary file without a name. Memory grows with the bytes that have
//! arrived, whatever Content-Length announces (B-254). If the system supports no files in memory, a
//! small body is written to a temporary file, too; if there are no temporary files either, it is
//! passed in a pipe that holds all of it.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::OwnedFd;

use doorstep_core::http1::Head;
use rustix::io::ioctl_fionbio;

/// The least size of the buffer for a read, in bytes.
const MIN_READ: usize = 4 << 10;

/// A body that is being received.
#[derive(Debug)]
pub(super) struct RequestBody {
    max_in_memory: usize,
    block: Vec<u8>,
    filled: usize,
    file: Option<File>,
    spilled: u64,
    failure: Option<io::Error>,
}

impl RequestBody {
    /// For the body of the request, with at most `max_in_memory` bytes in memory. `None` if the
    /// request has no body.
    #[must_use]
    pub(super) fn for_request(head: &Head<'_>, max_in_memory: usize) -> Option<Self> {
        let max_in_memory = max_in_memory.max(MIN_READ);
        head.has_body().then(|| Self {
            max_in_memory,
            block: Vec::new(),
            filled: 0,
            file: None,
            spilled: 0,
            failure: None,
        })
    }

    /// The buffer for the next bytes; never empty.
    pub(super) fn space(&mut self) -> &mut [u8] {
        if self.filled == self.block.len() {
            self.block.resize(
                (2 * self.filled).clamp(MIN_READ, self.max_in_memory.max(self.filled + 1)),
                0,
            );
        }
        &mut self.block[self.filled..]
    }

    /// Records that `n` bytes were read into [`RequestBody::space`], and returns whether to
    /// [`RequestBody::spill`] now.
    #[must_use]
    pub(super) fn filled(&mut self, n: usize) -> bool {
        self.filled = (self.filled + n).min(self.block.len());
        self.filled == self.max_in_memory
    }

    /// The number of bytes that were received.
    #[must_use]
    pub(super) fn length(&self) -> u64 {
        self.spilled + self.filled as u64
    }

    /// Writes the bytes in memory to the temporary file, which may block. If that fails, the body
    /// [has failed](RequestBody::has_failed).
    #[must_use]
    pub(super) fn spill(mut self) -> Self {
        let file = self.file.take().map_or_else(tempfile::tempfile, Ok);
        let written = file.and_then(|mut file| {
            file.write_all(&self.block[..self.filled])?;
            Ok(file)
        });
        self.spilled += self.filled as u64;
        self.filled = 0;
        match written {
            Ok(file) => self.file = Some(file),
            Err(error) => self.failure = Some(error),
        }
        self
    }

    /// Whether writing has failed. [`RequestBody::finish`] returns the error.
    #[must_use]
    pub(super) fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    /// The stdin of the script: a file with the whole body, at its start. May block.
    ///
    /// # Errors
    /// Returns an error if the file cannot be created or written.
    pub(super) fn finish(self) -> io::Result<File> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let mut file = match self.file {
            Some(file) => file,
            None if self.filled == 0 => return empty_stdin(),
            // A sandbox may refuse one of them, or both.
            None => match memory_file().or_else(|_| tempfile::tempfile()) {
                Ok(file) => file,
                Err(error) => return filled_pipe(&self.block[..self.filled]).map_err(|_| error),
            },
        };
        file.write_all(&self.block[..self.filled])?;
        file.rewind()?;
        Ok(file)
    }
}

/// The stdin of a script whose request has no body.
pub(super) fn empty_stdin() -> io::Result<File> {
    File::open("/dev/null")
}

/// A file in memory.
#[cfg(target_os = "linux")]
fn memory_file() -> io::Result<File> {
    use rustix::fs::{MemfdFlags, memfd_create};

    Ok(memfd_create("body", MemfdFlags::CLOEXEC)?.into())
}

#[cfg(not(target_os = "linux"))]
fn memory_file() -> io::Result<File> {
    Err(io::ErrorKind::Unsupported.into())
}

/// A pipe that holds all of `body`, and whose writing end is closed.
///
/// # Errors
/// Returns an error if there is no pipe, or if it does not hold so much.
fn filled_pipe(body: &[u8]) -> io::Result<File> {
    let (reader, mut writer) = io::pipe()?;
    ioctl_fionbio(&writer, true)?;
    writer.write_all(body)?;
    Ok(File::from(OwnedFd::from(reader)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    const MAX_IN_MEMORY: usize = 10_000;

    fn upload(body: &[u8], piece: usize) -> RequestBody {
        let mut upload = RequestBody {
            max_in_memory: MAX_IN_MEMORY,
            block: Vec::new(),
            filled: 0,
            file: None,
            spilled: 0,
            failure: None,
        };
        let mut rest = body;
        while !rest.is_empty() {
            let space = upload.space();
            let n = piece.min(space.len()).min(rest.len());
            space[..n].copy_from_slice(&rest[..n]);
            rest = &rest[n..];
            if upload.filled(n) {
                upload = upload.spill();
                assert!(!upload.has_failed());
            }
            assert!(upload.block.len() <= MAX_IN_MEMORY, "memory is bounded");
        }
        upload
    }

    #[test]
    fn b_254_memory_grows_with_the_bytes_received_and_not_with_content_length() {
        assert_eq!(upload(b"", 1).block.capacity(), 0);
        assert!(upload(b"a", 1).block.capacity() <= MIN_READ);
        assert!(upload(&[b'a'; 3 * MAX_IN_MEMORY], 700).block.capacity() <= 2 * MAX_IN_MEMORY);
    }

    #[test]
    fn r_27_a_pipe_holds_a_body_that_is_held_in_memory() {
        let body = vec![7; super::super::CgiSettings::default().body_buffer];
        let read = Command::new("cat").stdin(filled_pipe(&body).unwrap()).output().unwrap().stdout;
        assert!(read == body);
        assert!(filled_pipe(&[7; 1 << 20]).is_err(), "and it does not block");
    }

    #[test]
    fn b_247_a_script_reads_exactly_the_body_from_a_file() {
        for size in [
            0,
            1,
            MIN_READ,
            MAX_IN_MEMORY - 1,
            MAX_IN_MEMORY,
            MAX_IN_MEMORY + 1,
            5 * MAX_IN_MEMORY + 17,
        ] {
            let body: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
            for piece in [1000, MAX_IN_MEMORY] {
                let upload = upload(&body, piece);
                assert_eq!(upload.length(), size as u64);
                assert_eq!(upload.file.is_some(), size >= MAX_IN_MEMORY, "{size} bytes");
                let stdin = upload.finish().unwrap();
                let read = Command::new("cat").stdin(stdin).output().unwrap().stdout;
                assert!(read == body, "{size} bytes in pieces of {piece}");
            }
        }
    }
}
