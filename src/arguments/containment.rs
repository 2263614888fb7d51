//! The options for least privilege: the user, and the sandbox.

use clap::{Args, ValueEnum};

/// The options under "Least privilege".
#[derive(Debug, Args)]
#[command(next_help_heading = "Least privilege")]
pub(crate) struct ContainmentOptions {
    /// Drop privileges: run as this user, if started as root [default: do not change the user]
    ///
    /// Ports are bound first, also those below 1024. Scripts run as this user, too.
    #[arg(long, value_name = "NAME[:GROUP]")]
    pub(crate) user: Option<String>,

    /// Sandbox (Landlock on Linux): what the kernel refuses to this process
    #[arg(long, value_enum, value_name = "MODE", default_value_t = SandboxMode::Auto)]
    pub(crate) sandbox: SandboxMode,
}

/// What the sandbox restricts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SandboxMode {
    /// Writing, executing, connecting and tracing, as far as the kernel can; not for scripts
    Auto,
    /// Also reading outside of the served directory, which is fixed; scripts, too; or no start
    Strict,
    /// Nothing
    Off,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::Arguments;
    use clap::Parser;
    use clap::error::ErrorKind;

    #[test]
    fn the_sandbox_has_three_modes() {
        let mode = |words: &[&str]| {
            let arguments = Arguments::try_parse_from([&["doorstep"], words].concat());
            arguments.map(|found| found.containment.sandbox).map_err(|error| error.kind())
        };
        assert_eq!(mode(&[]), Ok(SandboxMode::Auto));
        for (word, expected) in [
            ("auto", SandboxMode::Auto),
            ("strict", SandboxMode::Strict),
            ("off", SandboxMode::Off),
        ] {
            assert_eq!(mode(&["--sandbox", word]), Ok(expected));
        }
        assert_eq!(mode(&["--sandbox", "on"]), Err(ErrorKind::InvalidValue));
    }
}
