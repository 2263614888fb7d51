//! The file of users: the format of Apache's `htpasswd`.
//!
//! One user a line: `NAME:HASH`, and what follows another `:` is a comment, as for nginx. Blank lines
//! and lines that begin with `#` are skipped; lines end in LF or CR LF. Anything else is an error with
//! the number of its line: nobody is locked out, or let in, by a line that was silently skipped.
//! A user who is there twice is an error, too, since programs differ about which line holds.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::password_hash::PasswordHash;

/// A user of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct User {
    pub(super) name: Arc<[u8]>,
    pub(super) hash: PasswordHash,
}

/// What is wrong with a line. The number is counted from 1.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LineError {
    line: usize,
    reason: Reason,
}

#[derive(Debug, PartialEq, Eq)]
enum Reason {
    Text(&'static str),
    /// The user was in this line already.
    Duplicate(usize),
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: ", self.line)?;
        match self.reason {
            Reason::Text(text) => f.write_str(text),
            Reason::Duplicate(first) => {
                write!(f, "its user is in line {first}, too; remove one of them")
            }
        }
    }
}

/// Parses the contents of a file.
///
/// # Errors
/// Returns the first line that is not valid, and why.
pub(super) fn parse(contents: &[u8]) -> Result<Vec<User>, LineError> {
    let contents = contents.strip_prefix(b"\xef\xbb\xbf").unwrap_or(contents);
    let mut users = Vec::new();
    let mut lines = HashMap::new();
    for (n, line) in contents.split(|&b| b == b'\n').enumerate() {
        let number = n + 1;
        let line = line.trim_ascii_end();
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let user = parse_line(line);
        let user = user.map_err(|text| LineError { line: number, reason: Reason::Text(text) })?;
        if let Some(first) = lines.insert(user.name.clone(), number) {
            return Err(LineError { line: number, reason: Reason::Duplicate(first) });
        }
        users.push(user);
    }
    Ok(users)
}

fn parse_line(line: &[u8]) -> Result<User, &'static str> {
    let mut fields = line.split(|&b| b == b':');
    let (Some(name), Some(hash)) = (fields.next(), fields.next()) else {
        return Err("there is no \":\" between a user and the hash of a password");
    };
    Ok(User { name: check_name(name)?.into(), hash: PasswordHash::parse(hash.trim_ascii_end())? })
}

/// Checks that `name` can be that of a user (RFC 7617 §2).
///
/// # Errors
/// Returns what is wrong with it.
pub(super) fn check_name(name: &[u8]) -> Result<&[u8], &'static str> {
    match name {
        b"" => Err("the name of the user is empty"),
        _ if name.contains(&b':') => Err("the name of the user contains a \":\""),
        _ if name.iter().any(u8::is_ascii_control) => {
            Err("the name of the user contains a control character")
        }
        _ => Ok(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SHA: &str = "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=";
    const APR1: &str = "$apr1$RgeM6Qgb$BrXSwakIGUQL8plt.tewd/";

    fn names(contents: &str) -> Result<Vec<String>, String> {
        let users = parse(contents.as_bytes()).map_err(|error| error.to_string())?;
        Ok(users.iter().map(|user| user.name.escape_ascii().to_string()).collect())
    }

    #[test]
    fn comments_blank_lines_and_line_ends() {
        let contents = format!(
            "# staff\r\n\r\nalice:{SHA}\r\n   \nbob smith:{APR1}  \n#carol:{SHA}\ndäve:{SHA}:a comment:{APR1}"
        );
        assert_eq!(names(&contents).unwrap(), ["alice", "bob smith", "d\\xc3\\xa4ve"]);
        assert_eq!(names(&format!("\u{feff}alice:{SHA}")).unwrap(), ["alice"]);
        assert_eq!(names("").unwrap(), [""; 0]);
    }

    #[test]
    fn a_line_that_is_not_valid_is_an_error_with_its_number() {
        for (line, expected) in [
            ("alice", "line 2: there is no \":\""),
            (":{SHA}", "line 2: the name of the user is empty"),
            ("a\tb:x", "line 2: the name of the user contains a control character"),
            ("bob:secret", "line 2: its password is plain text"),
            ("bob:", "line 2: its password is plain text"),
            ("bob:QIXMwtjrGsrZw", "line 2: its password is plain text or a DES crypt hash"),
            ("bob:$1$a$b", "line 2: its hash is of a kind that is not supported"),
            ("root:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", "line 2: its user is in line 1, too"),
        ] {
            let error = names(&format!("root:{SHA}\n{line}\n")).unwrap_err();
            assert!(error.starts_with(expected), "{line:?}: {error}");
            assert!(!error.contains("secret") && !error.contains("QIXM"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn any_contents_are_users_or_an_error(contents: Vec<u8>) {
            _ = parse(&contents);
        }

        #[test]
        fn every_user_is_found_whatever_is_around(
            all in proptest::collection::hash_set("[a-z #é@.-]{1,8}", 0..8),
            end in "\r?\n( *\r?\n|#[a-z:]*\r?\n){0,2}",
        ) {
            let all: Vec<_> = all.into_iter().filter(|name| !name.starts_with('#')).collect();
            let contents: String = all.iter().map(|name| format!("{name}:{SHA}{end}")).collect();
            let users = parse(contents.as_bytes()).unwrap();
            let found: Vec<_> = users.iter().map(|user| str::from_utf8(&user.name).unwrap()).collect();
            prop_assert_eq!(found, all);
        }
    }
}
