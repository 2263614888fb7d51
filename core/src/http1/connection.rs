//! The state machine of one connection, in less than 100 bytes and without a heap.
//!
//! The receiving side is in `receive.rs`, the sending side in `response.rs` and `response_body.rs`;
//! states and transitions are in `state.rs` alone. No input and no order of
//! calls makes it panic: what is wrong is a [`Reject`] if the peer caused it, and a
//! [`Misuse`](crate::http1::Misuse) if the caller did. It never waits and has no clock:
//! [`Connection::waiting_for`] reports what the caller has to wait for. Pipelined requests are read
//! one after the other; keep-alive and close are decided here.
//!
//! ```
//! use doorstep_core::http1::{Connection, Event, Limits, Outbox, ResponseDue};
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

use super::chunked::Decoder;
use super::error::Reject;
use super::event::ResponseDue;
use super::head::Version;
use super::limits::{Limits, WaitingFor};
use super::outbox::Outbox;
use super::parse::HeadScan;
use super::state::{Conditions, RecvEvent, RecvState, SendEvent, SendState, States};

/// One connection; see the [module](crate::http1).
///
/// ```
/// use doorstep_core::http1::{Connection, Event, Limits, Outbox};
///
/// let mut connection = Connection::new(Limits::default());
/// let mut outbox = Outbox::new("");
/// let two = b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n";
/// let mut start = 0;
/// while let Ok((used, Event::Request(_))) = connection.advance(&two[start..]) {
///     start += used;
///     connection.respond(204, &mut outbox).body(b"").unwrap();
/// }
/// assert_eq!(outbox.unsent(), b"HTTP/1.1 204 No Content\r\n\r\n".repeat(2), "pipelined, keep-alive");
/// ```
#[derive(Debug, Clone)]
pub struct Connection {
    pub(super) limits: Limits,
    pub(super) incoming: Incoming,
    /// Bytes left of a [`ResponseFraming::Length`].
    pub(super) body_remaining: u64,
    pub(super) response_framing: ResponseFraming,
    pub(super) last_response: LastResponse,
    pub(super) states: States,
    pub(super) request: Request,
    /// Bytes that were discarded of a body that the application did not read.
    pub(super) drained: u32,
    pub(super) fault: Option<Reject>,
    /// Bytes of a discarded body that precede the fault in the same input.
    pub(super) fault_offset: u32,
    /// The number of requests so far, modulo 2^16: tells one wait from the next.
    pub(super) exchange: u16,
    pub(super) empty_lines: u8,
    pub(super) our_version: Version,
    pub(super) eof: bool,
    pub(super) keep_alive_disabled: bool,
    pub(super) should_linger: bool,
    pub(super) should_reset: bool,
}

/// What is being read.
#[derive(Debug, Clone, Copy)]
pub(super) enum Incoming {
    Head(HeadScan),
    Length(u64),
    Chunked(Decoder),
}

/// How the response's body is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ResponseFraming {
    Length,
    Chunked,
    UntilClose,
}

/// How far the last response has come. It outlives the state [`SendState::Done`], which a kept
/// connection leaves at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LastResponse {
    /// There is none, it is due or being sent, or it was refused.
    Incomplete,
    Complete,
    /// It is complete, but the application may still pass the body, which is not sent: HEAD.
    BodyOmitted,
    /// It was aborted: nothing more of it is sent.
    Aborted,
}

/// What the response depends on in its request.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Request {
    /// The lower of the peer's version and this side's.
    pub(super) version: Version,
    pub(super) is_head: bool,
    pub(super) is_connect: bool,
    pub(super) keep_alive: bool,
    /// Whether 100 Continue is expected and was not sent.
    pub(super) expects_continue: bool,
    pub(super) wants_upgrade: bool,
    /// Whether the peer announced that no request follows this one.
    pub(super) is_last: bool,
}

