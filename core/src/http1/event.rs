//! Events: what [`Connection::advance`](super::Connection::advance) found in the input.

use core::fmt;

use super::head::{Head, Headers};

/// What the input means, or what the caller has to do now. An event borrows the input and never the
/// connection, so the caller can respond while it holds a head.
pub enum Event<'b> {
    /// A request. [`respond`](crate::http1::Connection::respond) to it. If it has a body, the body
    /// follows.
    Request(Head<'b>),
    /// A part of the request's body, in the inbox.
    Body(&'b [u8]),
    /// The end of the body. There is one only after a head that announced a body.
    End(Trailers<'b>),
    /// More input is needed: flush the outbox, then wait for bytes.
    NeedData,
    /// The caller has to send a response, or the rest of one.
    ResponseDue(ResponseDue),
    /// The connection has switched to another protocol. The unread bytes belong to it.
    SwitchedProtocol,
    /// The connection is over: flush the outbox, then close. If
    /// [`crate::http1::Connection::should_reset`], close by a reset; otherwise, if
    /// [`crate::http1::Connection::should_linger`], by a lingering close.
    Closed,
}

/// What the caller has to send.
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
