//! The responses when no script is run: there is none, it cannot be run, there is no permit for it,
//! or the request is a CORS preflight.

use std::io::{self, ErrorKind};

use doorstep_core::cgi::route::{RouteError, Script};
use doorstep_core::site::cors;

use super::{Resolution, script_name};
use crate::exchange::ExchangeState;
use crate::os::{self, SpawnError, SpawnStage};
use crate::permit_wait::NoPermit;

/// Whether the method is supported by scripts only (B-232).
#[must_use]
pub(super) fn is_script_method(exchange: &ExchangeState<'_>) -> bool {
    exchange.head().method() == b"POST"
}

/// Responds to a request that is not for a script, if there are no files to serve: 501 to a POST,
/// else 404.
///
/// # Errors
/// Returns the error of responding.
pub(super) fn respond_not_cgi(exchange: &mut ExchangeState<'_>) -> io::Result<()> {
    let (status, reason) = match is_script_method(exchange) {
        true => (501, "Can only POST to CGI scripts"),
        false => (404, "File not found"),
    };
    exchange.respond(status).reason(reason).error_page("")
}

/// Responds to a request that gets no permit: 503.
///
/// # Errors
/// Returns the error of responding.
pub(super) fn respond_unavailable(
    exchange: &mut ExchangeState<'_>,
    script: &Script,
    why: NoPermit,
) -> io::Result<()> {
    let why = match why {
        NoPermit::Full => "not run: too many concurrent scripts, and the queue is full".into(),
        NoPermit::TimedOut => "not run: too many concurrent scripts, timed out in the queue".into(),
        NoPermit::ShuttingDown => "not run: the server is shutting down".into(),
        NoPermit::Disconnected(disconnect) => format!("not run: {disconnect}"),
    };
    exchange.log_error(format!("{}: {why}", script_name(script)));
    exchange.respond_503()
}

/// Responds 502 when the target of a local redirect is invalid, or when there are too many of them.
///
/// # Errors
/// Returns the error of responding.
pub(super) fn respond_redirect_loop(exchange: &mut ExchangeState<'_>) -> io::Result<()> {
    let message = "too many local redirects, or an invalid target of one";
    exchange.log_error(exchange.with_path(message));
    exchange.respond(502).error_page("")
}

/// A hint why a script cannot be run, besides the error of the system.
pub(super) fn start_hint(failure: &SpawnError) -> &'static str {
    match failure.error.kind() {
        _ if failure.stage != SpawnStage::Exec => "",
        ErrorKind::NotFound => {
            ": the interpreter in its first line (#!) does not exist, or the line ends in CR LF"
        }
        ErrorKind::PermissionDenied => ": the user that scripts run as may not execute it",
        _ if os::is_exec_format_error(&failure.error) => {
            ": its first line (#!) names no interpreter"
        }
        _ => "",
    }
}

/// Responds that a script cannot be run.
pub(super) fn respond_denied(
    exchange: &mut ExchangeState<'_>,
    error: &RouteError,
) -> io::Result<Resolution> {
    exchange.respond(error.status()).reason(&error.reason()).error_page("")?;
    Ok(Resolution::Responded)
}

/// Responds to a CORS preflight for a script.
pub(super) fn respond_preflight(exchange: &mut ExchangeState<'_>) -> io::Result<Resolution> {
    let mut response = exchange.respond(204);
    for (name, value) in cors::SCRIPT_PREFLIGHT_HEADERS {
        response = response.header(name, value);
    }
    response.body("")?;
    Ok(Resolution::Responded)
}
