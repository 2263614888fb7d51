//! The responses of files and directories: heads, error pages, and bodies that are in memory.
//!
//! What is in a file, or has to be made, is left to do: [`BodyPlan`].

use std::fmt;
use std::io::{self, ErrorKind};
use std::sync::LazyLock;

use doorstep_core::http1::{Misuse, PreparedErrorPage};
use doorstep_core::site::range::ByteRange;
use doorstep_core::site::{
    Choice, DigestHeaders, MethodPlan, NotServed, PreparedFile, PreparedResponse, ResponseBody,
    ResponseHeader, ResponsePlan,
};

use super::listings::ListingError;
use super::pending_digest::Digests;
use super::{BodyPlan, Content};
use crate::exchange::ExchangeState;
use crate::exchange::response::Response;
use crate::stop_conditions::TransferStart;

/// Responds to a method other than GET and HEAD.
#[inline(never)]
pub(super) fn respond_to_method(
    exchange: &mut ExchangeState<'_>,
    plan: &MethodPlan,
) -> io::Result<()> {
    match plan {
        MethodPlan::Options { .. } => plan.fold_headers(exchange.respond(204), add_header).body(""),
        MethodPlan::MethodNotAllowed => {
            plan.fold_headers(exchange.respond(405), add_header).error_page("")
        }
        MethodPlan::NotImplemented | MethodPlan::Resolve => exchange.unsupported(),
    }
}

/// Sends the head of a prepared response, and its body if it is in memory; returns what is left.
pub(super) fn send_prepared(
    exchange: &mut ExchangeState<'_>,
    prepared: &PreparedFile,
    response: PreparedResponse,
    content: &Content,
    now: i64,
) -> io::Result<BodyPlan> {
    if exchange.is_watched()
        && let Some(reaches_end) = prepared.reaches_end(response)
    {
        if exchange.begin_transfer(reaches_end)? == TransferStart::Refused {
            return Ok(BodyPlan::Done);
        }
        exchange.confirm_download(prepared.content_length(response));
    }
    let begun = exchange.respond_at(response.status(), now);
    let Some(range) = prepared.write_head(response, begun.into_core())? else {
        return Ok(BodyPlan::Done);
    };
    match content {
        // The response is complete, so the session flushes it before the next one if it is large.
        Content::Bytes(bytes) => {
            exchange.append_body(slice_range(bytes, range)?)?;
            Ok(BodyPlan::Done)
        }
        Content::File(_) => Ok(BodyPlan::Range(content.clone(), range)),
    }
}

/// Sends the head of a planned response, and its body if it is in no file; returns what is left.
#[inline(never)]
pub(super) fn send(
    exchange: &mut ExchangeState<'_>,
    plan: &ResponsePlan<'_>,
    file: Option<Content>,
    digests: &Digests,
) -> io::Result<BodyPlan> {
    if let Some(reaches_end) = plan.reaches_end() {
        if exchange.begin_transfer(reaches_end)? == TransferStart::Refused {
            return Ok(BodyPlan::Done);
        }
        exchange.confirm_download(plan.content_length().unwrap_or(0));
    }
    let response = match plan {
        ResponsePlan::CustomErrorPage(denial, ..) => {
            error_response(exchange, *denial).log_as_error()
        }
        _ => exchange.respond(plan.status()),
    };
    let [representation, content] =
        [digests.representation, digests.content].map(|digest| digest.map(|d| d.header_value()));
    let digests =
        DigestHeaders { representation: representation.as_deref(), content: content.as_deref() };
    let response = plan.fold_headers(&digests, response, add_header);
    let body = plan.body();
    match (plan.content_length(), &body) {
        (Some(length), _) => response.sized_body(length)?,
        (None, ResponseBody::ErrorPage) => response.error_page("")?,
        (None, _) => response.body("")?,
    }
    Ok(match (body, file) {
        (ResponseBody::Range(range), Some(file)) => BodyPlan::Range(file, range),
        (ResponseBody::Multipart(parts), Some(file)) => {
            BodyPlan::Multipart(Box::new((file, parts)))
        }
        _ => BodyPlan::Done,
    })
}

