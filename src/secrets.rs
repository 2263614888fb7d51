//! What holds secrets: names of files and directories, and private keys by the content of a file.
//!
//! `doorstep check` and the warnings of the start-up screen use the same names and the same recognition of
//! keys.

use std::fs::File;
use std::io::{self, Read};

/// Names of files and directories that hold secrets or histories, in lower case.
const NAMES: [&str; 38] = [
    ".aws",
    ".azure",
    ".bash_history",
    ".bzr",
    ".docker",
    ".env",
    ".git",
    ".git-credentials",
    ".gnupg",
    ".hg",
    ".htpasswd",
    ".kube",
    ".my.cnf",
    ".netrc",
    ".npmrc",
    ".password-store",
    ".pgpass",
    ".pypirc",
    ".python_history",
    ".ssh",
    ".svn",
    ".terraform",
    ".vault-token",
    ".zsh_history",
    "credentials.json",
    "cvs",
    "htpasswd",
    "id_dsa",
    "id_ecdsa",
    "id_ed25519",
    "id_rsa",
    "master.key",
    "secrets.json",
    "secrets.yaml",
    "secrets.yml",
    "terraform.tfstate",
    "wp-config.php",
    "_netrc",
];

/// The same, if it is a file: directories of these names usually hold something else.
const FILES: [&str; 2] = ["credentials", "shadow"];

/// Endings of files of keys, passwords and data.
const ENDINGS: [&str; 8] =
    [".jks", ".kdbx", ".keystore", ".ovpn", ".p12", ".pfx", ".ppk", ".sql.gz"];

/// Endings of what is like `.env`, but has no secrets.
const EXAMPLES: [&str; 4] = ["example", "sample", "template", "dist"];

/// The largest file that is read, in bytes: a key, or certificates with their key, are smaller.
pub(crate) const MAX_KEY_FILE: u64 = 128 << 10;

/// Whether a file or directory usually holds secrets, by its name. Upper case is as lower case.
pub(crate) fn is_secret_name(name: &[u8], is_directory: bool) -> bool {
    let name = String::from_utf8_lossy(name).to_lowercase();
    let has_ending = |ending: &&str| name.len() > ending.len() && name.ends_with(ending);
    NAMES.contains(&&*name)
        || name.starts_with(".env.") && !EXAMPLES.iter().any(|ending| name.ends_with(ending))
        || !is_directory && (FILES.contains(&&*name) || ENDINGS.iter().any(has_ending))
}

/// The format of the private key in `file`, if there is one.
pub(crate) fn private_key(file: File) -> io::Result<Option<&'static str>> {
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
    use super::{find_key, is_secret_name};

    #[test]
    fn names_of_secrets() {
        for name in [
            ".git",
            ".env.production",
            "ID_RSA",
            "vault.KDBX",
            "credentials",
            "credentials.json",
            "secrets.yml",
            "secrets.yaml",
            "secrets.json",
            "shadow",
            "work.ovpn",
            "dump.sql.gz",
            "key.ppk",
            ".azure",
        ] {
            assert!(is_secret_name(name.as_bytes(), false), "{name}");
        }
        for name in [".env.example", ".env.local.sample", "id_rsa.pub", ".ovpn", "credentials.md"] {
            assert!(!is_secret_name(name.as_bytes(), false), "{name}");
        }
        let is_secret_directory = |name: &[u8]| is_secret_name(name, true);
        assert!(is_secret_directory(b".git") && is_secret_directory(b"CVS"));
        assert!(!is_secret_directory(b"shadow") && !is_secret_directory(b"credentials"));
    }

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
