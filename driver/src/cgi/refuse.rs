//! What is answered when no script is run: because there is none, or may be none, or there is no
//! place for it, or the request is a CORS preflight.

use std::io::{self, ErrorKind};

use doorstep_core::cgi::route::{RouteError, Script};
use doorstep_core::site::cors;

use super::{Dismissal, Meaning, name};
use crate::exchange::Turn;
use crate::os::{self, Failure, Step};

/// Whether a method is understood where scripts are and nowhere else (B-232).
#[must_use]
pub fn is_for_scripts(turn: &Turn<'_>) -> bool {
    turn.head().method() == b"POST"
}

/// Answers a request for no script that nobody else is there for: 501 to a POST, else 404.
///
/// # Errors
/// Those of answering.
pub fn refuse_elsewhere(turn: &mut Turn<'_>) -> io::Result<()> {
    let (status, reason) = match is_for_scripts(turn) {
        true => (501, "Can only POST to CGI scripts"),
        false => (404, "File not found"),
    };
    turn.respond(status).reason(reason).page("")
}

/// Answers a request that there is no place for.
///
/// # Errors
/// Those of answering.
pub fn turn_away(turn: &mut Turn<'_>, script: &Script, why: Dismissal) -> io::Result<()> {
    turn.note(format!("{}: {why}", name(script)));
    later(turn)
}

/// Answers when local redirects lead nowhere, or never end.
///
/// # Errors
/// Those of answering.
pub fn refuse_again(turn: &mut Turn<'_>) -> io::Result<()> {
    let path = String::from_utf8_lossy(turn.head().path());
    turn.note(format!("{path}: its local redirects lead nowhere, or do not end"));
    turn.respond(502).page("")
}

/// What may be the matter with a script that cannot be run; the system's words are short.
pub(super) fn hint(failure: &Failure) -> &'static str {
    match failure.error.kind() {
        _ if failure.step != Step::Run => "",
        ErrorKind::NotFound => {
            ": what its first line names is not there, or the line ends in CR LF"
        }
        ErrorKind::PermissionDenied => ": it is not for the user whom scripts run as",
        _ if os::is_no_program(&failure.error) => ": its first line names no interpreter",
        _ => "",
    }
}

pub(super) fn deny(turn: &mut Turn<'_>, denial: &RouteError) -> io::Result<Meaning> {
    turn.respond(denial.status()).reason(&denial.reason()).page("")?;
    Ok(Meaning::Answered)
}

/// Answers a CORS preflight for a script.
pub(super) fn allow(turn: &mut Turn<'_>) -> io::Result<Meaning> {
    let mut response = turn.respond(204);
    for (name, value) in cors::SCRIPT_PREFLIGHT_HEADERS {
        response = response.header(name, value);
    }
    response.body("")?;
    Ok(Meaning::Answered)
}

/// What is missing now may be there in a second.
pub(super) fn later(turn: &mut Turn<'_>) -> io::Result<()> {
    turn.respond(503).header("Retry-After", "1").page("")
}
