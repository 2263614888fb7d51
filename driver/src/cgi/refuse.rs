//! What is answered when no script is run: because there is none, or may be none, or there is no
//! permit for it, or the request is a CORS preflight.

use std::io::{self, ErrorKind};

use doorstep_core::cgi::route::{RouteError, Script};
use doorstep_core::site::cors;

use super::{Resolution, script_name};
use crate::exchange::ExchangeState;
use crate::os::{self, SpawnError, SpawnStage};
use crate::permit_wait::NoPermit;

/// Whether a method is understood where scripts are and nowhere else (B-232).
#[must_use]
pub(super) fn is_script_method(exchange: &ExchangeState<'_>) -> bool {
    exchange.head().method() == b"POST"
}

/// Answers a request for no script that nobody else is there for: 501 to a POST, else 404.
///
/// # Errors
/// Those of answering.
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
        NoPermit::Full => "not run: too many scripts are running".into(),
        NoPermit::TimedOut => "not run: too many scripts were running for too long".into(),
        NoPermit::ShuttingDown => "not run, since the server stops".into(),
        NoPermit::Disconnected(disconnect) => format!("not run, since {disconnect}"),
    };
    exchange.log_error(format!("{}: {why}", script_name(script)));
    respond_503(exchange)
}

/// Answers when local redirects lead nowhere, or never end.
///
/// # Errors
/// Those of answering.
pub(super) fn respond_redirect_loop(exchange: &mut ExchangeState<'_>) -> io::Result<()> {
    let path = String::from_utf8_lossy(exchange.head().path());
    exchange.log_error(format!("{path}: its local redirects lead nowhere, or do not end"));
    exchange.respond(502).error_page("")
}

/// What may be the matter with a script that cannot be run; the system's words are short.
pub(super) fn start_hint(failure: &SpawnError) -> &'static str {
    match failure.error.kind() {
        _ if failure.stage != SpawnStage::Exec => "",
        ErrorKind::NotFound => {
            ": what its first line names is not there, or the line ends in CR LF"
        }
        ErrorKind::PermissionDenied => ": it is not for the user whom scripts run as",
        _ if os::is_exec_format_error(&failure.error) => ": its first line names no interpreter",
        _ => "",
    }
}

pub(super) fn respond_denied(
    exchange: &mut ExchangeState<'_>,
    error: &RouteError,
) -> io::Result<Resolution> {
    exchange.respond(error.status()).reason(&error.reason()).error_page("")?;
    Ok(Resolution::Responded)
}

/// Answers a CORS preflight for a script.
pub(super) fn respond_preflight(exchange: &mut ExchangeState<'_>) -> io::Result<Resolution> {
    let mut response = exchange.respond(204);
    for (name, value) in cors::SCRIPT_PREFLIGHT_HEADERS {
        response = response.header(name, value);
    }
    response.body("")?;
    Ok(Resolution::Responded)
}

/// What is missing now may be there in a second.
pub(super) fn respond_503(exchange: &mut ExchangeState<'_>) -> io::Result<()> {
    exchange.respond(503).header("Retry-After", "1").error_page("")
}
