//! The chunked coding, both ways (RFC 9112 §7.1).
//!
//! The decoder takes input split anywhere and lends out the payload where it lies. It promises
//! that nothing but CR LF ends a line, that extensions and tiny chunks cannot cost more than
//! [`Limits::chunk_overhead`], and that no size overflows. What is ambiguous anywhere is refused.

use super::error::Reject;
use super::head::Fields;
use super::limits::Limits;
use super::parse;

/// Where the decoder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// In the digits of a size, after this many.
    Size(u8),
    /// In white space behind a size or an extension's value: only an extension may follow.
    Space,
    /// In an extension, which is skipped.
    Extension(Extension),
    /// Behind the CR of a size line.
    SizeLf,
    /// In the payload: `left` bytes of it are to come.
    Data,
    /// Behind the payload: its CR, then its LF.
    DataCr,
    DataLf,
    /// In the trailer section: `left` bytes of it were searched for its end.
    Trailers,
}

/// Where the decoder is in an extension: a name, and perhaps a value that is a token or quoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extension {
    /// Before its name.
    Start,
    Name,
    /// In white space behind its name.
    Named,
    /// Behind its equals sign.
    Equals,
    Token,
    Quoted,
    /// Behind a backslash in quotes.
    Escape,
    /// Behind the second quote.
    Unquoted,
}

impl Extension {
    /// One byte of the line (RFC 9112 §7.1.1). White space may stand around `;` and `=`, and
    /// nowhere else outside of quotes.
    fn next(self, byte: u8) -> Option<At> {
        let is_token = parse::is_token(byte);
        Some(At::Extension(match (self, byte) {
            (Self::Start | Self::Equals | Self::Named, b' ' | b'\t') => self,
            (Self::Name, b' ' | b'\t') => Self::Named,
            (Self::Token | Self::Unquoted, b' ' | b'\t') => return Some(At::Space),
            (Self::Start | Self::Name, _) if is_token => Self::Name,
            (Self::Name | Self::Named, b'=') => Self::Equals,
            (Self::Equals | Self::Token, _) if is_token => Self::Token,
            (Self::Equals, b'"') | (Self::Escape, b'\t' | b' '..=b'~' | 0x80..) => Self::Quoted,
            (Self::Quoted, b'"') => Self::Unquoted,
            (Self::Quoted, b'\\') => Self::Escape,
            (Self::Quoted, b'\t' | b' '..=b'~' | 0x80..) => Self::Quoted,
            (Self::Name | Self::Named | Self::Token | Self::Unquoted, b';') => Self::Start,
            (Self::Name | Self::Token | Self::Unquoted, b'\r') => return Some(At::SizeLf),
            _ => return None,
        }))
    }
}

/// Decodes one body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Decoder {
    at: At,
    left: u64,
    total: u64,
    /// Framing bytes less four for each payload byte: 80 % of framing is what it stands for.
    debt: u32,
}

