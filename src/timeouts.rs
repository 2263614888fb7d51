//! How long clients may take, as the command line says it and as the library takes it.

use std::num::NonZeroU32;
use std::time::Duration;

use clap::Args;
use doorstep_core::http1::Timeouts;

/// The options about slow clients. The defaults are the library's.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Timeouts")]
pub(crate) struct Deadlines {
    /// Close a kept-alive connection that has been idle for so long
    #[arg(long, value_name = "SECONDS", default_value = "60")]
    timeout_idle: NonZeroU32,

    /// Answer 408 when the head of a request takes longer
    #[arg(long, value_name = "SECONDS", default_value = "30")]
    timeout_head: NonZeroU32,

    /// Answer 408 when nothing of a request's body comes for so long
    #[arg(long, value_name = "SECONDS", default_value = "30")]
    timeout_body: NonZeroU32,

    /// Cut a response when its client takes nothing of it for so long: a paused video, say
    #[arg(long, value_name = "SECONDS", default_value = "60")]
    timeout_send: NonZeroU32,
}

impl Deadlines {
    pub(crate) fn timeouts(&self) -> Timeouts {
        let seconds = |number: NonZeroU32| Duration::from_secs(number.get().into());
        Timeouts {
            idle: seconds(self.timeout_idle),
            head: seconds(self.timeout_head),
            body: seconds(self.timeout_body),
            peer: seconds(self.timeout_send),
            ..Timeouts::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::Arguments;
    use clap::Parser;

    fn timeouts(words: &[&str]) -> Timeouts {
        Arguments::parse_from([&["doorstep"], words].concat()).deadlines.timeouts()
    }

    #[test]
    fn b_049_the_defaults_are_the_librarys_and_each_can_be_set() {
        assert_eq!(timeouts(&[]), Timeouts::default());
        let mut set = Timeouts::default();
        for (option, place) in [
            ("--timeout-idle", &mut set.idle),
            ("--timeout-head", &mut set.head),
            ("--timeout-body", &mut set.body),
            ("--timeout-send", &mut set.peer),
        ] {
            *place = Duration::from_secs(7);
            assert_ne!(timeouts(&[option, "7"]), Timeouts::default(), "{option}");
        }
        let all = ["--timeout-idle=7", "--timeout-head=7", "--timeout-body=7", "--timeout-send=7"];
        assert_eq!(timeouts(&all), set);
    }
}
