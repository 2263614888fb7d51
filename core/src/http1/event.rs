//! What the machine tells its caller.

use core::fmt;

use super::head::{Head, Headers};

/// What the bytes meant, or what is to be done now. It borrows the inbox, never the connection, so
/// a head can be in hand while it is answered.
pub enum Event<'b> {
    /// A request: answer it with [`crate::http1::Connection::respond`]. Its body, if it has one,
    /// follows.
    Request(Head<'b>),
    /// A part of the request's body, where it lies in the inbox.
    Body(&'b [u8]),
    /// The body is complete; said only after a head that announced one.
    End(Trailers<'b>),
    /// Flush the outbox, then wait for bytes.
    NeedData,
    /// Your turn.
    ResponseDue(ResponseDue),
    /// Another protocol from here on; the unread bytes are its first words.
    SwitchedProtocol,
    /// Flush, then close: by a reset if [`crate::http1::Connection::should_reset`], else lingering if
    /// [`crate::http1::Connection::should_linger`].
    Closed,
}

/// What the caller has promised, or been asked for, and not delivered yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseDue {
    /// An answer.
    Head,
    /// This many bytes of an answer's body.
    Bytes(u64),
    /// The rest of an answer whose length is unknown, and its end.
    Stream,
}

/// The trailer fields of a chunked body; empty for other bodies. They are never merged with the
/// head's fields (RFC 9110 §6.5.1).
#[derive(Clone, Copy)]
pub struct Trailers<'b> {
    pub(super) section: &'b [u8],
}

impl<'b> Trailers<'b> {
    /// Every trailer field, name and trimmed value, in order.
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
