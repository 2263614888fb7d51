//! The socket of one connection: read, send, and wait for either.
//!
//! No timeout is set on it: what is waited for stands in the table of connections, and the sweep
//! wakes those that wait for too long ([`crate::sweeper`]).

use std::io::{self, ErrorKind};
use std::net::TcpStream;
use std::sync::Arc;

use doorstep_core::http1::{Inbox, Outbox, Storage, WaitingFor};
use doorstep_driver::Config;
use doorstep_driver::connections::{ConnectionHandle, Connections, Eviction, Registration};
use doorstep_driver::event_listener::Listener;
use doorstep_driver::files::FileTransfer;

/// One connection's socket. Dropping it closes the connection.
pub(crate) struct Socket<'c> {
    connection: Registration<'c>,
    config: &'c Config,
}

impl<'c> Socket<'c> {
    pub(crate) fn new(connection: Registration<'c>, config: &'c Config) -> Self {
        Self { connection, config }
    }

    pub(crate) fn connection(&self) -> &Arc<ConnectionHandle> {
        &self.connection
    }

    /// The table of all connections.
    pub(crate) fn connections(&self) -> &'c Connections {
        self.connection.connections()
    }

    /// A second handle of the socket. A connection in memory has none.
    pub(crate) fn try_clone(&self) -> io::Result<TcpStream> {
        self.connection.stream().try_clone_socket()
    }

    /// Evicts another connection, if one can be evicted, and waits a moment for its descriptor.
    pub(crate) fn evict_for_descriptor(&self) {
        let connections = self.connection.connections();
        let closed = connections.listen_unregister();
        if let Eviction::Started = connections.evict_for_descriptor(self.config) {
            closed.wait_timeout(self.config.descriptor_wait);
        }
    }

    /// Reads once into the inbox. Returns the number of bytes, 0 at the end of input.
    pub(crate) fn fill<S: Storage>(
        &self,
        inbox: &mut Inbox<S>,
        waiting: WaitingFor,
    ) -> io::Result<usize> {
        self.wait(waiting, || self.connection.read(waiting, |stream| inbox.fill(stream)))
    }

    /// Reads once into `buffer`.
    pub(crate) fn read_into(&self, buffer: &mut [u8], waiting: WaitingFor) -> io::Result<usize> {
        self.wait(waiting, || self.connection.read(waiting, |stream| stream.read(buffer)))
    }

    /// Reads once and forgets what was read.
    #[inline(never)] // its buffer would stand on every connection's stack
    pub(crate) fn discard(&self) -> io::Result<usize> {
        self.read_into(&mut [0; 16 << 10], WaitingFor::Linger)
    }

    /// Sends everything that is in the outbox; `more` says that a file follows at once.
    pub(crate) fn flush(&self, outbox: &mut Outbox, more: bool) -> io::Result<()> {
        if outbox.is_empty() {
            return Ok(());
        }
        // Nearly always all of it goes at once, and nothing has to be waited for.
        match self.connection.stream().send_nonblocking(outbox.unsent(), more) {
            Ok(n) => outbox.sent(n),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        if outbox.is_empty() {
            return Ok(());
        }
        self.wait(WaitingFor::Writable, || self.connection.flush(outbox, more))
    }

    /// Sends a part of a file.
    pub(crate) fn send_file(&self, transfer: &mut FileTransfer<'_>) -> io::Result<()> {
        self.wait(WaitingFor::Writable, || {
            while !transfer.is_done() {
                self.connection.send(|stream| transfer.send(stream))?;
            }
            Ok(())
        })
    }

    fn wait<T>(
        &self,
        waiting: WaitingFor,
        mut call: impl FnMut() -> io::Result<T>,
    ) -> io::Result<T> {
        self.connection.begin_wait(waiting);
        let result = call();
        self.connection.pause_wait();
        result
    }
}
