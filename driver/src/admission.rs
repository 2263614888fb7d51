//! Admission of new connections: when the server is full, and when accepting fails.
//!
//! ```
//! use std::num::NonZeroUsize;
//! use std::sync::Arc;
//! use doorstep_driver::admission::Admission;
//! use doorstep_driver::{Config, ShutdownHandle, net};
//!
//! let acceptor = Arc::new(net::Acceptor::new(net::bind(Some("127.0.0.1"), 0)?)?);
//! let handle = ShutdownHandle::new(acceptor);
//! let most = NonZeroUsize::new(1000).expect("it is not 0");
//! let admission = Admission::new(&handle, &Config::default(), most);
//! assert!(admission.max_connections() <= 1000);
//! assert!(!admission.is_full());
//! # Ok::<(), std::io::Error>(())
//! ```

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::time::Duration;

use crate::config::Config;
use crate::connections::Eviction;
use crate::log_throttle::LogThrottle;
use crate::observer::{Observer, notify_observer};
use crate::os;
use crate::shutdown_handle::ShutdownHandle;

/// Decides what happens to new connections that cannot be served at once. Each server has one,
/// which all of its threads share: so a shortage is logged once for all of them.
#[derive(Debug)]
pub struct Admission {
    handle: ShutdownHandle,
    config: Config,
    max_connections: NonZeroUsize,
    no_descriptor: LogThrottle,
    no_thread: LogThrottle,
}

impl Admission {
    /// The admission of a server that begins to accept. There are at most
    /// [`Config::max_connections`] connections, by default `default_max`, and fewer if this process
    /// may have too few descriptors for them ([`os::max_connections`]). Bounds the waits at the beginning
    /// of a stop by an eighth of [`Config::shutdown_grace`].
    #[must_use]
    pub fn new(handle: &ShutdownHandle, config: &Config, default_max: NonZeroUsize) -> Self {
        handle.acceptor.set_max_stop_wait(config.shutdown_grace / 8);
        Self {
            handle: handle.clone(),
            config: config.clone(),
            max_connections: os::max_connections(config.max_connections.unwrap_or(default_max)),
            no_descriptor: LogThrottle::new(config.log_quiet_time),
            no_thread: LogThrottle::new(config.log_quiet_time),
        }
    }

    /// How many connections there may be at once, at least one.
    #[must_use]
    pub fn max_connections(&self) -> usize {
        self.max_connections.get()
    }

