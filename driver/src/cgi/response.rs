//! The response from the output of a script.
//!
//! A response that is complete within 2 ms of its head is sent with its length; else it is
//! streamed, framed by the script's Content-Length if it has sent one. The framing stays correct
//! whatever the script writes: bytes beyond its Content-Length are discarded, and with fewer the
//! response is aborted. A local redirect is kept until the script has exited.

use std::io;
use std::mem;
use std::time::{Duration, Instant};

use doorstep_core::cgi::output::{Document, OutputError, OutputParser, Reply};
use doorstep_core::cgi::route::Script;
use doorstep_core::http1::ResponseDue;

use crate::exchange::ExchangeState;

/// How long the beginning of a body is held back, so that it can be sent together with the end.
const HOLD_TIME: Duration = Duration::from_millis(2);

/// The response from a script, as far as it was written.
#[derive(Debug)]
pub(super) struct ScriptResponse {
    name: String,
    stage: Stage,
    /// The path and query of a local redirect.
    local_redirect: Option<Vec<u8>>,
    /// The output was invalid.
    invalid: bool,
}

#[derive(Debug)]
enum Stage {
    /// The header block is being read.
    Head(OutputParser),
    /// The beginning of the body is held back, since this time.
    Held(Document, Instant),
    /// It is being sent.
    Body,
    /// Further output is discarded: the request is a HEAD, the status is 204, there is a local
    /// redirect, or the output exceeds Content-Length.
    Unread,
    /// The output has ended, or was invalid.
    Ended,
}

impl ScriptResponse {
    /// The response of `script`, whose header block may have `max_header` bytes.
    pub(super) fn new(script: &Script, max_header: usize) -> Self {
        let stage = Stage::Head(OutputParser::new(script.is_nph(), max_header));
        Self { name: super::script_name(script), stage, local_redirect: None, invalid: false }
    }

    /// Takes the next bytes of the output.
    pub(super) fn feed(
        &mut self,
        exchange: &mut ExchangeState<'_>,
        bytes: &[u8],
    ) -> io::Result<()> {
        match &mut self.stage {
            Stage::Head(output) => match output.feed(bytes) {
                Ok(None) => Ok(()),
                Ok(Some(Reply::LocalRedirect(target))) => {
                    (self.stage, self.local_redirect) = (Stage::Unread, Some(target));
                    Ok(())
                }
                Ok(Some(Reply::Document(document))) => {
                    if !document.dropped_headers.is_empty() {
                        let names = document.dropped_headers.join(", ");
                        self.log_error(
                            exchange,
                            &format!("headers that a script cannot set were dropped: {names}"),
                        );
                    }
                    self.stage = Stage::Held(document, Instant::now());
                    Ok(())
                }
                Err(error) => self.respond_bad_gateway(exchange, &error),
            },
            Stage::Held(document, _) => {
                document.body.extend_from_slice(bytes);
                if document.body.len() > exchange.config().flush_threshold {
                    self.begin(exchange, false)
                } else {
                    Ok(())
                }
            }
            Stage::Body => self.send(exchange, bytes),
            Stage::Unread | Stage::Ended => Ok(()),
        }
    }

    /// Ends the response, since the output has ended.
    pub(super) fn end(&mut self, exchange: &mut ExchangeState<'_>) -> io::Result<()> {
        match mem::replace(&mut self.stage, Stage::Ended) {
            Stage::Head(output) => self.respond_bad_gateway(exchange, &output.end())?,
            held @ Stage::Held(..) => {
                self.stage = held;
                self.begin(exchange, true)?;
                self.stage = Stage::Ended;
            }
            Stage::Body | Stage::Unread | Stage::Ended => {}
        }
        match exchange.machine.response_due() {
            Some(ResponseDue::Stream) => exchange.end(),
            Some(ResponseDue::Bytes(left)) => {
                self.log_error(
                    exchange,
                    &format!("output is {left} bytes shorter than its Content-Length"),
                );
                exchange.abort();
                Ok(())
            }
            Some(ResponseDue::Head) | None => Ok(()),
        }
    }

