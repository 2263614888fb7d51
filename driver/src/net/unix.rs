//! Listening on Unix sockets: by a path, or on Linux by an abstract name.
//!
//! A socket file that a server has left behind is replaced. A socket on which anybody listens is
//! not, and neither is anything else that has the path. At the stop the file is removed, if it is
//! still the one that was made here.
//!
//! ```
//! use doorstep_driver::net::{self, DEFAULT_UNIX_MODE, ListenerAddr};
//!
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("doorstep.sock");
//! let listener = net::bind_unix(&path, DEFAULT_UNIX_MODE)?;
//! assert_eq!(listener.addr(), ListenerAddr::Unix(Some(path.clone())));
//! assert!(net::bind_unix(&path, DEFAULT_UNIX_MODE).is_err(), "it is in use");
//! drop(listener);
//! assert!(!path.exists());
//! # Ok::<(), std::io::Error>(())
//! ```

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with,
};

use super::{DEFAULT_BACKLOG, Listener};

/// Permission to connect for the user and the group of the server, 0660: the proxy in front joins
/// the group, and no other user of the machine can go past it.
pub const DEFAULT_UNIX_MODE: u32 = 0o660;

/// The maximum length of the path of a Unix socket, in bytes: what the system takes, without the
/// NUL at its end.
pub const MAX_UNIX_PATH: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// How often, and after how long each time, the lock on the directory is tried: another server that
/// starts holds it for a moment.
const LOCK_TRIES: u32 = 100;
const LOCK_WAIT: Duration = Duration::from_millis(10);

/// Listens on a Unix socket at `path`, with a backlog of [`DEFAULT_BACKLOG`] connections. Clients
/// need the permission to write to it: its permission bits are `mode`, before the first one can
/// connect.
///
/// If there is a socket on which nobody listens, it is replaced. Two servers that start at the same
/// time do not replace each other's. The file is removed when the server stops or the listener is
/// dropped, but only if it is still the same one.
///
/// # Errors
/// Returns `AddrInUse` if another process listens on it, `AlreadyExists` if the path is that of
/// something other than a socket, `ENAMETOOLONG` if it is longer than [`MAX_UNIX_PATH`], or the
/// error of the system.
pub fn bind_unix(path: impl AsRef<Path>, mode: u32) -> io::Result<Listener> {
    let path = path.as_ref();
    if path.as_os_str().len() > MAX_UNIX_PATH {
        return Err(Errno::NAMETOOLONG.into()); // 108 bytes without a NUL are too much for clients
    }
    let address = SocketAddrUnix::new(path)?;
    let _lock = lock_directory(path);
    let socket = stream_socket()?;
    match bind(&socket, &address) {
        Err(Errno::ADDRINUSE) => {
            remove_stale(path, &address)?;
            bind(&socket, &address)?;
        }
        bound => bound?,
    }
    let file = SocketFile::new(path)?; // from here on, an error removes it
    fs::set_permissions(path, fs::Permissions::from_mode(mode & 0o777))?;
    listen(&socket, DEFAULT_BACKLOG.cast_signed())?;
    Ok(Listener::with_file(UnixListener::from(socket), file))
}

/// Listens on the abstract name `name`, which is no file, so that no permissions apply: every
/// process in the same network namespace can connect. It is free again when the listener is dropped.
///
/// # Errors
/// Returns `AddrInUse` if another process has the name, `ENAMETOOLONG` if it is longer than
/// [`MAX_UNIX_PATH`], or [`ErrorKind::Unsupported`] on systems other than Linux.
pub fn bind_unix_abstract(name: &[u8]) -> io::Result<Listener> {
    let socket = stream_socket()?;
    bind(&socket, &abstract_address(name)?)?;
    listen(&socket, DEFAULT_BACKLOG.cast_signed())?;
    Ok(UnixListener::from(socket).into())
}

#[cfg(target_os = "linux")]
fn abstract_address(name: &[u8]) -> io::Result<SocketAddrUnix> {
    Ok(SocketAddrUnix::new_abstract_name(name)?)
}

#[cfg(not(target_os = "linux"))]
fn abstract_address(_: &[u8]) -> io::Result<SocketAddrUnix> {
    Err(ErrorKind::Unsupported.into())
}

fn stream_socket() -> io::Result<OwnedFd> {
    #[cfg(target_os = "linux")]
    let flags = SocketFlags::CLOEXEC;
    #[cfg(not(target_os = "linux"))]
    let flags = SocketFlags::empty();
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    #[cfg(not(target_os = "linux"))]
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
    Ok(socket)
}

/// Locks the directory of `path` against other servers that start, until it is dropped; `None` if
/// it cannot be locked, or if another program keeps it locked.
fn lock_directory(path: &Path) -> Option<File> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = File::open(parent.unwrap_or(Path::new("."))).ok()?;
    for _ in 0..LOCK_TRIES {
        match flock(&directory, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Some(directory),
            Err(Errno::WOULDBLOCK | Errno::INTR) => thread::sleep(LOCK_WAIT),
            Err(_) => return None,
        }
    }
    None
}

