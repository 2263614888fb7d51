//! A request and its response, as far as a handler may touch them.

use std::io;
use std::net::SocketAddr;

use doorstep_core::http1::{Connection, Head, Inbox, Outbox, Reject, ResponseDue, SentResponse};

use super::response::Response;
use super::{Context, set_date};
use crate::net::PeerState;
#[cfg(doc)]
use crate::observer::Observer;

/// A request as a handler sees it: its head, the client, and the state of the response. Each front
/// end's `Exchange` dereferences to it, and adds the methods that respond.
///
/// It can only be borrowed immutably through an `Exchange`: so no handler reaches what could break
/// the framing of a connection. A handler can abort a response, but the bytes on a connection always
/// are those of complete responses, or end visibly.
pub struct ExchangeView<'a> {
    pub(super) head: Head<'a>,
    pub(super) context: Context<'a>,
    pub(crate) machine: &'a mut Connection,
    /// What was read of the body, and behind it.
    pub(super) inbox: Inbox<&'a mut [u8]>,
    pub(crate) outbox: &'a mut Outbox,
    /// What was sent, for the access log.
    pub(super) sent: SentResponse,
    /// The client has disconnected: reading its request or sending the response failed.
    pub(super) disconnected: bool,
    /// The response was given up before it was complete.
    pub(super) aborted: bool,
    pub(super) reject: Option<Reject>,
    /// Bytes at the front of the inbox that are body and were counted, but not yet read.
    pub(super) pending: usize,
    pub(super) trailers: Vec<(Vec<u8>, Vec<u8>)>,
}

impl<'a> ExchangeView<'a> {
    /// The request's head.
    #[must_use]
    pub fn head(&self) -> Head<'a> {
        self.head
    }

    /// The client's address and port (B-301).
    #[must_use]
    pub fn peer_addr(&self) -> SocketAddr {
        self.context.connection.peer()
    }

    /// The address and port that the client has connected to.
    ///
    /// # Errors
    /// Returns an error if the system does not know it any more.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.context.connection.stream().local_addr()
    }

    /// Whether the client is still connected. Costs one system call. For handlers whose response takes
    /// its time: a client that has [closed](PeerState::Closed) the connection gets no response, and
    /// one that has [half-closed](PeerState::HalfClosed) it may wait for one, or may have gone.
    #[must_use]
    pub fn peer_state(&self) -> PeerState {
        self.context.connection.peer_state()
    }

    /// The trailer fields of a chunked body, name and value, once it was read to its end.
    #[must_use]
    pub fn trailers(&self) -> &[(Vec<u8>, Vec<u8>)] {
        &self.trailers
    }

    /// Begins the response. Its Date is this moment, however long ago the request came.
    pub fn respond(&mut self, status: u16) -> Response<'_> {
        if self.context.connection.should_close() {
            self.machine.disable_keep_alive();
        }
        set_date(self.outbox);
        let core = self.machine.respond(status, self.outbox);
        Response::new(core.record(&mut self.sent))
    }

    /// Responds 501 to a method that is not supported, as `http.server` does (B-022).
    ///
    /// # Errors
    /// Returns [`Misuse`](doorstep_core::http1::Misuse) if a response has begun.
    pub fn unsupported(&mut self) -> io::Result<()> {
        let method = String::from_utf8_lossy(self.head.method());
        let reason = format!("Unsupported method ('{method}')");
        self.respond(501).reason(&reason).error_page("")
    }

    /// Whether a response has begun.
    #[must_use]
    pub fn has_responded(&self) -> bool {
        self.machine.response_due() != Some(ResponseDue::Head)
    }

    /// Ends the body of the response. Nothing happens if the response is complete: after
    /// [`Response::body`], after the last byte of a [`Response::sized_body`], after a HEAD request,
    /// and if it was ended before.
    ///
    /// # Errors
    /// Returns [`Misuse`](doorstep_core::http1::Misuse) if no response has begun, if announced bytes
    /// are missing, and if the response was aborted.
    pub fn end(&mut self) -> io::Result<()> {
        self.end_with(&[])
    }

    /// As [`ExchangeView::end`], with trailer fields (RFC 9110 §6.5). They are sent if the body is
    /// chunked, and dropped otherwise.
    ///
    /// # Errors
    /// As for [`ExchangeView::end`]; also returns [`Misuse`](doorstep_core::http1::Misuse) if a
    /// trailer is malformed.
    pub fn end_with(&mut self, trailers: &[(&str, &[u8])]) -> io::Result<()> {
        Ok(self.machine.end_with_trailers(trailers, self.outbox)?)
    }

    /// Responds 503 with `Retry-After: 1`: a resource is used up, and a later request may succeed.
    ///
    /// # Errors
    /// Returns [`Misuse`](doorstep_core::http1::Misuse) if a response has begun.
    pub(crate) fn respond_503(&mut self) -> io::Result<()> {
        self.respond(503).header("Retry-After", "1").error_page("")
    }

    /// Reports an error of this request to [`Observer::on_error`]. The client never sees it.
    pub fn log_error(&self, message: impl AsRef<str>) {
        self.context.observer.on_error(self.peer_addr().ip(), message.as_ref());
    }
}
