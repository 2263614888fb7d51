//! A script's stderr, line by line on its way to the server's log.
//!
//! Lines end in LF; long ones come in pieces. Of one run only so much is logged: a script that
//! complains for ever fills no log.

/// The longest piece of a line, in bytes.
const MAX_LINE: usize = 1 << 10;
/// What is logged of one run, in bytes of the log.
const MAX_LOGGED: usize = 64 << 10;
/// What stands in front of each line there, about.
const PREFIX: usize = 64;

/// What one run has complained of.
#[derive(Debug, Default)]
pub(super) struct StderrLines {
    line: Vec<u8>,
    logged: usize,
}

impl StderrLines {
    /// Takes what was written next, and gives each whole line to `emit`.
    pub(super) fn feed(&mut self, bytes: &[u8], emit: &mut dyn FnMut(&str)) {
        for piece in bytes.split_inclusive(|&b| b == b'\n') {
            for piece in piece.chunks(MAX_LINE) {
                if self.logged > MAX_LOGGED {
                    return;
                }
                if self.line.len() + piece.len() > MAX_LINE {
                    self.end(emit);
                }
                self.line.extend_from_slice(piece);
                if self.line.ends_with(b"\n") {
                    self.end(emit);
                }
            }
        }
    }

    /// The last line may lack its end.
    pub(super) fn end(&mut self, emit: &mut dyn FnMut(&str)) {
        let line = self.line.trim_ascii_end();
        if !line.is_empty() {
            self.logged += PREFIX + line.len();
            emit(&String::from_utf8_lossy(line));
            if self.logged > MAX_LOGGED {
                emit("there is more on stderr, which is left out");
            }
        }
        self.line.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logged(pieces: &[&[u8]]) -> Vec<String> {
        let (mut lines, mut logged) = (StderrLines::default(), Vec::new());
        let mut emit = |line: &str| logged.push(line.to_owned());
        for piece in pieces {
            lines.feed(piece, &mut emit);
        }
        lines.end(&mut emit);
        logged
    }

    #[test]
    fn b_248_lines_are_told_whole() {
        assert_eq!(logged(&[b"one\ntw", b"o\r\n\n", b"three"]), ["one", "two", "three"]);
        assert_eq!(logged(&[]), [""; 0]);
    }

    #[test]
    fn b_248_neither_a_line_nor_all_of_them_are_endless() {
        assert_eq!(
            logged(&[&[b'x'; 2500]]).iter().map(String::len).collect::<Vec<_>>(),
            [1024, 1024, 452]
        );
        for line in [&b"x\n"[..], b"flood and flood\n"] {
            let flood = logged(&[&line.repeat(100_000)]);
            let bytes: usize = flood.iter().map(|line| PREFIX + line.len()).sum();
            assert!(bytes < MAX_LOGGED + MAX_LINE);
            assert!(flood.last().is_some_and(|last| last.contains("left out")));
        }
    }
}