impl Connection {
    /// A new HTTP/1.1 connection.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            incoming: Incoming::Head(HeadScan::default()),
            body_remaining: 0,
            response_framing: ResponseFraming::Length,
            last_response: LastResponse::Incomplete,
            states: States::IDLE,
            request: Request::default(),
            drained: 0,
            fault: None,
            fault_offset: 0,
            exchange: 0,
            empty_lines: 0,
            our_version: Version::Http11,
            eof: false,
            keep_alive_disabled: false,
            should_linger: false,
            should_reset: false,
        }
    }

    /// Sets the protocol version of this side. With HTTP/1.0, every response has that version, and
    /// the connection closes after it (B-042).
    #[must_use]
    pub fn with_version(mut self, version: Version) -> Self {
        self.our_version = version.max(Version::Http10);
        self
    }

    /// Reports the end of input: nothing follows the bytes that have arrived.
    pub fn receive_eof(&mut self) {
        self.eof = true;
    }

    /// Disables keep-alive: the next response that begins has `Connection: close`. A response that
    /// has begun and announced keep-alive keeps it, so the client may send one more request.
    pub fn disable_keep_alive(&mut self) {
        self.keep_alive_disabled = true;
        self.request.keep_alive &=
            !matches!(self.states.send, SendState::Idle | SendState::ResponseDue);
    }

    /// Whether the peer waits for 100 Continue before it sends its body (B-050).
    #[must_use]
    pub fn expects_continue(&self) -> bool {
        self.request.expects_continue
    }

    /// The number of bytes of the body that follow without framing between them. The caller may
    /// receive up to as many by itself, into any memory, and then call
    /// [`Connection::body_received`].
    #[must_use]
    pub fn raw_body_len(&self) -> u64 {
        match (self.states.recv, &self.incoming) {
            (RecvState::Body, Incoming::Length(left)) => *left,
            (RecvState::Body, Incoming::Chunked(decoder)) => decoder.chunk_remaining(),
            _ => 0,
        }
    }

    /// The space in the inbox, in bytes, that the rest of this request's body needs: for the
    /// largest trailer section and for reads of a reasonable size. 0 without a body.
    #[must_use]
    pub fn body_buffer_hint(&self) -> usize {
        match self.states.recv {
            RecvState::Body => usize::from(self.limits.trailers) + 4096,
            _ => 0,
        }
    }

    /// Reports `n` bytes of the body that did not pass through the inbox; more than
    /// [`Connection::raw_body_len`] are not counted. The end of the body is still an event.
    pub fn body_received(&mut self, n: u64) {
        let n = n.min(self.raw_body_len());
        match &mut self.incoming {
            _ if n == 0 => {}
            Incoming::Length(left) => *left -= n,
            Incoming::Chunked(decoder) => decoder.payload_received(n),
            Incoming::Head(_) => {}
        }
    }

    /// Sends 100 Continue if the peer waits for it (B-050). Call it when the application begins to
    /// read the body.
    pub fn send_continue(&mut self, outbox: &mut Outbox) {
        let States { recv, send } = self.states;
        if self.request.expects_continue
            && recv == RecvState::Body
            && send == SendState::ResponseDue
        {
            outbox.bytes_mut().extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
            self.request.expects_continue = false;
        }
    }

    /// What the connection is waiting for. For how long is decided by
    /// [`Timeouts`](super::Timeouts); a [`WaitClock`](super::WaitClock) keeps the time.
    #[must_use]
    pub fn waiting_for(&self, outbox: &Outbox) -> WaitingFor {
        match (self.states.recv, self.states.send) {
            _ if outbox.is_in_flight() => WaitingFor::Writable,
            _ if !outbox.is_empty() && self.last_response != LastResponse::Aborted => {
                WaitingFor::Writable
            }
            (RecvState::Idle, SendState::Idle) => match self.incoming {
                Incoming::Head(scan) if scan.has_begun() || self.empty_lines > 0 => {
                    WaitingFor::Head
                }
                _ => WaitingFor::Request,
            },
            (RecvState::Body, SendState::Done) => WaitingFor::Drain,
            (RecvState::Body, SendState::ResponseDue) => WaitingFor::Body,
            (RecvState::Body, SendState::Body) => WaitingFor::BodyOrResponse,
            (_, SendState::ResponseDue | SendState::Body) => WaitingFor::Response,
            _ if self.should_linger && !self.should_reset && !self.eof => WaitingFor::Linger,
            _ => WaitingFor::Nothing,
        }
    }

    /// What the caller has to send, if anything. It may be sent at any time, whether or not
    /// [`Event::ResponseDue`](super::Event::ResponseDue) was returned: also while the request's body is outstanding.
    #[must_use]
    pub fn response_due(&self) -> Option<ResponseDue> {
        match (self.states.send, self.response_framing) {
            (SendState::ResponseDue, _) => Some(ResponseDue::Head),
            (SendState::Body, ResponseFraming::Length) => {
                Some(ResponseDue::Bytes(self.body_remaining))
            }
            (SendState::Body, _) => Some(ResponseDue::Stream),
            _ => None,
        }
    }

    /// After [`Event::Closed`](super::Event::Closed): whether the peer may still be sending, so that closing at once
    /// could destroy the response in transit. A lingering close is needed: half-close the
    /// connection, discard what arrives for a while, then close (RFC 9112 §9.6).
    #[must_use]
    pub fn should_linger(&self) -> bool {
        self.should_linger
    }

    /// After [`Event::Closed`](super::Event::Closed): whether only a reset shows the peer that its response is
    /// incomplete, because an ordinary close would complete it (RFC 9112 §8). Do not linger then.
    #[must_use]
    pub fn should_reset(&self) -> bool {
        self.should_reset
    }

    /// Whether only the end of the connection ends the response. If it is closed before all of the
    /// response was sent, that must be by a reset: otherwise the response looks complete (RFC 9112
    /// §8). The result holds for the last response until the next one.
    #[must_use]
    pub fn is_close_delimited(&self) -> bool {
        self.response_framing == ResponseFraming::UntilClose
            && self.last_response != LastResponse::BodyOmitted
            || self.request.version == Version::Http09
    }

    /// Whether closing the connection now has to be by a reset (`SO_LINGER` of zero), because an
    /// ordinary close would make an incomplete response look complete (RFC 9112 §8): one that only
    /// the end of the connection ends, and of which a part is missing or still in the outbox.
    ///
    /// It holds at any time, not only after [`Event::Closed`](super::Event::Closed): ask it just before each close, also
    /// after an error.
    #[must_use]
    pub fn reset_on_close(&self, outbox: &Outbox) -> bool {
        let incomplete = self.states.send == SendState::Body || !outbox.is_empty();
        self.should_reset || self.is_close_delimited() && incomplete
    }

    /// The states of both sides.
    #[must_use]
    pub fn states(&self) -> States {
        self.states
    }

    /// Whether, in the present state, the connection is kept after this exchange (keep-alive).
    pub(super) fn may_keep_alive(&self) -> bool {
        let drained = self.states.recv != RecvState::Body || self.may_drain();
        let here = matches!(self.states.recv, RecvState::Body | RecvState::Done);
        self.request.keep_alive && drained && here
    }

    /// Records a fault of the peer: only one error response may follow.
    pub(super) fn record_fault(&mut self, reject: Reject) -> Reject {
        self.fault = Some(reject);
        self.request.keep_alive = false;
        self.on_send(SendEvent::Fault); // first, so that one error response is allowed
        self.on_recv(RecvEvent::Fault);
        reject
    }

    #[inline]
    pub(super) fn on_recv(&mut self, event: RecvEvent) {
        match self.states.recv.on(event) {
            Some(recv) if recv != self.states.recv => {
                self.states.recv = recv;
                self.apply_joint_rules();
            }
            _ => {} // illegal, or another part of a body
        }
    }

    #[inline]
    pub(super) fn on_send(&mut self, event: SendEvent) {
        if let Some(send) = self.states.send.on(event) {
            self.states.send = send;
            match (send, self.last_response) {
                (SendState::Done, LastResponse::Incomplete) => {
                    self.last_response = LastResponse::Complete;
                }
                (SendState::Done, _) => {}
                _ => self.last_response = LastResponse::Incomplete,
            }
            self.apply_joint_rules();
        }
    }

    #[inline(always)] // after a known event, most of it is known, too
    pub(super) fn apply_joint_rules(&mut self) {
        let before = self.states;
        let conditions = Conditions {
            keep_alive: self.request.keep_alive,
            may_drain: before.recv == RecvState::Body && self.may_drain(), // only then it matters
        };
        self.states = before.apply_joint_rules(conditions);
        if self.states == before {
            return;
        }
        if self.states == States::CLOSED {
            let more = matches!(before.recv, RecvState::Body | RecvState::Error);
            self.should_linger = (more || !self.request.is_last) && !self.eof;
        }
        if self.states == States::IDLE {
            self.incoming = Incoming::Head(HeadScan::default());
            self.request = Request::default(); // a fault in the next head does not concern this request
        }
    }
}
