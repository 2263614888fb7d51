//! The announcement that a server stops, for threads and for tasks.
//!
//! [`ShutdownHandle::stop`](crate::ShutdownHandle::stop) announces it. Everything that waits for it is
//! woken, and what comes later does not wait.

use std::pin::Pin;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use event_listener::{Event, EventListener};

/// Whether a server stops, and what waits for that.
#[derive(Debug, Default)]
pub(crate) struct StopSignal {
    announced: AtomicBool,
    event: Event,
    /// Whether [`StopSignal::report`] has reported it.
    reported: OnceLock<()>,
}

impl StopSignal {
    pub(crate) fn announce(&self) {
        self.announced.store(true, Ordering::SeqCst);
        self.event.notify(usize::MAX);
    }

    pub(crate) fn is_announced(&self) -> bool {
        self.announced.load(Ordering::SeqCst)
    }

    pub(crate) fn listen(&self) -> Stopping {
        let listener = self.event.listen(); // before looking, so that the notification is not missed
        Stopping { listener: (!self.is_announced()).then_some(listener) }
    }

    /// Calls `report` unless it was called before. Returns when that call has ended, whichever
    /// thread it is made on.
    pub(crate) fn report(&self, report: impl FnOnce()) {
        self.reported.get_or_init(report);
    }
}

/// A future that is ready when the server begins to stop; see
/// [`ShutdownHandle::stopping`](crate::ShutdownHandle::stopping).
///
/// It needs no particular executor and borrows nothing. It is ready at once if the server stops
/// already, and stays ready. It can be dropped at any time. A thread waits for its listener instead
/// ([`Stopping::into_listener`]).
#[derive(Debug)]
#[must_use = "it does nothing unless it is awaited"]
pub struct Stopping {
    /// `None` after the announcement.
    listener: Option<EventListener>,
}

impl Stopping {
    /// A listener that is notified when the server begins to stop, for a thread to wait for; `None` if
    /// the server stops already.
    #[must_use]
    pub fn into_listener(self) -> Option<EventListener> {
        self.listener
    }
}

impl Future for Stopping {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(listener) = &mut self.listener else { return Poll::Ready(()) };
        let announced = Pin::new(listener).poll(cx);
        if announced.is_ready() {
            self.listener = None;
        }
        announced
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use event_listener::Listener;
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;
    use std::thread;
    use std::time::Duration;

    /// Counts how often it was woken.
    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn all_that_wait_are_woken_and_what_comes_later_does_not_wait() {
        let (signal, wakes) = (StopSignal::default(), Arc::new(Wakes::default()));
        let waker = wakes.clone().into();
        let mut cx = Context::from_waker(&waker);
        let (mut one, mut other) = (pin!(signal.listen()), pin!(signal.listen()));
        let dropped = signal.listen();
        assert!(
            one.as_mut().poll(&mut cx).is_pending() && other.as_mut().poll(&mut cx).is_pending()
        );
        drop(dropped);
        assert!(!signal.is_announced());
        signal.announce();
        assert_eq!(wakes.0.load(Ordering::SeqCst), 2);
        let mut later = pin!(signal.listen());
        for _ in 0..2 {
            assert!(one.as_mut().poll(&mut cx).is_ready(), "it stays ready");
            assert!(other.as_mut().poll(&mut cx).is_ready());
            assert!(later.as_mut().poll(&mut cx).is_ready());
            assert!(signal.is_announced() && signal.listen().into_listener().is_none());
            signal.announce();
        }
    }

    #[test]
    fn a_thread_that_waits_is_woken() {
        let signal = StopSignal::default();
        thread::scope(|scope| {
            let listener = signal.listen().into_listener().unwrap();
            let waits = scope.spawn(|| listener.wait());
            signal.announce();
            waits.join().unwrap();
        });
    }

    #[test]
    fn it_is_reported_once_and_all_return_after_that() {
        let (signal, reports) = (StopSignal::default(), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    signal.report(|| {
                        thread::sleep(Duration::from_millis(20)); // the others come meanwhile
                        reports.fetch_add(1, Ordering::SeqCst);
                    });
                    assert_eq!(reports.load(Ordering::SeqCst), 1);
                });
            }
        });
    }
}
