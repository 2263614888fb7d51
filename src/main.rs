//! The command `doorstep`: serves a directory over HTTP.
//!
//! [`arguments`] parses the command line, [`config`] checks it against the system, and [`run`] serves
//! from bind to shutdown. Banner, log lines and exit codes are those of `http.server`: 0 after a
//! shutdown that was asked for, 1 if the server cannot start, 2 if the command line is at fault.

#![forbid(unsafe_code)]

mod arguments;
mod banner;
mod config;
mod failure;
mod run;
mod runtime;
mod signals;
#[cfg(feature = "tls")]
mod tls;

use std::io::{self, Write};
use std::process::ExitCode;

use arguments::Arguments;
use config::CommandConfig;

fn main() -> ExitCode {
    let config = CommandConfig::from_arguments(Arguments::parse_or_exit());
    match config.and_then(|config| run::serve(&config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // If stderr is closed, the exit code still shows it.
            let _ = writeln!(io::stderr(), "doorstep: {failure}");
            failure.exit_code()
        }
    }
}
