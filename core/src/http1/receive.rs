//! The receiving side of a connection: bytes in, events out.
//!
//! [`Connection::advance`] and [`Connection::next`] read heads and bodies, apply a head to the
//! connection, and discard the rest of a body that the application does not read. A fault of the peer
//! is recorded and returned as a [`Reject`]; nothing here panics or waits.
//!
//! ```
//! use doorstep_core::http1::{Connection, Event, Inbox, Limits};
//!
//! let (mut connection, mut inbox) = (Connection::new(Limits::default()), Inbox::new([0; 64]));
//! inbox.fill(&mut &b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n"[..])?;
//! let event = connection.next(&mut inbox);
//! assert!(matches!(event, Ok(Event::Request(head)) if head.path() == b"/a"));
//! # Ok::<(), std::io::Error>(())
//! ```

use super::chunked::{BodyPart, Decoder};
use super::connection::{Connection, Incoming, Request};
use super::error::Reject;
use super::event::{Event, ResponseDue, Trailers};
use super::framing::{self, Framing};
use super::head::{Head, KnownHeader, Version};
use super::inbox::{Inbox, Storage};
use super::parse::{self, ConnectionOptions};
use super::state::{RecvEvent, RecvState, SendEvent, SendState};

/// An [`Event`] without its head: a small value. A head is large, so it is written in place, and
/// copied once.
enum Found<'b> {
    Request,
    Body(&'b [u8]),
    /// The trailer section.
    End(&'b [u8]),
    NeedData,
    ResponseDue(ResponseDue),
    SwitchedProtocol,
    Closed,
}

impl<'b> Found<'b> {
    #[inline(always)] // the event is written where the caller of the public function wants it
    fn into_event(self, head: &Head<'b>) -> Event<'b> {
        match self {
            Self::Request => Event::Request(*head),
            Self::Body(bytes) => Event::Body(bytes),
            Self::End(section) => Event::End(Trailers { section }),
            Self::NeedData => Event::NeedData,
            Self::ResponseDue(due) => Event::ResponseDue(due),
            Self::SwitchedProtocol => Event::SwitchedProtocol,
            Self::Closed => Event::Closed,
        }
    }
}

impl Connection {
    /// Reads unread bytes. Returns how many were consumed, and the event that they are.
    ///
    /// Call it again with the remaining and further bytes whenever there is something new: bytes,
    /// the end of input ([`Connection::receive_eof`]), or a response sent. Unnecessary calls are
    /// harmless.
    ///
    /// # Errors
    /// Returns the rule that the peer broke: pass it to [`Connection::refuse`]. Until then, every
    /// call returns the same error.
    pub fn advance<'b>(&mut self, input: &'b [u8]) -> Result<(usize, Event<'b>), Reject> {
        let mut head = Head::empty();
        let (used, found) = self.find(input, &mut head)?;
        Ok((used, found.into_event(&head)))
    }

    /// [`Connection::advance`] over an inbox, from which consumed bytes are removed. Everything that
    /// is in it at [`Event::Closed`] is discarded.
    ///
    /// # Errors
    /// As for [`Connection::advance`]. Also returns an error of status 431 if the inbox is full and
    /// cannot grow.
    pub fn next<'b, S: Storage>(&mut self, inbox: &'b mut Inbox<S>) -> Result<Event<'b>, Reject> {
        if inbox.is_eof() {
            self.receive_eof();
        }
        let full = inbox.is_full();
        let (unread, start) = inbox.parts();
        let mut head = Head::empty();
        match self.find(unread, &mut head) {
            Ok((0, Found::NeedData)) if full => Err(self.record_fault(match self.incoming {
                Incoming::Head(_) => Reject::HeadTooLarge,
                _ => Reject::TrailersTooLarge,
            })),
            Ok((_, Found::Closed)) => {
                *start += unread.len(); // the inbox has space while the connection lingers
                Ok(Event::Closed)
            }
            Ok((used, found)) => {
                *start += used;
                Ok(found.into_event(&head))
            }
            Err(reject) => {
                let before = core::mem::take(&mut self.fault_offset) as usize;
                *start += before.min(unread.len()); // `advance` may have counted other bytes
                Err(reject)
            }
        }
    }

    /// What the input is. If it is a request, its head is in `head`.
    fn find<'b>(
        &mut self,
        input: &'b [u8],
        head: &mut Head<'b>,
    ) -> Result<(usize, Found<'b>), Reject> {
        let mut used = 0;
        loop {
            let rest = &input[used..];
            match (self.states.recv, self.states.send) {
                (RecvState::Idle, SendState::Idle) => {
                    let found = self.skip_empty_lines(rest).and_then(|blank| {
                        let (n, found) = self.read_head(&rest[blank..], head)?;
                        Ok((used + blank + n, found))
                    });
                    if found.is_err() {
                        self.fault_offset = u32::try_from(used).unwrap_or(u32::MAX);
                    }
                    return found;
                }
                (RecvState::Body, SendState::Done) => {
                    used += self.drain(rest);
                    if self.states.recv == RecvState::Body {
                        return Ok((used, Found::NeedData));
                    }
                }
                (RecvState::Body, _) => {
                    let (n, found) = self.read_body(rest)?;
                    return Ok((used + n, found));
                }
                (RecvState::SwitchedProtocol, _) => return Ok((used, Found::SwitchedProtocol)),
                (_, SendState::ResponseDue | SendState::Body) => {
                    if let (Some(reject), SendState::ResponseDue) = (self.fault, self.states.send) {
                        return Err(reject);
                    }
                    if self.eof && rest.is_empty() && self.states.recv == RecvState::Done {
                        self.on_recv(RecvEvent::Eof);
                    }
                    return Ok((
                        used,
                        self.response_due().map_or(Found::NeedData, Found::ResponseDue),
                    ));
                }
                _ => return Ok((used, Found::Closed)),
            }
        }
    }

    /// B-007: a bounded number of empty lines before a request line.
    fn skip_empty_lines(&mut self, input: &[u8]) -> Result<usize, Reject> {
        if !matches!(input.first(), Some(b'\r' | b'\n')) {
            return Ok(0);
        }
        let (used, lines) = parse::count_empty_lines(input);
        self.empty_lines = self.empty_lines.saturating_add(lines);
        if self.empty_lines > self.limits.empty_lines {
            return Err(self.record_fault(Reject::TooManyEmptyLines));
        }
        Ok(used)
    }

    fn read_head<'b>(
        &mut self,
        input: &'b [u8],
        head: &mut Head<'b>,
    ) -> Result<(usize, Found<'b>), Reject> {
        let Incoming::Head(scan) = &mut self.incoming else { return Ok((0, Found::Closed)) };
        match parse::find_head(scan, input, &self.limits) {
            Ok(Some((line, whole))) => {
                head.bytes = whole;
                line.write_to(&mut head.offsets);
                self.request.is_head = head.is_head(); // also if the rest of the head is refused
                parse::parse_headers(head, line.lenient(), &self.limits)
                    .and_then(|options| self.begin_request(head, &options))
                    .map_err(|reject| self.record_fault(reject))?;
                Ok((head.size(), Found::Request))
            }
            Ok(None) if self.eof => {
                self.on_recv(RecvEvent::Eof); // B-005, B-033
                Ok((0, Found::Closed))
            }
            Ok(None) => Ok((0, Found::NeedData)),
            Err(reject) => Err(self.record_fault(reject)),
        }
    }

    /// Applies a head that was read to the connection.
    fn begin_request(
        &mut self,
        head: &Head<'_>,
        options: &ConnectionOptions,
    ) -> Result<(), Reject> {
        let is_11 = self.our_version == Version::Http11;
        let method = head.method();
        let version = head.version().min(self.our_version);
        let wants_keep_alive = version == Version::Http11 || options.keep_alive && is_11;
        self.request = Request {
            version,
            is_head: method == b"HEAD",
            is_connect: method == b"CONNECT",
            keep_alive: wants_keep_alive
                && !options.close
                && !options.lenient
                && !self.keep_alive_disabled,
            expects_continue: false,
            is_last: match head.version() {
                Version::Http09 => false, // HTTP/0.9 cannot announce it, and a second CR LF may follow
                Version::Http10 => options.close || !options.keep_alive,
                Version::Http11 => options.close,
            },
            wants_upgrade: options.upgrade
                && !options.lenient
                && version == Version::Http11
                && head.has(KnownHeader::Upgrade),
        };
        let framing = framing::request_framing(head, self.limits.body)?;
        if version == Version::Http11 && head.has(KnownHeader::Expect) {
            for expectation in head.header_list("expect") {
                if !expectation.eq_ignore_ascii_case(b"100-continue") {
                    return Err(Reject::BadExpectation); // B-052
                }
                self.request.expects_continue = framing != Framing::None;
            }
        }
        self.drained = 0;
        self.empty_lines = 0;
        self.exchange = self.exchange.wrapping_add(1);
        let received = match framing {
            Framing::None => RecvEvent::Head,
            Framing::Length(n) => {
                self.incoming = Incoming::Length(n);
                RecvEvent::HeadWithBody
            }
            Framing::Chunked => {
                self.incoming = Incoming::Chunked(Decoder::NEW);
                RecvEvent::HeadWithBody
            }
        };
        self.on_send(SendEvent::Request);
        self.on_recv(received);
        Ok(())
    }

    fn read_body<'b>(&mut self, input: &'b [u8]) -> Result<(usize, Found<'b>), Reject> {
        let (used, part) = self.read_body_part(input)?;
        Ok(match part {
            BodyPart::Data(data) => (used, Found::Body(data)),
            BodyPart::End(section) => (used, Found::End(section)),
            BodyPart::NeedData if self.eof => return Err(self.record_fault(Reject::Truncated)),
            BodyPart::NeedData => (used, Found::NeedData),
        })
    }

    fn read_body_part<'b>(&mut self, input: &'b [u8]) -> Result<(usize, BodyPart<'b>), Reject> {
        let found = match &mut self.incoming {
            Incoming::Head(_) | Incoming::Length(0) => Ok((0, BodyPart::End(b""))),
            Incoming::Length(_) if input.is_empty() => Ok((0, BodyPart::NeedData)),
            Incoming::Length(left) => {
                let n = input.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= n as u64;
                Ok((n, BodyPart::Data(&input[..n])))
            }
            Incoming::Chunked(decoder) => decoder.decode(input, &self.limits),
        };
        match found {
            Ok((_, BodyPart::End(_))) => self.on_recv(RecvEvent::End),
            Ok((_, BodyPart::Data(_))) => self.on_recv(RecvEvent::Data),
            Ok((_, BodyPart::NeedData)) => {}
            Err(reject) => return Err(self.record_fault(reject)),
        }
        found
    }

    /// Discards the rest of a body after its response (B-046). Returns the number of bytes of
    /// `input`. At the end of the body, the state changes.
    fn drain(&mut self, input: &[u8]) -> usize {
        let mut used = 0;
        while self.states.recv == RecvState::Body {
            match self.read_body_part(&input[used..]) {
                Ok((n, BodyPart::Data(data))) => {
                    used += n;
                    let n = u32::try_from(data.len()).unwrap_or(u32::MAX);
                    self.drained = self.drained.saturating_add(n);
                    self.apply_joint_rules(); // it may exceed the limit
                }
                Ok((n, BodyPart::End(_))) => used += n,
                Ok((n, BodyPart::NeedData)) => {
                    used += n;
                    if !self.eof {
                        self.apply_joint_rules(); // a chunk may announce more than the limit
                        break;
                    }
                    self.on_recv(RecvEvent::Eof);
                }
                Err(_) => {} // the connection closes; no response is due
            }
        }
        used
    }

    /// Whether the rest of a body that the application did not read may be discarded to keep the
    /// connection.
    pub(super) fn may_drain(&self) -> bool {
        let known = match &self.incoming {
            Incoming::Length(left) => *left,
            Incoming::Chunked(decoder) => decoder.chunk_remaining(),
            Incoming::Head(_) => 0,
        };
        let max = u64::from(self.limits.drain);
        !self.request.expects_continue && known.saturating_add(u64::from(self.drained)) <= max
    }
}
