//! Messages to the service manager that started this process, in the protocol of `sd_notify`(3):
//! datagrams to the socket in `NOTIFY_SOCKET`.
//!
//! As an [`Observer`] it reports that the server is ready and that it stops. `WATCHDOG=1` is for the
//! caller to send at every [`ServiceManager::watchdog_interval`], as long as the server makes progress
//! ([`ShutdownHandle::is_alive`](crate::ShutdownHandle::is_alive)).
//!
//! ```
//! use doorstep_driver::os::ServiceManager;
//!
//! if let Some(manager) = ServiceManager::from_env()? {
//!     manager.ready()?;
//! }
//! # Ok::<(), std::io::Error>(())
//! ```

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use crate::observer::Observer;

/// A connection to the service manager. It is made at once, so that a sandbox that begins later does
/// not refuse it.
#[derive(Debug)]
pub struct ServiceManager {
    socket: UnixDatagram,
    watchdog: Option<Duration>,
}

impl ServiceManager {
    /// The service manager that the environment names; `None` if there is none.
    ///
    /// # Errors
    /// Returns an error if its socket cannot be connected to, or `InvalidInput` if `NOTIFY_SOCKET` is
    /// neither an absolute path nor an abstract name that begins with `@`.
    pub fn from_env() -> io::Result<Option<Self>> {
        let Some(socket) = env::var_os("NOTIFY_SOCKET").filter(|socket| !socket.is_empty()) else {
            return Ok(None);
        };
        let number = |name| env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
        let is_ours = number("WATCHDOG_PID").is_none_or(|pid| pid == std::process::id().into());
        let timeout = number("WATCHDOG_USEC").filter(|&micros| micros > 0 && is_ours);
        Self::connect(&socket, timeout.map(Duration::from_micros)).map(Some)
    }

    fn connect(name: &OsStr, watchdog: Option<Duration>) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.connect_addr(&address(name)?)?;
        socket.set_nonblocking(true)?; // it never delays the server
        Ok(Self { socket, watchdog })
    }

    /// Reports that the server accepts connections (`READY=1`).
    ///
    /// # Errors
    /// Returns the error of sending it.
    pub fn ready(&self) -> io::Result<()> {
        self.send("READY=1")
    }

    /// Reports that the server has begun to stop (`STOPPING=1`).
    ///
    /// # Errors
    /// Returns the error of sending it.
    pub fn stopping(&self) -> io::Result<()> {
        self.send("STOPPING=1")
    }

    /// Reports that the server makes progress (`WATCHDOG=1`).
    ///
    /// # Errors
    /// Returns the error of sending it.
    pub fn alive(&self) -> io::Result<()> {
        self.send("WATCHDOG=1")
    }

    /// How often [`ServiceManager::alive`] is to be called: half the time after which the service
    /// manager ends the process (`WATCHDOG_USEC`); `None` if it does not.
    #[must_use]
    pub fn watchdog_interval(&self) -> Option<Duration> {
        self.watchdog.map(|timeout| timeout / 2)
    }

    fn send(&self, message: &str) -> io::Result<()> {
        self.socket.send(message.as_bytes()).map(drop)
    }
}

impl Observer for ServiceManager {
    fn on_start(&self) {
        let _ = self.ready();
    }
    fn on_shutdown(&self) {
        let _ = self.stopping();
    }
    fn wants_timing(&self) -> bool {
        false
    }
}

fn address(name: &OsStr) -> io::Result<SocketAddr> {
    match name.as_bytes() {
        [b'@', name @ ..] => abstract_address(name),
        [b'/', ..] => SocketAddr::from_pathname(name),
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}

#[cfg(target_os = "linux")]
fn abstract_address(name: &[u8]) -> io::Result<SocketAddr> {
    <SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(name)
}

#[cfg(not(target_os = "linux"))]
fn abstract_address(_: &[u8]) -> io::Result<SocketAddr> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_sends_one_datagram_for_each_state() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let receiver = UnixDatagram::bind(&path).unwrap();
        let timeout = Some(Duration::from_secs(30));
        let manager = ServiceManager::connect(path.as_os_str(), timeout).unwrap();
        assert_eq!(manager.watchdog_interval(), Some(Duration::from_secs(15)));
        manager.on_start();
        manager.alive().unwrap();
        manager.on_shutdown();
        for expected in ["READY=1", "WATCHDOG=1", "STOPPING=1"] {
            let mut message = [0; 64];
            let n = receiver.recv(&mut message).unwrap();
            assert_eq!(&message[..n], expected.as_bytes());
        }
        drop(receiver);
        assert!(manager.ready().is_err());
        assert!(ServiceManager::connect(OsStr::new("relative"), None).is_err());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn it_sends_to_an_abstract_name() {
        let name = format!("doorstep-notify-{}", std::process::id());
        let receiver =
            UnixDatagram::bind_addr(&abstract_address(name.as_bytes()).unwrap()).unwrap();
        let manager = ServiceManager::connect(OsStr::new(&format!("@{name}")), None).unwrap();
        assert_eq!(manager.watchdog_interval(), None);
        manager.ready().unwrap();
        assert_eq!(receiver.recv(&mut [0; 64]).unwrap(), 7);
    }
}
