//! What a script writes becomes the answer, byte by byte.
//!
//! An answer that is over within a moment of its head leaves whole, with its length; else it is
//! streamed, framed by its own Content-Length or by the machine. The script can say neither more nor
//! less than that length: more is left out, less is a visible abort. A local redirect is remembered
//! until the script has ended.

use std::io;
use std::mem;
use std::time::{Duration, Instant};

use doorstep_core::cgi::output::{Document, OutputError, OutputParser, Reply};
use doorstep_core::cgi::route::Script;
use doorstep_core::http1::ResponseDue;

use crate::config::FLUSH_THRESHOLD;
use crate::exchange::ExchangeState;

/// How long the begin of a body waits for its end.
const HOLD_TIME: Duration = Duration::from_millis(2);

/// One answer, as far as it is.
#[derive(Debug)]
pub(super) struct ScriptResponse {
    name: String,
    stage: Stage,
    /// The path and query of a local redirect.
    local_redirect: Option<Vec<u8>>,
    /// The output was none.
    invalid: bool,
}

#[derive(Debug)]
enum Stage {
    /// The header block is being read.
    Head(OutputParser),
    /// The body may be over at once: since when it is held back.
    Held(Document, Instant),
    /// It is being sent.
    Body,
    /// What comes is of no use: HEAD, 204, a local redirect, more than Content-Length.
    Unread,
    /// The output has ended, and the answer with it; or the output was none.
    Ended,
}

impl ScriptResponse {
    /// That of `script`, whose header block may have `most` bytes.
    pub(super) fn new(script: &Script, most: usize) -> Self {
        let stage = Stage::Head(OutputParser::new(script.is_nph(), most));
        Self { name: super::script_name(script), stage, local_redirect: None, invalid: false }
    }

    /// Takes what was written next.
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
                        self.log_error(exchange, &format!("not a script's to say: {names}"));
                    }
                    self.stage = Stage::Held(document, Instant::now());
                    Ok(())
                }
                Err(fault) => self.respond_bad_gateway(exchange, &fault),
            },
            Stage::Held(document, _) => {
                document.body.extend_from_slice(bytes);
                if document.body.len() > FLUSH_THRESHOLD {
                    self.begin(exchange, false)
                } else {
                    Ok(())
                }
            }
            Stage::Body => self.send(exchange, bytes),
            Stage::Unread | Stage::Ended => Ok(()),
        }
    }

    /// The output has ended, and so the answer ends.
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
                    &format!("ended {left} bytes short of its Content-Length"),
                );
                exchange.abort();
                Ok(())
            }
            Some(ResponseDue::Head) | None => Ok(()),
        }
    }

    /// Whether the output was heard to its end.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self.stage, Stage::Ended)
    }

    /// Whether the output was no answer.
    pub(super) fn is_invalid(&self) -> bool {
        self.invalid
    }

    /// How much longer the begin of a body is held back; `None` when none is.
    pub(super) fn held_for(&self) -> Option<Duration> {
        match &self.stage {
            Stage::Held(_, since) => Some(HOLD_TIME.saturating_sub(since.elapsed())),
            _ => None,
        }
    }

    /// Sends what is held back; `whole` says that it is all there is.
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
        let (said, fields): (Vec<_>, Vec<_>) = document
            .headers
            .iter()
            .partition(|(name, _)| exchange.outbox.has_default_header(name) && !may_repeat(name));
        for (name, _) in said {
            self.log_error(exchange, &format!("every response has its {name} already"));
        }
        let mut response = exchange.respond(document.status);
        if let Some(reason) = &document.reason {
            response = response.reason(reason);
        }
        for (name, value) in fields {
            response = response.header(name, value);
        }
        match document.content_length {
            _ if matches!(document.status, 204 | 205 | 304) => response.body("")?,
            Some(length) => response.sized_body(length)?,
            // To HEAD, scripts leave the body out: how long it would be is not known.
            None if whole && !is_head => return response.body(&document.body),
            None => response.streamed_body()?,
        }
        self.send(exchange, &document.body)
    }

    /// The local redirect, if that was the answer.
    pub(super) fn take_local_redirect(&mut self) -> Option<Vec<u8>> {
        self.local_redirect.take()
    }

    /// Tells the server's log about the script.
    pub(super) fn log_error(&self, exchange: &ExchangeState<'_>, words: &str) {
        exchange.log_error(format!("{}: {words}", self.name));
    }

    /// Sends a part of the body, as far as it was promised.
    fn send(&mut self, exchange: &mut ExchangeState<'_>, bytes: &[u8]) -> io::Result<()> {
        match exchange.machine.response_due() {
            Some(ResponseDue::Stream) => exchange.append_body(bytes).map(drop),
            Some(ResponseDue::Bytes(left)) if bytes.len() as u64 <= left => {
                exchange.append_body(bytes).map(drop)
            }
            Some(ResponseDue::Bytes(left)) => {
                self.stage = Stage::Unread;
                self.log_error(exchange, "wrote more than its Content-Length, which is left out");
                exchange.append_body(&bytes[..left as usize]).map(drop)
            }
            Some(ResponseDue::Head) | None => {
                self.stage = Stage::Unread;
                Ok(())
            }
        }
    }

    /// No header block: 502, and why in the log.
    fn respond_bad_gateway(
        &mut self,
        exchange: &mut ExchangeState<'_>,
        fault: &OutputError,
    ) -> io::Result<()> {
        (self.stage, self.invalid) = (Stage::Ended, true);
        self.log_error(exchange, &fault.to_string());
        exchange.respond(502).error_page("")
    }
}

/// Whether an answer may have a field of the server's and one of a script's: a list, or cookies.
fn may_repeat(name: &str) -> bool {
    const LISTS: [&str; 5] =
        ["cache-control", "content-security-policy", "link", "set-cookie", "vary"];
    LISTS.iter().any(|list| name.eq_ignore_ascii_case(list))
}
