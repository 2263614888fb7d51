//! When a server has been idle for long enough.

use std::time::{Duration, Instant};

use event_listener::EventListener;

use super::StopConditions;
use crate::os::{POLL_INTERVAL, Stopwatch};

/// The longest wait between two looks at the clock. Time in which the process is suspended counts as two
/// of them at most.
const MAX_INTERVAL: Duration = Duration::from_secs(5);

/// Decides when no request has been in progress for a time. It never waits: it returns what to wait for.
///
/// Open connections without a request do not count; a response that is being sent does. Time in which the
/// whole process is stopped does not count ([`Stopwatch`]).
///
/// ```
/// use std::sync::Arc;
/// use std::time::{Duration, Instant};
/// use doorstep_driver::{IdleStep, IdleTimer, ShutdownHandle, StopConditions, net};
///
/// # let acceptor = Arc::new(net::Acceptor::new(net::bind(Some("127.0.0.1"), 0)?)?);
/// # let handle = ShutdownHandle::new(acceptor);
/// let conditions = StopConditions::new(handle.clone());
/// let mut timer = IdleTimer::new(Duration::from_millis(200));
/// let mut now = Instant::now();
/// while let IdleStep::Wait(timeout) = timer.step(&conditions, now) {
///     now += timeout; // std::thread::sleep(timeout)
/// }
/// assert!(matches!(timer.step(&conditions, now), IdleStep::Idle));
/// handle.stop();
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// With a thread that stops the server when it was idle for a time. [`EventListener::wait`] is of the trait
/// [`Listener`](event_listener::Listener), which has to be imported; in a task, a listener is a future
/// instead.
///
/// ```
/// use std::time::{Duration, Instant};
/// use doorstep_driver::event_listener::Listener;
/// use doorstep_driver::{IdleStep, IdleTimer, ShutdownHandle, StopConditions};
///
/// fn stop_when_idle(limit: Duration, conditions: &StopConditions, server: &ShutdownHandle) {
///     let mut timer = IdleTimer::new(limit);
///     loop {
///         match timer.step(conditions, Instant::now()) {
///             IdleStep::Wait(timeout) => std::thread::sleep(timeout),
///             IdleStep::Busy(listener) => listener.wait(),
///             IdleStep::Idle => return server.stop(),
///         }
///     }
/// }
/// # use doorstep_driver::net;
/// # let acceptor = net::Acceptor::new(net::bind(Some("127.0.0.1"), 0)?)?;
/// # let server = ShutdownHandle::new(std::sync::Arc::new(acceptor));
/// # stop_when_idle(Duration::ZERO, &StopConditions::new(server.clone()), &server);
/// # assert!(server.is_stopping());
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// [`EventListener::wait`]: event_listener::Listener::wait
#[derive(Debug)]
pub struct IdleTimer {
    limit: Duration,
    /// The idle time so far, and since when.
    idle: Option<(Instant, Stopwatch)>,
}

/// What [`IdleTimer::step`] has found.
#[derive(Debug)]
pub enum IdleStep {
    /// No request is in progress: wait for this time, and call it again.
    Wait(Duration),
    /// Requests are in progress: wait until the listener is notified, and call it again.
    Busy(EventListener),
    /// No request has been in progress for long enough.
    Idle,
}

impl IdleTimer {
    /// A timer for `limit`.
    #[must_use]
    pub fn new(limit: Duration) -> Self {
        Self { limit, idle: None }
    }

    /// Looks at the requests of `conditions`.
    pub fn step(&mut self, conditions: &StopConditions, now: Instant) -> IdleStep {
        let listener = conditions.listen(); // before looking
        let Some(since) = conditions.idle_since() else { return IdleStep::Busy(listener) };
        let interval = poll_interval(self.limit);
        let mut time = match self.idle {
            Some((begin, time)) if begin == since => time,
            _ => Stopwatch::started_at(since),
        };
        let left = self.limit.saturating_sub(time.tick(now, interval));
        self.idle = Some((since, time));
        match left {
            Duration::ZERO => IdleStep::Idle,
            left => IdleStep::Wait(left.min(interval)),
        }
    }
}

/// The interval of looks at the clock during a wait for `limit`: few of them for a long one.
#[must_use]
pub fn poll_interval(limit: Duration) -> Duration {
    (limit / 16).clamp(POLL_INTERVAL, MAX_INTERVAL)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::net;
    use crate::shutdown_handle::ShutdownHandle;

    fn conditions() -> StopConditions {
        let listeners = net::bind(Some("127.0.0.1"), 0).unwrap();
        let acceptor = net::Acceptor::new(listeners).unwrap();
        StopConditions::new(ShutdownHandle::new(Arc::new(acceptor)))
    }

    /// Steps until the timer has something else than a wait to report; returns the time of that.
    fn run(timer: &mut IdleTimer, conditions: &StopConditions, mut now: Instant) -> Instant {
        loop {
            match timer.step(conditions, now) {
                IdleStep::Wait(timeout) => now += timeout,
                _ => return now,
            }
        }
    }

    #[test]
    fn it_is_idle_after_the_limit_and_a_suspended_process_is_not() {
        let conditions = conditions();
        let begin = conditions.idle_since().unwrap();
        let limit = Duration::from_secs(60);
        let mut timer = IdleTimer::new(limit);
        assert_eq!(run(&mut timer, &conditions, begin), begin + limit);
        let mut timer = IdleTimer::new(limit);
        assert!(matches!(timer.step(&conditions, begin), IdleStep::Wait(_)));
        let woken = begin + 1000 * limit;
        assert!(matches!(timer.step(&conditions, woken), IdleStep::Wait(_)));
        assert!(run(&mut timer, &conditions, woken) > woken + limit / 2);
    }

    #[test]
    fn a_request_begins_the_time_anew() {
        let conditions = conditions();
        let begin = conditions.idle_since().unwrap();
        let mut timer = IdleTimer::new(Duration::from_secs(60));
        assert!(matches!(timer.step(&conditions, begin), IdleStep::Wait(_)));
        conditions.shared.lock().begin_request();
        assert_eq!(conditions.requests_in_progress(), 1);
        assert!(matches!(timer.step(&conditions, begin), IdleStep::Busy(_)));
        let end = begin + Duration::from_secs(1000);
        assert!(conditions.shared.lock().end_request(end));
        assert_eq!(run(&mut timer, &conditions, end), end + Duration::from_secs(60));
    }

    #[test]
    fn the_interval_is_bounded() {
        for (limit, interval) in [(0, 100), (1600, 100), (16_000, 1000), (u64::MAX, 5000)] {
            let interval = Duration::from_millis(interval);
            assert_eq!(poll_interval(Duration::from_millis(limit)), interval);
        }
    }
}
