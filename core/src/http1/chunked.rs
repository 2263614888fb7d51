//! The chunked transfer coding, encoder and decoder (RFC 9112 §7.1).
//!
//! The decoder takes input that is split anywhere and returns the payload as slices of the input.
//! Only CR LF ends a line, the cost of chunk extensions and tiny chunks is bounded by
//! [`Limits::chunk_overhead`], and no size overflows. Everything ambiguous is refused: it could be
//! used for request smuggling.

use alloc::vec::Vec;

use super::error::Reject;
use super::fields::{self, Line, Refusal};
use super::header::push_header;
use super::limits::Limits;
use crate::bytes::{hex, hex_value, is_tchar};

/// The state of the decoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ChunkState {
    /// In the digits of a size: the number of digits so far.
    Size(u8),
    /// In white space after a size or after the value of an extension: only an extension may
    /// follow.
    AfterSize,
    /// In a chunk extension, which is skipped.
    Extension(ExtensionState),
    /// After the CR of a size line.
    SizeLf,
    /// In the payload: `remaining` bytes of it follow.
    Data,
    /// After the payload: before its CR, then before its LF.
    DataCr,
    DataLf,
    /// In the trailer section: `remaining` bytes of it have been searched for its end.
    Trailers,
}

/// The state within a chunk extension: a name, and optionally a value that is a token or quoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ExtensionState {
    /// Before the name.
    Start,
    Name,
    /// In white space after the name.
    AfterName,
    /// After the equals sign.
    AfterEquals,
    Token,
    Quoted,
    /// After a backslash in a quoted value.
    Escape,
    /// After the closing quote.
    AfterQuotes,
}

impl ExtensionState {
    /// One byte of the line (RFC 9112 §7.1.1). Outside of quotes, white space is allowed around `;`
    /// and `=` only.
    fn next(self, byte: u8) -> Option<ChunkState> {
        let is_token = is_tchar(byte);
        Some(ChunkState::Extension(match (self, byte) {
            (Self::Start | Self::AfterEquals | Self::AfterName, b' ' | b'\t') => self,
            (Self::Name, b' ' | b'\t') => Self::AfterName,
            (Self::Token | Self::AfterQuotes, b' ' | b'\t') => return Some(ChunkState::AfterSize),
            (Self::Start | Self::Name, _) if is_token => Self::Name,
            (Self::Name | Self::AfterName, b'=') => Self::AfterEquals,
            (Self::AfterEquals | Self::Token, _) if is_token => Self::Token,
            (Self::AfterEquals, b'"') | (Self::Escape, b'\t' | b' '..=b'~' | 0x80..) => {
                Self::Quoted
            }
            (Self::Quoted, b'"') => Self::AfterQuotes,
            (Self::Quoted, b'\\') => Self::Escape,
            (Self::Quoted, b'\t' | b' '..=b'~' | 0x80..) => Self::Quoted,
            (Self::Name | Self::AfterName | Self::Token | Self::AfterQuotes, b';') => Self::Start,
            (Self::Name | Self::Token | Self::AfterQuotes, b'\r') => {
                return Some(ChunkState::SizeLf);
            }
            _ => return None,
        }))
    }
}

/// The decoder of one body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Decoder {
    state: ChunkState,
    remaining: u64,
    total: u64,
    /// Bytes of framing minus four for each byte of payload. It grows only if more than 80 % of the
    /// input is framing.
    overhead: u32,
}

