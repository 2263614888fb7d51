//! The command `doorstep`: serves a directory over HTTP.
//!
//! [`arguments`] parses the command line, [`config`] checks it against the system, and [`run`] serves
//! from bind to shutdown. Banner, log lines and exit codes are those of `http.server`: 0 after a
//! shutdown that was asked for, 1 if the server cannot start, 2 if the command line is at fault; 3 is
//! ours, if it was to end by itself and a transfer was not completed.

#![forbid(unsafe_code)]

mod arguments;
mod auth;
mod banner;
mod check;
mod completions;
mod config;
mod containment;
mod failure;
mod limits_report;
mod listen;
mod logs;
mod manual;
mod network;
mod reports;
mod run;
mod runtime;
mod secrets;
mod served_path;
mod service_manager;
mod sharing;
mod signals;
mod stdout;
mod terminal;
mod text_file;
#[cfg(feature = "tls")]
mod tls;
mod uploads;

use std::io::{self, Write};
use std::process::ExitCode;

use arguments::{Action, Arguments};
use config::CommandConfig;
use doorstep_core::log;
use doorstep_driver::net;
use failure::Failure;

fn main() -> ExitCode {
    let arguments = Arguments::parse_or_exit();
    // With inetd, stderr may be the client's.
    let is_quiet = arguments.sockets.inetd && net::stderr_is_connection();
    match act(arguments) {
        Ok(code) => code,
        Err(failure) => {
            if !is_quiet {
                // Errors of the system may quote what somebody else chose.
                let mut line = Vec::new();
                log::escape_controls(&mut line, format!("doorstep: {failure}").as_bytes());
                line.push(b'\n');
                // If stderr is closed, the exit code still shows it.
                let _ = io::stderr().write_all(&line);
            }
            failure.exit_code()
        }
    }
}

/// Does what the command line asks for.
fn act(mut arguments: Arguments) -> Result<ExitCode, Failure> {
    match arguments.action.take() {
        Some(Action::Check(options)) => return check::run(*options),
        Some(Action::Completions { shell }) => completions::print(shell)?,
        Some(Action::Man) => manual::print()?,
        None => {
            let config = CommandConfig::from_arguments(arguments)?;
            match config.print_limits {
                true => limits_report::print(&config)?,
                false => run::serve(&config)?,
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
