//! The Authorization header (RFC 9110 §11.6.2) and Basic credentials (RFC 7617).
//!
//! Nothing is verified here: the user name is what the peer claims, and no password is compared with
//! anything. The `Debug` output has no password and no token. What is not valid is refused as a whole:
//! a header of more than two words, base64 that is not canonical, control characters.
//!
//! ```
//! use doorstep_core::credentials::BasicCredentials;
//!
//! let credentials = BasicCredentials::parse(b"Basic dXNlcjpwYTpzcw==").expect("it is valid");
//! assert_eq!((credentials.user(), credentials.password()), (&b"user"[..], &b"pa:ss"[..]));
//! assert_eq!(format!("{credentials:?}"), "BasicCredentials { user: \"user\", .. }");
//! assert!(BasicCredentials::parse(b"Bearer dXNlcjpwYTpzcw==").is_none());
//! ```

use alloc::vec::Vec;
use core::fmt;

/// An Authorization header of a scheme and one word, such as `Basic dXNlcjpwYXNz`.
#[derive(Clone, Copy)]
pub struct Credentials<'a> {
    scheme: &'a [u8],
    token: &'a [u8],
}

/// User name and password of Basic authentication (RFC 7617 §2).
#[derive(Clone)]
pub struct BasicCredentials {
    /// Both, with a `:` between them.
    decoded: Vec<u8>,
    /// The position of the first `:`.
    colon: usize,
}

impl<'a> Credentials<'a> {
    /// Parses the value of the header. `None` if it is not two words, as that of Digest (B-239).
    #[must_use]
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let mut words = value.split(|&b| b == b' ' || b == b'\t').filter(|word| !word.is_empty());
        let (scheme, token) = (words.next()?, words.next()?);
        words.next().is_none().then_some(Self { scheme, token })
    }

    /// The scheme as the peer wrote it. Schemes are not case-sensitive.
    #[must_use]
    pub fn scheme(&self) -> &'a [u8] {
        self.scheme
    }

    /// User name and password, if the scheme is Basic and they are valid.
    #[must_use]
    pub fn basic(&self) -> Option<BasicCredentials> {
        if !self.scheme.eq_ignore_ascii_case(b"Basic") {
            return None;
        }
        let decoded = decode_base64(self.token)?;
        if decoded.iter().any(u8::is_ascii_control) {
            return None;
        }
        let colon = decoded.iter().position(|&b| b == b':')?;
        Some(BasicCredentials { decoded, colon })
    }
}

impl BasicCredentials {
    /// Parses the value of an Authorization header: the scheme Basic, then user name and password in
    /// base64, separated by the first `:`, without control characters (RFC 7617 §2).
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        Credentials::parse(value)?.basic()
    }

    /// The user name: everything before the first `:`. It may be empty, and need not be UTF-8.
    #[must_use]
    pub fn user(&self) -> &[u8] {
        &self.decoded[..self.colon]
    }

    /// The password: everything after the first `:`.
    #[must_use]
    pub fn password(&self) -> &[u8] {
        &self.decoded[self.colon + 1..]
    }
}

impl fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.scheme.escape_ascii();
        f.debug_struct("Credentials")
            .field("scheme", &format_args!("\"{scheme}\""))
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for BasicCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = self.user().escape_ascii();
        f.debug_struct("BasicCredentials")
            .field("user", &format_args!("\"{user}\""))
            .finish_non_exhaustive()
    }
}

/// Decodes base64 with padding (RFC 4648 §4). Only the canonical form is accepted: unused bits are
/// 0 (§3.5).
fn decode_base64(text: &[u8]) -> Option<Vec<u8>> {
    let padding = text.iter().rev().take_while(|&&b| b == b'=').count();
    if padding > 2 || !text.len().is_multiple_of(4) {
        return None;
    }
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0_u32, 0); // read and not yet written: fewer than 8 between digits
    for &digit in &text[..text.len() - padding] {
        bits = bits << 6 | sextet(digit)?;
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    (bits == 0).then_some(out)
}

fn sextet(digit: u8) -> Option<u32> {
    let value = match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(value.into())
}

#[cfg(test)]
mod tests {
    use super::{BasicCredentials, Credentials, decode_base64};
    use proptest::prelude::*;

    /// Scheme and user, as text.
    fn read(value: &str) -> Option<(String, Option<String>)> {
        let credentials = Credentials::parse(value.as_bytes())?;
        let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
        let user = credentials.basic().map(|basic| text(basic.user()));
        Some((text(credentials.scheme()), user))
    }

    fn user(value: &str) -> Option<String> {
        read(value)?.1
    }

