//! `doorstep completions SHELL`: the script with which a shell completes the command's options.

use clap_complete::{Shell, generate};

use crate::arguments::Arguments;
use crate::failure::Failure;
use crate::stdout;

/// Prints the script of `shell`.
pub(crate) fn print(shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    generate(shell, &mut Arguments::definition(), "doorstep", &mut script);
    stdout::print(&script)
}
