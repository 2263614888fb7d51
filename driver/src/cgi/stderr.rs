//! A script's stderr, which is logged line by line.
//!
//! Lines end in LF; long ones are logged in parts. The amount that is logged of one run is bounded
//! ([`CgiSettings::max_stderr`]), so that a script cannot fill the log.

use super::CgiSettings;

/// The size of what precedes each line in the log (address, time, name), in bytes, about.
const PREFIX: usize = 64;

/// The lines that one run has written to stderr.
#[derive(Debug)]
pub(super) struct StderrLines {
    line: Vec<u8>,
    /// Bytes that were logged.
    logged: usize,
    /// [`CgiSettings::max_stderr`].
    max_logged: usize,
    /// [`CgiSettings::max_stderr_line`].
    max_line: usize,
}

impl StderrLines {
    pub(super) fn new(settings: &CgiSettings) -> Self {
        Self {
            line: Vec::new(),
            logged: 0,
            max_logged: settings.max_stderr,
            max_line: settings.max_stderr_line.max(1),
        }
    }

    /// Takes the next bytes, and calls `emit` for each line that is complete.
    pub(super) fn feed(&mut self, bytes: &[u8], emit: &mut dyn FnMut(&str)) {
        for piece in bytes.split_inclusive(|&b| b == b'\n') {
            for piece in piece.chunks(self.max_line) {
                if self.logged > self.max_logged {
                    return;
                }
                if self.line.len() + piece.len() > self.max_line {
                    self.end(emit);
                }
                self.line.extend_from_slice(piece);
                if self.line.ends_with(b"\n") {
                    self.end(emit);
                }
            }
        }
    }

    /// Takes the rest as a line, though it has no line end.
    pub(super) fn end(&mut self, emit: &mut dyn FnMut(&str)) {
        let line = self.line.trim_ascii_end();
        if !line.is_empty() {
            self.logged += PREFIX + line.len();
            emit(&String::from_utf8_lossy(line));
            if self.logged > self.max_logged {
                emit("further lines on stderr are not logged");
            }
        }
        self.line.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logged(pieces: &[&[u8]]) -> Vec<String> {
        let (mut lines, mut logged) = (StderrLines::new(&CgiSettings::default()), Vec::new());
        let mut emit = |line: &str| logged.push(line.to_owned());
        for piece in pieces {
            lines.feed(piece, &mut emit);
        }
        lines.end(&mut emit);
        logged
    }

    #[test]
    fn b_248_lines_are_logged_whole() {
        assert_eq!(logged(&[b"one\ntw", b"o\r\n\n", b"three"]), ["one", "two", "three"]);
        assert_eq!(logged(&[]), [""; 0]);
    }

    #[test]
    fn b_248_the_length_of_lines_and_their_total_are_bounded() {
        assert_eq!(
            logged(&[&[b'x'; 2500]]).iter().map(String::len).collect::<Vec<_>>(),
            [1024, 1024, 452]
        );
        for line in [&b"x\n"[..], b"flood and flood\n"] {
            let flood = logged(&[&line.repeat(100_000)]);
            let bytes: usize = flood.iter().map(|line| PREFIX + line.len()).sum();
            assert!(bytes < (64 << 10) + (1 << 10));
            assert!(flood.last().is_some_and(|last| last.contains("not logged")));
        }
    }
}
