//! A worker's own poller: an epoll instance with the worker's connections and the listeners.
//!
//! async-io has one reactor for the whole process. It registers a socket anew for each wait, and
//! wakes threads through a descriptor of its own: about eight system calls for each request on a
//! quiet connection. Here a socket is registered once, edge-triggered, when it is first waited for;
//! after that a wait costs no call of its own, and one `epoll_wait` serves all connections that are
//! ready. Timers, and the sockets that handlers open, stay with async-io's reactor.
//!
//! What has happened is kept in a [`Source`] until a call on its socket shows that it is over: a read
//! that has filled only a part of its buffer, or a call that returned `WouldBlock`
//! ([`Source::drained`]). To miss nothing, this is reported before the next wait.
//!
//! There are two ways to wait. [`block_on`] blocks the thread in `epoll_wait`. On an executor that
//! belongs to somebody else, [`Poller::drive`] waits by async-io until the epoll instance itself is
//! readable. Either is polled by one thread at a time, the one that polls the connections.
//!
//! Other systems than Linux have `poller_portable.rs` in its place.

use std::io;
use std::mem::{self, MaybeUninit};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use async_io::Async;
use doorstep_driver::connections::ConnectionHandle;
use doorstep_driver::event_listener::{Event, EventListener};
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};
use rustix::io::Errno;
use smol::future;

/// How many events one call returns at most. More of them are returned by the next call.
const MAX_EVENTS: usize = 128;
/// The key of the descriptor that wakes the thread. No source has it.
const WAKE_KEY: u64 = u64::MAX;
const ZERO_TIMEOUT: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

/// An epoll instance, and what it watches.
#[derive(Debug)]
pub(crate) struct Poller(Arc<Shared>);

/// What a poller and its sources share.
#[derive(Debug)]
struct Shared {
    epoll: OwnedFd,
    /// A server has its descriptors before it reports its start, and uses this one after it.
    spare: Mutex<Option<SpareDescriptor>>,
    sources: Mutex<Sources>,
    batch: Mutex<Batch>,
}

/// A descriptor for the first wait.
#[derive(Debug)]
enum SpareDescriptor {
    /// For [`block_on`].
    Event(OwnedFd),
    /// The same epoll instance, for [`Poller::drive`], where the system has no events.
    Epoll(OwnedFd),
}

/// What has happened, by key, and is not dispatched yet. The memory is kept.
#[derive(Debug, Default)]
struct Batch {
    events: Vec<(u64, EventFlags)>,
    wakers: Vec<Waker>,
}