fn add_header<'a>(response: Response<'a>, header: ResponseHeader<'_>) -> Response<'a> {
    match header {
        ResponseHeader::ContentLength(n) => response.content_length(n),
        ResponseHeader::Other(name, value) => response.header(name, value),
    }
}

/// The bytes of `range`.
///
/// # Errors
/// Returns [`ErrorKind::UnexpectedEof`] if there are fewer.
pub fn slice_range(bytes: &[u8], range: ByteRange) -> io::Result<&[u8]> {
    let [first, end] = [range.first, range.last.saturating_add(1)]
        .map(|n| usize::try_from(n).unwrap_or(usize::MAX));
    bytes.get(first..end).ok_or_else(|| ErrorKind::UnexpectedEof.into())
}

/// Sends [`ResponsePlan::ErrorPage`].
pub(super) fn send_error_page(
    exchange: &mut ExchangeState<'_>,
    error: NotServed,
    choice: Choice,
) -> io::Result<()> {
    /// The pages of nearly all of these errors: they are the same for every site.
    static NOT_FOUND: LazyLock<Result<PreparedErrorPage, Misuse>> =
        LazyLock::new(|| not_found_page(Choice::None));
    static NEGOTIATED: LazyLock<Result<PreparedErrorPage, Misuse>> =
        LazyLock::new(|| not_found_page(Choice::ByAccept));
    let response = error_response(exchange, error);
    let prepared = match choice {
        Choice::None => &NOT_FOUND,
        Choice::ByAccept => &NEGOTIATED,
    };
    match &**prepared {
        Ok(page) if error.explanation().is_empty() => response.prepared_error_page(page),
        _ => {
            let plan = ResponsePlan::ErrorPage(error, choice);
            let response = plan.fold_headers(&DigestHeaders::default(), response, add_header);
            response.error_page(error.explanation())
        }
    }
}

fn not_found_page(choice: Choice) -> Result<PreparedErrorPage, Misuse> {
    let error = NotServed::NotFound;
    let page = PreparedErrorPage::new(error.status(), error.reason())?;
    match choice {
        Choice::None => Ok(page),
        Choice::ByAccept => page.header("Vary", "Accept"),
    }
}

/// Responds that a directory cannot be listed, and logs why.
pub(super) fn respond_unlisted(
    exchange: &mut ExchangeState<'_>,
    why: &ListingError,
) -> io::Result<()> {
    exchange.log_error(with_path(exchange, why));
    match why.not_served() {
        Some(not_served) => send_error_page(exchange, not_served, Choice::None),
        None => exchange.respond_503(),
    }
}

/// Sends the head of a planned response whose length is not known. A header that every response has
/// is not sent twice.
#[cfg(feature = "archive")]
pub(super) fn begin_streamed(
    exchange: &mut ExchangeState<'_>,
    plan: &ResponsePlan<'_>,
) -> io::Result<()> {
    let mut headers = Vec::new();
    plan.fold_headers(&DigestHeaders::default(), (), |(), header| {
        if let ResponseHeader::Other(name, value) = header
            && !exchange.outbox.has_default_header(name)
        {
            headers.push((name, value.to_vec()));
        }
    });
    let mut response = exchange.respond(plan.status());
    for (name, value) in headers {
        response = response.header(name, value);
    }
    response.streamed_body()
}

/// Begins the response with the status of the error, and logs the reason if it has one.
fn error_response<'a>(exchange: &'a mut ExchangeState<'_>, error: NotServed) -> Response<'a> {
    if let Some(message) = error.log_message() {
        exchange.log_error(with_path(exchange, &message));
    }
    exchange.respond(error.status()).reason(error.reason())
}

/// An error with the path of the request, for the log.
#[inline(never)]
pub(super) fn with_path(exchange: &ExchangeState<'_>, error: &dyn fmt::Display) -> String {
    exchange.with_path(&error.to_string())
}