/// What the decoder found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part<'b> {
    More,
    Data(&'b [u8]),
    /// The end, with the trailer section: field lines and the empty line.
    End(&'b [u8]),
}

impl Decoder {
    pub(super) const NEW: Self = Self { at: At::Size(0), left: 0, total: 0, debt: 0 };

    /// How many payload bytes come next, before any framing.
    pub(super) fn payload(&self) -> u64 {
        if self.at == At::Data { self.left } else { 0 }
    }

    /// `n` payload bytes went by; at most [`Decoder::payload`].
    pub(super) fn passed(&mut self, n: u64) {
        self.left -= n;
        self.debt =
            self.debt.saturating_sub(u32::try_from(n).unwrap_or(u32::MAX).saturating_mul(4));
        if self.left == 0 {
            self.at = At::DataCr;
        }
    }

    /// Looks at unread bytes: how many are done with, and what they meant.
    pub(super) fn decode<'b>(
        &mut self,
        input: &'b [u8],
        limits: &Limits,
    ) -> Result<(usize, Part<'b>), Reject> {
        let mut used = 0;
        while let Some(&byte) = input.get(used) {
            match self.at {
                At::Data => {
                    let rest = &input[used..];
                    let n = rest.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
                    self.passed(n as u64);
                    return Ok((used + n, Part::Data(&rest[..n])));
                }
                At::Trailers => {
                    return Ok(match self.trailers(&input[used..], limits)? {
                        Some(section) => (used + section.len(), Part::End(section)),
                        None => (used, Part::More),
                    });
                }
                _ => self.at = self.framing(byte, limits)?,
            }
            used += 1;
            self.debt = self.debt.saturating_add(1);
            if self.debt > limits.chunk_overhead {
                return Err(Reject::ChunkOverhead);
            }
        }
        Ok((used, Part::More))
    }

    /// One byte of a size line, or of the line end behind a payload.
    fn framing(&mut self, byte: u8, limits: &Limits) -> Result<At, Reject> {
        Ok(match (self.at, byte) {
            (At::Size(digits), _) if byte.is_ascii_hexdigit() => {
                if digits == 16 {
                    return Err(Reject::BadChunk); // 64 bits hold no more
                }
                let digit = (byte as char).to_digit(16).unwrap_or_default();
                self.left = self.left << 4 | u64::from(digit);
                At::Size(digits + 1)
            }
            (At::Size(1..), b' ' | b'\t') => At::Space,
            (At::Size(1..), b'\r') => At::SizeLf,
            (At::Size(1..) | At::Space, b';') => At::Extension(Extension::Start),
            (At::Space, b' ' | b'\t') => At::Space,
            (At::Extension(part), _) => part.next(byte).ok_or(Reject::BadChunk)?,
            (At::SizeLf, b'\n') if self.left == 0 => At::Trailers,
            (At::SizeLf, b'\n') => {
                self.total = self.total.saturating_add(self.left);
                if self.total > limits.body {
                    return Err(Reject::BodyTooLarge);
                }
                At::Data
            }
            (At::DataCr, b'\r') => At::DataLf,
            (At::DataLf, b'\n') => At::Size(0),
            _ => return Err(Reject::BadChunk),
        })
    }

    /// The trailer section, when it is whole: field lines and an empty one, all with CR LF.
    fn trailers<'b>(
        &mut self,
        input: &'b [u8],
        limits: &Limits,
    ) -> Result<Option<&'b [u8]>, Reject> {
        let most = limits.trailers as usize;
        let window = &input[..input.len().min(most)];
        let from = (self.left as usize).min(window.len());
        for at in from..window.len() {
            if window[at] != b'\n' {
                continue;
            }
            match window[..at] {
                [b'\r'] | [.., b'\n', b'\r'] => {
                    let section = &window[..=at];
                    return check(section, limits).map(|()| Some(section));
                }
                [.., b'\r'] => {}
                _ => return Err(Reject::BadTrailer), // a bare LF ends nothing here
            }
        }
        if input.len() > most {
            return Err(Reject::TrailersTooLarge);
        }
        self.left = window.len() as u64;
        Ok(None)
    }
}

fn check(section: &[u8], limits: &Limits) -> Result<(), Reject> {
    let mut fields = [httparse::EMPTY_HEADER; Limits::MOST_FIELDS as usize];
    match httparse::parse_headers(section, &mut fields) {
        Ok(httparse::Status::Complete((n, _))) if n == section.len() => Ok(()),
        Err(httparse::Error::TooManyHeaders) => Err(Reject::TrailersTooLarge),
        _ => Err(Reject::BadTrailer),
    }
    .and_then(|()| {
        let lines = Fields { rest: section }.count();
        if lines > usize::from(limits.fields) { Err(Reject::TrailersTooLarge) } else { Ok(()) }
    })
}

/// Appends a chunk's size line.
pub(super) fn size_line(n: usize, out: &mut Vec<u8>) {
    let digits = (usize::BITS - n.leading_zeros()).div_ceil(4).max(1);
    out.extend((0..digits).rev().map(|i| b"0123456789abcdef"[n >> (4 * i) & 15]));
    out.extend_from_slice(b"\r\n");
}

/// Appends the last chunk and the trailers.
pub(super) fn end(trailers: &[(&str, &[u8])], out: &mut Vec<u8>) {
    out.extend_from_slice(b"0\r\n");
    for (name, value) in trailers {
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// A trailer may only be called what a field may be called.
pub(super) fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|&b| parse::is_token(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes `input` in pieces of `step` bytes, keeping what is not yet done with.
    fn decode(input: &[u8], step: usize, limits: &Limits) -> Result<(Vec<u8>, Vec<u8>), Reject> {
        let (mut decoder, mut body, mut start, mut end) = (Decoder::NEW, Vec::new(), 0, 0);
        loop {
            let (used, part) = decoder.decode(&input[start..end], limits)?;
            start += used;
            match part {
                Part::Data(data) => body.extend_from_slice(data),
                Part::End(section) => return Ok((body, section.to_vec())),
                Part::More if end == input.len() => return Err(Reject::Truncated),
                Part::More => end = (end + step).min(input.len()),
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
            size_line(n, &mut out);
            assert_eq!(out, format!("{n:x}\r\n").into_bytes());
        }
    }
}