impl Poller {
    /// # Errors
    /// Returns an error if this process may have no more descriptors.
    pub(crate) fn new() -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let spare = match new_event()? {
            Some(event) => SpareDescriptor::Event(event),
            None => SpareDescriptor::Epoll(epoll.try_clone()?),
        };
        let spare = Mutex::new(Some(spare));
        let (sources, batch) = (Mutex::default(), Mutex::default());
        Ok(Self(Arc::new(Shared { epoll, spare, sources, batch })))
    }

    /// Watches a connection; `None` if it is in memory, and never has to be waited for.
    ///
    /// # Errors
    /// Returns the error of the system.
    pub(crate) fn connection(
        &self,
        connection: &Arc<ConnectionHandle>,
    ) -> io::Result<Option<Source>> {
        let fd = connection.stream().fd();
        fd.map(|fd| self.add(fd, EventFlags::RDHUP)).transpose()
    }

    /// Watches a listener that several workers watch: of those that are idle, a new connection wakes
    /// one.
    ///
    /// # Errors
    /// Returns the error of the system.
    pub(crate) fn listener(&self, listener: BorrowedFd<'_>) -> io::Result<Source> {
        match self.add(listener, EventFlags::EXCLUSIVE) {
            // Linux before 4.5 does not have it: a new connection wakes all workers.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                self.add(listener, EventFlags::empty())
            }
            added => added,
        }
    }

    /// Waits for what happens to the sources, for ever, on any executor.
    ///
    /// # Errors
    /// Returns the error of the system.
    pub(crate) async fn drive<T>(&self) -> io::Result<T> {
        let spare = lock(&self.0.spare).take();
        let epoll = match spare {
            Some(SpareDescriptor::Epoll(epoll)) => epoll,
            Some(SpareDescriptor::Event(_)) | None => self.0.epoll.try_clone()?,
        };
        let epoll = Async::new_nonblocking(epoll)?;
        loop {
            epoll.readable().await?;
            self.wait(Some(&ZERO_TIMEOUT))?;
            self.wake();
        }
    }

    /// An event that wakes the thread that waits; `None` if the system has none.
    fn event(&self) -> io::Result<Option<OwnedFd>> {
        let mut spare = lock(&self.0.spare);
        match spare.take() {
            Some(SpareDescriptor::Event(event)) => Ok(Some(event)),
            Some(epoll) => {
                *spare = Some(epoll);
                Ok(None)
            }
            None => new_event(),
        }
    }

    fn add(&self, fd: BorrowedFd<'_>, more: EventFlags) -> io::Result<Source> {
        let state = Arc::new(State::default());
        let key = lock(&self.0.sources).insert(state.clone());
        let source = Source { poller: self.0.clone(), key, state };
        let events = EventFlags::IN | EventFlags::ET | more;
        epoll::add(&self.0.epoll, fd, EventData::new_u64(key), events)?;
        Ok(source)
    }

    /// Waits until something happens, at most for `timeout`.
    fn wait(&self, timeout: Option<&Timespec>) -> io::Result<()> {
        let mut space = [const { MaybeUninit::uninit() }; MAX_EVENTS];
        match epoll::wait(&self.0.epoll, &mut space, timeout) {
            Ok((events, _)) => {
                let events = events.iter().map(|event| (event.data.u64(), event.flags));
                lock(&self.0.batch).events.extend(events);
                Ok(())
            }
            Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Wakes the tasks that wait for what has happened.
    fn wake(&self) {
        let mut batch = lock(&self.0.batch);
        let Batch { events, wakers } = &mut *batch;
        {
            let sources = lock(&self.0.sources);
            for (key, flags) in events.drain(..) {
                if let Some(state) = sources.get(key) {
                    state.record(flags, wakers);
                }
            }
        }
        // Without the lock of the sources: waking may drop one.
        wakers.drain(..).for_each(Waker::wake);
    }
}

/// A descriptor that a [`Poller`] watches until it is closed, which costs no call
/// ([`Source::close`]). Nothing is reported once this is dropped.
#[derive(Debug)]
pub(crate) struct Source {
    poller: Arc<Shared>,
    key: u64,
    state: Arc<State>,
}

impl Source {
    /// Whether there may be something to read, or the end of input. Wakes the task when there is.
    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.state.poll(READABLE | READ_CLOSED | CLOSED, Half::Read, cx).map(Ok)
    }

    /// Whether `fd`, which is this source's, may take something. Wakes the task when it does.
    pub(crate) fn poll_writable(
        &self,
        fd: BorrowedFd<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        // Few connections ever wait for it, and the others would be woken for nothing.
        if lock(&self.state.inner).set(WATCHES_WRITABLE) {
            let events = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
            epoll::modify(&self.poller.epoll, fd, EventData::new_u64(self.key), events)?;
        }
        self.state.poll(WRITABLE | CLOSED, Half::Write, cx).map(Ok)
    }

    /// Records that everything was read. With `would_block` the system has said so; without, a read
    /// has filled only a part of its buffer, and an end of input may follow that was seen already.
    pub(crate) fn drained(&self, would_block: bool) {
        let over = if would_block { READABLE | READ_CLOSED | CLOSED } else { READABLE };
        lock(&self.state.inner).flags &= !over;
    }

    /// Records that the socket takes nothing now.
    pub(crate) fn filled(&self) {
        lock(&self.state.inner).flags &= !(WRITABLE | CLOSED);
    }

    /// A listener that is notified of whatever happens next. (Elsewhere it is looked for after each
    /// `_interval`.)
    pub(crate) fn changed(&self, _interval: Duration) -> EventListener {
        self.state.changed.listen()
    }

    /// Records that the descriptor was duplicated: the system would watch it until the last of them
    /// is closed.
    pub(crate) fn set_duplicated(&self) {
        lock(&self.state.inner).set(DUPLICATED);
    }

    /// To be called before `fd`, which is this source's, is closed.
    pub(crate) fn close(&self, fd: BorrowedFd<'_>) {
        if lock(&self.state.inner).flags & DUPLICATED != 0 {
            let _ = epoll::delete(&self.poller.epoll, fd);
        }
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        lock(&self.poller.sources).remove(self.key);
    }
}

const READABLE: u8 = 1;
const WRITABLE: u8 = 2;
/// The peer has sent FIN, or the reading half was shut down.
const READ_CLOSED: u8 = 4;
/// Both halves are closed, or the connection is lost.
const CLOSED: u8 = 8;
/// The system reports when the socket is writable, too.
const WATCHES_WRITABLE: u8 = 16;
const DUPLICATED: u8 = 32;

/// What has happened to a source, and who waits for it.
#[derive(Debug, Default)]
struct State {
    inner: Mutex<Inner>,
    changed: Event,
}

#[derive(Debug, Default)]
struct Inner {
    flags: u8,
    /// By [`Half`]. A waker is kept after it was used, for the next wait of the same task.
    waits: [bool; 2],
    wakers: [Option<Waker>; 2],
}

#[derive(Debug, Clone, Copy)]
enum Half {
    Read,
    Write,
}

