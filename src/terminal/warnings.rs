//! What should perhaps not be served: secrets in the served directory, a home directory.
//!
//! The search for secrets looks at [`MAX_ENTRIES`] names and [`MAX_DEPTH`] levels of directories, so that it
//! does not delay the start. It finds what people share by mistake; that it finds nothing proves nothing.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use doorstep_core::path;

use crate::secrets::{is_secret_name, private_key};

/// The names that are looked at.
const MAX_ENTRIES: usize = 2000;
/// The levels of directories: the served one, and those in it.
const MAX_DEPTH: usize = 3;
/// The names that a warning has.
const MAX_NAMES: usize = 3;
/// The files that may be keys, and are opened to see whether they are.
const MAX_OPENED: usize = 32;

/// Extensions of files that may hold keys.
const TEXT_KEYS: [&str; 2] = ["key", "pem"];

/// A warning for the start-up screen: what is wrong, and what to do.
pub(super) type Warning = String;

/// The warnings about `root`. Hidden names are served if `hidden`; `is_exposed` is whether others than
/// this machine and users with a password can have it.
pub(super) fn warnings(root: &Path, hidden: bool, is_exposed: bool) -> Vec<Warning> {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let mut warnings = Vec::new();
    warnings.extend(broad_root(root, home.as_deref()).filter(|_| is_exposed));
    warnings.extend(secrets(root, hidden));
    warnings
}

/// The warning about a root that holds everything, or a home directory.
fn broad_root(root: &Path, home: Option<&Path>) -> Option<Warning> {
    let root = root.canonicalize().ok()?;
    let home = home.filter(|home| home.is_absolute()).and_then(|home| home.canonicalize().ok());
    let what = match home {
        _ if root == Path::new("/") => "the whole file system",
        Some(home) if home == root => "your home directory",
        Some(home) if home.starts_with(&root) => "a directory with your home directory in it",
        _ => return None,
    };
    Some(format!(
        "the network can read {what}; serve a directory in it with --directory, or this machine only \
         with --bind 127.0.0.1"
    ))
}

/// The warning about secrets that clients can read.
fn secrets(root: &Path, hidden: bool) -> Option<Warning> {
    let found = find(root, hidden);
    let names: Vec<_> =
        found.iter().take(MAX_NAMES).map(|name| name.display().to_string()).collect();
    let more = found.len() - names.len();
    let names = match (names.split_last()?, more) {
        ((only, []), 0) => only.clone(),
        ((last, others), 0) => format!("{} and {last}", others.join(", ")),
        _ => format!("{} and {more} more", names.join(", ")),
    };
    let is_hidden = |name: &PathBuf| name.iter().any(|part| is_dotted(&part.to_string_lossy()));
    let advice = match found.iter().all(is_hidden) {
        true => "leave out --hidden, or serve another directory",
        false => "move what is secret out of the served directory",
    };
    Some(format!("clients can read {names}; {advice}"))
}

/// The secrets beneath `root`, as relative paths, those near the root first.
fn find(root: &Path, hidden: bool) -> Vec<PathBuf> {
    let (mut found, mut seen, mut opened) = (Vec::new(), 0, 0);
    let mut queue = VecDeque::from([(PathBuf::new(), 1)]);
    while let Some((directory, depth)) = queue.pop_front() {
        let Ok(entries) = fs::read_dir(root.join(&directory)) else { continue };
        let mut secrets = Vec::new();
        for entry in entries.flatten() {
            seen += 1;
            if seen > MAX_ENTRIES {
                break;
            }
            let (name, Ok(kind)) = (entry.file_name(), entry.file_type()) else { continue };
            let name = name.to_string_lossy();
            let relative = directory.join(entry.file_name());
            if is_dotted(&name) && !hidden {
                continue; // except .well-known, which holds no secrets
            }
            let is_secret = is_secret_name(entry.file_name().as_bytes(), kind.is_dir()) || {
                let extension = Path::new(&*name).extension().unwrap_or_default();
                let extension = extension.to_string_lossy().to_lowercase();
                let may_be_key = kind.is_file() && TEXT_KEYS.contains(&&*extension);
                opened += usize::from(may_be_key);
                may_be_key && opened <= MAX_OPENED && holds_key(&entry.path())
            };
            if is_secret && can_read(&entry.path(), kind) {
                secrets.push(relative);
            } else if kind.is_dir() && depth < MAX_DEPTH && name != "node_modules" {
                queue.push_back((relative, depth + 1));
            }
        }
        secrets.sort();
        found.extend(secrets);
    }
    found
}

