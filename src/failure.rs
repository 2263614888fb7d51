//! Why the command could not start or go on, each in one line that says what to do about it.
//!
//! Exit codes: 2 when the command line is at fault, 1 when the machine is. Names that the user gave
//! are quoted and escaped, so a line stays a line whatever they hold.

use std::fmt;
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::process::ExitCode;

use doorstep_driver::os;

/// The end of the command, other than a stop that was asked for.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The directory to serve cannot be reached.
    Directory(PathBuf, io::Error),
    /// What should be served is there, but is no directory.
    NotADirectory(PathBuf),
    /// The media types cannot be read.
    Types(PathBuf, io::Error),
    /// This line of them, from 1, is none.
    TypesLine(PathBuf, usize),
    /// What should hold scripts is no directory below the one that is served.
    ScriptDirectory(String),
    /// Scripts cannot run as this user.
    User(String, io::Error),
    /// The address cannot be listened on.
    Bind { host: Option<String>, port: u16, error: io::Error },
    /// The operating system refused something else that serving needs.
    Serve(io::Error),
}

impl Failure {
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Directory(..) | Self::NotADirectory(_) => 2,
            Self::Types(..) | Self::TypesLine(..) => 2,
            Self::ScriptDirectory(_) | Self::User(..) => 2,
            Self::Bind { .. } | Self::Serve(_) => 1,
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(path, error) if error.kind() == ErrorKind::NotFound => {
                write!(f, "no such directory: {path:?}; name one that is there with --directory")
            }
            Self::Directory(path, error) => {
                write!(f, "cannot serve {path:?}: {error}; name another with --directory")
            }
            Self::NotADirectory(path) => {
                write!(f, "not a directory: {path:?}; name the directory it is in with --directory")
            }
            Self::Types(path, error) => {
                write!(f, "cannot read {path:?}: {error}; name another file with --mime-types")
            }
            Self::TypesLine(path, line) => write!(
                f,
                "line {line} of {path:?} is no media type with its extensions, as in \"text/plain \
                 txt\"; correct it, or name another file with --mime-types"
            ),
            Self::ScriptDirectory(path) => write!(
                f,
                "no directory of scripts: {path:?}; name one with --cgi-dir by its path from the \
                 directory that is served, as cgi-bin"
            ),
            Self::User(user, error) => {
                write!(f, "cannot run scripts as {user:?}: {error}; ")?;
                f.write_str(match error.kind() {
                    ErrorKind::NotFound => "name another user with --cgi-user",
                    _ => "leave --cgi-user out",
                })
            }
            Self::Bind { host, port, error } => bind(f, host.as_deref(), *port, error),
            Self::Serve(error) if os::is_exhausted(error) => write!(
                f,
                "cannot serve: no threads, descriptors or memory left: {error}; raise the limits of \
                 this user or container (ulimit -u, ulimit -n, ulimit -v, pids.max)"
            ),
            Self::Serve(error) => write!(f, "cannot serve: {error}"),
        }
    }
}

fn bind(
    f: &mut fmt::Formatter<'_>,
    host: Option<&str>,
    port: u16,
    error: &io::Error,
) -> fmt::Result {
    match (error.kind(), host) {
        (ErrorKind::AddrInUse, _) => {
            write!(f, "port {port} is in use; name another, or 0 for any that is free: doorstep 0")
        }
        (ErrorKind::PermissionDenied, _) if port < 1024 => write!(
            f,
            "no permission to listen on port {port}: ports below 1024 are for the \
             administrator; name a higher one: doorstep 8000"
        ),
        (ErrorKind::AddrNotAvailable, Some(host)) => write!(
            f,
            "{host:?} is not an address of this machine; name one that is with --bind, or leave \
             --bind out to listen on all of them"
        ),
        (_, Some(host)) => write!(
            f,
            "cannot listen on {host:?} port {port}: {error}; check the address given with --bind"
        ),
        (_, None) => write!(f, "cannot listen on port {port}: {error}; try an address with --bind"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bind(host: Option<&str>, port: u16, kind: ErrorKind) -> String {
        Failure::Bind { host: host.map(str::to_owned), port, error: kind.into() }.to_string()
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
            (Failure::TypesLine("a".into(), 3).to_string(), "line 3"),
            (Failure::Types("a".into(), ErrorKind::NotFound.into()).to_string(), "--mime-types"),
            (Failure::ScriptDirectory("a\nb".into()).to_string(), "--cgi-dir"),
            (user(ErrorKind::NotFound), "name another user with --cgi-user"),
            (user(ErrorKind::PermissionDenied), "leave --cgi-user out"),
            (bind(None, 8000, ErrorKind::AddrInUse), "doorstep 0"),
            (bind(None, 80, ErrorKind::PermissionDenied), "doorstep 8000"),
            (bind(Some("192.0.2.1"), 8000, ErrorKind::AddrNotAvailable), "leave --bind out"),
            (bind(Some("nosuch.invalid"), 8000, ErrorKind::Other), "check the address"),
            (bind(None, 8000, ErrorKind::Unsupported), "--bind"),
            (Failure::Serve(io::Error::from_raw_os_error(11)).to_string(), "ulimit -u"),
        ];
        for (line, advice) in lines {
            assert!(line.contains(advice), "{line}");
            assert!(!line.contains('\n'), "{line}");
        }
    }

    #[test]
    fn b_284_a_port_above_1023_is_not_blamed_for_a_refusal() {
        let line = bind(None, 8000, ErrorKind::PermissionDenied);
        assert!(line.starts_with("cannot listen on port 8000: permission denied"), "{line}");
    }
}
