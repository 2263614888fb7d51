//! Threads for work that blocks: reading a directory, hashing a file, starting a process.
//!
//! One thread is started before the server serves and stays as long as the server does, so that work
//! is done even if the system has no more threads later. More are started while all of them are busy,
//! up to [`Config::pool_threads`]; beyond that, work waits in a queue. The queue is never longer than
//! the number of connections, each of which waits for its own work. Work whose connection has been
//! closed is dropped before it begins.
//!
//! smol's own pool is not used: while it has no thread and cannot get one, `smol::unblock` retries on
//! the thread that calls it, which here is the one that serves all connections.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::mem;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use doorstep_driver::Config;
use smol::{channel, future};

type Task = Box<dyn FnOnce() + Send>;

/// A bounded set of threads. They end when it is dropped.
pub(crate) struct BlockingPool {
    shared: Arc<Shared>,
}

struct Shared {
    /// The largest number of threads; 0 if work is done by the task that asks for it.
    max: usize,
    /// How long a thread beyond the first waits for more work before it ends.
    idle_timeout: Duration,
    /// How long not to ask again for a thread that the system has refused.
    backoff: Duration,
    state: Mutex<State>,
    /// Notified when there is work, and when the pool is dropped.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Task>,
    threads: usize,
    /// How many of them wait for work.
    idle: usize,
    /// When the system last refused a thread.
    spawn_failed: Option<Instant>,
    closed: bool,
}

impl BlockingPool {
    /// A pool of at most [`Config::pool_threads`] threads, one of which is started now.
    ///
    /// # Errors
    /// Returns an error if the system has no thread for it.
    pub(crate) fn start(config: &Config) -> io::Result<Self> {
        let shared = Shared::new(config.pool_threads.max(1), config);
        shared.spawn(&mut shared.lock())?;
        Ok(Self { shared })
    }

    /// A pool without threads: work is done by the task that asks for it.
    pub(crate) fn inline(config: &Config) -> Self {
        Self { shared: Shared::new(0, config) }
    }

    /// Runs `work` on a thread of the pool, if it has any, and returns its result. A panic in it is resumed here.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        if self.shared.max == 0 {
            return work();
        }
        let (sender, receiver) = channel::bounded(1);
        self.shared.push(Box::new(move || {
            if !sender.is_closed() {
                let _ = sender.try_send(panic::catch_unwind(AssertUnwindSafe(work)));
            }
        }));
        match receiver.recv().await {
            Ok(Ok(done)) => done,
            Ok(Err(panic)) => panic::resume_unwind(panic),
            Err(_) => future::pending().await, // never: only a pool that was dropped drops work
        }
    }
}

impl Drop for BlockingPool {
    fn drop(&mut self) {
        let dropped = {
            let mut state = self.shared.lock();
            state.closed = true;
            mem::take(&mut state.queue)
        };
        drop(dropped); // outside the lock: dropping work may do anything
        self.shared.changed.notify_all();
    }
}

impl fmt::Debug for BlockingPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockingPool").field("max", &self.shared.max).finish_non_exhaustive()
    }
}

impl Shared {
    fn new(max: usize, config: &Config) -> Arc<Self> {
        Arc::new(Self {
            max,
            idle_timeout: config.pool_idle_timeout,
            backoff: config.accept_backoff,
            state: Mutex::default(),
            changed: Condvar::new(),
        })
    }

    fn push(self: &Arc<Self>, task: Task) {
        let mut state = self.lock();
        state.queue.push_back(task);
        let needs_thread = state.queue.len() > state.idle && state.threads < self.max;
        if needs_thread && state.spawn_failed.is_none_or(|failed| failed.elapsed() >= self.backoff)
        {
            // If there is none, an existing thread does the work when it is idle.
            state.spawn_failed = self.spawn(&mut state).err().map(|_| Instant::now());
        }
        drop(state);
        self.changed.notify_one();
    }

    fn spawn(self: &Arc<Self>, state: &mut State) -> io::Result<()> {
        let shared = self.clone();
        thread::Builder::new().name("pool".into()).spawn(move || shared.run_worker())?;
        state.threads += 1;
        state.idle += 1; // now: otherwise the next task would start one more
        Ok(())
    }