fn is_dotted(name: &str) -> bool {
    path::is_hidden(name.as_bytes())
}

fn holds_key(file: &Path) -> bool {
    File::open(file).and_then(private_key).is_ok_and(|format| format.is_some())
}

/// Whether this process can: what it cannot read is not served.
fn can_read(path: &Path, kind: fs::FileType) -> bool {
    match kind {
        kind if kind.is_file() => File::open(path).is_ok(),
        kind if kind.is_dir() => fs::read_dir(path).is_ok(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(names: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, content) in names {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        root
    }

    #[test]
    fn secrets_are_found_among_the_names_that_are_served() {
        let key = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIKx1Zm9v\n";
        let root = tree(&[
            (".git/config", ""),
            ("index.html", ""),
            (".env.example", ""),
            ("app/.env.local", ""),
            ("tls/server.pem", key),
            ("tls/ca.pem", "-----BEGIN CERTIFICATE-----\n"),
            ("talk.key", "PK"),
            ("a/b/c/d/.env", "too deep"),
            (".well-known/x", ""),
            ("talk.pem", "It begins with -----BEGIN PRIVATE KEY-----"),
            ("shadow/index.html", "a directory, not the file"),
        ]);
        assert_eq!(
            secrets(root.path(), true).unwrap(),
            "clients can read .git, app/.env.local and tls/server.pem; move what is secret out of the \
             served directory"
        );
        assert_eq!(
            secrets(root.path(), false).unwrap(),
            "clients can read tls/server.pem; move what is secret out of the served directory"
        );
        fs::remove_dir_all(root.path().join("tls")).unwrap();
        assert!(
            secrets(root.path(), true)
                .unwrap()
                .ends_with("leave out --hidden, or serve another directory")
        );
        assert_eq!(secrets(root.path(), false), None);
    }

    #[test]
    fn names_are_those_that_check_reports() {
        for name in ["secrets.yml", "Credentials", "work.ovpn", "a/dump.sql.gz", "wp-config.php"] {
            let warning = secrets(tree(&[(name, "")]).path(), false);
            assert!(warning.is_some_and(|text| text.contains(name)), "{name}");
        }
    }

    #[test]
    fn many_secrets_are_counted_and_the_search_is_bounded() {
        let names: Vec<_> = (0..9).map(|n| format!("{n}.p12")).collect();
        let names: Vec<_> = names.iter().map(|name| (name.as_str(), "")).collect();
        let root = tree(&names);
        let warning = secrets(root.path(), false).unwrap();
        assert!(
            warning.starts_with("clients can read 0.p12, 1.p12, 2.p12 and 6 more; "),
            "{warning}"
        );
        for n in 0..MAX_ENTRIES {
            fs::write(root.path().join(format!("{n}.txt")), "").unwrap();
        }
        find(root.path(), false);
    }

    #[test]
    fn a_home_directory_and_what_holds_it_are_broad() {
        let home = tree(&[("user/site/index.html", "")]);
        let user = home.path().join("user");
        let warning = |root: &Path| broad_root(root, Some(&user));
        assert!(warning(&user).unwrap().starts_with("the network can read your home directory; "));
        assert!(
            warning(home.path()).unwrap().contains("a directory with your home directory in it")
        );
        assert!(warning(Path::new("/")).unwrap().contains("the whole file system"));
        assert_eq!(warning(&user.join("site")), None);
        assert_eq!(broad_root(&user, None), None);
    }
}
