//! Private keys, by the content of a file.

use std::fs::File;
use std::io::{self, Read};

/// The largest file that is read, in bytes: a key, or certificates with their key, are smaller.
pub(super) const MAX_KEY_FILE: u64 = 128 << 10;

/// The format of the private key in `file`, if there is one.
pub(super) fn private_key(file: File) -> io::Result<Option<&'static str>> {
    let mut content = Vec::new();
    file.take(MAX_KEY_FILE).read_to_end(&mut content)?;
    Ok(find_key(&content))
}

/// A PEM key (RFC 7468) or a key of PuTTY. The line must be followed by the key: in documentation it
/// often is not.
fn find_key(content: &[u8]) -> Option<&'static str> {
    if content.contains(&0) {
        return None; // a program, which may contain the text of one
    }
    let mut lines = content.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii_end);
    while let Some(line) = lines.next() {
        if line.starts_with(b"PuTTY-User-Key-File-") {
            return Some("a key of PuTTY");
        }
        let label = line.strip_prefix(b"-----BEGIN ").and_then(|rest| rest.strip_suffix(b"-----"));
        let format = match label {
            Some(b"OPENSSH PRIVATE KEY") => "a key of OpenSSH",
            Some(b"PGP PRIVATE KEY BLOCK") => "a key of OpenPGP",
            Some(label) if label.ends_with(b"PRIVATE KEY") => "a PEM key",
            _ => continue,
        };
        let next = lines.by_ref().find(|line| !line.is_empty());
        if next.is_some_and(|line| is_base64(line) || line.contains(&b':')) {
            return Some(format);
        }
    }
    None
}

fn is_base64(line: &[u8]) -> bool {
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    line.len() >= 16 && line.iter().all(is_digit)
}

#[cfg(test)]
mod tests {
    use super::find_key;

    #[test]
    fn keys_are_found_in_every_format() {
        let base64 = "MC4CAQAwBQYDK2VwBCIEIKx1";
        for (text, expected) in [
            (format!("-----BEGIN PRIVATE KEY-----\n{base64}\n"), Some("a PEM key")),
            (format!("-----BEGIN RSA PRIVATE KEY-----\r\n{base64}\r\n"), Some("a PEM key")),
            ("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n".into(), Some("a PEM key")),
            (
                format!(
                    "-----BEGIN CERTIFICATE-----\n{base64}\n-----BEGIN EC PRIVATE KEY-----\n{base64}"
                ),
                Some("a PEM key"),
            ),
            (format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{base64}\n"), Some("a key of OpenSSH")),
            (
                format!("-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n{base64}\n"),
                Some("a key of OpenPGP"),
            ),
            ("PuTTY-User-Key-File-3: ssh-ed25519\n".into(), Some("a key of PuTTY")),
            (format!("-----BEGIN PUBLIC KEY-----\n{base64}\n"), None),
            (format!("-----BEGIN CERTIFICATE-----\n{base64}\n"), None),
        ] {
            assert_eq!(find_key(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn text_about_keys_is_no_key() {
        for text in [
            "The file begins with -----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIKx1",
            "-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----\n",
            "-----BEGIN PRIVATE KEY-----",
            "\0\n-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIKx1",
            "",
        ] {
            assert_eq!(find_key(text.as_bytes()), None, "{text}");
        }
    }
}
