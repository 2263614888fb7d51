//! The words that are not options: a port and a path, at most one of each, in any order.
//!
//! A word of digits is a port, and any other one is a path. A path that looks like a port is written
//! with its directory: `./8000`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args, ValueHint};

use super::mistaken_path::{self, quote};
use super::values;

/// The positional arguments.
#[derive(Debug, Args)]
pub(crate) struct Positionals {
    /// TCP port to listen on; 0 selects a free port, which is printed [default: 8000]
    #[arg(value_name = "PORT", value_hint = ValueHint::AnyPath, value_parser = OsStringValueParser::new().try_map(word))]
    first: Option<Word>,

    /// Directory or file to serve; PORT may be omitted, or follow it [default: .]
    ///
    /// One file is served alone, at its own URL. A path that is a number is written as ./8000.
    #[arg(value_name = "PATH", value_hint = ValueHint::AnyPath, value_parser = OsStringValueParser::new().try_map(word))]
    second: Option<Word>,
}

/// One word.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Word {
    Port(u16),
    Path(PathBuf),
}

fn word(word: OsString) -> Result<Word, &'static str> {
    match word.to_str() {
        Some("") => Err("must not be empty: give a port, or the path of a directory or a file"),
        Some(text) if is_number(text) => values::port(text).map(Word::Port),
        _ => Ok(Word::Path(word.into())),
    }
}

/// Whether a word can only be meant as a number, whatever its value is.
fn is_number(word: &str) -> bool {
    let digits = word.strip_prefix('+').unwrap_or(word);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a path that does not exist may be meant as a port: it begins with a digit, and is short.
pub(super) fn looks_like_port(path: &Path) -> bool {
    let bytes = path.as_os_str().as_encoded_bytes().trim_ascii();
    let is_short = bytes.len() <= "65535".len() + 1;
    is_short
        && bytes.iter().any(u8::is_ascii_digit)
        && !bytes.contains(&b'/')
        && !bytes.contains(&b'.')
}

impl Positionals {
    pub(crate) fn port(&self) -> Option<u16> {
        self.words().find_map(|word| match word {
            Word::Port(port) => Some(*port),
            Word::Path(_) => None,
        })
    }

    pub(crate) fn path(&self) -> Option<&Path> {
        self.words().find_map(|word| match word {
            Word::Port(_) => None,
            Word::Path(path) => Some(&**path),
        })
    }

    /// What clap does not check. `directory` is that of `--directory`.
    pub(super) fn check(&self, directory: Option<&Path>) -> Result<(), String> {
        match (&self.first, &self.second) {
            (Some(Word::Port(one)), Some(Word::Port(other))) => {
                return Err(format!(
                    "there are two ports, {one} and {other}: give one; a file of that name is \
                     ./{other}"
                ));
            }
            (Some(Word::Path(one)), Some(Word::Path(other))) => {
                let hint = mistaken_path::hint_if_missing(one);
                let hint = hint.or_else(|| mistaken_path::hint_if_missing(other));
                let [one, other] = [one, other].map(quote);
                if let Some(hint) = hint {
                    return Err(format!("there are two paths, {one} and {other}: {hint}"));
                }
                return Err(format!(
                    "there are two paths, {one} and {other}: give one, such as the directory that \
                     contains both"
                ));
            }
            _ => {}
        }
        if let (Some(path), Some(directory)) = (self.path(), directory) {
            let [path, directory] = [path, directory].map(quote);
            return Err(format!(
                "there are two paths, {path} and --directory {directory}: omit one of them"
            ));
        }
        Ok(())
    }

    fn words(&self) -> impl Iterator<Item = &Word> {
        [&self.first, &self.second].into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::Arguments;

    fn parse(words: &[&str]) -> Result<(Option<u16>, Option<String>), String> {
        let words: Vec<OsString> = [&["doorstep"], words].concat().iter().map(Into::into).collect();
        let arguments = Arguments::parse(&words).map_err(|error| error.to_string())?;
        let path = arguments.positionals.path().map(|path| path.to_string_lossy().into_owned());
        Ok((arguments.positionals.port(), path))
    }

    #[test]
    fn a_port_and_a_path_stand_in_any_order() {
        for (words, port, path) in [
            (&[][..], None, None),
            (&["8001"], Some(8001), None),
            (&["site"], None, Some("site")),
            (&["8001", "site"], Some(8001), Some("site")),
            (&["site", "8001"], Some(8001), Some("site")),
            (&["-q", "site", "-b", "::1", "0"], Some(0), Some("site")),
            (&["./8001"], None, Some("./8001")),
            (&["80a", "80"], Some(80), Some("80a")),
            (&["--", "-x"], None, Some("-x")),
            (&["http"], None, Some("http")),
        ] {
            assert_eq!(parse(words), Ok((port, path.map(Into::into))), "{words:?}");
        }
    }

    #[test]
    fn two_of_a_kind_are_a_usage_error_that_says_what_to_do() {
        for (words, expected) in [
            (&["8000", "8001"][..], "a file of that name is ./8001"),
            (&["a b", "c"], "two paths, \"a b\" and c: give one"),
            (&["chek", "site"], "two paths, chek and site: did you mean: doorstep check"),
            (&["src", "127.0.0.1"], "src and 127.0.0.1: for an address: doorstep 8000 --bind"),
            (&["src", "--for", "5", "min"], "a number and its unit are one word: 5min"),
            (&["a", "-d", "b"], "two paths, a and --directory b: omit one of them"),
            (&["99999"], "'[PORT]': must be a number from 0 to 65535"),
            (&["site", "99999"], "'[PATH]': must be a number from 0 to 65535"),
            (&[""], "must not be empty: give a port"),
            (&["1", "a", "b"], "unexpected argument \"b\""),
        ] {
            let error = parse(words).unwrap_err();
            assert!(error.contains(expected) && error.contains("Usage: "), "{words:?}: {error}");
        }
    }

    #[test]
    fn b_275_a_mistyped_port_is_recognized() {
        for word in ["80a", "8O80", "80 ", "8000x", ":8000", "-80"] {
            assert!(looks_like_port(word.as_ref()), "{word}");
        }
        for word in ["site", "1.txt", "./80a", "a/1", "report2026", "v1.2"] {
            assert!(!looks_like_port(word.as_ref()), "{word}");
        }
    }
}