/// What the decoder found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BodyPart<'b> {
    NeedData,
    Data(&'b [u8]),
    /// The end, with the trailer section: header lines and the empty line.
    End(&'b [u8]),
}

impl Decoder {
    pub(super) const NEW: Self =
        Self { state: ChunkState::Size(0), remaining: 0, total: 0, overhead: 0 };

    /// The number of payload bytes that follow without framing between them.
    pub(super) fn chunk_remaining(&self) -> u64 {
        if self.state == ChunkState::Data { self.remaining } else { 0 }
    }

    /// Counts `n` payload bytes, at most [`Decoder::chunk_remaining`].
    pub(super) fn payload_received(&mut self, n: u64) {
        self.remaining -= n;
        self.overhead =
            self.overhead.saturating_sub(u32::try_from(n).unwrap_or(u32::MAX).saturating_mul(4));
        if self.remaining == 0 {
            self.state = ChunkState::DataCr;
        }
    }

    /// Decodes unread bytes. Returns how many were consumed, and what they are.
    pub(super) fn decode<'b>(
        &mut self,
        input: &'b [u8],
        limits: &Limits,
    ) -> Result<(usize, BodyPart<'b>), Reject> {
        let mut used = self.decode_usual_line(input, limits).unwrap_or(0);
        while let Some(&byte) = input.get(used) {
            match self.state {
                ChunkState::Data => {
                    let rest = &input[used..];
                    let n = rest.len().min(usize::try_from(self.remaining).unwrap_or(usize::MAX));
                    self.payload_received(n as u64);
                    return Ok((used + n, BodyPart::Data(&rest[..n])));
                }
                ChunkState::Trailers => {
                    return Ok(match self.find_trailers(&input[used..], limits)? {
                        Some(section) => (used + section.len(), BodyPart::End(section)),
                        None => (used, BodyPart::NeedData),
                    });
                }
                _ => self.state = self.decode_framing(byte, limits)?,
            }
            used += 1;
            self.overhead = self.overhead.saturating_add(1);
            if self.overhead > limits.chunk_overhead {
                return Err(Reject::ChunkOverhead);
            }
        }
        Ok((used, BodyPart::NeedData))
    }

    /// A whole size line before a payload, with the line end after the previous one: a fast path for
    /// a size without extensions, within the limits. `None` if it is anything else, or incomplete;
    /// then it is decoded byte by byte. Returns its length.
    fn decode_usual_line(&mut self, input: &[u8], limits: &Limits) -> Option<usize> {
        let rest = match self.state {
            ChunkState::Size(0) => input,
            ChunkState::DataCr => input.strip_prefix(b"\r\n")?,
            _ => return None,
        };
        const MAX_DIGITS: usize = 7; // no limit of a usual size: longer ones are just slower
        let mut size = 0;
        let mut digits = 0;
        while let Some(digit) = rest.get(digits).and_then(|&byte| hex_value(byte)) {
            size = size << 4 | u64::from(digit);
            digits += 1;
            if digits > MAX_DIGITS {
                return None;
            }
        }
        let payload = rest[digits..].strip_prefix(b"\r\n")?;
        let used = input.len() - payload.len();
        let total = self.total.saturating_add(size);
        let overhead = self.overhead.saturating_add(used as u32);
        if size == 0 || total > limits.body || overhead > limits.chunk_overhead {
            return None;
        }
        *self = Self { state: ChunkState::Data, remaining: size, total, overhead };
        Some(used)
    }

    /// One byte of a size line, or of the line end after a payload.
    fn decode_framing(&mut self, byte: u8, limits: &Limits) -> Result<ChunkState, Reject> {
        Ok(match (self.state, byte) {
            (ChunkState::Size(digits), _) if byte.is_ascii_hexdigit() => {
                if digits == 16 {
                    return Err(Reject::BadChunk); // greater than 64 bits
                }
                self.remaining =
                    self.remaining << 4 | u64::from(hex_value(byte).unwrap_or_default());
                ChunkState::Size(digits + 1)
            }
            (ChunkState::Size(1..), b' ' | b'\t') => ChunkState::AfterSize,
            (ChunkState::Size(1..), b'\r') => ChunkState::SizeLf,
            (ChunkState::Size(1..) | ChunkState::AfterSize, b';') => {
                ChunkState::Extension(ExtensionState::Start)
            }
            (ChunkState::AfterSize, b' ' | b'\t') => ChunkState::AfterSize,
            (ChunkState::Extension(part), _) => part.next(byte).ok_or(Reject::BadChunk)?,
            (ChunkState::SizeLf, b'\n') if self.remaining == 0 => ChunkState::Trailers,
            (ChunkState::SizeLf, b'\n') => {
                self.total = self.total.saturating_add(self.remaining);
                if self.total > limits.body {
                    return Err(Reject::BodyTooLarge);
                }
                ChunkState::Data
            }
            (ChunkState::DataCr, b'\r') => ChunkState::DataLf,
            (ChunkState::DataLf, b'\n') => ChunkState::Size(0),
            _ => return Err(Reject::BadChunk),
        })
    }

    /// The trailer section, if it is complete: header lines and an empty line, all ending in CR LF.
    fn find_trailers<'b>(
        &mut self,
        input: &'b [u8],
        limits: &Limits,
    ) -> Result<Option<&'b [u8]>, Reject> {
        let max = limits.trailers as usize;
        let window = &input[..input.len().min(max)];
        let from = (self.remaining as usize).min(window.len());
        for at in from..window.len() {
            if window[at] != b'\n' {
                continue;
            }
            match window[..at] {
                [b'\r'] | [.., b'\n', b'\r'] => {
                    let section = &window[..=at];
                    return check_trailers(section, limits).map(|()| Some(section));
                }
                [.., b'\r'] => {}
                _ => return Err(Reject::BadTrailer), // a bare LF
            }
        }
        if input.len() > max {
            return Err(Reject::TrailersTooLarge);
        }
        self.remaining = window.len() as u64;
        Ok(None)
    }
}