    #[test]
    fn b_239_two_words_are_a_scheme_and_a_secret() {
        assert_eq!(read("Bearer abc"), Some(("Bearer".into(), None)));
        assert_eq!(read("bAsIc dXNlcjpwYXNz"), Some(("bAsIc".into(), Some("user".into()))));
        assert_eq!(read("Basic \t dXNlcjpwYXNz"), Some(("Basic".into(), Some("user".into()))));
        for other in ["", "Basic", "Basic a b", "Digest username=\"a\", realm=\"b\"", " "] {
            assert_eq!(read(other), None, "{other}");
        }
    }

    #[test]
    fn b_239_the_first_colon_ends_the_user() {
        assert_eq!(user("Basic YTpiOmM="), Some("a".into()), "a:b:c");
        assert_eq!(user("Basic OnB3"), Some(String::new()), ":pw");
        assert_eq!(user("Basic YTo="), Some("a".into()), "a:");
        assert_eq!(user("Basic w6k6eA=="), Some("\\xc3\\xa9".into()), "é:x");
    }

    #[test]
    fn b_239_malformed_credentials_have_no_user() {
        let not_basic =
            ["YWJj", "YTpi!", "YTpi=", "YTp", "YTpiOg", "YTpiOh==", "=", "====", "YQ=="];
        let control = ["YQA6Yg==", "YQo6Yg==", "YTpiAA==", "YTp/", "YX86Yg=="];
        for secret in not_basic.into_iter().chain(control) {
            assert_eq!(read(&format!("Basic {secret}")), Some(("Basic".into(), None)), "{secret}");
        }
    }

    #[test]
    fn debug_output_has_no_password_and_no_token() {
        let credentials = Credentials::parse(b"Basic dXNlcjpwYXNz").unwrap();
        assert_eq!(format!("{credentials:?}"), "Credentials { scheme: \"Basic\", .. }");
        let basic = credentials.basic().unwrap();
        assert_eq!(basic.password(), b"pass");
        assert_eq!(format!("{basic:?}"), "BasicCredentials { user: \"user\", .. }");
    }

    #[test]
    fn rfc_4648_10_vectors() {
        let encoded = ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"];
        for (length, text) in encoded.into_iter().enumerate() {
            assert_eq!(
                decode_base64(text.as_bytes()).as_deref(),
                Some(&b"foobar"[..length]),
                "{text}"
            );
        }
        assert_eq!(decode_base64(b"+/+/").as_deref(), Some(&b"\xfb\xff\xbf"[..]));
    }

    #[test]
    fn rfc_4648_3_other_forms_are_refused() {
        for text in
            ["Zh==", "Zm9=", "Zg=", "Zg", "Z===", "=Zg=", "Z=g=", "Zg==Zg==", "Zm 9v", "-_-_"]
        {
            assert_eq!(decode_base64(text.as_bytes()), None, "{text}");
        }
    }

    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    fn encode(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for part in bytes.chunks(3) {
            let byte = |at| u32::from(part.get(at).copied().unwrap_or(0));
            let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
            let digit = |at| DIGITS[(bits >> (18 - 6 * at) & 63) as usize];
            out.extend((0..4).map(|at| if at > part.len() { b'=' } else { digit(at) }));
        }
        out
    }

    proptest! {
        #[test]
        fn rfc_4648_4_decoding_reverses_encoding(bytes: Vec<u8>) {
            prop_assert_eq!(decode_base64(&encode(&bytes)), Some(bytes));
        }

        #[test]
        fn rfc_4648_3_5_only_the_canonical_form_is_decoded(text in "[A-D+/9=]{0,12}") {
            if let Some(bytes) = decode_base64(text.as_bytes()) {
                prop_assert_eq!(encode(&bytes), text.as_bytes());
            }
        }

        #[test]
        fn b_239_a_user_holds_no_colon_and_no_control_byte(secret in r"[\x00\n :a-zé\x7f]{0,6}") {
            let value = [b"Basic ", &*encode(secret.as_bytes())].concat();
            let credentials = BasicCredentials::parse(&value);
            if let Some(user) = credentials.as_ref().map(BasicCredentials::user) {
                prop_assert!(!user.iter().any(|b| *b == b':' || b.is_ascii_control()));
            }
        }

        #[test]
        fn rfc_7617_2_user_and_password_are_what_was_encoded(
            user in "[^:[:cntrl:]]{0,9}",
            password in "[^[:cntrl:]]{0,9}",
        ) {
            let value = [b"Basic ", &*encode(format!("{user}:{password}").as_bytes())].concat();
            let credentials = BasicCredentials::parse(&value);
            // `[:cntrl:]` is that of ASCII.
            let credentials = credentials.expect("there is no control character of ASCII");
            prop_assert_eq!(credentials.user(), user.as_bytes());
            prop_assert_eq!(credentials.password(), password.as_bytes());
        }

        #[test]
        fn b_239_it_never_panics(value: Vec<u8>, token: Vec<u8>) {
            _ = BasicCredentials::parse(&value);
            _ = format!("{:?}", BasicCredentials::parse(&[b"Basic ", &*encode(&token)].concat()));
        }
    }
}
