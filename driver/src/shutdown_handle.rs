//! A handle that stops a server.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::connections::Connections;
use crate::net::Acceptor;
use crate::os;
use crate::stop_signal::Stopping;

/// Stops a server from any thread. Clones stop the same server.
#[derive(Debug, Clone)]
pub struct ShutdownHandle {
    /// The listeners.
    pub acceptor: Arc<Acceptor>,
    /// The connections that are open.
    pub connections: Arc<Connections>,
}

impl ShutdownHandle {
    /// The handle of a server that accepts from `acceptor` and has no connections yet.
    #[must_use]
    pub fn new(acceptor: Arc<Acceptor>) -> Self {
        Self { acceptor, connections: Arc::default() }
    }

    /// Begins a graceful shutdown. No new connection is accepted, apart from those in the
    /// listeners' backlogs, and each connection closes with its next response (`Connection:
    /// close`). Handlers that wait for it are woken ([`ShutdownHandle::stopping`]).
    /// [`ShutdownSchedule`](crate::ShutdownSchedule) has the further steps; its time begins with this call.
    /// Takes about a millisecond, or a little more than a second at most ([`Acceptor::stop`]); code that
    /// must not wait, such as that of an event loop, calls [`ShutdownHandle::stop_on_thread`]. Calling it
    /// again has no effect.
    pub fn stop(&self) {
        self.connections.shutdown_elapsed(); // the time begins
        // Connections are notified once no new one can begin, since a client whose connection closes may
        // connect again.
        self.acceptor.stop_with(
            &|refuses_new| match refuses_new && !self.connections.is_stopping() {
                true => self.connections.begin_shutdown(),
                false => _ = self.connections.shutdown_elapsed(),
            },
        );
        self.connections.begin_shutdown();
    }

    /// [`ShutdownHandle::stop`] on a thread that is started for it, so that this never waits. `then` is
    /// called at its end. If the system has no thread, both happen before this returns.
    ///
    /// ```
    /// # use std::sync::{Arc, mpsc};
    /// # use doorstep_driver::{ShutdownHandle, net};
    /// # let acceptor = Arc::new(net::Acceptor::new(net::bind(Some("127.0.0.1"), 0)?)?);
    /// # let handle = ShutdownHandle::new(acceptor);
    /// let (stopped, is_stopped) = mpsc::channel();
    /// handle.stop_on_thread(move || _ = stopped.send(()));
    /// is_stopped.recv()?;
    /// assert!(handle.is_stopping());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn stop_on_thread(&self, then: impl FnOnce() + Send + 'static) {
        let (handle, then) = (self.clone(), Arc::new(Mutex::new(Some(then))));
        let stop = move || {
            handle.stop();
            let then = then.lock().unwrap_or_else(PoisonError::into_inner).take();
            then.into_iter().for_each(|then| then());
        };
        if thread::Builder::new().name("stop".into()).spawn(stop.clone()).is_err() {
            stop();
        }
    }

    /// After [`ShutdownHandle::stop`]: closes idle connections now, not after
    /// [`Config::lame_duck`](crate::Config::lame_duck). For a shutdown by Ctrl-C, where no proxy is
    /// about to send requests on them.
    pub fn close_idle(&self) {
        self.connections.close_idle();
    }

    /// Whether [`ShutdownHandle::stop`] was called, by any clone.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.acceptor.is_stopped()
    }

    /// A future that is ready once [`ShutdownHandle::stop`] was called. In a handler, the
    /// `stopping` of the exchange is the same.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use doorstep_driver::{ShutdownHandle, net};
    /// # let acceptor = Arc::new(net::Acceptor::new(net::bind(Some("127.0.0.1"), 0)?)?);
    /// # let handle = ShutdownHandle::new(acceptor);
    /// let stopping = handle.stopping();
    /// let task = async move {
    ///     stopping.await;
    ///     // Save what has to be saved.
    /// };
    ///
    /// handle.stop();
    /// assert!(handle.is_stopping());
    /// # drop(task);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn stopping(&self) -> Stopping {
        self.connections.stopping()
    }

    /// Whether the server makes progress, for a watchdog: blocks the thread until every loop of its
    /// front end has had a turn ([`Heartbeat`]), at most for `timeout`. False if the server does not
    /// serve yet, or no more.
    ///
    /// In async-smol every worker has to take up a task, so a handler that blocks one is found; in
    /// blocking the thread that enforces all deadlines has to run, and a handler that never returns
    /// is not found. A server that is only full, or whose clients are slow, makes progress.
    ///
    /// [`Heartbeat`]: crate::Heartbeat
    #[must_use]
    pub fn is_alive(&self, timeout: Duration) -> bool {
        let heartbeats = self.connections.heartbeats();
        let probe = heartbeats.probe();
        self.connections.wake_sweeper();
        heartbeats.wait(probe, timeout)
    }

    /// After [`ShutdownHandle::stop`]: whether no connection is open, and none is in the backlog. A
    /// connection that another thread has accepted and not registered yet does not count.
    #[must_use]
    pub fn all_closed(&self) -> bool {
        // In this order: a connection moves from the backlog to the table.
        self.acceptor.backlog_len() == 0 && self.connections.is_empty()
    }

    /// After [`ShutdownHandle::stop`]: a future that is ready when [`ShutdownHandle::all_closed`] is
    /// true. It looks at first, and whenever a connection was closed; a change of the backlog alone
    /// does not wake it. For any executor.
    pub async fn closed(&self) {
        loop {
            let closed = self.connections.listen_unregister(); // before looking
            if self.all_closed() {
                return;
            }
            closed.await;
        }
    }

    /// For a wait that [`GracefulShutdown::step`](crate::GracefulShutdown::step) bounds by `until`:
    /// how long to wait before calling this again; `None` if that time has come. It is never longer
    /// than [`os::POLL_INTERVAL`], since time in which the whole process is stopped must not count.
    #[must_use]
    pub fn next_wait(&self, until: Duration) -> Option<Duration> {
        let left = until.saturating_sub(self.connections.shutdown_elapsed());
        (!left.is_zero()).then(|| left.min(os::POLL_INTERVAL))
    }
}
