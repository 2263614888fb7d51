//! A loop on its own thread.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use doorstep_core::http1::Timeouts;
use rustls::{ClientConfig, RootCertStore};

use crate::client::Client;

/// A running loop. It runs until the tests end.
pub(crate) struct Server {
    address: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
    thread: JoinHandle<io::Result<()>>,
}

/// Starts a loop; `None` if the system refuses what it needs.
pub(crate) type Start = fn(Timeouts) -> Option<Server>;

#[cfg(target_os = "linux")]
pub(crate) fn epoll(timeouts: Timeouts) -> Option<Server> {
    Some(Server::start(None, move |listener| crate::epoll_loop::run(listener, &timeouts)))
}

#[cfg(target_os = "linux")]
#[allow(clippy::print_stdout, reason = "a skipped test says so")]
pub(crate) fn io_uring(timeouts: Timeouts) -> Option<Server> {
    if let Err(error) = compio::runtime::Runtime::new() {
        println!("skipped: the system refuses io_uring: {error}");
        return None;
    }
    Some(Server::start(None, move |listener| crate::io_uring_loop::run(listener, &timeouts)))
}

pub(crate) fn mio(timeouts: Timeouts) -> Option<Server> {
    Some(Server::start(None, move |listener| crate::mio_loop::run(listener, &timeouts)))
}

pub(crate) fn rustls(timeouts: Timeouts) -> Option<Server> {
    let (certificate, config) = crate::rustls_loop::certificate().expect("a certificate is made");
    let mut roots = RootCertStore::empty();
    roots.add(certificate).expect("it is a certificate");
    let client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let run = move |listener: &TcpListener| crate::rustls_loop::run(listener, &timeouts, &config);
    Some(Server::start(Some(Arc::new(client)), run))
}

pub(crate) fn tokio(timeouts: Timeouts) -> Option<Server> {
    Some(Server::start(None, move |listener| crate::tokio_loop::run(listener, &timeouts)))
}

impl Server {
    fn start(
        tls: Option<Arc<ClientConfig>>,
        run: impl FnOnce(&TcpListener) -> io::Result<()> + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        Self { address, tls, thread: thread::spawn(move || run(&listener)) }
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.address, self.tls.clone())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        assert!(thread::panicking() || !self.thread.is_finished(), "the loop has failed");
    }
}
