//! Errors that end the command, each as one line with what is wrong and what to do.
//!
//! Exit codes: 2 if the command line is at fault, 1 if the system is. Names from the command line are
//! quoted and escaped, so that a message is one line, whatever they contain.

use std::fmt;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[cfg(feature = "tls")]
use doorstep_driver::net::TlsError;
use doorstep_driver::os;

/// Why the command could not start or could not continue.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The directory to serve cannot be opened.
    Directory(PathBuf, io::Error),
    /// The path to serve is not a directory.
    NotADirectory(PathBuf),
    /// The page of `--spa` cannot be served, and why.
    SpaPage(String, String),
    /// The file of MIME types cannot be read.
    MimeTypes(PathBuf, io::Error),
    /// This line of the file of MIME types, counted from 1, is invalid.
    MimeTypesLine(PathBuf, usize),
    /// The value of `--cgi-dir` is not a directory below the served one.
    ScriptDirectory(String),
    /// Scripts cannot run as this user.
    User(String, io::Error),
    /// The address cannot be listened on.
    Bind { address: Option<String>, port: u16, error: io::Error },
    /// The file with the password of the TLS key cannot be read.
    #[cfg(feature = "tls")]
    TlsPassword(PathBuf, io::Error),
    /// The TLS certificate or its key cannot be used.
    #[cfg(feature = "tls")]
    Tls(TlsError),
    /// The operating system refused something else that serving needs.
    Serve(io::Error),
}

impl Failure {
    /// The failure to open the served directory, which may be a lack of descriptors or memory.
    pub(crate) fn directory(root: &Path, error: io::Error) -> Self {
        match os::is_exhausted(&error) {
            true => Self::Serve(error),
            false => Self::Directory(root.to_owned(), error),
        }
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Directory(..) | Self::NotADirectory(_) | Self::SpaPage(..) => 2,
            Self::MimeTypes(..) | Self::MimeTypesLine(..) => 2,
            Self::ScriptDirectory(_) | Self::User(..) => 2,
            #[cfg(feature = "tls")]
            Self::TlsPassword(..) => 2,
            #[cfg(feature = "tls")]
            Self::Tls(_) => 1,
            Self::Bind { .. } | Self::Serve(_) => 1,
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(path, error) if error.kind() == ErrorKind::NotFound => {
                write!(f, "no such directory: {path:?}; give an existing one with --directory")
            }
            Self::Directory(path, error) => {
                write!(f, "cannot serve {path:?}: {error}; give another directory with --directory")
            }
            Self::NotADirectory(path) => write!(
                f,
                "not a directory: {path:?}; give the directory that contains it with --directory"
            ),
            Self::SpaPage(page, reason) => write!(
                f,
                "cannot use {page:?} as single-page application fallback: {reason}; give the path of \
                 a file from the served directory with --spa"
            ),
            Self::MimeTypes(path, error) => {
                write!(f, "cannot read {path:?}: {error}; give another file with --mime-types")
            }
            Self::MimeTypesLine(path, line) => write!(
                f,
                "line {line} of {path:?} is not a MIME type with its extensions, such as \"text/plain \
                 txt\"; correct it, or give another file with --mime-types"
            ),
            Self::ScriptDirectory(path) => write!(
                f,
                "not a directory of scripts: {path:?}; give --cgi-dir a path from the served \
                 directory, such as cgi-bin"
            ),
            Self::User(user, error) => {
                write!(f, "cannot run scripts as {user:?}: {error}; ")?;
                f.write_str(match error.kind() {
                    ErrorKind::NotFound => "give another user with --cgi-user",
                    _ => "omit --cgi-user",
                })
            }
            #[cfg(feature = "tls")]
            Self::TlsPassword(path, error) => write!(
                f,
                "Failed to read TLS password file: {error}: {path:?}; give another file with \
                 --tls-password-file"
            ),
            #[cfg(feature = "tls")]
            Self::Tls(error @ TlsError::PasswordMissing(_)) => {
                write!(f, "{error}; give the file that contains it with --tls-password-file")
            }
            #[cfg(feature = "tls")]
            Self::Tls(error @ TlsError::PasswordWrong(_)) => {
                write!(f, "{error}; correct the file given with --tls-password-file")
            }
            #[cfg(feature = "tls")]
            Self::Tls(error @ (TlsError::NoKey(_) | TlsError::Mismatch(..))) => {
                write!(f, "{error}; give the file of the key with --tls-key")
            }
            #[cfg(feature = "tls")]
            Self::Tls(error @ (TlsError::Read(..) | TlsError::NoCertificate(_))) => {
                write!(f, "{error}; check --tls-cert and --tls-key")
            }
            #[cfg(feature = "tls")]
            Self::Tls(error) => write!(f, "{error}"),
            Self::Bind { address, port, error } => fmt_bind(f, address.as_deref(), *port, error),
            Self::Serve(error) if os::is_exhausted(error) => write!(
                f,
                "cannot serve: no threads, descriptors or memory left: {error}; raise the limits of \
                 this user or container (ulimit -u, ulimit -n, ulimit -v, pids.max)"
            ),
            Self::Serve(error) => write!(f, "cannot serve: {error}"),
        }
    }
}