fn check_trailers(section: &[u8], limits: &Limits) -> Result<(), Reject> {
    let max = usize::from(limits.header_count.min(Limits::MAX_HEADERS));
    let mut rest = section;
    for count in 0.. {
        match fields::parse_line(rest) {
            Some((Line::Field { .. }, end)) if count < max => rest = end.rest,
            Some((Line::End, end)) if end.rest.is_empty() => return Ok(()),
            _ => break, // for httparse
        }
    }
    match fields::parse_section(section, max, |_, _| {}) {
        Ok(size) if size == section.len() => Ok(()),
        Ok(_) | Err(Refusal::Malformed) => Err(Reject::BadTrailer),
        Err(Refusal::TooManyFields) => Err(Reject::TrailersTooLarge),
    }
}

/// Appends the size line of a chunk.
pub(super) fn push_size_line(n: usize, out: &mut Vec<u8>) {
    let digits = hex(n as u64);
    let zeros = digits[..digits.len() - 1].iter().take_while(|&&digit| digit == b'0').count();
    out.extend_from_slice(&digits[zeros..]);
    out.extend_from_slice(b"\r\n");
}

/// Appends the last chunk and the trailers.
pub(super) fn push_last_chunk(trailers: &[(&str, &[u8])], out: &mut Vec<u8>) {
    out.extend_from_slice(b"0\r\n");
    for (name, value) in trailers {
        push_header(name, value, out);
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes `input` in pieces of `step` bytes, keeping what was not consumed.
    fn decode(input: &[u8], step: usize, limits: &Limits) -> Result<(Vec<u8>, Vec<u8>), Reject> {
        let (mut decoder, mut body, mut start, mut end) = (Decoder::NEW, Vec::new(), 0, 0);
        loop {
            let (used, part) = decoder.decode(&input[start..end], limits)?;
            start += used;
            match part {
                BodyPart::Data(data) => body.extend_from_slice(data),
                BodyPart::End(section) => return Ok((body, section.to_vec())),
                BodyPart::NeedData if end == input.len() => return Err(Reject::Truncated),
                BodyPart::NeedData => end = (end + step).min(input.len()),
            }
        }
    }

    fn both(input: &[u8]) -> Result<(Vec<u8>, Vec<u8>), Reject> {
        let whole = decode(input, input.len(), &Limits::default());
        assert_eq!(decode(input, 1, &Limits::default()), whole, "{}", input.escape_ascii());
        whole
    }

    #[test]
    fn b_047_chunks_extensions_and_trailers() {
        let input = b"5\r\nhello\r\n6 ;a=\"b\"\r\n world\r\n00;x\r\nX-A: 1\r\n\r\n";
        let (body, trailers) = both(input).unwrap();
        assert_eq!((&body[..], &trailers[..]), (&b"hello world"[..], &b"X-A: 1\r\n\r\n"[..]));
    }

    #[test]
    fn r_12_extensions_have_a_name_and_perhaps_a_value() {
        for good in [
            "5;a",
            "5 ; a",
            "5\t;\ta",
            "5;a;b",
            "5;a ;b",
            "5;a=b",
            "5;a = b",
            "5;a\t=\tb ; c=d",
            "5;a=\"\"",
            "5;a=\"b;c=d\"",
            "5;a=\"\\\"\\\\\" ;b",
            "5;a=\" \u{e9}\t\\ \"",
            "5;!#$%&'*+-.^_`|~=!#$%&'*+-.^_`|~",
            "5;0=5",
        ] {
            let input = format!("{good}\r\nhello\r\n0{}\r\n\r\n", &good[1..]);
            assert_eq!(
                both(input.as_bytes()).map(|(body, _)| body),
                Ok(b"hello".to_vec()),
                "{good}"
            );
        }
        for bad in [
            "5;",
            "5; ",
            "5;;a",
            "5; ;a",
            "5;a;",
            "5;a; ;b",
            "5;a ",
            "5;a\t",
            "5;=x",
            "5; =x",
            "5;a=",
            "5;a= ",
            "5;a=;b",
            "5;a=b ",
            "5;a=b=c",
            "5;a b",
            "5;a=b c",
            "5;a=\"",
            "5;a=\"b",
            "5;a=\"b\\\"",
            "5;a=\"b\" ",
            "5;a=\"b\"c",
            "5;a=\"b\"\"c\"",
            "5;a=b\"c\"",
            "5;\"a\"",
            "5;\"a\"=b",
            "5;a/b",
            "5;a=b/c",
            "5;a,b",
            "5;\u{e9}",
            "5;a=\u{e9}",
            "5;a=\"\u{7f}\"",
            "5;a=\"\\\u{7f}\"",
            "5;a=\"\0\"",
            "5,a",
            "5=a",
        ] {
            let input = format!("{bad}\r\nhello\r\n0\r\n\r\n");
            assert_eq!(both(input.as_bytes()), Err(Reject::BadChunk), "{bad}");
            let last = format!("0{}\r\n\r\n", &bad[1..]);
            assert_eq!(both(last.as_bytes()), Err(Reject::BadChunk), "{bad}");
        }
    }

    #[test]
    fn b_001_only_cr_lf_ends_a_line() {
        for bad in ["5\nhello\r\n0\r\n\r\n", "5;a\nhello\r\n0\r\n\r\n", "5\r\nhello\n0\r\n\r\n"] {
            assert_eq!(both(bad.as_bytes()), Err(Reject::BadChunk), "{bad:?}");
        }
        for bad in ["0\r\n\n", "0\r\nA: b\n\r\n", "0\r\nA: b\r\n\n"] {
            assert_eq!(both(bad.as_bytes()), Err(Reject::BadTrailer), "{bad:?}");
        }
    }

    #[test]
    fn sizes_are_bare_hexadecimal_within_64_bits() {
        for bad in ["\r\n", ";a\r\n", "+5\r\n", "0x5\r\n", " 5\r\n", "5 \r\n", "g\r\n", "-1\r\n"] {
            assert_eq!(both(bad.as_bytes()), Err(Reject::BadChunk), "{bad:?}");
        }
        assert_eq!(both(b"ffffffffffffffff\r\n"), Err(Reject::BodyTooLarge));
        assert_eq!(both(b"00000000000000005\r\n"), Err(Reject::BadChunk));
    }

    #[test]
    fn overhead_is_bounded() {
        let limits = Limits { chunk_overhead: 100, ..Limits::default() };
        let tiny = b"1\r\nx\r\n".repeat(101);
        assert_eq!(decode(&tiny, 7, &limits), Err(Reject::ChunkOverhead));
        let long = [&b"1;"[..], &[b'e'; 100]].concat();
        assert_eq!(decode(&long, 7, &limits), Err(Reject::ChunkOverhead));
        let fair = [&b"8\r\nxxxxxxxx\r\n".repeat(500)[..], b"0\r\n\r\n"].concat();
        assert_eq!(decode(&fair, 7, &limits).unwrap().0.len(), 4000);
    }

    #[test]
    fn size_lines() {
        for n in [0, 1, 15, 16, 255, 256, 4096, usize::MAX] {
            let mut out = Vec::new();
            push_size_line(n, &mut out);
            assert_eq!(out, format!("{n:x}\r\n").into_bytes());
        }
    }
}
