//! A request's body on its way to a script: received whole, then an ordinary file.
//!
//! It is gathered in memory; what does not fit there goes to a temporary file without a name, block
//! by block. Memory grows with what has arrived, whatever Content-Length promises (B-254). Where the
//! system gives no file in memory, a small body is in a temporary file too; where it gives none of
//! either kind, in a pipe that holds all of it.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::OwnedFd;

use doorstep_core::http1::Head;
use rustix::io::ioctl_fionbio;

/// What a read wants at least, in bytes.
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
    /// For the body of the request, at most `most` bytes of it in memory; `None` when it has none.
    #[must_use]
    pub(super) fn for_request(head: &Head<'_>, most: usize) -> Option<Self> {
        let has_body =
            head.header("Content-Length").is_some() || head.header("Transfer-Encoding").is_some();
        let most = most.max(MIN_READ);
        has_body.then(|| Self {
            max_in_memory: most,
            block: Vec::new(),
            filled: 0,
            file: None,
            spilled: 0,
            failure: None,
        })
    }

    /// Where the next bytes go; never empty.
    pub(super) fn space(&mut self) -> &mut [u8] {
        if self.filled == self.block.len() {
            self.block.resize(
                (2 * self.filled).clamp(MIN_READ, self.max_in_memory.max(self.filled + 1)),
                0,
            );
        }
        &mut self.block[self.filled..]
    }

    /// `n` bytes were put there; whether it is time to [`RequestBody::spill`].
    #[must_use]
    pub(super) fn filled(&mut self, n: usize) -> bool {
        self.filled = (self.filled + n).min(self.block.len());
        self.filled == self.max_in_memory
    }

    /// How long the body is so far, in bytes.
    #[must_use]
    pub(super) fn length(&self) -> u64 {
        self.spilled + self.filled as u64
    }

    /// Moves what is in memory to the file. May wait for the disk. When there is no room for it, the
    /// body [is lost](RequestBody::has_failed).
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

    /// Whether it could not be kept, so that the rest is of no use; [`RequestBody::finish`] says why.
    #[must_use]
    pub(super) fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    /// The whole body as a script's stdin: a file, read from its start. May wait for the disk.
    ///
    /// # Errors
    /// Those of making and writing the file.
    pub(super) fn finish(self) -> io::Result<File> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let mut file = match self.file {
            Some(file) => file,
            None if self.filled == 0 => return empty_stdin(),
            // A sandbox may refuse one of them or both.
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

/// An ordinary file, but for the disk.
#[cfg(target_os = "linux")]
fn memory_file() -> io::Result<File> {
    use rustix::fs::{MemfdFlags, memfd_create};

    Ok(memfd_create("body", MemfdFlags::CLOEXEC)?.into())
}

#[cfg(not(target_os = "linux"))]
fn memory_file() -> io::Result<File> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Where there are no files at all: a pipe that holds all of `body`, and whose other end is closed.
///
/// # Errors
/// Those of the system; when it does not hold so much.
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

    const MOST: usize = 10_000;

    fn upload(body: &[u8], piece: usize) -> RequestBody {
        let mut upload = RequestBody {
            max_in_memory: MOST,
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
            assert!(upload.block.len() <= MOST, "memory is bounded");
        }
        upload
    }

    #[test]
    fn b_254_memory_grows_with_what_arrived_and_not_with_what_was_promised() {
        assert_eq!(upload(b"", 1).block.capacity(), 0);
        assert!(upload(b"a", 1).block.capacity() <= MIN_READ);
        assert!(upload(&[b'a'; 3 * MOST], 700).block.capacity() <= 2 * MOST);
    }

    #[test]
    fn r_27_a_pipe_holds_as_much_as_is_held_in_memory() {
        let body = vec![7; super::super::CgiSettings::default().body_buffer];
        let read = Command::new("cat").stdin(filled_pipe(&body).unwrap()).output().unwrap().stdout;
        assert!(read == body);
        assert!(filled_pipe(&[7; 1 << 20]).is_err(), "and it waits for nobody");
    }

    #[test]
    fn b_247_a_script_reads_exactly_the_body_from_a_file() {
        for size in [0, 1, MIN_READ, MOST - 1, MOST, MOST + 1, 5 * MOST + 17] {
            let body: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
            for piece in [1000, MOST] {
                let upload = upload(&body, piece);
                assert_eq!(upload.length(), size as u64);
                assert_eq!(upload.file.is_some(), size >= MOST, "{size} bytes");
                let stdin = upload.finish().unwrap();
                let read = Command::new("cat").stdin(stdin).output().unwrap().stdout;
                assert!(read == body, "{size} bytes in pieces of {piece}");
            }
        }
    }
}
