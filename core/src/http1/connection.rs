//! The machine: one connection's protocol, in less than a hundred bytes and without a heap.
//!
//! This file is the peer's half: bytes in, events out. The half that answers is in `respond.rs`
//! and `answer.rs`; who may do what when is in `state.rs` and nowhere else. It promises to be
//! total: no input and no order of calls makes it panic, and what is wrong is a [`Reject`] when the
//! peer did it and a [`Misuse`](crate::http1::Misuse) when the caller did. It never waits, and it
//! never looks at a clock: [`Connection::waiting`] says whom the caller waits for.
//!
//! ```
//! use doorstep_core::http1::{Connection, Event, Limits, Outbox, Owed};
//!
//! let mut connection = Connection::new(Limits::default());
//! let mut outbox = Outbox::new("");
//! let input = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";
//! let (used, event) = connection.advance(input).unwrap();
//! assert!(matches!(event, Event::Request(head) if head.method() == b"POST"));
//! let (_, event) = connection.advance(&input[used..]).unwrap();
//! assert!(matches!(event, Event::Body(b"hi")));
//! connection.respond(204, &mut outbox).body(b"").unwrap();
//! assert_eq!(outbox.unsent(), b"HTTP/1.1 204 No Content\r\n\r\n");
//! ```

use super::chunked::{Decoder, Part};
use super::error::Reject;
use super::event::{Event, Owed, Trailers};
use super::framing::{self, Framing};
use super::head::{Head, Known, Version};
use super::inbox::{Inbox, Storage};
use super::limits::{Limits, Waiting};
use super::outbox::Outbox;
use super::parse::{self, About, Scan};
use super::state::{Facts, Heard, Recv, Said, Send, States};

/// One connection.
#[derive(Debug, Clone)]
pub struct Connection {
    limits: Limits,
    incoming: Incoming,
    /// Bytes of a [`Outgoing::Length`] that are still to go.
    pub(super) left: u64,
    pub(super) outgoing: Outgoing,
    pub(super) states: States,
    pub(super) request: Request,
    /// Bytes of an unwanted body that were swallowed.
    drained: u32,
    fault: Option<Reject>,
    /// Bytes of a swallowed body that stood before the fault in the same input.
    pub(super) before_fault: u32,
    empty_lines: u8,
    pub(super) protocol: Version,
    finished: bool,
    retiring: bool,
    lingers: bool,
    pub(super) resets: bool,
}

/// What is being read.
#[derive(Debug, Clone, Copy)]
enum Incoming {
    Head(Scan),
    Length(u64),
    Chunked(Decoder),
}

/// How the answer's body is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outgoing {
    Length,
    Chunked,
    UntilClose,
}

/// What an answer must know about its request.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Request {
    /// The lower of the peer's version and ours.
    pub(super) version: Version,
    pub(super) is_head: bool,
    pub(super) is_connect: bool,
    pub(super) keep_alive: bool,
    /// 100 Continue is expected and was not sent.
    pub(super) expects: bool,
    pub(super) upgrade: bool,
    /// The peer said that nothing follows this request.
    pub(super) is_last: bool,
}