    /// Whether as many connections are open as there may be. Then no more are to be accepted, and
    /// when one waits, [`Admission::evict`] is to be called.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.handle.connections.len() >= self.max_connections()
    }

    /// Whether a connection is to be evicted now that one of [`Acceptor::sources`] is readable: the server
    /// is full, and a connection waits. After a stop the sources stay readable, and only the connections
    /// that were in the backlog wait.
    ///
    /// [`Acceptor::sources`]: crate::net::Acceptor::sources
    #[must_use]
    pub fn must_evict(&self) -> bool {
        let acceptor = &self.handle.acceptor;
        self.is_full() && (!acceptor.is_stopped() || acceptor.backlog_len() > 0)
    }

    /// Evicts a connection for a new one, if one can be evicted now. Returns how long to wait until
    /// a connection has closed, before calling this again: [`Config::eviction_timeout`], or less if
    /// none can be evicted now. Costs little, however many connections there are.
    #[must_use = "calling this again at once would evict another connection"]
    pub fn evict(&self) -> Duration {
        let connections = &self.handle.connections;
        match connections.evict_for_connection(&self.config, self.max_connections()) {
            Eviction::Started => self.config.eviction_timeout,
            Eviction::RetryAfter(pause) => pause,
        }
    }

    /// To be called when accepting has failed with `error`, since descriptors (`EMFILE`) or memory
    /// are used up: the connection waits in the listener's backlog. Logs the error under the
    /// server's own address when the shortage begins, evicts a connection for its descriptor, and
    /// returns how long to wait before accepting again: [`Config::accept_backoff`].
    #[must_use = "accepting again at once would fail again"]
    pub fn accept_failed(&self, observer: &dyn Observer, error: &io::Error) -> Duration {
        if self.no_descriptor.should_log() {
            let message = format!("cannot accept connections: {}", os::describe_error(error));
            notify_observer(|| observer.on_error(self.address(), &message));
        }
        let _ = self.evict();
        self.config.accept_backoff
    }

    /// To be called when the system has refused another thread for connections with `error`, after
    /// the last one was started for `peer`. Logs this under that address when the shortage begins.
    pub fn spawn_failed(&self, observer: &dyn Observer, peer: IpAddr, error: &io::Error) {
        if self.no_thread.should_log() {
            let message = format!("no thread for more connections: {}", os::describe_error(error));
            notify_observer(|| observer.on_error(peer, &message));
        }
    }

    /// The server's own address, for errors that concern no client.
    fn address(&self) -> IpAddr {
        let first = self.handle.acceptor.addresses().first();
        first.map_or(IpAddr::from([0; 4]), SocketAddr::ip)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, TcpListener, TcpStream};
    use std::sync::{Arc, Mutex};

    use doorstep_core::http1::WaitingFor;

    use crate::connections::Registration;
    use crate::net::Acceptor;

    #[derive(Default)]
    struct Errors(Mutex<Vec<String>>);

    impl Observer for Errors {
        fn on_error(&self, peer: IpAddr, message: &str) {
            self.0.lock().unwrap().push(format!("{peer}: {message}"));
        }
    }

    fn server() -> ShutdownHandle {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let acceptor = Arc::new(Acceptor::new(vec![listener]).unwrap());
        ShutdownHandle::new(acceptor)
    }

    /// A connection that waits for its first request, which the sweep has seen, and the client.
    fn idle<'s>(handle: &'s ShutdownHandle, config: &Config) -> (Registration<'s>, TcpStream) {
        let client = TcpStream::connect(handle.acceptor.addresses()[0]).unwrap();
        let stream = handle.acceptor.accept().unwrap().unwrap();
        let registration = handle.connections.register_stream(stream);
        registration.begin_wait(WaitingFor::Request);
        handle.connections.sweep(config);
        (registration, client)
    }

    const A: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    const TWO: NonZeroUsize = NonZeroUsize::new(2).expect("it is not 0");

    #[test]
    fn b_286_a_full_server_evicts_one_connection_for_each_new_one() {
        let config = Config {
            first_request_grace: Duration::ZERO,
            eviction_timeout: Duration::from_secs(3),
            ..Config::default()
        };
        let handle = server();
        let admission = Admission::new(&handle, &config, TWO);
        let first = idle(&handle, &config);
        assert!(!admission.is_full());
        let second = idle(&handle, &config);
        assert!(admission.is_full());
        let closing = || [&first, &second].map(|(one, _)| one.should_close());
        assert_eq!(admission.evict(), Duration::from_secs(3));
        assert_eq!(closing().iter().filter(|closes| **closes).count(), 1);
        assert_eq!(admission.evict(), Duration::from_secs(3));
        assert_eq!(closing(), [true, true]);
        assert!(admission.evict() <= config.eviction_scan_interval, "none is left");
        drop(first);
        assert!(!admission.is_full());
    }

    #[test]
    fn b_286_the_bound_is_the_configured_one_or_the_front_ends() {
        let handle = server();
        let most = |config: &Config| Admission::new(&handle, config, TWO).max_connections();
        assert_eq!(most(&Config::default()), 2);
        let config = Config { max_connections: NonZeroUsize::new(3), ..Config::default() };
        assert_eq!(most(&config), 3);
        let config = Config { max_connections: NonZeroUsize::new(usize::MAX), ..config };
        assert_eq!(NonZeroUsize::new(most(&config)), Some(os::max_connections(NonZeroUsize::MAX)));
    }

    #[test]
    fn b_286_a_shortage_is_logged_once_and_frees_a_descriptor() {
        let config = Config {
            first_request_grace: Duration::ZERO,
            accept_backoff: Duration::from_millis(70),
            ..Config::default()
        };
        let (handle, errors) = (server(), Errors::default());
        let admission = Admission::new(&handle, &config, TWO);
        let (connection, _client) = idle(&handle, &config);
        let error = io::Error::from_raw_os_error(24); // EMFILE
        for _ in 0..3 {
            assert_eq!(admission.accept_failed(&errors, &error), config.accept_backoff);
            admission.spawn_failed(&errors, A, &io::ErrorKind::WouldBlock.into());
        }
        assert!(connection.should_close());
        let errors = errors.0.lock().unwrap();
        let emfile = "127.0.0.1: cannot accept connections: out of file descriptors (EMFILE): ";
        assert!(errors[0].starts_with(emfile), "{errors:?}");
        assert!(errors[1].starts_with("192.0.2.1: no thread for more connections: "));
        assert_eq!(errors.len(), 2);
    }

    #[test]
    fn every_shortage_is_logged_if_no_time_must_be_quiet() {
        let config = Config { log_quiet_time: Duration::ZERO, ..Config::default() };
        let (handle, errors) = (server(), Errors::default());
        let admission = Admission::new(&handle, &config, TWO);
        for _ in 0..2 {
            let _ = admission.accept_failed(&errors, &io::ErrorKind::OutOfMemory.into());
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(errors.0.lock().unwrap().len(), 2);
    }
}
