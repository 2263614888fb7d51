//! The options for limits and timeouts.
//!
//! The timeouts have the names that other servers use. The defaults are the library's.

use std::num::NonZeroUsize;
use std::time::Duration;

use clap::Args;
use doorstep_core::http1::{Limits, Timeouts};

use super::values;

/// The options under "Limits and timeouts".
#[derive(Debug, Args)]
#[command(next_help_heading = "Limits and timeouts")]
pub(crate) struct LimitOptions {
    /// Print every limit, timeout and memory bound, and exit
    ///
    /// Each line has a name, the value, the option that sets it, and what happens beyond it. Below
    /// are the worst-case memory of each connection and of the whole server.
    #[arg(long)]
    pub(crate) limits: bool,

    /// Maximum number of concurrent connections [default: 10000; 1024 with --runtime blocking]
    ///
    /// When it is reached, slow and idle keep-alive connections are closed for new ones. If there
    /// are none, new connections wait in the listen backlog.
    #[arg(long, value_name = "N", value_parser = values::at_least_one::<NonZeroUsize>)]
    pub(crate) max_connections: Option<NonZeroUsize>,

    /// Request body limit [default: 64M; 16G with --upload]
    #[arg(long, value_name = "SIZE", value_parser = values::size)]
    max_body: Option<u64>,

    /// Time limit of a graceful shutdown (SIGTERM, Ctrl-C)
    ///
    /// Requests in progress may finish until a second before its end (of less than 8s: an eighth of
    /// it). Then connections are aborted. Scripts get SIGTERM a second earlier, and are killed at the
    /// end. With the default, the process exits within the 10 s of docker stop.
    #[arg(long, value_name = "TIME", value_parser = values::duration_or_zero)]
    #[arg(default_value = "8s")]
    pub(crate) grace: Duration,

    /// Share the port (SO_REUSEPORT), to restart without downtime (zero-downtime restart)
    ///
    /// Start the new process with this option, wait for its banner, then send SIGTERM to the old
    /// one, which was started with it, too. Linux only; both must run as the same user.
    #[arg(long)]
    pub(crate) reuse_port: bool,

    /// Keep-alive timeout (idle timeout): how long a connection may be idle between requests
    ///
    /// Then the connection is closed.
    #[arg(long, value_name = "TIME", value_parser = values::duration, default_value = "60s")]
    #[arg(alias = "timeout-idle")]
    timeout_keep_alive: Duration,

    /// Header timeout: how long a whole request header may take to arrive; then 408
    #[arg(long, value_name = "TIME", value_parser = values::duration, default_value = "30s")]
    timeout_header: Duration,

    /// Body timeout: how long a client may pause within a request body; then 408
    #[arg(long, value_name = "TIME", value_parser = values::duration, default_value = "30s")]
    timeout_body: Duration,

    /// Send timeout: how long a client may pause while it receives a response
    ///
    /// Then the connection is aborted. A paused video needs more than the default, such as 2h.
    #[arg(long, value_name = "TIME", value_parser = values::duration, default_value = "60s")]
    timeout_send: Duration,

    /// Lingering close timeout: how long a client may pause that sends after the last response
    ///
    /// What it sends meanwhile is discarded, so that it can read the response to the end. After that the
    /// connection is closed, so that what it still sends is answered by a reset.
    #[arg(long, value_name = "TIME", value_parser = values::duration, default_value = "5s")]
    timeout_linger: Duration,
}

/// The limit of a body if clients may upload files, in bytes.
const MAX_UPLOAD: u64 = 16 << 30;

impl LimitOptions {
    /// The limit of a request's body in bytes. It is larger if clients may upload files.
    pub(crate) fn max_body(&self, has_uploads: bool) -> u64 {
        let default = if has_uploads { MAX_UPLOAD } else { Limits::default().body };
        self.max_body.unwrap_or(default)
    }

    /// The timeouts of a connection. The minimum rate is the library's default.
    pub(crate) fn timeouts(&self) -> Timeouts {
        let mut timeouts = Timeouts::default();
        timeouts.idle = self.timeout_keep_alive;
        timeouts.head = self.timeout_header;
        timeouts.body = self.timeout_body;
        timeouts.send = self.timeout_send;
        timeouts.linger = self.timeout_linger;
        timeouts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::Arguments;
    use clap::Parser;

    fn timeouts(words: &[&str]) -> Result<Timeouts, clap::Error> {
        let arguments = Arguments::try_parse_from([&["doorstep"], words].concat());
        arguments.map(|arguments| arguments.limits.timeouts())
    }

    #[test]
    fn r_29_the_default_timeouts_are_the_librarys() {
        assert_eq!(timeouts(&[]).unwrap(), Timeouts::default());
    }

    #[test]
    fn r_29_every_timeout_has_an_option() {
        let all = [
            "--timeout-keep-alive=1",
            "--timeout-header=2s",
            "--timeout-body=3m",
            "--timeout-send=4h",
            "--timeout-linger=500ms",
        ];
        let mut expected = Timeouts::default();
        expected.idle = Duration::from_secs(1);
        expected.head = Duration::from_secs(2);
        expected.body = Duration::from_secs(180);
        expected.send = Duration::from_secs(4 * 3600);
        expected.linger = Duration::from_millis(500);
        assert_eq!(timeouts(&all).unwrap(), expected);
        assert_eq!(timeouts(&["--timeout-send", "none"]).unwrap().send, Duration::MAX);
        assert_eq!(timeouts(&["--timeout-send", "1h 30m"]).unwrap().send.as_secs(), 5400);
    }

    #[test]
    fn r_29_an_invalid_time_is_an_error() {
        for word in
            ["0", "0s", "", "soon", "-1", "1.5", "5 parsecs", "None", "99999999999999999999"]
        {
            assert!(timeouts(&["--timeout-send", word]).is_err(), "{word:?}");
        }
    }
}
