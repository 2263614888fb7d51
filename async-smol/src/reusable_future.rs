//! Reusable futures: the memory of the future that serves a busy connection, kept for the next one, so
//! that a request allocates nothing.
//!
//! The future holds the state of the protocol and that of the handler, more than 1 KiB, so it is on the
//! heap. An idle connection has none. The buffers are kept with the memory, which any connection can
//! use next.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use doorstep_driver::Buffers;

use crate::serve::ServeOutcome;
use crate::socket::Socket;

/// The futures of a worker that are not in use.
#[derive(Default)]
pub(crate) struct FuturePool<'w>(Mutex<Vec<ReusableFuture<'w>>>);

/// Serves one connection at a time.
pub(crate) struct ReusableFuture<'w>(Box<dyn Serve<'w> + Send + 'w>);

/// What a future that serves a connection returns: the result, and what it was given.
pub(crate) type ServeResult<'w> = (io::Result<ServeOutcome>, Socket<'w>, Box<Buffers>);

/// A [`FutureMemory`] of any type.
trait Serve<'w> {
    fn begin(&mut self, socket: Socket<'w>, once: bool);
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<(io::Result<ServeOutcome>, Socket<'w>)>;
}

struct FutureMemory<F, N> {
    /// Makes the future.
    new: N,
    future: Pin<Box<Option<F>>>,
    /// The future has them while there is one.
    buffers: Option<Box<Buffers>>,
}

impl<'w> FuturePool<'w> {
    /// A future that was used before, or a new one. `new` makes the future that serves a socket; with
    /// `true`, one request. It is given buffers, unless it is the first one in its memory, and returns
    /// what it was given.
    pub(crate) fn take<F>(
        &self,
        new: impl Fn(Socket<'w>, bool, Option<Box<Buffers>>) -> F + Send + 'w,
    ) -> ReusableFuture<'w>
    where
        F: Future<Output = ServeResult<'w>> + Send + 'w,
    {
        let spare = self.spare().pop();
        spare.unwrap_or_else(|| {
            let memory = FutureMemory { new, future: Box::pin(None), buffers: None };
            ReusableFuture(Box::new(memory))
        })
    }

    /// Takes a future back that has completed. At most `max` are kept.
    pub(crate) fn put(&self, future: ReusableFuture<'w>, max: usize) {
        let mut spare = self.spare();
        if spare.len() < max {
            spare.push(future);
        }
    }

    fn spare(&self) -> MutexGuard<'_, Vec<ReusableFuture<'w>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'w> ReusableFuture<'w> {
    /// Serves what has arrived on `socket`, with `once` one request. To cancel it, drop the
    /// `ReusableFuture`: it has the socket.
    pub(crate) fn serve(
        &mut self,
        socket: Socket<'w>,
        once: bool,
    ) -> impl Future<Output = (io::Result<ServeOutcome>, Socket<'w>)> {
        self.0.begin(socket, once);
        poll_fn(|cx| self.0.poll(cx))
    }
}

impl<'w, F, N> Serve<'w> for FutureMemory<F, N>
where
    F: Future<Output = ServeResult<'w>>,
    N: Fn(Socket<'w>, bool, Option<Box<Buffers>>) -> F,
{
    fn begin(&mut self, socket: Socket<'w>, once: bool) {
        let future = (self.new)(socket, once, self.buffers.take());
        self.future.set(Some(future));
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<(io::Result<ServeOutcome>, Socket<'w>)> {
        let Some(future) = self.future.as_mut().as_pin_mut() else { return Poll::Pending };
        let (outcome, socket, buffers) = ready!(future.poll(cx));
        self.future.set(None);
        self.buffers = Some(buffers);
        Poll::Ready((outcome, socket))
    }
}
