//! Errors that end the command, each as one line with what is wrong and what to do.
//!
//! Exit codes: 2 if the command line is at fault, which includes a file, directory or user that it names
//! and that cannot be used; 1 if the system is; 3 if a transfer was not completed. Names from the
//! command line are quoted and escaped, so that a message is one line, whatever they contain.

use std::fmt::{self, Write};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use doorstep_driver::TransferReport;
use doorstep_driver::auth::AuthError;
#[cfg(feature = "tls")]
use doorstep_driver::net::TlsError;
use doorstep_driver::os::{self, Uid};

use crate::arguments::hint_for_missing_path;

/// The exit code if a transfer was not completed.
pub(crate) const INCOMPLETE: u8 = 3;

/// Why the command could not start or could not continue.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The directory to serve cannot be opened.
    Directory(PathBuf, io::Error),
    /// The path to serve is not a directory.
    NotADirectory(PathBuf),
    /// There is no such file or directory, or it cannot be accessed.
    Path(PathBuf, io::Error),
    /// The path to serve is neither a directory nor a regular file.
    NotAFile(PathBuf),
    /// This option does not work with a single file.
    NeedsDirectory(PathBuf, &'static str),
    /// Fewer transfers were completed than were asked for, or some were cut.
    Incomplete(TransferReport),
    /// The directory to check cannot be read.
    CheckDirectory(PathBuf, io::Error),
    /// The page of `--spa` cannot be served, and why.
    SpaPage(String, String),
    /// The file of MIME types cannot be read.
    MimeTypes(PathBuf, io::Error),
    /// This line of the file of MIME types, counted from 1, is invalid.
    MimeTypesLine(PathBuf, usize),
    /// Files cannot be stored in the directory of `--upload`.
    UploadDirectory(String, io::Error),
    /// No upload can be stored in the directory of `--upload`, because scripts are run there.
    UploadScripts(String),
    /// The value of `--cgi-dir` is not a directory below the served one.
    ScriptDirectory(String),
    /// Scripts cannot run as this user.
    User(String, io::Error),
    /// The file of a log cannot be opened, which this option names.
    LogFile { path: PathBuf, option: &'static str, error: io::Error },
    /// The sandbox refuses to open the file of a log, which this option names.
    LogFileSandbox(PathBuf, &'static str),
    /// The file of users is not valid.
    AuthFile(AuthError),
    /// The file of users would be served.
    AuthFileServed(PathBuf),
    /// The environment variable of `--auth-env` holds no user, and why.
    AuthVariable(String, String),
    /// The server cannot become this user.
    ServerUser(String, io::Error),
    /// Becoming this user has failed.
    Privileges(String, io::Error),
    /// The sandbox cannot be enforced.
    Sandbox(io::Error),
    /// The address cannot be listened on.
    Bind { address: Option<String>, port: u16, error: io::Error },
    /// The port of `--https-redirect` cannot be listened on.
    RedirectPort(u16, io::Error),
    /// The Unix socket of this path, or abstract name after a `@`, cannot be listened on.
    BindUnix(String, io::Error),
    /// The sockets that a service manager has passed cannot be used.
    Inherited(io::Error),
    /// A service manager has passed sockets, and the command line names others.
    InheritedAndBind,
    /// There is a certificate, and nothing but Unix sockets, which a service manager or inetd has passed.
    #[cfg(feature = "tls")]
    UnixEncryption,
    /// Standard input is not a connection.
    Inetd(io::Error),
    /// The file with the password of the TLS key cannot be read.
    #[cfg(feature = "tls")]
    TlsPassword(PathBuf, io::Error),
    /// The TLS certificate or its key cannot be used.
    #[cfg(feature = "tls")]
    Tls(TlsError),
    /// The operating system refused something else that serving needs.
    Serve(io::Error),
    /// Stdout cannot be written to.
    Print(io::Error),
}

impl Failure {
    /// The failure to open the served directory, which may be a lack of descriptors or memory.
    pub(crate) fn directory(root: &Path, error: io::Error) -> Self {
        let error = os::without_path(error);
        match os::is_exhausted(&error) {
            true => Self::Serve(error),
            false => Self::Directory(root.to_owned(), error),
        }
    }

    /// The failure to open the served path, which may be a lack of descriptors or memory.
    pub(crate) fn path(path: &Path, error: io::Error) -> Self {
        let error = os::without_path(error);
        match (os::is_exhausted(&error), error.kind()) {
            (true, _) => Self::Serve(error),
            (_, ErrorKind::InvalidInput) => Self::NotAFile(path.to_owned()),
            _ => Self::Path(path.to_owned(), error),
        }
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Directory(..) | Self::NotADirectory(_) | Self::SpaPage(..) => 2,
            Self::Path(..) | Self::NotAFile(_) => 2,
            Self::CheckDirectory(..) | Self::MimeTypes(..) | Self::MimeTypesLine(..) => 2,
            Self::ScriptDirectory(_) | Self::User(..) | Self::LogFile { .. } => 2,
            Self::LogFileSandbox(..) | Self::UploadDirectory(..) | Self::UploadScripts(_) => 2,
            Self::AuthFile(_) | Self::AuthFileServed(_) | Self::AuthVariable(..) => 2,
            Self::InheritedAndBind | Self::ServerUser(..) | Self::NeedsDirectory(..) => 2,
            #[cfg(feature = "tls")]
            Self::Tls(TlsError::SelfSigned(_) | TlsError::Tls(_)) => 1,
            #[cfg(feature = "tls")]
            Self::TlsPassword(..) | Self::Tls(_) | Self::UnixEncryption => 2,
            Self::Bind { .. } | Self::BindUnix(..) | Self::Serve(_) | Self::Print(_) => 1,
            Self::RedirectPort(..) => 1,
            Self::Incomplete(_) => INCOMPLETE,
            Self::Inherited(_) | Self::Inetd(_) | Self::Privileges(..) | Self::Sandbox(_) => 1,
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        self.write(&mut text)?;
        f.write_str(&os::without_error_numbers(&text))
    }
}

impl Failure {
    fn write(&self, f: &mut String) -> fmt::Result {
        match self {
            Self::Directory(path, error) if error.kind() == ErrorKind::NotFound => {
                write!(f, "no such directory: {path:?}; give an existing one with --directory")
            }
            Self::Directory(path, error) => {
                write!(f, "cannot serve {path:?}: {error}; give another directory with --directory")
            }
            Self::NotADirectory(path) => write!(
                f,
                "not a directory: {path:?}; to serve one file, give it without --directory; else give \
                 the directory that contains it with --directory"
            ),
            Self::Path(path, error) if error.kind() == ErrorKind::NotFound => {
                write!(f, "no such file or directory: {path:?}; ")?;
                match hint_for_missing_path(path) {
                    Some(hint) => f.write_str(&hint),
                    None => f.write_str("give the path of an existing one"),
                }
            }
            Self::Path(path, error) => {
                write!(f, "cannot serve {path:?}: {error}; give another file or directory")
            }
            Self::NotAFile(path) => write!(
                f,
                "cannot serve {path:?}: neither a directory nor a regular file; give one, such as a \
                 file with a copy of its content"
            ),
            Self::NeedsDirectory(path, option) => write!(
                f,
                "{option} needs a directory, and {path:?} is a file; omit {option}, or give the \
                 directory that contains the file"
            ),
            Self::Incomplete(TransferReport { count: Some(count), completed, .. })
                if *completed < count.get() =>
            {
                let left = count.get() - completed;
                let number = match completed {
                    0 => "none".to_owned(),
                    _ => format!("only {completed}"),
                };
                write!(f, "stopped with {number} of {count} transfers completed; ")?;
                write!(f, "start it again with --count {left} for the rest")
            }
            Self::Incomplete(TransferReport { cut, in_progress, .. }) => {
                match cut.saturating_add(*in_progress) {
                    1 => f.write_str("stopped with 1 transfer that was cut; ")?,
                    cut => write!(f, "stopped with {cut} transfers that were cut; ")?,
                }
                f.write_str("the access log shows which; start it again to repeat them")
            }
            Self::CheckDirectory(path, error) if error.kind() == ErrorKind::NotADirectory => {
                write!(
                    f,
                    "check is for directories, and {path:?} is a file; give the directory that contains \
                 it: doorstep check DIR"
                )
            }
            Self::CheckDirectory(path, error) if error.kind() == ErrorKind::NotFound => write!(
                f,
                "cannot check {path:?}: there is no such directory; give an existing one: doorstep \
                 check DIR"
            ),
            Self::CheckDirectory(path, error) => write!(
                f,
                "cannot check {path:?}: {error}; give a directory that this user may read: doorstep \
                 check DIR"
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
            Self::UploadDirectory(path, error) if path.is_empty() => write!(
                f,
                "cannot store uploads in the served directory: {error}; give another one with \
                 --directory, or a directory in it with --upload=DIR"
            ),
            Self::UploadDirectory(path, error) => write!(
                f,
                "cannot store uploads in {path:?}: {error}; give the path of an existing directory from \
                 the served one with --upload=DIR"
            ),
            Self::UploadScripts(path) => write!(
                f,
                "cannot store uploads in {:?}: scripts are run there; give another directory with \
                 --upload=DIR, or for scripts with --cgi-dir",
                if path.is_empty() { "." } else { path }
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
            Self::LogFile { path, option, error } if error.kind() == ErrorKind::NotFound => write!(
                f,
                "cannot open the log file {path:?}: its directory does not exist; make it, or give \
                 another file with {option}"
            ),
            Self::LogFile { path, option, error } => write!(
                f,
                "cannot open the log file {path:?}: {error}; give another file with {option}"
            ),
            Self::LogFileSandbox(path, option) => write!(
                f,
                "the sandbox refuses to open the log file {path:?}; give another file with {option}, \
                 or use --sandbox off"
            ),
            Self::AuthFile(error) => write!(
                f,
                "cannot authenticate users by {error}; correct the file, or give another one with \
                 --auth-file"
            ),
            Self::AuthFileServed(path) => write!(
                f,
                "the file of users {path:?} is in the served directory; move it elsewhere, and give \
                 its new path with --auth-file"
            ),
            Self::AuthVariable(name, reason) => write!(
                f,
                "the environment variable {name} must hold USER:PASSWORD, but {reason}; set it, or \
                 give another one with --auth-env"
            ),
            Self::ServerUser(user, error) => {
                write!(f, "cannot run as {user:?}: {error}; ")?;
                f.write_str(match error.kind() {
                    ErrorKind::NotFound => "give an existing one with --user, such as nobody",
                    ErrorKind::InvalidInput => "omit --cgi-user",
                    _ if Uid::effective().is_root() => {
                        "give one with few rights with --user, such as nobody"
                    }
                    _ => "start as root, or omit --user",
                })
            }
            Self::Privileges(user, error) => write!(
                f,
                "cannot run as {user:?}: {error}; start as a user with few rights, and omit --user"
            ),
            Self::Sandbox(error) => write!(f, "{error}; use --sandbox auto, or off"),
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
            Self::BindUnix(path, error) => fmt_bind_unix(f, path, error),
            Self::RedirectPort(port, error) => {
                write!(
                    f,
                    "cannot listen on port {port}: {error}; give another with --https-redirect"
                )
            }
            Self::Inherited(error) => write!(
                f,
                "cannot use the sockets that were passed (LISTEN_FDS): {error}; a socket unit needs \
                 ListenStream= and Accept=no; for Accept=yes, give --inetd and set StandardInput=socket"
            ),
            Self::InheritedAndBind => f.write_str(
                "a service manager has passed the sockets to listen on (LISTEN_FDS); omit PORT, \
                 --bind and --inetd, or do not pass sockets",
            ),
            #[cfg(feature = "tls")]
            Self::UnixEncryption => f.write_str(
                "Unix sockets are not encrypted: pass a TCP socket as well, or omit the certificate",
            ),
            Self::Inetd(error) => write!(
                f,
                "--inetd needs a connection on standard input: {error}; let inetd or systemd start \
                 it (Accept=yes, StandardInput=socket), or omit --inetd"
            ),
            Self::Serve(error) if os::is_exhausted(error) => write!(
                f,
                "cannot serve: no threads, descriptors or memory left: {error}; raise the limits of \
                 this user or container (ulimit -u, ulimit -n, ulimit -v, pids.max)"
            ),
            Self::Serve(error) => write!(f, "cannot serve: {error}"),
            Self::Print(error) => write!(
                f,
                "cannot write to stdout: {error}; give another stdout, such as a terminal or a file"
            ),
        }
    }
}

fn fmt_bind(f: &mut String, address: Option<&str>, port: u16, error: &io::Error) -> fmt::Result {
    match (error.kind(), address) {
        (ErrorKind::AddrInUse, address) => {
            write!(f, "port {port} is in use")?;
            if let Some(address) = address {
                write!(f, " on {address:?}")?;
            }
            f.write_str("; give another, or 0 for any free port: doorstep 0")
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

fn fmt_bind_unix(f: &mut String, path: &str, error: &io::Error) -> fmt::Result {
    let address = format!("unix:{path}");
    match error.kind() {
        ErrorKind::AddrInUse => write!(
            f,
            "another process listens on {address:?}; stop it, or give another path with --bind"
        ),
        ErrorKind::AlreadyExists => write!(
            f,
            "cannot listen on {address:?}: {error}; remove it, or give another path with --bind"
        ),
        ErrorKind::NotFound => write!(
            f,
            "cannot listen on {address:?}: no such directory; make it, or give another path with \
             --bind"
        ),
        _ => {
            write!(f, "cannot listen on {address:?}: {error}; give another path with --bind")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bind(address: Option<&str>, port: u16, kind: ErrorKind) -> String {
        Failure::Bind { address: address.map(str::to_owned), port, error: kind.into() }.to_string()
    }

    fn bind_unix(kind: ErrorKind) -> String {
        Failure::BindUnix("a\nb".into(), kind.into()).to_string()
    }

    fn upload(directory: &str) -> String {
        Failure::UploadDirectory(directory.into(), ErrorKind::NotFound.into()).to_string()
    }

    fn user(kind: ErrorKind) -> String {
        Failure::User("a\nb".into(), kind.into()).to_string()
    }

    fn log_file(kind: ErrorKind) -> String {
        let (path, option) = ("a\nb".into(), "--access-log");
        Failure::LogFile { path, option, error: kind.into() }.to_string()
    }

    fn server_user(kind: ErrorKind) -> String {
        Failure::ServerUser("a\nb".into(), kind.into()).to_string()
    }

    #[test]
    fn b_284_each_failure_is_one_line_that_says_what_to_do() {
        let missing = Failure::Directory("a\nb".into(), ErrorKind::NotFound.into()).to_string();
        let lines = [
            (missing, "--directory"),
            (Failure::NotADirectory("a.txt".into()).to_string(), "--directory"),
            (Failure::Path("a\nb".into(), ErrorKind::NotFound.into()).to_string(), "existing one"),
            (Failure::Path("80a".into(), ErrorKind::NotFound.into()).to_string(), "such as 8000"),
            (
                Failure::Path("a".into(), ErrorKind::PermissionDenied.into()).to_string(),
                "give another",
            ),
            (Failure::NotAFile("a\nb".into()).to_string(), "give one"),
            (Failure::NeedsDirectory("a\nb".into(), "--cgi").to_string(), "omit --cgi"),
            (Failure::MimeTypesLine("a".into(), 3).to_string(), "line 3"),
            (
                Failure::MimeTypes("a".into(), ErrorKind::NotFound.into()).to_string(),
                "--mime-types",
            ),
            (Failure::ScriptDirectory("a\nb".into()).to_string(), "--cgi-dir"),
            (Failure::SpaPage("a\nb".into(), "not a file".into()).to_string(), "--spa"),
            (upload("a\nb"), "--upload=DIR"),
            (upload(""), "--directory"),
            (Failure::UploadScripts("a\nb".into()).to_string(), "another directory with --upload"),
            (log_file(ErrorKind::NotFound), "make it, or give another file with --access-log"),
            (log_file(ErrorKind::PermissionDenied), "give another file with --access-log"),
            (
                Failure::LogFileSandbox("a\nb".into(), "--error-log").to_string(),
                "another file with --error-log, or use --sandbox off",
            ),
            (Failure::AuthFileServed("a\nb".into()).to_string(), "--auth-file"),
            (Failure::AuthVariable("A".into(), "it is not set".into()).to_string(), "--auth-env"),
            (user(ErrorKind::NotFound), "give another user with --cgi-user"),
            (user(ErrorKind::PermissionDenied), "omit --cgi-user"),
            (server_user(ErrorKind::NotFound), "existing one with --user"),
            (server_user(ErrorKind::InvalidInput), "omit --cgi-user"),
            (server_user(ErrorKind::PermissionDenied), "--user"),
            (
                Failure::Privileges("a\nb".into(), ErrorKind::PermissionDenied.into()).to_string(),
                "omit --user",
            ),
            (Failure::Sandbox(ErrorKind::Unsupported.into()).to_string(), "--sandbox auto"),
            (bind(None, 8000, ErrorKind::AddrInUse), "doorstep 0"),
            (bind(None, 80, ErrorKind::PermissionDenied), "doorstep 8000"),
            (bind(Some("192.0.2.1"), 8000, ErrorKind::AddrNotAvailable), "omit --bind"),
            (bind(Some("nosuch.invalid"), 8000, ErrorKind::Other), "check the address"),
            (bind(None, 8000, ErrorKind::Unsupported), "--bind"),
            (bind(Some("::1"), 8000, ErrorKind::AddrInUse), "in use on \"::1\""),
            (bind_unix(ErrorKind::AddrInUse), "stop it"),
            (bind_unix(ErrorKind::AlreadyExists), "remove it"),
            (bind_unix(ErrorKind::NotFound), "no such directory"),
            (bind_unix(ErrorKind::PermissionDenied), "another path with --bind"),
            (Failure::Inherited(ErrorKind::InvalidInput.into()).to_string(), "ListenStream="),
            (Failure::InheritedAndBind.to_string(), "omit PORT"),
            (Failure::Inetd(ErrorKind::NotConnected.into()).to_string(), "StandardInput=socket"),
            (Failure::Serve(io::Error::from_raw_os_error(11)).to_string(), "ulimit -u"),
            (Failure::Print(ErrorKind::StorageFull.into()).to_string(), "another stdout"),
        ];
        for (line, remedy) in lines {
            assert!(line.contains(remedy), "{line}");
            assert!(!line.contains('\n'), "{line}");
        }
    }

    #[test]
    fn messages_have_no_numbers_of_errors() {
        let error = || io::Error::from_raw_os_error(13);
        for failure in [
            Failure::Directory("a".into(), error()),
            Failure::CheckDirectory("a".into(), error()),
            Failure::Bind { address: None, port: 8000, error: error() },
            Failure::Serve(error()),
        ] {
            let line = failure.to_string();
            assert!(line.contains("ermission denied") && !line.contains("os error"), "{line}");
        }
    }

    #[test]
    fn b_284_a_refusal_above_port_1023_is_not_about_the_port() {
        let line = bind(None, 8000, ErrorKind::PermissionDenied);
        assert!(line.starts_with("cannot listen on port 8000: permission denied"), "{line}");
    }
}
