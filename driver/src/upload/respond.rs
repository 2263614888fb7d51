//! The responses to uploads: pages for browsers, and lines of text or JSON for programs.

use std::io;

use doorstep_core::http1::Head;
use doorstep_core::site::etag::EntityTag;
use doorstep_core::site::listing::{Filter, View};
use doorstep_core::site::upload::{Refusal, request};
use doorstep_core::{log, page, path};

use super::form::ReceivedForm;
use super::job::InterruptedBody;
use super::writer::{Failure, StoredFile};
use crate::exchange::ExchangeState;
use crate::exchange::response::Response;
use crate::os;

const TEXT: &str = "text/plain; charset=utf-8";
/// The most failed files of one form that have a line in the log.
const MAX_LOGGED: usize = 100;

/// Responds to a PUT: 201 if the file is new, 204 if it has replaced another one.
pub(super) fn respond_put(
    exchange: &mut ExchangeState<'_>,
    clean: &[u8],
    stored: Result<StoredFile, Failure>,
) -> io::Result<()> {
    let stored = match stored {
        Ok(stored) => stored,
        Err(failure) => {
            log_failure(exchange, "", &failure);
            return respond_refused(exchange, failure.refusal);
        }
    };
    let now = os::now();
    let etag = EntityTag::from_stat(&stored.stat, now);
    if stored.has_replaced {
        return exchange.respond_at(204, now).header("ETag", etag).body("");
    }
    let location = location(exchange, clean, "");
    let text = format!("stored {} ({} bytes)\n", String::from_utf8_lossy(&location), stored.size);
    let response = exchange.respond_at(201, now).header("Location", &location).header("ETag", etag);
    response.header("Content-Type", TEXT).body(text)
}

/// Responds to a form: a browser is sent back to the listing if every file was stored, and gets a page with
/// what was stored and what was not otherwise; a program gets the report.
pub(super) fn respond_form(
    exchange: &mut ExchangeState<'_>,
    clean: &[u8],
    form: &ReceivedForm,
) -> io::Result<()> {
    log_failures(exchange, &form.failures);
    let (head, report) = (exchange.head(), &form.report);
    let status = report.status();
    if request::wants_page(&head) {
        if status == 201 {
            let location = [location(exchange, clean, "/"), listing_query(&head)].concat();
            return exchange.respond(303).header("Location", location).body("");
        }
        let has_pages = exchange.config().error_pages.is_some();
        let response = begin(exchange, status, report.refusal());
        if has_pages {
            return response.error_page(&report.sentences());
        }
        return respond_page(response, &report.page(&listing_link(&head)));
    }
    let (media_type, body) = match request::wants_json(&head) {
        true => ("application/json", report.json()),
        false => (TEXT, report.text().into_bytes()),
    };
    let mut response = begin(exchange, status, report.refusal()).header("Content-Type", media_type);
    if status >= 400 {
        response = response.log_as_error();
    }
    response.body(body)
}

/// Responds that an upload is refused: a page for browsers, with a link to the listing for a form, and a
/// sentence for programs.
pub(super) fn respond_refused(
    exchange: &mut ExchangeState<'_>,
    refusal: Refusal,
) -> io::Result<()> {
    let head = exchange.head();
    let is_page = request::wants_page(&head);
    let has_link = head.path().ends_with(b"/") && exchange.config().error_pages.is_none();
    let response = begin(exchange, refusal.status(), Some(refusal));
    if is_page && has_link {
        return respond_page(response, &refusal.page(&listing_link(&head)));
    }
    explain(response, is_page, refusal.to_string())
}

/// Responds 405, with the methods that are allowed, and logs that nothing is stored if the request was to
/// store something.
pub(super) fn respond_not_allowed(
    exchange: &mut ExchangeState<'_>,
    methods: &str,
    sentence: &str,
) -> io::Result<()> {
    let head = exchange.head();
    if matches!(head.method(), b"PUT" | b"POST") {
        exchange.log_error(exchange.with_path(&format!("not stored: {sentence}")));
    }
    let is_page = request::wants_page(&head);
    explain(exchange.respond(405).header("Allow", methods), is_page, sentence.into())
}

