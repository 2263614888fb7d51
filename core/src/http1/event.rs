//! Events: what [`Connection::advance`](super::Connection::advance) found in the input.

use core::fmt;

use super::head::{Head, Headers};

/// What the input means, or what the caller has to do now. An event borrows the input and never the
/// connection, so the caller can respond while it holds a head.
///
/// # The order of events
///
/// 1. [`Event::Request`], for each request.
/// 2. [`Event::Body`] for each part of its body, and then [`Event::End`]. Both follow only a head
///    that announces a body ([`Head::has_body`]) whose length is not 0: any other request is
///    complete with its head, and a GET on a kept connection needs one call less. They also stay
///    out if the response is complete before the body: the rest of it is discarded then.
/// 3. [`Event::ResponseDue`], if the whole request was read and its response is not complete. This
///    is the place to respond for an application that needs the whole request, with or without a
///    body. A response is allowed from [`Event::Request`] on, and if it is complete by now, there is
///    no such event.
///
/// [`Event::NeedData`] comes wherever bytes are missing.
///
/// ```
/// use doorstep_core::http1::{Connection, Event, Limits};
///
/// let mut connection = Connection::new(Limits::default());
/// let input = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";
/// let (used, event) = connection.advance(input).unwrap();
/// assert!(matches!(event, Event::Request(head) if head.method() == b"POST"));
/// let (used, event) = connection.advance(&input[used..]).unwrap();
/// assert!(matches!(event, Event::Body(b"hi")));
/// assert_eq!(used, 2);
/// let (_, event) = connection.advance(b"").unwrap();
/// assert!(matches!(event, Event::End(_)));
/// ```
pub enum Event<'b> {
    /// A request. [`respond`](crate::http1::Connection::respond) to it, now or later.
    Request(Head<'b>),
    /// A part of the request's body, in the inbox.
    Body(&'b [u8]),
    /// The end of a body that has its own events.
    End(Trailers<'b>),
    /// More input is needed: flush the outbox, then wait for bytes.
    ///
    /// If the response has begun before the request's body has come, its rest may be sent as well
    /// ([`WaitingFor::BodyOrResponse`](crate::http1::WaitingFor::BodyOrResponse)): an application
    /// that makes its response in parts asks
    /// [`response_due`](crate::http1::Connection::response_due), sends what it has, and waits only
    /// when it has nothing. A peer may wait for the whole response before it sends the body.
    NeedData,
    /// The whole request was read, and the response is not complete. This is not an error. It is
    /// returned by each call until the response is complete:
    ///
    /// - Respond, or continue the response that has begun.
    /// - If the application has nothing to send yet, flush the outbox, wait for the application
    ///   ([`WaitingFor::Response`](crate::http1::WaitingFor::Response), without a deadline), and
    ///   call again.
    /// - If the response cannot be continued, [`abort`](crate::http1::Connection::abort) it.
    ResponseDue(ResponseDue),
    /// The connection has switched to another protocol. The unread bytes belong to it.
    SwitchedProtocol,
    /// The connection is over: flush the outbox, then close, as
    /// [`crate::http1::Connection::waiting_for`] says. If it is
    /// [`Linger`](super::WaitingFor::Linger), half-close the connection and wait for more: a lingering
    /// close. If it is [`Nothing`](super::WaitingFor::Nothing), close: by a reset if
    /// [`crate::http1::Connection::reset_on_close`].
    Closed,
}

/// What the caller has to send: in [`Event::ResponseDue`], and at any time from
/// [`Connection::response_due`](crate::http1::Connection::response_due).
///
/// ```
/// use doorstep_core::http1::{Connection, Limits, Outbox, ResponseDue};
///
/// let mut connection = Connection::new(Limits::default());
/// let mut outbox = Outbox::new("");
/// connection.advance(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
/// assert_eq!(connection.response_due(), Some(ResponseDue::Head));
/// connection.respond(200, &mut outbox).sized_body(3).unwrap();
/// assert_eq!(connection.response_due(), Some(ResponseDue::Bytes(3)));
/// connection.send(b"abc", &mut outbox).unwrap();
/// assert_eq!(connection.response_due(), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseDue {
    /// A response.
    Head,
    /// This many more bytes of a response's body.
    Bytes(u64),
    /// The rest of a response of unknown length, and its end.
    Stream,
}

/// The trailers of a chunked body; empty for other bodies. They are never merged with the headers
/// of the head (RFC 9110 §6.5.1).
///
/// ```
/// use doorstep_core::http1::{Connection, Event, Limits};
///
/// let mut connection = Connection::new(Limits::default());
/// let input = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nSum: 7\r\n\r\n";
/// let (used, _) = connection.advance(input).unwrap();
/// let Ok((_, Event::End(trailers))) = connection.advance(&input[used..]) else { panic!() };
/// assert!(trailers.iter().eq([(&b"Sum"[..], &b"7"[..])]));
/// ```
#[derive(Clone, Copy)]
pub struct Trailers<'b> {
    pub(super) section: &'b [u8],
}

impl<'b> Trailers<'b> {
    /// Every trailer in order: name and trimmed value.
    #[must_use]
    pub fn iter(&self) -> Headers<'b> {
        Headers { rest: self.section }
    }
}

impl fmt::Debug for Trailers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.iter().fmt(f)
    }
}

impl fmt::Debug for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(head) => f.debug_tuple("Request").field(head).finish(),
            Self::Body(bytes) => write!(f, "Body({} bytes)", bytes.len()),
            Self::End(trailers) => f.debug_tuple("End").field(trailers).finish(),
            Self::NeedData => f.write_str("NeedData"),
            Self::ResponseDue(due) => f.debug_tuple("ResponseDue").field(due).finish(),
            Self::SwitchedProtocol => f.write_str("SwitchedProtocol"),
            Self::Closed => f.write_str("Closed"),
        }
    }
}