fn fmt_bind(
    f: &mut fmt::Formatter<'_>,
    address: Option<&str>,
    port: u16,
    error: &io::Error,
) -> fmt::Result {
    match (error.kind(), address) {
        (ErrorKind::AddrInUse, _) => {
            write!(f, "port {port} is in use; give another, or 0 for any free port: doorstep 0")
        }
        (ErrorKind::PermissionDenied, _) if port < 1024 => write!(
            f,
            "no permission to listen on port {port}: ports below 1024 need administrator rights; \
             give a higher one: doorstep 8000"
        ),
        (ErrorKind::AddrNotAvailable, Some(address)) => write!(
            f,
            "{address:?} is not an address of this machine; give one that is with --bind, or omit \
             --bind to listen on all of them"
        ),
        (_, Some(address)) => write!(
            f,
            "cannot listen on {address:?} port {port}: {error}; check the address given with --bind"
        ),
        (_, None) => {
            write!(f, "cannot listen on port {port}: {error}; give an address with --bind")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bind(address: Option<&str>, port: u16, kind: ErrorKind) -> String {
        Failure::Bind { address: address.map(str::to_owned), port, error: kind.into() }.to_string()
    }

    fn user(kind: ErrorKind) -> String {
        Failure::User("a\nb".into(), kind.into()).to_string()
    }

    #[test]
    fn b_284_each_failure_is_one_line_that_says_what_to_do() {
        let missing = Failure::Directory("a\nb".into(), ErrorKind::NotFound.into()).to_string();
        let lines = [
            (missing, "--directory"),
            (Failure::NotADirectory("a.txt".into()).to_string(), "--directory"),
            (Failure::MimeTypesLine("a".into(), 3).to_string(), "line 3"),
            (
                Failure::MimeTypes("a".into(), ErrorKind::NotFound.into()).to_string(),
                "--mime-types",
            ),
            (Failure::ScriptDirectory("a\nb".into()).to_string(), "--cgi-dir"),
            (Failure::SpaPage("a\nb".into(), "not a file".into()).to_string(), "--spa"),
            (user(ErrorKind::NotFound), "give another user with --cgi-user"),
            (user(ErrorKind::PermissionDenied), "omit --cgi-user"),
            (bind(None, 8000, ErrorKind::AddrInUse), "doorstep 0"),
            (bind(None, 80, ErrorKind::PermissionDenied), "doorstep 8000"),
            (bind(Some("192.0.2.1"), 8000, ErrorKind::AddrNotAvailable), "omit --bind"),
            (bind(Some("nosuch.invalid"), 8000, ErrorKind::Other), "check the address"),
            (bind(None, 8000, ErrorKind::Unsupported), "--bind"),
            (Failure::Serve(io::Error::from_raw_os_error(11)).to_string(), "ulimit -u"),
        ];
        for (line, remedy) in lines {
            assert!(line.contains(remedy), "{line}");
            assert!(!line.contains('\n'), "{line}");
        }
    }

    #[test]
    fn b_284_a_refusal_above_port_1023_is_not_about_the_port() {
        let line = bind(None, 8000, ErrorKind::PermissionDenied);
        assert!(line.starts_with("cannot listen on port 8000: permission denied"), "{line}");
    }
}
