//! The server: a task for each connection, one for the deadlines, and the shutdown.

use std::num::NonZeroUsize;
use std::{io, net::TcpListener, sync::Arc};

use super::{Handler, serve::serve, socket::readable};
use doorstep_driver::connections::{Connections, SharedRegistration};
use doorstep_driver::{Admission, Config, GracefulShutdown, ShutdownHandle, exchange, net, os};
use futures_lite::future;
use tokio::task::{JoinSet, yield_now};
use tokio::time::{sleep, timeout};

const MAX_CONNECTIONS: NonZeroUsize = NonZeroUsize::new(10_000).expect("it is not 0");

pub struct Server<H> {
    pub shutdown: ShutdownHandle,
    handler: H,
    config: Config,
    admission: Admission,
}

impl<H: Handler> Server<H> {
    pub fn new(listeners: Vec<TcpListener>, config: Config, handler: H) -> io::Result<Arc<Self>> {
        let acceptor = Arc::new(net::Acceptor::nonblocking(listeners)?);
        let shutdown = ShutdownHandle { acceptor, connections: Arc::default() };
        let admission = Admission::new(&shutdown, &config, MAX_CONNECTIONS);
        Ok(Arc::new(Self { shutdown, handler, config, admission }))
    }

    /// Serves until it is stopped. Dropping the future stops at once.
    pub async fn serve(self: Arc<Self>) {
        self.handler.observer().on_start();
        let mut tasks = JoinSet::new(); // dropping it ends them
        tasks.spawn(self.clone().sweep());
        while !self.shutdown.is_stopping() {
            self.accept(&mut tasks, false).await;
        }
        let drain_backlog = async {
            while self.shutdown.acceptor.backlog_len() > 0 {
                self.accept(&mut tasks, false).await;
            }
            future::pending::<()>().await;
        };
        future::or(self.close_connections(), drain_backlog).await;
        tasks.shutdown().await;
        self.end_processes().await;
    }

    /// Waits for one connection, and serves one request on it.
    pub async fn serve_one(self: Arc<Self>) {
        let mut tasks = JoinSet::new();
        while tasks.is_empty() && !self.shutdown.is_stopping() {
            self.accept(&mut tasks, true).await;
        }
        future::or(async { drop(tasks.join_next().await) }, self.clone().sweep()).await;
    }

    /// Accepts a connection if one is there; otherwise waits until it is worth trying again.
    async fn accept(self: &Arc<Self>, tasks: &mut JoinSet<()>, once: bool) {
        if let Err(error) = self.try_accept(tasks, once).await {
            sleep(self.admission.accept_failed(self.handler.observer(), &error)).await;
        }
    }

    async fn try_accept(self: &Arc<Self>, tasks: &mut JoinSet<()>, once: bool) -> io::Result<()> {
        let ShutdownHandle { acceptor, connections } = &self.shutdown;
        if self.admission.is_full() {
            readable(acceptor.sources()).await?; // evict only for a connection that waits
            let closed = connections.listen_unregister();
            if self.admission.is_full() {
                let _ = timeout(self.admission.evict(), closed).await;
            }
        } else if let Some((stream, peer)) = acceptor.try_accept()? {
            // In the table before its task runs: no more are accepted than there may be.
            let connection = connections.register_shared(stream, peer);
            while tasks.try_join_next().is_some() {} // those that have ended
            tasks.spawn(self.clone().connection(connection, once));
            yield_now().await;
        } else {
            readable(acceptor.sources()).await?;
        }
        Ok(())
    }

    async fn connection(self: Arc<Self>, connection: SharedRegistration, once: bool) {
        if let Err(error) = serve(&self.handler, &self.config, &connection, once).await {
            exchange::log_connection_error(self.handler.observer(), &connection, &error);
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
            all_closed = loop {
                let closed = self.shutdown.connections.listen_unregister();
                if self.shutdown.all_closed() {
                    break true;
                }
                let Some(wait) = self.shutdown.next_wait(until) else { break false };
                let _ = timeout(wait, closed).await;
            };
        }
    }

    /// After the last connection: ends the processes of the handler, and reports.
    async fn end_processes(&self) {
        let observer = self.handler.observer();
        let mut shutdown = GracefulShutdown::new(&self.shutdown, &self.config);
        let mut idle = false;
        while let Some(limit) = shutdown.step_processes(observer, idle)
            && let Some(processes) = observer.processes()
        {
            let mut waited = os::Stopwatch::default();
            while !idle && let Some(step) = waited.next_wait(limit) {
                idle = timeout(step, processes.idle()).await.is_ok();
            }
        }
        shutdown.finish(observer);
    }
}
