//! The command `doorstep`: a directory on the network, now.
//!
//! What the arguments *say* is [`arguments`], [`policies`], [`timeouts`] and [`scripts`], what they
//! *mean* is [`config`], the server's life from bind to stop is [`run`]. It promises `http.server`'s
//! banner, log lines and exit codes: 0 after a stop that was asked for, 1 when the server cannot
//! begin to serve, 2 when the command line is at fault.

#![forbid(unsafe_code)]

mod arguments;
mod banner;
mod config;
mod failure;
mod logged;
mod policies;
mod run;
mod scripts;
mod signals;
mod timeouts;

use std::io::{self, Write};
use std::process::ExitCode;

use arguments::Arguments;
use config::Config;

fn main() -> ExitCode {
    match Config::check(Arguments::read()).and_then(|config| run::serve(&config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // With stderr gone the exit code still tells.
            let _ = writeln!(io::stderr(), "doorstep: {failure}");
            failure.exit_code()
        }
    }
}