/// Removes the socket at `path` if nobody listens on it.
fn remove_stale(path: &Path, address: &SocketAddrUnix) -> io::Result<()> {
    let Ok(found) = fs::symlink_metadata(path) else { return Ok(()) };
    if !found.file_type().is_socket() {
        return Err(io::Error::new(ErrorKind::AlreadyExists, "it exists and is not a socket"));
    }
    let client = stream_socket()?;
    rustix::io::ioctl_fionbio(&client, true)?; // it does not wait for room in a backlog
    match connect(&client, address) {
        Err(Errno::CONNREFUSED) => {
            if file_number(path).ok() == Some(number(&found)) {
                fs::remove_file(path)?;
            }
            Ok(())
        }
        Err(Errno::NOENT) => Ok(()),
        Err(error @ (Errno::ACCESS | Errno::PERM)) => Err(error.into()),
        // Connected, or waiting for room in the backlog, or a socket of another type.
        Ok(()) | Err(_) => Err(Errno::ADDRINUSE.into()),
    }
}

/// Which file it is: the number of its device, and its own.
fn number(file: &fs::Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}

fn file_number(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|file| number(&file))
}

/// The file of a socket that listens. It is removed when this is dropped, if it is still the same
/// one: as long as the socket is open, no other file has its number.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    number: (u64, u64),
}

impl SocketFile {
    fn new(path: &Path) -> io::Result<Self> {
        Ok(Self { path: std::path::absolute(path)?, number: file_number(path)? })
    }

    /// Removes the file. It stays if the system does not permit that: the next server replaces it.
    pub(super) fn remove(&self) {
        if file_number(&self.path).is_ok_and(|number| number == self.number) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        self.remove();
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Acceptor, ListenerAddr};
    use super::*;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::{UnixDatagram, UnixStream};

    /// Leaves a socket behind on which nobody listens, and nobody has: a process that another test
    /// is just starting could hold a copy of one that has listened for a moment longer.
    fn leave_stale(path: &Path) {
        bind(stream_socket().unwrap(), &SocketAddrUnix::new(path).unwrap()).unwrap();
    }

    fn mode_of(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn it_has_the_mode_whatever_the_umask_and_is_removed_when_dropped() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        for mode in [DEFAULT_UNIX_MODE, 0o600, 0o666] {
            let listener = bind_unix(&path, mode).unwrap();
            assert_eq!(mode_of(&path), mode);
            UnixStream::connect(&path).unwrap();
            drop(listener);
            assert!(!path.exists());
        }
    }

    #[test]
    fn it_is_removed_by_a_stop_unless_another_server_has_replaced_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let acceptor = Acceptor::new(vec![bind_unix(&path, 0o600).unwrap()]).unwrap();
        let _kept = UnixStream::connect(&path).unwrap();
        acceptor.stop();
        assert!(!path.exists());

        let old = bind_unix(&path, 0o600).unwrap();
        assert!(old.refuse_new()); // as at the beginning of a stop
        let new = bind_unix(&path, 0o600).unwrap();
        old.shut_down();
        drop(old);
        let _client = UnixStream::connect(&path).unwrap();
        drop(new);
        assert!(!path.exists());
    }

    #[test]
    fn a_stale_socket_is_replaced_and_one_in_use_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        leave_stale(&path);
        let listener = bind_unix(&path, 0o600).unwrap();
        assert_eq!(bind_unix(&path, 0o600).unwrap_err().kind(), ErrorKind::AddrInUse);
        UnixStream::connect(&path).unwrap();
        drop(listener);

        let full = UnixListener::bind(&path).unwrap();
        listen(&full, 0).unwrap();
        let _waits = UnixStream::connect(&path).unwrap();
        assert_eq!(bind_unix(&path, 0o600).unwrap_err().kind(), ErrorKind::AddrInUse);
    }

    #[test]
    fn nothing_but_a_stale_stream_socket_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::write(path("file"), "content").unwrap();
        fs::create_dir(path("directory")).unwrap();
        symlink("nowhere", path("dangling")).unwrap();
        leave_stale(&path("stale"));
        symlink("stale", path("link")).unwrap();
        for name in ["file", "directory", "dangling", "link"] {
            let error = bind_unix(path(name), 0o600).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{name}");
            assert!(fs::symlink_metadata(path(name)).is_ok(), "{name}");
        }
        let _datagrams = UnixDatagram::bind(path("datagram")).unwrap();
        let error = bind_unix(path("datagram"), 0o600).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        assert!(path("datagram").exists() && path("stale").exists());
    }

    #[test]
    fn servers_that_start_at_the_same_time_do_not_replace_each_other() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        for _ in 0..20 {
            leave_stale(&path);
            let bound: Vec<_> = thread::scope(|scope| {
                let start = || scope.spawn(|| bind_unix(&path, 0o600));
                let threads = [(); 4].map(|()| start());
                threads.into_iter().filter_map(|thread| thread.join().unwrap().ok()).collect()
            });
            assert_eq!(bound.len(), 1);
            UnixStream::connect(&path).unwrap();
        }
    }

    #[test]
    fn a_path_that_is_too_long_is_an_error_and_the_longest_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let room = MAX_UNIX_PATH - directory.path().as_os_str().len() - 1;
        bind_unix(directory.path().join("x".repeat(room)), 0o600).unwrap();
        let error = bind_unix(directory.path().join("x".repeat(room + 1)), 0o600).unwrap_err();
        assert_eq!(Errno::from_io_error(&error), Some(Errno::NAMETOOLONG));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn an_abstract_name_is_not_a_file() {
        let name = format!("doorstep-test-{}", std::process::id());
        let listener = bind_unix_abstract(name.as_bytes()).unwrap();
        assert_eq!(listener.addr(), ListenerAddr::UnixAbstract(name.clone().into_bytes()));
        assert_eq!(listener.addr().to_string(), format!("unix:@{name}"));
        let error = bind_unix_abstract(name.as_bytes()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        drop(listener);
        bind_unix_abstract(name.as_bytes()).unwrap();
    }
}
