//! Byte utilities that several parsers and writers share: tokens, optional white space, list
//! members, decimal and hexadecimal numbers.
//!
//! Every function is total: it accepts any bytes and never panics. None of them allocates, except
//! that the `push_…` functions append to the caller's `Vec`.
//!
//! ```
//! use doorstep_core::bytes;
//!
//! assert!(bytes::is_token(b"Content-Type") && !bytes::is_token(b"two words"));
//! assert_eq!(bytes::trim_ows(b" \tvalue "), b"value");
//! assert!(bytes::list_members(b"a, ,b").eq([b"a", b"b"]));
//! assert_eq!(bytes::parse_decimal(b"42"), Some(42));
//! assert_eq!(bytes::parse_decimal(b"+42"), None);
//!
//! let mut out = Vec::new();
//! bytes::push_decimal(&mut out, 1_024);
//! assert_eq!(out, b"1024");
//! ```

use alloc::vec::Vec;
use core::fmt::{self, Write as _};

/// Whether `byte` is a `tchar`: one byte of a token (RFC 9110 §5.6.2).
#[must_use]
pub const fn is_tchar(byte: u8) -> bool {
    TCHAR[byte as usize]
}

/// Whether `text` is a token (RFC 9110 §5.6.2): one or more `tchar`. Methods and header names are.
#[must_use]
pub fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|&byte| is_tchar(byte))
}

/// Whether `name` equals `lower_case` in any letter case.
#[inline(always)] // with a literal, it compiles to a few comparisons of words
pub(crate) fn is_name<const N: usize>(name: &[u8], lower_case: &[u8; N]) -> bool {
    let Ok(name) = <&[u8; N]>::try_from(name) else { return false };
    let differ = |(&byte, &lower): (&u8, &u8)| {
        let case_bit = if lower.is_ascii_lowercase() { 0x20 } else { 0 };
        (byte | case_bit) ^ lower
    };
    name.iter().zip(lower_case).map(differ).fold(0, |all, one| all | one) == 0
}

static TCHAR: [bool; 256] = byte_set(b"!#$%&'*+-.^_`|~");

/// A lookup table for ASCII letters, digits and `others`.
pub(crate) const fn byte_set(others: &[u8]) -> [bool; 256] {
    let mut set = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        set[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let mut i = 0;
    while i < others.len() {
        set[others[i] as usize] = true;
        i += 1;
    }
    set
}

/// `text` without optional white space (OWS, RFC 9110 §5.6.3) at either end: spaces and tabs only.
#[must_use]
pub fn trim_ows(text: &[u8]) -> &[u8] {
    let is_other = |byte: &u8| !matches!(byte, b' ' | b'\t');
    let start = text.iter().position(is_other).unwrap_or(text.len());
    let end = text.iter().rposition(is_other).map_or(start, |last| last + 1);
    &text[start..end]
}

/// The members of one line of a comma-separated list (RFC 9110 §5.6.1): trimmed, empty ones left
/// out. Commas inside quoted strings separate, too.
pub fn list_members(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|&byte| byte == b',').map(trim_ows).filter(|member| !member.is_empty())
}

/// Whether `text` is one or more decimal digits.
#[must_use]
pub fn is_decimal(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(u8::is_ascii_digit)
}

/// The number that decimal digits write. `None` if `text` is not one or more digits and nothing
/// else (no sign, no white space), or if the number exceeds 64 bits.
#[must_use]
pub fn parse_decimal(text: &[u8]) -> Option<u64> {
    if !is_decimal(text) {
        return None;
    }
    text.iter().try_fold(0u64, |n, &digit| n.checked_mul(10)?.checked_add(u64::from(digit - b'0')))
}

