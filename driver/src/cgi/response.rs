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

use crate::config::GATHER;
use crate::exchange::Turn;

/// How long the begin of a body waits for its end.
const MOMENT: Duration = Duration::from_millis(2);

/// One answer, as far as it is.
#[derive(Debug)]
pub(super) struct Answer {
    name: String,
    stage: Stage,
    /// The path and query of a local redirect.
    again: Option<Vec<u8>>,
    /// The output was none.
    refused: bool,
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

impl Answer {
    /// That of `script`, whose header block may have `most` bytes.
    pub(super) fn new(script: &Script, most: usize) -> Self {
        let stage = Stage::Head(OutputParser::new(script.is_nph(), most));
        Self { name: super::name(script), stage, again: None, refused: false }
    }

    /// Takes what was written next.
    pub(super) fn hear(&mut self, turn: &mut Turn<'_>, bytes: &[u8]) -> io::Result<()> {
        match &mut self.stage {
            Stage::Head(output) => match output.feed(bytes) {
                Ok(None) => Ok(()),
                Ok(Some(Reply::LocalRedirect(target))) => {
                    (self.stage, self.again) = (Stage::Unread, Some(target));
                    Ok(())
                }
                Ok(Some(Reply::Document(document))) => {
                    if !document.dropped_headers.is_empty() {
                        let names = document.dropped_headers.join(", ");
                        self.note(turn, &format!("not a script's to say: {names}"));
                    }
                    self.stage = Stage::Held(document, Instant::now());
                    Ok(())
                }
                Err(fault) => self.refuse(turn, &fault),
            },
            Stage::Held(document, _) => {
                document.body.extend_from_slice(bytes);
                if document.body.len() > GATHER { self.begin(turn, false) } else { Ok(()) }
            }
            Stage::Body => self.send(turn, bytes),
            Stage::Unread | Stage::Ended => Ok(()),
        }
    }

    /// The output has ended, and so the answer ends.
    pub(super) fn end(&mut self, turn: &mut Turn<'_>) -> io::Result<()> {
        match mem::replace(&mut self.stage, Stage::Ended) {
            Stage::Head(output) => self.refuse(turn, &output.end())?,
            held @ Stage::Held(..) => {
                self.stage = held;
                self.begin(turn, true)?;
                self.stage = Stage::Ended;
            }
            Stage::Body | Stage::Unread | Stage::Ended => {}
        }
        match turn.connection.response_due() {
            Some(ResponseDue::Stream) => turn.end(),
            Some(ResponseDue::Bytes(left)) => {
                self.note(turn, &format!("ended {left} bytes short of its Content-Length"));
                turn.give_up();
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
    pub(super) fn is_refused(&self) -> bool {
        self.refused
    }

    /// How much longer the begin of a body is held back; `None` when none is.
    pub(super) fn held_for(&self) -> Option<Duration> {
        match &self.stage {
            Stage::Held(_, since) => Some(MOMENT.saturating_sub(since.elapsed())),
            _ => None,
        }
    }

    /// Sends what is held back; `whole` says that it is all there is.
    pub(super) fn begin(&mut self, turn: &mut Turn<'_>, whole: bool) -> io::Result<()> {
        let document = match mem::replace(&mut self.stage, Stage::Body) {
            Stage::Held(document, _) => document,
            other => {
                self.stage = other;
                return Ok(());
            }
        };
        let is_head = turn.head().is_head();
        let (said, fields): (Vec<_>, Vec<_>) = document
            .headers
            .iter()
            .partition(|(name, _)| turn.outbox.has_default_header(name) && !repeats(name));
        for (name, _) in said {
            self.note(turn, &format!("every answer has its {name} already"));
        }
        let mut response = turn.respond(document.status);
        if let Some(reason) = &document.reason {
            response = response.reason(reason);
        }
        for (name, value) in fields {
            response = response.header(name, value);
        }
        match document.content_length {
            _ if matches!(document.status, 204 | 205 | 304) => response.body("")?,
            Some(length) => response.sized(length)?,
            // To HEAD, scripts leave the body out: how long it would be is not known.
            None if whole && !is_head => return response.body(&document.body),
            None => response.stream()?,
        }
        self.send(turn, &document.body)
    }

    /// The local redirect, if that was the answer.
    pub(super) fn take_again(&mut self) -> Option<Vec<u8>> {
        self.again.take()
    }

    /// Tells the server's log about the script.
    pub(super) fn note(&self, turn: &Turn<'_>, words: &str) {
        turn.note(format!("{}: {words}", self.name));
    }

    /// Sends a part of the body, as far as it was promised.
    fn send(&mut self, turn: &mut Turn<'_>, bytes: &[u8]) -> io::Result<()> {
        match turn.connection.response_due() {
            Some(ResponseDue::Stream) => turn.append(bytes).map(drop),
            Some(ResponseDue::Bytes(left)) if bytes.len() as u64 <= left => {
                turn.append(bytes).map(drop)
            }
            Some(ResponseDue::Bytes(left)) => {
                self.stage = Stage::Unread;
                self.note(turn, "wrote more than its Content-Length, which is left out");
                turn.append(&bytes[..left as usize]).map(drop)
            }
            Some(ResponseDue::Head) | None => {
                self.stage = Stage::Unread;
                Ok(())
            }
        }
    }

    /// No header block: 502, and why in the log.
    fn refuse(&mut self, turn: &mut Turn<'_>, fault: &OutputError) -> io::Result<()> {
        (self.stage, self.refused) = (Stage::Ended, true);
        self.note(turn, &fault.to_string());
        turn.respond(502).page("")
    }
}

/// Whether an answer may have a field of the server's and one of a script's: a list, or cookies.
fn repeats(name: &str) -> bool {
    const LISTS: [&str; 5] =
        ["cache-control", "content-security-policy", "link", "set-cookie", "vary"];
    LISTS.iter().any(|list| name.eq_ignore_ascii_case(list))
}
