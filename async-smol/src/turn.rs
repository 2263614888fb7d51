//! The turns of busy connections: all that an idle connection does not have.
//!
//! A turn serves what has arrived on one connection. Its future has the state of the protocol and the
//! handler's future, more than 1 KiB, so it is on the heap. That memory, and the buffers, are used
//! again for the next turn, of any connection: so a request allocates nothing.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use doorstep_driver::Buffers;

use crate::serve::Outcome;
use crate::socket::Socket;

/// A worker's turns that are not in use.
#[derive(Default)]
pub(crate) struct Turns<'w>(Mutex<Vec<Turn<'w>>>);

/// Serves one connection at a time.
pub(crate) struct Turn<'w>(Box<dyn Serve<'w> + Send + 'w>);

/// The result of a turn, and what it was given.
pub(crate) type End<'w> = (io::Result<Outcome>, Socket<'w>, Box<Buffers>);

/// A [`Turn`] without the type of its future.
trait Serve<'w> {
    fn begin(&mut self, socket: Socket<'w>, once: bool);
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<(io::Result<Outcome>, Socket<'w>)>;
}

struct Reusable<F, N> {
    /// Makes the future.
    new: N,
    /// The memory of the future.
    future: Pin<Box<Option<F>>>,
    /// The future has them while there is one.
    buffers: Option<Box<Buffers>>,
}

impl<'w> Turns<'w> {
    /// A turn that was used before, or a new one. `new` makes the future that serves a socket; with `true`,
    /// one request. It is given buffers, unless it is the first one of its turn, and returns what it was given.
    pub(crate) fn take<F>(
        &self,
        new: impl Fn(Socket<'w>, bool, Option<Box<Buffers>>) -> F + Send + 'w,
    ) -> Turn<'w>
    where
        F: Future<Output = End<'w>> + Send + 'w,
    {
        let spare = self.spare().pop();
        spare.unwrap_or_else(|| {
            Turn(Box::new(Reusable { new, future: Box::pin(None), buffers: None }))
        })
    }

    /// Takes a turn back that has ended. At most `max` are kept.
    pub(crate) fn put(&self, turn: Turn<'w>, max: usize) {
        let mut spare = self.spare();
        if spare.len() < max {
            spare.push(turn);
        }
    }

    fn spare(&self) -> MutexGuard<'_, Vec<Turn<'w>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'w> Turn<'w> {
    /// Serves what has arrived on `socket`, with `once` one request. To cancel it, drop the turn: it has the socket.
    pub(crate) fn serve(
        &mut self,
        socket: Socket<'w>,
        once: bool,
    ) -> impl Future<Output = (io::Result<Outcome>, Socket<'w>)> {
        self.0.begin(socket, once);
        poll_fn(|cx| self.0.poll(cx))
    }
}

impl<'w, F, N> Serve<'w> for Reusable<F, N>
where
    F: Future<Output = End<'w>>,
    N: Fn(Socket<'w>, bool, Option<Box<Buffers>>) -> F,
{
    fn begin(&mut self, socket: Socket<'w>, once: bool) {
        let future = (self.new)(socket, once, self.buffers.take());
        self.future.set(Some(future));
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<(io::Result<Outcome>, Socket<'w>)> {
        let Some(future) = self.future.as_mut().as_pin_mut() else { return Poll::Pending };
        let (outcome, socket, buffers) = ready!(future.poll(cx));
        self.future.set(None);
        self.buffers = Some(buffers);
        Poll::Ready((outcome, socket))
    }
}
