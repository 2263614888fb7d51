//! What should perhaps not be served: secrets in the served directory, a home directory.
//!
//! The search for secrets looks at [`MAX_ENTRIES`] names and [`MAX_DEPTH`] levels of directories, so that it
//! does not delay the start. It finds what people share by mistake; that it finds nothing proves nothing.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use doorstep_core::path;

/// The names that are looked at.
const MAX_ENTRIES: usize = 2000;
/// The levels of directories: the served one, and those in it.
const MAX_DEPTH: usize = 3;
/// The names that a warning has.
const MAX_NAMES: usize = 3;
/// The files that may be keys, and are opened to see whether they are.
const MAX_OPENED: usize = 32;
/// The bytes that are read of one.
const KEY_BYTES: u64 = 16 << 10;

/// Hidden names that hold secrets, or whole histories of them.
const HIDDEN: [&str; 20] = [
    ".aws",
    ".bash_history",
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
    ".pgpass",
    ".pypirc",
    ".ssh",
    ".svn",
    ".terraform",
    ".vault-token",
    ".zsh_history",
];
/// Other names that do.
const NAMED: [&str; 6] =
    ["id_dsa", "id_ecdsa", "id_ed25519", "id_rsa", "htpasswd", "credentials.json"];
/// Extensions of files that hold keys, in formats that are not text.
const BINARY_KEYS: [&str; 4] = ["kdbx", "keystore", "p12", "pfx"];
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
            let is_secret = HIDDEN.contains(&&*name) || is_env(&name) || NAMED.contains(&&*name);
            let is_secret = is_secret || {
                let extension = Path::new(&*name).extension().unwrap_or_default().to_string_lossy();
                let may_be_key = kind.is_file() && TEXT_KEYS.contains(&&*extension);
                opened += usize::from(may_be_key);
                BINARY_KEYS.contains(&&*extension)
                    || may_be_key && opened <= MAX_OPENED && holds_key(&entry.path())
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

/// `.env`, and what is like it, but not an example.
fn is_env(name: &str) -> bool {
    let is_example = ["example", "sample", "template", "dist"].iter().any(|it| name.ends_with(it));
    name.starts_with(".env.") && !is_example
}

fn is_dotted(name: &str) -> bool {
    path::is_hidden(name.as_bytes())
}

/// Whether a file holds a private key as text (PEM, OpenSSH).
fn holds_key(file: &Path) -> bool {
    let mut text = Vec::new();
    let read = File::open(file).and_then(|file| file.take(KEY_BYTES).read_to_end(&mut text));
    read.is_ok() && String::from_utf8_lossy(&text).contains("PRIVATE KEY-----")
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
        let key = "-----BEGIN PRIVATE KEY-----\nx\n";
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
