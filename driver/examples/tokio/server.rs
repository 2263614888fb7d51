//! The server: a task for each connection, one for the deadlines, and the shutdown.

use std::num::NonZeroUsize;
use std::{io, panic::AssertUnwindSafe, sync::Arc};

use super::socket::{Socket, readable};
use super::{Exchange, Handler};
use doorstep_driver::connections::{Connections, SharedRegistration};
use doorstep_driver::core::http1::WaitingFor;
use doorstep_driver::exchange::{Session, Step, log_connection_error};
use doorstep_driver::net::{Acceptor, Stream};
use doorstep_driver::{Admission, Config, GracefulShutdown, ShutdownHandle, notify_observer, os};
use futures_lite::future::{self, FutureExt};
use tokio::task::{JoinSet, yield_now};
use tokio::time::{sleep, timeout};

const DEFAULT_MAX_CONNECTIONS: NonZeroUsize = NonZeroUsize::new(10_000).expect("it is not 0");

pub struct Server<H> {
    pub shutdown: ShutdownHandle,
    handler: H,
    config: Config,
    admission: Admission,
}

impl<H: Handler> Server<H> {
    pub fn new(acceptor: Acceptor, config: Config, handler: H) -> io::Result<Arc<Self>> {
        config.check()?;
        let shutdown = ShutdownHandle::new(Arc::new(acceptor));
        let admission = Admission::new(&shutdown, &config, DEFAULT_MAX_CONNECTIONS);
        Ok(Arc::new(Self { shutdown, handler, config, admission }))
    }

    /// Serves until it is stopped. Dropping the future stops at once.
    pub async fn serve(self: Arc<Self>) {
        notify_observer(|| self.handler.observer().on_start());
        let mut tasks = JoinSet::new(); // dropping it ends them
        tasks.spawn(self.clone().sweep());
        while !self.shutdown.is_stopping() {
            self.accept(&mut tasks).await;
        }
        let drain_backlog = async {
            while self.shutdown.acceptor.backlog_len() > 0 {
                self.accept(&mut tasks).await;
            }
            future::pending::<()>().await;
        };
        future::or(self.close_connections(), drain_backlog).await;
        tasks.shutdown().await;
        self.end_processes().await;
    }

    /// Serves a connection that was accepted elsewhere, or one in memory, until it ends.
    pub async fn serve_stream(self: Arc<Self>, stream: Stream) -> io::Result<()> {
        stream.set_nonblocking(true)?;
        let connection = self.shutdown.connections.register_shared(stream);
        future::or(self.clone().connection(connection), self.sweep()).await;
        Ok(())
    }

    /// Accepts a connection if one is there; otherwise waits until it is worth trying again.
    async fn accept(self: &Arc<Self>, tasks: &mut JoinSet<()>) {
        if let Err(error) = self.try_accept(tasks).await {
            sleep(self.admission.accept_failed(self.handler.observer(), &error)).await;
        }
    }

    async fn try_accept(self: &Arc<Self>, tasks: &mut JoinSet<()>) -> io::Result<()> {
        let ShutdownHandle { acceptor, connections } = &self.shutdown;
        if self.admission.is_full() {
            readable(acceptor.sources()).await?;
            let closed = connections.listen_unregister();
            if self.admission.must_evict() {
                let _ = timeout(self.admission.evict(), closed).await;
            }
        } else if let Some(stream) = acceptor.try_accept()? {
            // In the table before its task runs: no more are accepted than there may be.
            let connection = connections.register_shared(stream);
            while tasks.try_join_next().is_some() {} // those that have ended
            tasks.spawn(self.clone().connection(connection));
            yield_now().await;
        } else {
            readable(acceptor.sources()).await?;
        }
        Ok(())
    }

    async fn connection(self: Arc<Self>, connection: SharedRegistration) {
        if let Err(error) = self.exchanges(&connection).await {
            log_connection_error(self.handler.observer(), &connection, &error);
        }
    }

    /// Serves a connection from its first byte to its last.
    async fn exchanges(&self, connection: &SharedRegistration) -> io::Result<()> {
        let socket = Socket::new(connection)?;
        let (mut inbox, mut outbox) = (self.config.inbox(), self.config.outbox());
        let mut session = Session::new(&self.config, connection, self.handler.observer(), false);
        loop {
            match session.step(&mut inbox, &mut outbox) {
                Step::Handle(head) => {
                    let state = session.exchange(head, &mut inbox, &mut outbox);
                    let mut exchange = Exchange { state, socket: &socket };
                    // A panic ends its response, and nothing else.
                    let handled = async { self.handler.handle(&mut exchange).await };
                    let outcome = AssertUnwindSafe(handled).catch_unwind().await;
                    let position = exchange.state.finish(outcome);
                    inbox.rejoin(position);
                }
                Step::Flush => {
                    let flushed = socket.flush(&mut outbox, false).await;
                    session.flushed(&inbox, &mut outbox, flushed)?;
                }
                Step::Fill(waiting) => {
                    let fill = || connection.read(waiting, |stream| inbox.fill(stream));
                    let filled = socket.wait(waiting, fill).await;
                    session.filled(&inbox, &mut outbox, filled)?;
                }
                Step::Discard => {
                    let waiting = WaitingFor::Linger;
                    let read =
                        || connection.read(waiting, |stream| stream.read(&mut [0; 16 << 10]));
                    session.discarded(socket.wait(waiting, read).await);
                }
                Step::Close | Step::Upgraded => return Ok(()),
            }
        }
    }

    /// Wakes the connections whose deadline has passed. Sleeps while there is no connection.
    async fn sweep(self: Arc<Self>) {
        let connections = &self.shutdown.connections;
        loop {
            let came = connections.listen_register();
            if connections.is_empty() {
                came.await;
            }
            sleep(Connections::interval(&self.config)).await;
            connections.sweep(&self.config);
        }
    }

    /// Takes the steps of the shutdown until no connection is open.
    async fn close_connections(&self) {
        let mut shutdown = GracefulShutdown::new(&self.shutdown, &self.config);
        let mut all_closed = false;
        while let Some(until) = shutdown.step(self.handler.observer(), all_closed) {
            while !all_closed && let Some(wait) = self.shutdown.next_wait(until) {
                all_closed = timeout(wait, self.shutdown.closed()).await.is_ok();
            }
        }
    }

    /// After the last connection: ends the processes of the handler, and reports.
    async fn end_processes(&self) {
        let observer = self.handler.observer();
        let mut shutdown = GracefulShutdown::new(&self.shutdown, &self.config);
        let mut idle = false;
        while let Some(limit) = shutdown.step_processes(observer, idle)
            && let Some(processes) = notify_observer(|| observer.processes())
        {
            let mut waited = os::Stopwatch::default();
            while !idle && let Some(step) = waited.next_wait(limit) {
                idle = timeout(step, processes.idle()).await.is_ok();
            }
        }
        shutdown.finish(observer);
    }
}