/// Appends `n` in decimal, without leading zeros.
pub fn push_decimal(out: &mut Vec<u8>, n: u64) {
    // Most numbers are short: fewer steps than with a loop and a copy of any length.
    let digit = |n: u64| b'0' + (n % 10) as u8;
    match n {
        0..10 => out.push(digit(n)),
        10..100 => out.extend_from_slice(&[n / 10, n].map(digit)),
        100..1_000 => out.extend_from_slice(&[n / 100, n / 10, n].map(digit)),
        1_000..10_000 => out.extend_from_slice(&[n / 1_000, n / 100, n / 10, n].map(digit)),
        _ => out.extend_from_slice(Decimal::new(n).as_bytes()),
    }
}

/// A number in decimal, without leading zeros, on the stack.
#[derive(Debug, Clone, Copy)]
pub struct Decimal {
    digits: [u8; MAX_DECIMAL_LEN],
    start: usize,
}

/// Digits of the largest `u64`.
const MAX_DECIMAL_LEN: usize = 20;

impl Decimal {
    /// `n` in decimal.
    #[must_use]
    pub const fn new(mut n: u64) -> Self {
        let mut digits = [b'0'; MAX_DECIMAL_LEN];
        let mut start = MAX_DECIMAL_LEN;
        if n < 100_000_000 {
            // One store: a copy of bytes that were stored one by one has to wait for each of them.
            let word = eight_digits(n);
            let (_, last) = digits.split_at_mut(MAX_DECIMAL_LEN - 8);
            last.copy_from_slice(&(word | EIGHT_ZEROS).to_le_bytes());
            let zeros = word.trailing_zeros() as usize / 8;
            return Self { digits, start: if n == 0 { start - 1 } else { start - 8 + zeros } };
        }
        loop {
            start -= 1;
            digits[start] = b'0' + (n % 10) as u8;
            n /= 10;
            if n == 0 {
                return Self { digits, start };
            }
        }
    }

    /// The digits: 1 to 20 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.digits[self.start..]
    }
}

const EIGHT_ZEROS: u64 = u64::from_le_bytes([b'0'; 8]);

/// The values of the eight decimal digits of a number below 10^8, the first of them in the lowest
/// byte. The number is halved in steps, for all parts of the word at once: into numbers of four, two
/// and one digits. The divisions are multiplications by a rounded reciprocal, exact in this range.
const fn eight_digits(n: u64) -> u64 {
    let fours = (n / 10_000) | ((n % 10_000) << 32);
    let hundreds = ((fours * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let twos = hundreds | ((fours - 100 * hundreds) << 16);
    let tens = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    tens | ((twos - 10 * tens) << 8)
}

/// The lower-case hexadecimal digit for the low four bits of `nibble`.
#[must_use]
pub const fn hex_digit(nibble: u8) -> u8 {
    b"0123456789abcdef"[(nibble & 15) as usize]
}

/// The value of a hexadecimal digit of either case, 0 to 15.
#[must_use]
pub const fn hex_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// `n` in sixteen lower-case hexadecimal digits, with leading zeros.
#[must_use]
pub const fn hex(n: u64) -> [u8; 16] {
    let mut digits = [b'0'; 16];
    let mut at = 0;
    while at < digits.len() {
        digits[at] = hex_digit((n >> (60 - 4 * at)) as u8);
        at += 1;
    }
    digits
}

/// Appends `byte` in two lower-case hexadecimal digits.
pub fn push_hex(out: &mut Vec<u8>, byte: u8) {
    out.extend_from_slice(&[hex_digit(byte >> 4), hex_digit(byte)]);
}

/// Appends the text of `value`.
pub(crate) fn push_display(out: &mut Vec<u8>, value: impl fmt::Display) {
    struct Text<'a>(&'a mut Vec<u8>);
    impl fmt::Write for Text<'_> {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0.extend_from_slice(text.as_bytes());
            Ok(())
        }
    }
    let _ = write!(Text(out), "{value}"); // a Vec takes all that is written to it
}

/// A short text put together from parts: on the stack up to [`ShortText::INLINE`] bytes, on the
/// heap if it is longer.
#[cfg(feature = "site")]
pub(crate) enum ShortText {
    Inline([u8; Self::INLINE], usize),
    Heap(Vec<u8>),
}

