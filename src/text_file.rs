//! Reading text files that the command line names.
//!
//! They are small. What never ends, such as `/dev/zero`, or is not what was meant, such as the image of a
//! disk, is an error before it fills the memory.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::Path;

/// The text of a regular file of at most `limit` bytes.
///
/// # Errors
/// Returns the error of the system; `InvalidInput` if it is another kind of file, such as a FIFO, which
/// would wait for a writer; or the errors of [`read_any`].
pub(crate) fn read(path: &Path, limit: u64) -> io::Result<String> {
    match fs::metadata(path)?.is_file() {
        true => read_any(path, limit),
        false => Err(io::Error::new(ErrorKind::InvalidInput, "not a regular file")),
    }
}

/// The text of a file of any kind, of at most `limit` bytes. That of a FIFO is waited for.
///
/// # Errors
/// Returns the error of the system; `FileTooLarge` if there is more; `InvalidData` if it is not UTF-8.
pub(crate) fn read_any(path: &Path, limit: u64) -> io::Result<String> {
    let mut text = Vec::new();
    let size = File::open(path)?.take(limit.saturating_add(1)).read_to_end(&mut text)?;
    if size as u64 > limit {
        let message = format!("too large, more than {} KiB", limit >> 10);
        return Err(io::Error::new(ErrorKind::FileTooLarge, message));
    }
    String::from_utf8(text).map_err(|_| io::Error::new(ErrorKind::InvalidData, "not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_read_up_to_the_limit() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let kind = |result: io::Result<String>| result.map_err(|error| error.kind());
        for (content, expected) in [
            (&b"\xc3\xa9"[..], Ok("é".to_owned())),
            (b"abc", Err(ErrorKind::FileTooLarge)),
            (b"a\xc3\xa9", Err(ErrorKind::FileTooLarge)),
            (b"\xc3", Err(ErrorKind::InvalidData)),
            (b"", Ok(String::new())),
        ] {
            fs::write(&path, content).unwrap();
            assert_eq!(kind(read(&path, 2)), expected);
            assert_eq!(kind(read_any(&path, 2)), expected);
        }
        let zeros = Path::new("/dev/zero");
        assert_eq!(kind(read(zeros, 2)), Err(ErrorKind::InvalidInput));
        assert_eq!(kind(read_any(zeros, 2)), Err(ErrorKind::FileTooLarge));
        assert_eq!(kind(read(directory.path(), 2)), Err(ErrorKind::InvalidInput));
        assert_eq!(kind(read(&directory.path().join("none"), 2)), Err(ErrorKind::NotFound));
    }
}
