//! The turns of busy connections: all that an idle connection does not have.
//!
//! A turn serves what has arrived on one connection. It has the state of the protocol, the buffers and
//! the handler's future, more than 1 KiB, so it is on the heap. It is used again for the next turn, of
//! any connection: its future never ends, but waits for the next socket. So a request allocates
//! nothing, and the future is not moved.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use crate::serve::Outcome;
use crate::socket::Socket;

/// A worker's turns that are not in use.
#[derive(Default)]
pub(crate) struct Turns<'w>(Mutex<Vec<Turn<'w>>>);

/// Serves one connection at a time.
pub(crate) struct Turn<'w> {
    slot: Arc<Slot<'w>>,
    future: Pin<Box<dyn Future<Output = ()> + Send + 'w>>,
}

/// How sockets get into the future of a turn, and out of it.
#[derive(Default)]
pub(crate) struct Slot<'w>(Mutex<State<'w>>);

#[derive(Default)]
enum State<'w> {
    #[default]
    Empty,
    /// With whether only one request is to be served.
    Begin(Socket<'w>, bool),
    End(Socket<'w>, io::Result<Outcome>),
}

impl<'w> Turns<'w> {
    /// A turn that was used before, or a new one, whose future `new` makes. That future serves one
    /// socket of [`Slot::next`] after the other.
    pub(crate) fn take<F>(&self, new: impl FnOnce(Arc<Slot<'w>>) -> F) -> Turn<'w>
    where
        F: Future<Output = ()> + Send + 'w,
    {
        let spare = lock(&self.0).pop();
        spare.unwrap_or_else(|| {
            let slot = Arc::new(Slot::default());
            Turn { slot: slot.clone(), future: Box::pin(new(slot)) }
        })
    }

    /// Takes a turn back that has ended. At most `max` are kept.
    pub(crate) fn put(&self, turn: Turn<'w>, max: usize) {
        let mut spare = lock(&self.0);
        if spare.len() < max {
            spare.push(turn);
        }
    }
}

impl<'w> Turn<'w> {
    /// Serves what has arrived, with `once` one request. If this is dropped, so is the socket, once the
    /// turn is dropped.
    pub(crate) async fn serve(
        &mut self,
        socket: Socket<'w>,
        once: bool,
    ) -> (Socket<'w>, io::Result<Outcome>) {
        *lock(&self.slot.0) = State::Begin(socket, once);
        poll_fn(|cx| {
            let _ = self.future.as_mut().poll(cx); // it never ends
            let mut state = lock(&self.slot.0);
            match std::mem::take(&mut *state) {
                State::End(socket, outcome) => Poll::Ready((socket, outcome)),
                _ => Poll::Pending, // the future has taken the socket
            }
        })
        .await
    }
}

impl<'w> Slot<'w> {
    /// The next socket, and whether only one request is to be served. Nobody is woken for it:
    /// [`Turn::serve`] polls.
    pub(crate) async fn next(&self) -> (Socket<'w>, bool) {
        poll_fn(|_| {
            let mut state = lock(&self.0);
            match std::mem::take(&mut *state) {
                State::Begin(socket, once) => Poll::Ready((socket, once)),
                other => {
                    *state = other;
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// Gives the socket back.
    pub(crate) fn end(&self, socket: Socket<'w>, outcome: io::Result<Outcome>) {
        *lock(&self.0) = State::End(socket, outcome);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