#[cfg(feature = "site")]
impl ShortText {
    /// The longest text that needs no allocation, in bytes. Media types and content ranges fit.
    const INLINE: usize = 128;

    pub(crate) fn concat(parts: &[&[u8]]) -> Self {
        let (mut inline, mut len) = ([0; Self::INLINE], 0);
        for part in parts {
            match inline.get_mut(len..len + part.len()) {
                Some(room) => room.copy_from_slice(part),
                None => return Self::Heap(parts.concat()),
            }
            len += part.len();
        }
        Self::Inline(inline, len)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Inline(bytes, len) => &bytes[..*len],
            Self::Heap(bytes) => bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_9110_5_6_2_token_bytes() {
        let tchars: Vec<u8> = (0..=255).filter(|&byte| is_tchar(byte)).collect();
        assert_eq!(tchars.len(), 26 + 26 + 10 + 15);
        assert!(!is_token(b"") && !is_token(b"a b") && !is_token("é".as_bytes()));
        assert!(is_token(b"!#$%&'*+-.^_`|~09AZaz"));
    }

    #[test]
    fn rfc_9110_5_1_names_are_compared_in_any_letter_case() {
        assert!(is_name(b"content-length", b"content-length"));
        assert!(is_name(b"Content-LENGTH", b"content-length"));
        let name = *b"x-sum-1";
        for at in 0..name.len() {
            for byte in 0..=255 {
                let mut other = name;
                other[at] = byte;
                assert_eq!(is_name(&other, &name), other.eq_ignore_ascii_case(&name), "{other:?}");
            }
        }
        assert!(!is_name(b"x-sum-", &name) && !is_name(b"x-sum-12", &name));
    }

    #[test]
    fn rfc_9110_5_6_3_only_spaces_and_tabs_are_trimmed() {
        assert_eq!(trim_ows(b"\t a b \t"), b"a b");
        assert_eq!(trim_ows(b" \t"), b"");
        assert_eq!(trim_ows(b"\x0ca\r"), b"\x0ca\r");
    }

    #[test]
    fn rfc_9110_5_6_1_empty_list_members_are_left_out() {
        assert!(list_members(b", a ,\t,b\t").eq([b"a", b"b"]));
        assert_eq!(list_members(b" ,").count(), 0);
    }

    #[test]
    fn decimal_numbers_are_digits_within_64_bits() {
        assert_eq!(parse_decimal(b"0"), Some(0));
        assert_eq!(parse_decimal(b"007"), Some(7));
        assert_eq!(parse_decimal(b"18446744073709551615"), Some(u64::MAX));
        for bad in ["", "18446744073709551616", "+1", "-1", "1 ", "1,1", "0x1", "1_0", "\u{663}"] {
            assert_eq!(parse_decimal(bad.as_bytes()), None, "{bad:?}");
        }
        let around = (1..20).map(|digits| 10_u64.pow(digits)).flat_map(|n| [n - 1, n, n + 1]);
        for n in (0..20_000).chain((0..100_000_000).step_by(9_973)).chain(around).chain([u64::MAX])
        {
            let mut out = Vec::new();
            push_decimal(&mut out, n);
            assert_eq!(out, n.to_string().into_bytes());
            assert_eq!(parse_decimal(&out), Some(n));
        }
    }

    #[test]
    fn hexadecimal_numbers() {
        assert_eq!(&hex(0x0123_4567_89ab_cdef), b"0123456789abcdef");
        for byte in 0..=255 {
            let mut out = Vec::new();
            push_hex(&mut out, byte);
            assert_eq!(out, format!("{byte:02x}").into_bytes());
            assert_eq!(hex_value(byte), char::from(byte).to_digit(16).map(|n| n as u8));
        }
    }

    #[cfg(feature = "site")]
    #[test]
    fn a_short_text_is_the_same_inline_and_on_the_heap() {
        for n in [0, 1, 63, 64, 65, 200] {
            let part = vec![b'x'; n];
            assert_eq!(ShortText::concat(&[&part, b"", &part]).as_bytes(), part.repeat(2));
        }
    }
}
