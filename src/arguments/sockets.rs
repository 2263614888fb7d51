//! Where the server listens: addresses and Unix sockets, and the connection of inetd.

use std::path::{Path, PathBuf};

use clap::Args;
use doorstep_driver::net::{DEFAULT_UNIX_MODE, MAX_UNIX_PATH};

use super::values;

/// The options under "Unix sockets and inetd".
#[derive(Debug, Args)]
#[command(next_help_heading = "Unix sockets and inetd")]
pub(crate) struct SocketOptions {
    /// Permissions (file mode) of Unix sockets, in octal [default: 660]
    ///
    /// Clients need the permission to write. With the default, the proxy in front has to be in the
    /// group of this server, and no other user can connect past it; 666 admits all users.
    #[arg(long, value_name = "MODE", value_parser = mode)]
    unix_mode: Option<u32>,

    /// Serve the one connection on standard input, then exit (inetd, xinetd, systemd Accept=yes)
    ///
    /// Nothing is printed on stdout. The log is on stderr, unless that is the connection itself.
    #[arg(long)]
    pub(crate) inetd: bool,
}

impl SocketOptions {
    /// The permission bits of Unix sockets.
    pub(crate) fn unix_mode(&self) -> u32 {
        self.unix_mode.unwrap_or(DEFAULT_UNIX_MODE)
    }

    /// What clap does not check, with the values of `PORT` and `--bind`.
    pub(super) fn check(&self, port: Option<u16>, bind: &[BindAddress]) -> Result<(), String> {
        let is_tcp = |address: &BindAddress| matches!(address, BindAddress::Host(_));
        let is_path = |address: &BindAddress| matches!(address, BindAddress::Unix(_));
        if self.inetd && (port.is_some() || !bind.is_empty()) {
            return Err(
                "--inetd serves the connection on standard input: omit PORT and --bind".into()
            );
        }
        if let Some(port) = port
            && !bind.is_empty()
            && !bind.iter().any(is_tcp)
        {
            return Err(format!(
                "port {port} is for TCP, and --bind has Unix sockets only: omit the port, or add a \
                 --bind with an address"
            ));
        }
        if self.unix_mode.is_some() && !bind.iter().any(is_path) {
            return Err("--unix-mode is for a Unix socket: add --bind unix:PATH".into());
        }
        Ok(())
    }
}

/// A value of `--bind`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BindAddress {
    /// An IP address or a host name.
    Host(String),
    /// The path of a Unix socket.
    Unix(PathBuf),
    /// A name in the abstract namespace of Linux.
    UnixAbstract(String),
}

impl BindAddress {
    /// The IP address or host name, if it is one.
    pub(crate) fn host(&self) -> Option<&str> {
        match self {
            Self::Host(host) => Some(host),
            Self::Unix(_) | Self::UnixAbstract(_) => None,
        }
    }

    /// The path of a Unix socket, if it is one in the file system.
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::Unix(path) => Some(path),
            Self::Host(_) | Self::UnixAbstract(_) => None,
        }
    }
}

/// An address or a host name without a port, `unix:PATH` or `unix:@NAME`.
pub(super) fn bind_address(word: &str) -> Result<BindAddress, String> {
    let Some(path) = word.strip_prefix("unix:") else {
        return values::address(word).map(BindAddress::Host);
    };
    if path.len() > MAX_UNIX_PATH {
        return Err(format!(
            "the path of a Unix socket has at most {MAX_UNIX_PATH} bytes, and this one has {}: give a \
             shorter one, such as one relative to the working directory",
            path.len()
        ));
    }
    match path.strip_prefix('@') {
        _ if path.contains('\0') => Err("a path cannot contain a NUL".into()),
        _ if path.is_empty() || path == "@" => {
            Err("give the path of the Unix socket: unix:/run/doorstep.sock".into())
        }
        Some(_) if !cfg!(target_os = "linux") => {
            Err("only Linux has abstract Unix sockets: give a path, unix:/run/doorstep.sock".into())
        }
        Some(name) => Ok(BindAddress::UnixAbstract(name.into())),
        None => Ok(BindAddress::Unix(path.into())),
    }
}

/// Permission bits in octal.
fn mode(word: &str) -> Result<u32, &'static str> {
    let digits = word.strip_prefix("0o").unwrap_or(word);
    u32::from_str_radix(digits, 8)
        .ok()
        .filter(|mode| *mode <= 0o777 && digits.bytes().all(|b| b.is_ascii_digit()))
        .ok_or("must be an octal number up to 777, such as 660 or 666")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unix_socket_has_a_path_or_an_abstract_name() {
        let unix = |path: &str| Ok(BindAddress::Unix(path.into()));
        assert_eq!(bind_address("unix:/run/a.sock"), unix("/run/a.sock"));
        assert_eq!(bind_address("unix:a.sock"), unix("a.sock"));
        assert_eq!(bind_address("unix:8000"), unix("8000"));
        assert_eq!(bind_address("unix:./@a"), unix("./@a"));
        assert_eq!(bind_address("unix:@a"), Ok(BindAddress::UnixAbstract("a".into())));
        assert_eq!(bind_address("unix"), Ok(BindAddress::Host("unix".into())));
        assert_eq!(bind_address("::1"), Ok(BindAddress::Host("::1".into())));
        for word in ["unix:", "unix:@"] {
            assert!(bind_address(word).is_err_and(|error| error.contains("give the path")));
        }
        let longest = format!("unix:{}", "a".repeat(MAX_UNIX_PATH));
        assert!(bind_address(&longest).is_ok());
        let error = bind_address(&format!("{longest}b")).unwrap_err();
        assert!(error.contains("at most 107 bytes, and this one has 108"), "{error}");
        assert!(bind_address("127.0.0.1:80").is_err());
    }

    #[test]
    fn a_mode_is_octal() {
        for (word, expected) in [("660", 0o660), ("0600", 0o600), ("0o777", 0o777), ("0", 0)] {
            assert_eq!(mode(word), Ok(expected));
        }
        for word in ["", "800", "1777", "rw", "-1", "+600", "0x1", "99999999999"] {
            assert!(mode(word).is_err(), "{word}");
        }
    }

    #[test]
    fn options_that_have_no_effect_together_are_errors() {
        let options = |unix_mode, inetd| SocketOptions { unix_mode, inetd };
        let (host, unix) =
            (BindAddress::Host("::1".into()), BindAddress::Unix("/run/a.sock".into()));
        let plain = options(None, false);
        assert!(plain.check(Some(80), &[]).is_ok() && plain.check(None, &[]).is_ok());
        assert!(plain.check(None, std::slice::from_ref(&unix)).is_ok());
        assert!(plain.check(Some(80), &[unix.clone(), host.clone()]).is_ok());
        let error = plain.check(Some(80), std::slice::from_ref(&unix)).unwrap_err();
        assert!(error.contains("omit the port"), "{error}");
        let (inetd, mode) = (options(None, true), options(Some(0o600), false));
        assert!(inetd.check(None, &[]).is_ok());
        for (port, bind) in [(Some(80), vec![]), (None, vec![host.clone()])] {
            assert!(inetd.check(port, &bind).is_err_and(|error| error.contains("omit PORT")));
        }
        assert!(mode.check(None, &[host]).is_err_and(|error| error.contains("unix:PATH")));
        assert_eq!(mode.unix_mode(), 0o600);
        assert!(mode.check(None, &[unix]).is_ok());
    }
}
