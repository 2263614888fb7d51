//! What may be meant by a path that does not exist: an address, a port, a command of another program or
//! a misspelled one, or the unit of a number.

use std::ffi::OsStr;
use std::net::IpAddr;
use std::path::Path;

use super::positional::looks_like_port;
use super::values;

/// The subcommands, which are not abbreviated.
const COMMANDS: [&str; 3] = ["check", "completions", "man"];

/// The units of times and sizes that people write behind a space.
const UNITS: [&str; 20] = [
    "ms", "s", "sec", "secs", "second", "seconds", "m", "min", "mins", "minute", "minutes", "h",
    "hr", "hour", "hours", "day", "days", "KB", "MB", "GB",
];

/// What to write for what `path` may be meant as. `None` if it can only be a path. Whether it exists
/// is not looked at.
pub(crate) fn hint(path: &Path) -> Option<String> {
    let word = path.as_os_str().to_str()?;
    command(word).or_else(|| unit(word)).or_else(|| address(word)).or_else(|| {
        looks_like_port(path).then(|| "a port is a number from 0 to 65535, such as 8000".into())
    })
}

/// As [`hint`], if there is nothing at this path.
pub(super) fn hint_if_missing(path: &Path) -> Option<String> {
    hint(path).filter(|_| path.symlink_metadata().is_err())
}

fn command(word: &str) -> Option<String> {
    match &*word.to_ascii_lowercase() {
        "help" => return Some("did you mean: doorstep --help".into()),
        "version" => return Some("did you mean: doorstep --version".into()),
        "serve" | "server" | "start" | "run" | "share" => {
            return Some("to serve, no command is needed: doorstep, or doorstep DIR".into());
        }
        "manual" => return Some("did you mean: doorstep man".into()),
        _ => {}
    }
    let is_meant = |command: &&&str| {
        let (word, long) = (word.to_ascii_lowercase(), command.len() > 4);
        word == **command || long && is_one_edit_apart(word.as_bytes(), command.as_bytes())
    };
    let command = COMMANDS.iter().find(is_meant)?;
    Some(format!("did you mean: doorstep {command}"))
}

/// Whether one byte was inserted, removed or replaced, or two neighbours were exchanged.
fn is_one_edit_apart(one: &[u8], other: &[u8]) -> bool {
    let (short, long) = if one.len() <= other.len() { (one, other) } else { (other, one) };
    let same = short.iter().zip(long).take_while(|(a, b)| a == b).count();
    let (short, long) = (&short[same..], &long[same..]);
    match (short, long) {
        (short, [_, rest @ ..]) if short == rest => true,
        ([_, short @ ..], [_, long @ ..]) if short == long => true,
        ([a, b, short @ ..], [c, d, long @ ..]) => (a, b) == (d, c) && short == long,
        _ => false,
    }
}

fn unit(word: &str) -> Option<String> {
    UNITS.contains(&word).then(|| format!("a number and its unit are one word: 5{word}"))
}

/// An address or a URL, as other servers take it in place of a port.
fn address(word: &str) -> Option<String> {
    let rest = word.strip_prefix("http://").or_else(|| word.strip_prefix("https://"));
    let is_url = rest.is_some();
    let host = match rest {
        Some(rest) => rest.split('/').next().unwrap_or(rest),
        None => word,
    };
    if host.contains('/') {
        return None;
    }
    if let Err(separately) = values::address(host) {
        return Some(format!("for an address, {separately}"));
    }
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let is_host =
        is_url && !bare.is_empty() || bare == "localhost" || bare.parse::<IpAddr>().is_ok();
    is_host.then(|| format!("for an address: doorstep 8000 --bind {}", values::quote(bare)))
}

/// `path` as one word in a message.
pub(super) fn quote(path: impl AsRef<OsStr>) -> String {
    values::quote(&path.as_ref().to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_something_else_is_recognized() {
        for (word, expected) in [
            (
                "127.0.0.1:8000",
                "for an address, give the port separately: doorstep 8000 --bind 127.0.0.1",
            ),
            (
                "localhost:8000",
                "for an address, give the port separately: doorstep 8000 --bind localhost",
            ),
            ("[::1]:80", "for an address, give the port separately: doorstep 80 --bind ::1"),
            ("http://127.0.0.1:8000/", "doorstep 8000 --bind 127.0.0.1"),
            ("https://a.example/x?y", "for an address: doorstep 8000 --bind a.example"),
            (":8000", "give the port separately: doorstep 8000"),
            ("127.0.0.1", "for an address: doorstep 8000 --bind 127.0.0.1"),
            ("::1", "for an address: doorstep 8000 --bind ::1"),
            ("[::1]", "for an address: doorstep 8000 --bind ::1"),
            ("localhost", "for an address: doorstep 8000 --bind localhost"),
            ("chek", "did you mean: doorstep check"),
            ("Check", "did you mean: doorstep check"),
            ("chekc", "did you mean: doorstep check"),
            ("checks", "did you mean: doorstep check"),
            ("completion", "did you mean: doorstep completions"),
            ("MAN", "did you mean: doorstep man"),
            ("help", "did you mean: doorstep --help"),
            ("version", "did you mean: doorstep --version"),
            ("serve", "no command is needed: doorstep, or doorstep DIR"),
            ("min", "a number and its unit are one word: 5min"),
            ("80a", "a port is a number from 0 to 65535"),
        ] {
            let hint = hint(word.as_ref()).unwrap_or_default();
            assert!(hint.contains(expected), "{word}: {hint}");
        }
        for word in
            ["site", "main", "docs/check", "./8000", "a.txt", "http", "a b", "http:", "chucks"]
        {
            assert_eq!(hint(word.as_ref()), None, "{word}");
        }
    }

    #[test]
    fn every_subcommand_is_known_here() {
        let command = super::super::Arguments::definition();
        let mut names: Vec<_> = command.get_subcommands().map(clap::Command::get_name).collect();
        names.sort_unstable();
        assert_eq!(names, COMMANDS);
    }
}
