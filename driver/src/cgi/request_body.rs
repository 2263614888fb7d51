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
const ROOM: usize = 4 << 10;

/// A body that is being received.
#[derive(Debug)]
pub struct Upload {
    most: usize,
    block: Vec<u8>,
    filled: usize,
    file: Option<File>,
    spilt: u64,
    failure: Option<io::Error>,
}

impl Upload {
    /// For the body of the request, at most `most` bytes of it in memory; `None` when it has none.
    #[must_use]
    pub fn of(head: &Head<'_>, most: usize) -> Option<Self> {
        let has_body =
            head.header("Content-Length").is_some() || head.header("Transfer-Encoding").is_some();
        let most = most.max(ROOM);
        has_body.then(|| Self {
            most,
            block: Vec::new(),
            filled: 0,
            file: None,
            spilt: 0,
            failure: None,
        })
    }

    /// Where the next bytes go; never empty.
    pub fn space(&mut self) -> &mut [u8] {
        if self.filled == self.block.len() {
            self.block.resize((2 * self.filled).clamp(ROOM, self.most.max(self.filled + 1)), 0);
        }
        &mut self.block[self.filled..]
    }

    /// `n` bytes were put there; whether it is time to [`Upload::spill`].
    #[must_use]
    pub fn filled(&mut self, n: usize) -> bool {
        self.filled = (self.filled + n).min(self.block.len());
        self.filled == self.most
    }

    /// How long the body is so far, in bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.spilt + self.filled as u64
    }

    /// Moves what is in memory to the file. May wait for the disk. When there is no room for it, the
    /// body [is lost](Upload::is_lost).
    #[must_use]
    pub fn spill(mut self) -> Self {
        let file = self.file.take().map_or_else(tempfile::tempfile, Ok);
        let written = file.and_then(|mut file| {
            file.write_all(&self.block[..self.filled])?;
            Ok(file)
        });
        self.spilt += self.filled as u64;
        self.filled = 0;
        match written {
            Ok(file) => self.file = Some(file),
            Err(error) => self.failure = Some(error),
        }
        self
    }

    /// Whether it could not be kept, so that the rest is of no use; [`Upload::finish`] says why.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.failure.is_some()
    }

    /// The whole body as a script's stdin: a file, read from its start. May wait for the disk.
    ///
    /// # Errors
    /// Those of making and writing the file.
    pub fn finish(self) -> io::Result<File> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let mut file = match self.file {
            Some(file) => file,
            None if self.filled == 0 => return nothing(),
            // A sandbox may refuse one of them or both.
            None => match in_memory().or_else(|_| tempfile::tempfile()) {
                Ok(file) => file,
                Err(error) => return in_a_pipe(&self.block[..self.filled]).map_err(|_| error),
            },
        };
        file.write_all(&self.block[..self.filled])?;
        file.rewind()?;
        Ok(file)
    }
}

/// The stdin of a script whose request has no body.
pub(super) fn nothing() -> io::Result<File> {
    File::open("/dev/null")
}

/// An ordinary file, but for the disk.
#[cfg(target_os = "linux")]
fn in_memory() -> io::Result<File> {
    use rustix::fs::{MemfdFlags, memfd_create};

    Ok(memfd_create("body", MemfdFlags::CLOEXEC)?.into())
}

#[cfg(not(target_os = "linux"))]
fn in_memory() -> io::Result<File> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Where there are no files at all: a pipe that holds all of `body`, and whose other end is closed.
///
/// # Errors
/// Those of the system; when it does not hold so much.
fn in_a_pipe(body: &[u8]) -> io::Result<File> {
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

    fn upload(body: &[u8], piece: usize) -> Upload {
        let mut upload = Upload {
            most: MOST,
            block: Vec::new(),
            filled: 0,
            file: None,
            spilt: 0,
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
                assert!(!upload.is_lost());
            }
            assert!(upload.block.len() <= MOST, "memory is bounded");
        }
        upload
    }

    #[test]
    fn b_254_memory_grows_with_what_arrived_and_not_with_what_was_promised() {
        assert_eq!(upload(b"", 1).block.capacity(), 0);
        assert!(upload(b"a", 1).block.capacity() <= ROOM);
        assert!(upload(&[b'a'; 3 * MOST], 700).block.capacity() <= 2 * MOST);
    }

    #[test]
    fn r_27_a_pipe_holds_as_much_as_is_held_in_memory() {
        let body = vec![7; super::super::Settings::default().memory];
        let read = Command::new("cat").stdin(in_a_pipe(&body).unwrap()).output().unwrap().stdout;
        assert!(read == body);
        assert!(in_a_pipe(&[7; 1 << 20]).is_err(), "and it waits for nobody");
    }

    #[test]
    fn b_247_a_script_reads_exactly_the_body_from_a_file() {
        for size in [0, 1, ROOM, MOST - 1, MOST, MOST + 1, 5 * MOST + 17] {
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