/// Begins a response, with the header of a refusal.
fn begin<'a>(
    exchange: &'a mut ExchangeState<'_>,
    status: u16,
    refusal: Option<Refusal>,
) -> Response<'a> {
    let response = exchange.respond(status);
    match refusal.and_then(Refusal::header) {
        Some((name, value)) => response.header(name, value),
        None => response,
    }
}

/// Ends an error response, by a page or by a sentence.
fn explain(response: Response<'_>, is_page: bool, mut sentence: String) -> io::Result<()> {
    if is_page {
        return response.error_page(&sentence);
    }
    sentence.push('\n');
    response.header("Content-Type", TEXT).log_as_error().body(sentence)
}

fn respond_page(response: Response<'_>, html: &[u8]) -> io::Result<()> {
    response.header("Content-Type", page::CONTENT_TYPE).log_as_error().body(html)
}

/// The address of the listing that a form was sent from, relative to that of the form.
fn listing_link(head: &Head<'_>) -> Vec<u8> {
    [&b"./"[..], &listing_query(head)].concat()
}

/// The query of the listing that a form was sent from, with its `?`; empty if there is none.
fn listing_query(head: &Head<'_>) -> Vec<u8> {
    let view = View::from_query(head.query(), [""; 0]);
    match view.to_query(Filter::from_head(head).as_ref()) {
        query if query.is_empty() => query,
        query => [&b"?"[..], &query].concat(),
    }
}

/// Logs why files of a form were not stored.
fn log_failures(exchange: &ExchangeState<'_>, failures: &[(String, Failure)]) {
    for (name, failure) in failures.iter().take(MAX_LOGGED) {
        log_failure(exchange, name, failure);
    }
}

/// Logs why a file was not stored: the file of this name in a form, or that of the request.
pub(super) fn log_failure(exchange: &ExchangeState<'_>, name: &str, failure: &Failure) {
    let name = log_prefix(name);
    let refusal = failure.refusal;
    let message = match &failure.cause {
        Some(cause) => format!("{name}not stored: {refusal} ({})", os::describe_error(cause)),
        None => format!("{name}not stored: {refusal}"),
    };
    exchange.log_error(exchange.with_path(&message));
}

/// The name of a file of a form as the beginning of a line in the log; empty for that of the request.
fn log_prefix(name: &str) -> String {
    if name.is_empty() {
        return String::new();
    }
    let mut quoted = Vec::new();
    log::escape(&mut quoted, name.as_bytes().get(..255).unwrap_or(name.as_bytes()));
    format!("{}: ", String::from_utf8_lossy(&quoted))
}

/// Logs that the body did not come to its end: how much of it is kept, and which file of a form was not
/// stored.
pub(super) fn log_interrupted(
    exchange: &ExchangeState<'_>,
    body: &InterruptedBody,
    error: &io::Error,
) {
    log_failures(exchange, &body.failures);
    let name = log_prefix(body.name.as_deref().unwrap_or_default());
    let kept = match body.kept {
        0 => String::new(),
        kept => format!("; {kept} bytes are kept, to be continued"),
    };
    let error = os::describe_error(error);
    let error = error.trim_end_matches('.');
    let message = format!("{name}not stored: the upload broke off: {error}{kept}");
    exchange.log_error(exchange.with_path(&message));
}

/// Logs that the body did not come to its end before the server's, with which every part is lost.
pub(super) fn log_stopped(exchange: &ExchangeState<'_>) {
    let message = "not stored: the server is shutting down, and nothing of the upload is kept";
    exchange.log_error(exchange.with_path(message));
}

/// The path of the request, as a link: with the prefix, and `end` behind it unless it is empty.
pub(super) fn location(exchange: &ExchangeState<'_>, clean: &[u8], end: &str) -> Vec<u8> {
    let mut location = exchange.head().prefix().to_vec();
    location.push(b'/');
    path::encode(&mut location, clean);
    if !clean.is_empty() {
        location.extend_from_slice(end.as_bytes());
    }
    location
}