impl State {
    fn poll(&self, wanted: u8, half: Half, cx: &Context<'_>) -> Poll<()> {
        let mut inner = lock(&self.inner);
        if inner.flags & wanted != 0 {
            return Poll::Ready(());
        }
        inner.waits[half as usize] = true;
        let waker = &mut inner.wakers[half as usize];
        match waker {
            Some(waker) => waker.clone_from(cx.waker()), // nothing, if it is the same task
            None => *waker = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    fn record(&self, events: EventFlags, wakers: &mut Vec<Waker>) {
        let mut inner = lock(&self.inner);
        let lost = events.intersects(EventFlags::HUP | EventFlags::ERR);
        let reads = lost || events.intersects(EventFlags::IN | EventFlags::RDHUP);
        let writes = lost || events.intersects(EventFlags::OUT);
        let flags = [
            (reads, READABLE),
            (writes, WRITABLE),
            (events.intersects(EventFlags::RDHUP), READ_CLOSED),
            (lost, CLOSED),
        ];
        for (_, flag) in flags.into_iter().filter(|(yes, _)| *yes) {
            inner.flags |= flag;
        }
        for (half, happened) in [(Half::Read, reads), (Half::Write, writes)] {
            if happened && mem::take(&mut inner.waits[half as usize]) {
                wakers.extend(inner.wakers[half as usize].clone());
            }
        }
        drop(inner);
        self.changed.notify(usize::MAX); // nearly free without listeners
    }
}

impl Inner {
    /// Sets a flag. Returns whether it was not set.
    fn set(&mut self, flag: u8) -> bool {
        let is_new = self.flags & flag == 0;
        self.flags |= flag;
        is_new
    }
}

/// The sources by key. A key is not used again, since an event may come after its source is gone.
#[derive(Debug, Default)]
struct Sources {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

#[derive(Debug, Default)]
struct Slot {
    /// How many sources have used it.
    generation: u32,
    state: Option<Arc<State>>,
}

impl Sources {
    fn insert(&mut self, state: Arc<State>) -> u64 {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            self.slots.len() as u32 - 1
        });
        let slot = &mut self.slots[index as usize];
        slot.state = Some(state);
        u64::from(slot.generation) << 32 | u64::from(index)
    }

    fn get(&self, key: u64) -> Option<&State> {
        let slot = self.slots.get(key as u32 as usize)?;
        slot.state.as_deref().filter(|_| u64::from(slot.generation) == key >> 32)
    }

    fn remove(&mut self, key: u64) {
        let index = key as u32;
        if let Some(slot) = self.slots.get_mut(index as usize) {
            slot.state = None;
            slot.generation = slot.generation.wrapping_add(1);
            self.free.push(index);
        }
    }
}

/// Runs a future on this thread, which waits for the events of `poller` meanwhile.
///
/// # Errors
/// Returns the error of the system.
pub(crate) fn block_on<T>(poller: &Poller, future: impl Future<Output = T>) -> io::Result<T> {
    let Some(event) = poller.event()? else {
        // async-io wakes its threads by something else.
        let done = async { Ok(future.await) };
        return async_io::block_on(future::or(done, poller.drive()));
    };
    let thread = Arc::new(SleepingThread {
        woken: AtomicBool::new(true),
        sleeps: AtomicBool::new(false),
        event,
    });
    let events = EventFlags::IN | EventFlags::ET; // each write is an event: nothing reads it
    epoll::add(&poller.0.epoll, &thread.event, EventData::new_u64(WAKE_KEY), events)?;
    let waker = Waker::from(thread.clone());
    let (mut cx, mut future) = (Context::from_waker(&waker), pin!(future));
    loop {
        if thread.woken.swap(false, Ordering::SeqCst)
            && let Poll::Ready(output) = future.as_mut().poll(&mut cx)
        {
            return Ok(output);
        }
        // Read after the store: `wake_by_ref` does both in the other order.
        let is_woken = || thread.woken.load(Ordering::SeqCst);
        let goes_on = is_woken() || {
            thread.sleeps.store(true, Ordering::SeqCst);
            is_woken()
        };
        let waited = poller.wait(goes_on.then_some(&ZERO_TIMEOUT));
        thread.sleeps.store(false, Ordering::SeqCst); // before this thread wakes its own tasks
        waited?;
        poller.wake();
    }
}

/// An event; `None` if the system has none: a sandbox may not know the call.
fn new_event() -> io::Result<Option<OwnedFd>> {
    match eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK) {
        Ok(event) => Ok(Some(event)),
        Err(Errno::NOSYS | Errno::PERM) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A thread that may sleep in `epoll_wait`.
struct SleepingThread {
    woken: AtomicBool,
    sleeps: AtomicBool,
    /// Watched by its poller.
    event: OwnedFd,
}

impl Wake for SleepingThread {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.woken.swap(true, Ordering::SeqCst) && self.sleeps.load(Ordering::SeqCst) {
            let _ = rustix::io::write(self.event.as_fd(), &1_u64.to_ne_bytes());
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "poller_tests.rs"]
mod tests;
