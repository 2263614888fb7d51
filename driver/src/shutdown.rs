//! The steps of a graceful shutdown, in both drivers, and their times within [`Config::shutdown_grace`].
//!
//! ```text
//! stop              lame_duck                                          grace
//!  |--------------------|--------------------------|---------|----------|
//!  one more response    idle connections close     hurry     cut        end
//!  on each connection   responses under way go on  handlers  all others
//! ```
//!
//! It is over as soon as no connection is left, whichever time that is. Time in which the whole process
//! stands still is no part of it ([`Stopwatch`]).
//!
//! [`Stopwatch`]: crate::os::Stopwatch

use std::time::Duration;

use crate::config::Config;

/// The last two steps take an eighth of the whole time each, and that within these bounds.
const LAST_STEPS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));
/// Longer times are treated as this one, so that adding it to an instant cannot overflow.
const MAX_GRACE: Duration = Duration::from_secs(1 << 32);

/// When each step of a shutdown comes, counted from its begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShutdownSchedule {
    /// Connections that wait for a request are closed.
    pub close_idle: Duration,
    /// Handlers are asked to end.
    pub grace_expired: Duration,
    /// Connections are cut.
    pub abort: Duration,
    /// Nothing is waited for any more.
    pub end: Duration,
}

/// How a shutdown went, for `Handler::on_stopped`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShutdownReport {
    /// Connections that were cut since the time was over, a number.
    pub aborted: usize,
    /// How long the handler may take.
    pub time_left: Duration,
}

impl ShutdownSchedule {
    /// That of a server with this configuration.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let grace = config.shutdown_grace.min(MAX_GRACE);
        let step = (grace / 8).clamp(LAST_STEPS.0, LAST_STEPS.1);
        let cut = grace.saturating_sub(step);
        Self {
            close_idle: config.lame_duck.min(cut),
            grace_expired: cut.saturating_sub(step),
            abort: cut,
            end: cut + step,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In milliseconds.
    fn steps(grace: Duration, lame_duck: Duration) -> [u128; 4] {
        let config = Config { shutdown_grace: grace, lame_duck, ..Config::default() };
        let all = ShutdownSchedule::new(&config);
        [all.close_idle, all.grace_expired, all.abort, all.end].map(|at| at.as_millis())
    }

    #[test]
    fn r_28_every_step_is_within_the_grace() {
        let second = Duration::from_secs(1);
        assert_eq!(steps(8 * second, second), [1000, 6000, 7000, 8000]);
        assert_eq!(steps(30 * second, second), [1000, 28_000, 29_000, 30_000]);
        assert_eq!(steps(second, second), [875, 750, 875, 1000]);
        assert_eq!(steps(second / 2, Duration::ZERO), [0, 300, 400, 500]);
        assert_eq!(steps(Duration::ZERO, second), [0, 0, 0, 100], "a moment to end");
        assert!(steps(Duration::MAX, Duration::MAX)[3] > 1 << 41);
    }
}