impl Connection {
    /// A new connection that speaks HTTP/1.1.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            incoming: Incoming::Head(Scan::default()),
            left: 0,
            outgoing: Outgoing::Length,
            states: States::IDLE,
            request: Request::default(),
            drained: 0,
            fault: None,
            before_fault: 0,
            empty_lines: 0,
            protocol: Version::Http11,
            finished: false,
            retiring: false,
            lingers: false,
            resets: false,
        }
    }

    /// Speaks `version` from here on: with HTTP/1.0 every answer says so, and closes (B-042).
    #[must_use]
    pub fn speaking(mut self, version: Version) -> Self {
        self.protocol = version.max(Version::Http10);
        self
    }

    /// Looks at unread bytes: how many are done with, and what they meant.
    ///
    /// Call it again with the rest, and more, whenever there is something new: bytes, the end of
    /// input ([`Connection::finish`]), or an answer given. Spurious calls are harmless.
    ///
    /// # Errors
    /// The rule that the peer broke: [`Connection::refuse`] it. Until then the error stays.
    pub fn advance<'b>(&mut self, input: &'b [u8]) -> Result<(usize, Event<'b>), Reject> {
        let mut used = 0;
        loop {
            let rest = &input[used..];
            match (self.states.recv, self.states.send) {
                (Recv::Idle, Send::Idle) => {
                    let found = self.skip_empty_lines(rest).and_then(|blank| {
                        let (n, event) = self.read_head(&rest[blank..])?;
                        Ok((used + blank + n, event))
                    });
                    if found.is_err() {
                        self.before_fault = u32::try_from(used).unwrap_or(u32::MAX);
                    }
                    return found;
                }
                (Recv::Body, Send::Done) => {
                    used += self.drain(rest);
                    if self.states.recv == Recv::Body {
                        return Ok((used, Event::NeedMore));
                    }
                }
                (Recv::Body, _) => {
                    let (n, event) = self.read_body(rest)?;
                    return Ok((used + n, event));
                }
                (Recv::Switched, _) => return Ok((used, Event::Switched)),
                (_, Send::Owed | Send::Body) => {
                    if let (Some(reject), Send::Owed) = (self.fault, self.states.send) {
                        return Err(reject);
                    }
                    if self.finished && rest.is_empty() && self.states.recv == Recv::Done {
                        self.hear(Heard::Finished);
                    }
                    return Ok((used, self.owed().map_or(Event::NeedMore, Event::Owed)));
                }
                _ => return Ok((used, Event::Closed)),
            }
        }
    }

    /// [`Connection::advance`] over an inbox, which forgets what is done with.
    ///
    /// # Errors
    /// As of `advance`; and 431 when the inbox is full and cannot grow.
    pub fn next<'b, S: Storage>(&mut self, inbox: &'b mut Inbox<S>) -> Result<Event<'b>, Reject> {
        if inbox.is_finished() {
            self.finish();
        }
        let stuck = inbox.is_stuck();
        let (unread, start) = inbox.parts();
        match self.advance(unread) {
            Ok((0, Event::NeedMore)) if stuck => Err(self.fault(match self.incoming {
                Incoming::Head(_) => Reject::HeadTooLarge,
                _ => Reject::TrailersTooLarge,
            })),
            Ok((used, event)) => {
                *start += used;
                Ok(event)
            }
            Err(reject) => {
                let before = std::mem::take(&mut self.before_fault) as usize;
                *start += before.min(unread.len()); // `advance` may have counted other bytes
                Err(reject)
            }
        }
    }

    /// The peer has finished: nothing follows the bytes that are here.
    pub fn finish(&mut self) {
        self.finished = true;
    }

    /// Closes with the next response that begins, which says so. One that has begun and promised to
    /// keep the connection keeps that promise: the client may send one more request.
    pub fn retire(&mut self) {
        self.retiring = true;
        self.request.keep_alive &= !matches!(self.states.send, Send::Idle | Send::Owed);
    }

    /// Whether the peer waits for 100 Continue before it sends its body (B-050).
    #[must_use]
    pub fn expects(&self) -> bool {
        self.request.expects
    }

    /// How many bytes of the body come next without any framing between them: the caller may
    /// receive up to as many by itself, wherever it likes, and then say [`Connection::received`].
    #[must_use]
    pub fn direct(&self) -> u64 {
        match (self.states.recv, &self.incoming) {
            (Recv::Body, Incoming::Length(left)) => *left,
            (Recv::Body, Incoming::Chunked(decoder)) => decoder.payload(),
            _ => 0,
        }
    }

    /// How much room in the inbox the rest of this request's body wants, in bytes: enough for the
    /// largest trailer section, and to read with some ease. None without a body.
    #[must_use]
    pub fn room(&self) -> usize {
        match self.states.recv {
            Recv::Body => usize::from(self.limits.trailers) + 4096,
            _ => 0,
        }
    }

    /// `n` bytes of the body went by; more than [`Connection::direct`] are not counted. The end of
    /// the body is still an event.
    pub fn received(&mut self, n: u64) {
        let n = n.min(self.direct());
        match &mut self.incoming {
            _ if n == 0 => {}
            Incoming::Length(left) => *left -= n,
            Incoming::Chunked(decoder) => decoder.passed(n),
            Incoming::Head(_) => {}
        }
    }

    /// Somebody wants the body: sends 100 Continue when the peer waits for it (B-050).
    pub fn want_body(&mut self, outbox: &mut Outbox) {
        let States { recv, send } = self.states;
        if self.request.expects && recv == Recv::Body && send == Send::Owed {
            outbox.bytes_mut().extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
            self.request.expects = false;
        }
    }

    /// Whom the connection waits for; never for how long.
    #[must_use]
    pub fn waiting(&self, outbox: &Outbox) -> Waiting {
        match (self.states.recv, self.states.send) {
            _ if !outbox.is_empty() => Waiting::Peer,
            (Recv::Idle, Send::Idle) => match self.incoming {
                Incoming::Head(scan) if scan.has_begun() || self.empty_lines > 0 => Waiting::Head,
                _ => Waiting::Idle,
            },
            (Recv::Body, Send::Done) => Waiting::Drain,
            (Recv::Body, Send::Owed | Send::Body) => Waiting::Body,
            (_, Send::Owed | Send::Body) => Waiting::Answer,
            _ if self.lingers => Waiting::Linger,
            _ => Waiting::Nobody,
        }
    }

    /// What the caller owes the peer, if anything.
    #[must_use]
    pub fn owed(&self) -> Option<Owed> {
        match (self.states.send, self.outgoing) {
            (Send::Owed, _) => Some(Owed::Answer),
            (Send::Body, Outgoing::Length) => Some(Owed::Bytes(self.left)),
            (Send::Body, _) => Some(Owed::Stream),
            _ => None,
        }
    }

    /// After [`Event::Closed`]: whether the peer may still be sending, so that closing at once
    /// could destroy the answer on its way. Send FIN, read and forget for a while, then close
    /// (RFC 9112 §9.6).
    #[must_use]
    pub fn lingers(&self) -> bool {
        self.lingers
    }

    /// After [`Event::Closed`]: whether only a reset shows the peer that its answer was cut, since
    /// the end of the connection would have ended it (RFC 9112 §8). Close without lingering then.
    #[must_use]
    pub fn resets(&self) -> bool {
        self.resets
    }

    /// Whether nothing but the end of the connection ends the answer: whoever closes before all of it
    /// is sent must do so by a reset, or it looks whole (RFC 9112 §8). True of the last answer for ever.
    #[must_use]
    pub fn ends_by_closing(&self) -> bool {
        self.outgoing == Outgoing::UntilClose || self.request.version == Version::Http09
    }

    /// Both halves' states.
    #[must_use]
    pub fn states(&self) -> States {
        self.states
    }

    /// B-007: at most a few empty lines before a request line.
    fn skip_empty_lines(&mut self, input: &[u8]) -> Result<usize, Reject> {
        if !matches!(input.first(), Some(b'\r' | b'\n')) {
            return Ok(0);
        }
        let (used, lines) = parse::empty_lines(input);
        self.empty_lines = self.empty_lines.saturating_add(lines);
        if self.empty_lines > self.limits.empty_lines {
            return Err(self.fault(Reject::EmptyLines));
        }
        Ok(used)
    }

    fn read_head<'b>(&mut self, input: &'b [u8]) -> Result<(usize, Event<'b>), Reject> {
        let Incoming::Head(scan) = &mut self.incoming else { return Ok((0, Event::Closed)) };
        match parse::head(scan, input, &self.limits) {
            Ok(Some((line, whole))) => {
                let mut head = line.head(whole);
                parse::fields(&line, &mut head, &self.limits)
                    .and_then(|about| self.begin(&head, &about))
                    .map_err(|reject| self.fault(reject))?;
                Ok((head.size(), Event::Request(head)))
            }
            Ok(None) if self.finished => {
                self.hear(Heard::Finished); // B-005, B-033
                Ok((0, Event::Closed))
            }
            Ok(None) => Ok((0, Event::NeedMore)),
            Err(reject) => Err(self.fault(reject)),
        }
    }

    /// A head was read: what it means for this connection.
    fn begin(&mut self, head: &Head<'_>, about: &About) -> Result<(), Reject> {
        let speaks_11 = self.protocol == Version::Http11;
        let version = head.version().min(self.protocol);
        let asked_to_stay = version == Version::Http11 || about.keep_alive && speaks_11;
        self.request = Request {
            version,
            is_head: head.is_head(),
            is_connect: head.method() == b"CONNECT",
            keep_alive: asked_to_stay && !about.close && !about.unusual && !self.retiring,
            expects: false,
            is_last: match head.version() {
                Version::Http09 => false, // it cannot say so, and a second CR LF may follow
                Version::Http10 => about.close || !about.keep_alive,
                Version::Http11 => about.close,
            },
            upgrade: about.upgrade
                && !about.unusual
                && version == Version::Http11
                && head.known(Known::Upgrade).is_some(),
        };
        let framing = framing::of_request(head, self.limits.body)?;
        if version == Version::Http11 && head.known(Known::Expect).is_some() {
            for expectation in head.list("expect") {
                if !expectation.eq_ignore_ascii_case(b"100-continue") {
                    return Err(Reject::BadExpectation); // B-052
                }
                self.request.expects = framing != Framing::None;
            }
        }
        self.drained = 0;
        self.empty_lines = 0;
        self.say(Said::Asked);
        match framing {
            Framing::None => self.hear(Heard::Head),
            Framing::Length(n) => {
                self.incoming = Incoming::Length(n);
                self.hear(Heard::HeadWithBody);
            }
            Framing::Chunked => {
                self.incoming = Incoming::Chunked(Decoder::NEW);
                self.hear(Heard::HeadWithBody);
            }
        }
        Ok(())
    }

    fn read_body<'b>(&mut self, input: &'b [u8]) -> Result<(usize, Event<'b>), Reject> {
        let (used, part) = self.read_part(input)?;
        Ok(match part {
            Part::Data(data) => (used, Event::Body(data)),
            Part::End(section) => (used, Event::End(Trailers { section })),
            Part::More if self.finished => return Err(self.fault(Reject::Truncated)),
            Part::More => (used, Event::NeedMore),
        })
    }

    fn read_part<'b>(&mut self, input: &'b [u8]) -> Result<(usize, Part<'b>), Reject> {
        let found = match &mut self.incoming {
            Incoming::Head(_) | Incoming::Length(0) => Ok((0, Part::End(b""))),
            Incoming::Length(_) if input.is_empty() => Ok((0, Part::More)),
            Incoming::Length(left) => {
                let n = input.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= n as u64;
                Ok((n, Part::Data(&input[..n])))
            }
            Incoming::Chunked(decoder) => decoder.decode(input, &self.limits),
        };
        match found {
            Ok((_, Part::End(_))) => self.hear(Heard::End),
            Ok((_, Part::Data(_))) => self.hear(Heard::Data),
            Ok((_, Part::More)) => {}
            Err(reject) => return Err(self.fault(reject)),
        }
        found
    }

    /// Swallows what is left of a body after its answer (B-046): how many bytes of `input`. The
    /// state has moved when that is over.
    fn drain(&mut self, input: &[u8]) -> usize {
        let mut used = 0;
        while self.states.recv == Recv::Body {
            match self.read_part(&input[used..]) {
                Ok((n, Part::Data(data))) => {
                    used += n;
                    let n = u32::try_from(data.len()).unwrap_or(u32::MAX);
                    self.drained = self.drained.saturating_add(n);
                    self.settle(); // perhaps it was too much
                }
                Ok((n, Part::End(_))) => used += n,
                Ok((n, Part::More)) => {
                    used += n;
                    if !self.finished {
                        self.settle(); // a chunk may announce too much
                        break;
                    }
                    self.hear(Heard::Finished);
                }
                Err(_) => {} // broken, and so closed: nobody is owed a word
            }
        }
        used
    }

    /// Whether the rest of a body nobody wanted may be swallowed to keep the connection.
    pub(super) fn may_drain(&self) -> bool {
        let known = match &self.incoming {
            Incoming::Length(left) => *left,
            Incoming::Chunked(decoder) => decoder.payload(),
            Incoming::Head(_) => 0,
        };
        let most = u64::from(self.limits.drain);
        !self.request.expects && known.saturating_add(u64::from(self.drained)) <= most
    }

    /// Whether, as things stand, the connection is kept after this exchange.
    pub(super) fn may_keep(&self) -> bool {
        let drained = self.states.recv != Recv::Body || self.may_drain();
        let here = matches!(self.states.recv, Recv::Body | Recv::Done);
        self.request.keep_alive && drained && here
    }

    /// The peer broke a rule: the connection is over but for one answer.
    pub(super) fn fault(&mut self, reject: Reject) -> Reject {
        self.fault = Some(reject);
        self.request.keep_alive = false;
        self.say(Said::Fault); // first: one error answer is allowed
        self.hear(Heard::Fault);
        reject
    }

    fn hear(&mut self, heard: Heard) {
        if let Some(recv) = self.states.recv.on(heard) {
            self.states.recv = recv;
            self.settle();
        }
    }

    pub(super) fn say(&mut self, said: Said) {
        if let Some(send) = self.states.send.on(said) {
            self.states.send = send;
            self.settle();
        }
    }

    fn settle(&mut self) {
        let before = self.states;
        let facts = Facts { keep_alive: self.request.keep_alive, may_drain: self.may_drain() };
        self.states = before.settle(facts);
        if self.states == before {
            return;
        }
        if self.states == States::CLOSED {
            let more = matches!(before.recv, Recv::Body | Recv::Broken);
            self.lingers = (more || !self.request.is_last) && !self.finished;
        }
        if self.states == States::IDLE {
            self.incoming = Incoming::Head(Scan::default());
            self.request = Request::default(); // a fault in the next head is not about this one
        }
    }
}