    /// Whether the output has ended, or was invalid.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self.stage, Stage::Ended)
    }

    /// Whether the output was invalid.
    pub(super) fn is_invalid(&self) -> bool {
        self.invalid
    }

    /// How much longer the beginning of a body is held back; `None` if it is not.
    pub(super) fn held_for(&self) -> Option<Duration> {
        match &self.stage {
            Stage::Held(_, since) => Some(HOLD_TIME.saturating_sub(since.elapsed())),
            _ => None,
        }
    }

    /// Begins the response with the part of the body that was held back. If it is the `whole` body,
    /// the response has its length.
    pub(super) fn begin(
        &mut self,
        exchange: &mut ExchangeState<'_>,
        whole: bool,
    ) -> io::Result<()> {
        let document = match mem::replace(&mut self.stage, Stage::Body) {
            Stage::Held(document, _) => document,
            other => {
                self.stage = other;
                return Ok(());
            }
        };
        let is_head = exchange.head().is_head();
        let (dropped, headers): (Vec<_>, Vec<_>) = document
            .headers
            .iter()
            .partition(|(name, _)| exchange.outbox.has_default_header(name) && !may_repeat(name));
        for (name, _) in dropped {
            self.log_error(
                exchange,
                &format!("header dropped, since every response has its own {name}"),
            );
        }
        let mut response = exchange.respond(document.status);
        if let Some(reason) = &document.reason {
            response = response.reason(reason);
        }
        for (name, value) in headers {
            response = response.header(name, value);
        }
        match document.content_length {
            _ if matches!(document.status, 204 | 205 | 304) => response.body("")?,
            Some(length) => response.sized_body(length)?,
            // Scripts omit the body for HEAD: its length is not known.
            None if whole && !is_head => return response.body(&document.body),
            None => response.streamed_body()?,
        }
        self.send(exchange, &document.body)
    }

    /// The target of the local redirect, if the output was one.
    pub(super) fn take_local_redirect(&mut self) -> Option<Vec<u8>> {
        self.local_redirect.take()
    }

    /// Logs a message with the name of the script.
    pub(super) fn log_error(&self, exchange: &ExchangeState<'_>, message: &str) {
        exchange.log_error(format!("{}: {message}", self.name));
    }

    /// Appends a part of the body, up to Content-Length.
    fn send(&mut self, exchange: &mut ExchangeState<'_>, bytes: &[u8]) -> io::Result<()> {
        match exchange.machine.response_due() {
            Some(ResponseDue::Stream) => exchange.append_body(bytes).map(drop),
            Some(ResponseDue::Bytes(left)) if bytes.len() as u64 <= left => {
                exchange.append_body(bytes).map(drop)
            }
            Some(ResponseDue::Bytes(left)) => {
                self.stage = Stage::Unread;
                self.log_error(
                    exchange,
                    "output exceeds its Content-Length, and the rest is discarded",
                );
                exchange.append_body(&bytes[..left as usize]).map(drop)
            }
            Some(ResponseDue::Head) | None => {
                self.stage = Stage::Unread;
                Ok(())
            }
        }
    }

    /// Responds 502, since there is no valid header block, and logs why.
    fn respond_bad_gateway(
        &mut self,
        exchange: &mut ExchangeState<'_>,
        error: &OutputError,
    ) -> io::Result<()> {
        (self.stage, self.invalid) = (Stage::Ended, true);
        self.log_error(exchange, &error.to_string());
        exchange.respond(502).error_page("")
    }
}

/// Whether a response may have this header twice, from the server and from a script: it is a list,
/// or Set-Cookie.
fn may_repeat(name: &str) -> bool {
    const LISTS: [&str; 5] =
        ["cache-control", "content-security-policy", "link", "set-cookie", "vary"];
    LISTS.iter().any(|list| name.eq_ignore_ascii_case(list))
}