    /// A thread: runs tasks until the pool is closed, or there have been none for a while.
    fn run_worker(&self) {
        let mut state = self.lock();
        loop {
            if state.closed {
                return;
            }
            if let Some(task) = state.queue.pop_front() {
                state.idle -= 1;
                drop(state);
                task();
                state = self.lock();
                state.idle += 1;
                continue;
            }
            let waits = |state: &mut State| state.queue.is_empty() && !state.closed;
            let waited = self.changed.wait_timeout_while(state, self.idle_timeout, waits);
            let (next, waited) = waited.unwrap_or_else(PoisonError::into_inner);
            state = next;
            if waited.timed_out() && state.threads > 1 {
                state.threads -= 1;
                state.idle -= 1;
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smol::future::FutureExt;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    fn threads(n: usize) -> Config {
        let mut config = Config::default();
        config.pool_threads = n;
        config
    }

    #[test]
    fn work_beyond_the_number_of_threads_is_queued_and_done() {
        let pool = BlockingPool::start(&threads(2)).unwrap();
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        smol::block_on(async {
            let mut all = Vec::new();
            for n in 0..20 {
                let (now, most) = (now.clone(), most.clone());
                let mut one = Box::pin(pool.run(move || {
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    thread::sleep(Duration::from_millis(1));
                    now.fetch_sub(1, Ordering::SeqCst);
                    n
                }));
                assert!(future::poll_once(&mut one).await.is_none_or(|done| done == n));
                all.push(one);
            }
            for (n, one) in all.into_iter().enumerate() {
                assert_eq!(one.await, n);
            }
        });
        assert!((1..=2).contains(&most.load(Ordering::SeqCst)));
    }

    #[test]
    fn idle_threads_end_after_their_time_and_the_first_stays() {
        let mut config = threads(4);
        config.pool_idle_timeout = Duration::from_millis(10);
        let pool = BlockingPool::start(&config).unwrap();
        let running = || pool.shared.lock().threads;
        smol::block_on(async {
            let (release, released) = channel::bounded::<()>(1);
            let wait = || {
                let released = released.clone();
                Box::pin(pool.run(move || released.recv_blocking().is_err()))
            };
            let mut all: Vec<_> = (0..4).map(|_| wait()).collect();
            for one in &mut all {
                assert!(future::poll_once(one).await.is_none());
            }
            assert_eq!(running(), 4);
            drop(release);
            for one in all {
                assert!(one.await, "released by the drop");
            }
        });
        let ended = (0..6000).any(|_| {
            thread::sleep(Duration::from_millis(10));
            running() == 1
        });
        assert!(ended, "{} threads", running());
        assert_eq!(smol::block_on(pool.run(|| 7)), 7);
    }

    #[test]
    fn work_whose_caller_is_gone_is_not_begun() {
        let pool = BlockingPool::start(&threads(1)).unwrap();
        let (go, wait) = mpsc::channel::<()>();
        let begun = Arc::new(AtomicUsize::new(0));
        smol::block_on(async {
            let mut first = Box::pin(pool.run(move || wait.recv().is_ok()));
            assert!(future::poll_once(&mut first).await.is_none());
            let theirs = begun.clone();
            let mut second = Box::pin(pool.run(move || theirs.fetch_add(1, Ordering::SeqCst)));
            assert!(future::poll_once(&mut second).await.is_none());
            drop(second);
            go.send(()).unwrap();
            assert!(first.await);
            pool.run(|| ()).await; // queued after the second
        });
        assert_eq!(begun.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn a_panic_is_resumed_at_the_caller_and_the_thread_stays() {
        let pool = BlockingPool::start(&threads(1)).unwrap();
        smol::block_on(async {
            let panicked =
                AssertUnwindSafe(pool.run(|| panic::resume_unwind(Box::new("on purpose"))));
            let panicked: Result<(), _> = panicked.catch_unwind().await;
            assert_eq!(panicked.unwrap_err().downcast_ref(), Some(&"on purpose"));
            assert_eq!(pool.run(|| 7).await, 7);
        });
    }
}
