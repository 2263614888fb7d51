//! A request and its response, as far as a handler may touch them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use doorstep_core::cgi::environment::RemoteUser;
use doorstep_core::forwarded;
use doorstep_core::http1::{
    Connection, Head, Inbox, Misuse, Outbox, Reject, ResponseDue, SentResponse, status,
};
use doorstep_core::log::RequestId;

use super::Context;
use super::response::Response;
use super::unsent_records::UnsentRecords;
use crate::net::PeerState;
use crate::observer::notify_observer;
use crate::os;
use crate::request_number::RequestNumber;
use crate::stop_conditions::{RETRY_AFTER, TransferRefused, TransferStart, WatchedRequest};
use crate::transfers::ExchangeTransfers;

/// The largest download, in bytes, that counts as complete as soon as the system has taken it; its
/// connection is kept alive.
const MAX_UNCONFIRMED: u64 = 64 << 10;

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
    /// The bytes of the inbox up to the end of this head, which is the last thing in them.
    pub(super) buffered: &'a [u8],
    /// The records of this connection that were not logged yet.
    pub(super) records: &'a mut UnsentRecords,
    /// When the head was complete, if that is measured.
    pub(super) started: Option<Instant>,
    /// The number of the request, if requests have an id.
    pub(super) request_id: Option<RequestNumber>,
    pub(super) progress: ResponseProgress,
    pub(super) reject: Option<Reject>,
    /// Reading the body was an error, which the handler has received.
    pub(super) body_failed: bool,
    /// The handler has begun a response, and may have dropped it.
    pub(super) response_made: bool,
    /// Bytes at the front of the inbox that are body and were counted, but not yet read.
    pub(super) pending: usize,
    /// Bytes of the body that the handler has read.
    pub(super) body_read: u64,
    /// The largest body that the handler accepts, in bytes.
    pub(super) body_limit: u64,
    pub(super) trailers: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) identity: Identity,
    /// What trusted proxies report about the client, if they do.
    pub(super) client: Option<forwarded::Client>,
}

/// What has become of the response so far. It remains if another request is responded to instead.
#[derive(Default)]
pub(super) struct ResponseProgress {
    /// What was sent, for the access log.
    pub(super) sent: SentResponse,
    /// The client has disconnected or timed out: reading its request or sending the response failed.
    pub(super) disconnected: bool,
    /// It has timed out.
    pub(super) timed_out: bool,
    /// The response was given up before it was complete.
    pub(super) aborted: bool,
    /// Whether it was decided if the response is cut on purpose.
    pub(super) cut_planned: bool,
    /// The request as stop conditions see it, if there are any.
    pub(super) watched: Option<Box<WatchedRequest>>,
    /// What is reported of the exchange while it is in progress, if anything is.
    pub(super) transfers: Option<Box<ExchangeTransfers>>,
}

/// Whose request it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Identity {
    /// Nothing has verified a password.
    #[default]
    Unverified,
    /// Passwords are verified, and this request needs none.
    Anonymous,
    /// This user has authenticated.
    User(Arc<[u8]>),
}

impl Identity {
    /// How a script sees the user.
    pub(crate) fn remote_user(&self) -> RemoteUser<'_> {
        match self {
            Self::Unverified => RemoteUser::Claimed,
            Self::Anonymous => RemoteUser::Anonymous,
            Self::User(user) => RemoteUser::Authenticated(user),
        }
    }
}

impl<'a> ExchangeView<'a> {
    /// The request's head.
    #[must_use]
    pub fn head(&self) -> Head<'a> {
        self.head
    }

    /// Counts bytes of the response's body, if it is listed.
    pub(super) fn count_download(&self, bytes: u64) {
        if let Some(transfers) = &self.progress.transfers
            && let Some(download) = &transfers.download
        {
            download.transfer().add(bytes);
        }
    }

    /// The head without a copy of its offsets.
    pub(crate) fn head_ref(&self) -> &Head<'a> {
        &self.head
    }

    /// The address and port of the connection's peer (B-301): of the client, or of the proxy that it
    /// uses. If the connection begins with a PROXY protocol header, they are those of the header. The
    /// peer of a Unix socket is [`UNIX_PEER`](crate::net::UNIX_PEER).
    #[must_use]
    pub fn peer_addr(&self) -> SocketAddr {
        self.context.connection.peer()
    }

    /// The client's address and port. If the peer is one of [`Config::trusted_proxies`], they are those
    /// that it reports by `Forwarded` (RFC 7239) or `X-Forwarded-For`, and the port is 0 if it is not
    /// reported; otherwise they are those of the peer. They are logged with the request, and passed to
    /// scripts as `REMOTE_ADDR` and `REMOTE_PORT`.
    ///
    /// [`Config::trusted_proxies`]: crate::Config::trusted_proxies
    #[must_use]
    pub fn client_addr(&self) -> SocketAddr {
        self.client.map_or_else(|| self.peer_addr(), |client| client.addr)
    }

    /// Whether the client uses HTTPS, as far as that is known: as a trusted proxy reports by
    /// `Forwarded` or `X-Forwarded-Proto`, or by the PROXY protocol.
    #[must_use]
    pub fn is_https(&self) -> bool {
        let reported = self.client.and_then(|client| client.is_https);
        reported.unwrap_or_else(|| self.context.connection.stream().is_https())
    }

    /// The address and port that the client has connected to.
    ///
    /// # Errors
    /// Returns an error if the system does not know it any more.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.context.connection.stream().local_addr()
    }

    /// The id of this request in the log; `None` if no log has it
    /// ([`Observer::wants_request_ids`](crate::Observer::wants_request_ids)).
    #[must_use]
    pub fn request_id(&self) -> Option<RequestId> {
        self.request_id.map(RequestNumber::id)
    }

    /// Whether the client waits for `100 Continue` before it sends the body (RFC 9110 §10.1.1).
    #[must_use]
    pub fn expects_continue(&self) -> bool {
        self.machine.expects_continue()
    }

    /// The length of the request's body in bytes: Content-Length, or 0 if there is no body. `None` if
    /// the body is chunked, so that its length is not known before it was read.
    #[must_use]
    pub fn body_len(&self) -> Option<u64> {
        match self.head.header("Content-Length") {
            Some(length) => str::from_utf8(length).ok()?.parse().ok(), // the core has checked it
            None => (!self.head.has_body()).then_some(0),
        }
    }

    /// Whether the client is still connected. Costs one system call. For handlers whose response takes
    /// its time: a client that has [closed](PeerState::Closed) the connection gets no response, and
    /// one that has [half-closed](PeerState::HalfClosed) it may still wait for the response, or may have
    /// disconnected.
    #[must_use]
    pub fn peer_state(&self) -> PeerState {
        self.context.connection.peer_state()
    }

    /// The trailer fields of a chunked body, name and value, once it was read to its end.
    #[must_use]
    pub fn trailers(&self) -> &[(Vec<u8>, Vec<u8>)] {
        &self.trailers
    }

    /// The user as whom the client has authenticated: set by `Handler::with_auth` of the front ends, or by
    /// a handler that wraps others ([`ExchangeView::set_user`]). `None` otherwise.
    #[must_use]
    pub fn user(&self) -> Option<&[u8]> {
        match &self.identity {
            Identity::User(user) => Some(user),
            Identity::Unverified | Identity::Anonymous => None,
        }
    }

    /// Sets the user as whom the client has authenticated, for a handler that verifies credentials and
    /// wraps others: it is [`ExchangeView::user`] for them, [`Record::user`] in the access log, and
    /// `REMOTE_USER` of scripts. `None` is a client that did not need to authenticate: scripts then have
    /// no `REMOTE_USER`, whatever its Authorization header claims.
    ///
    /// [`Record::user`]: doorstep_core::log::Record::user
    pub fn set_user(&mut self, user: Option<Arc<[u8]>>) {
        self.identity = user.map_or(Identity::Anonymous, Identity::User);
    }

    /// Begins the response. Its Date is this moment, however long ago the request came.
    pub fn respond(&mut self, status: u16) -> Response<'_> {
        self.respond_at(status, os::now())
    }

    /// As [`ExchangeView::respond`], for a caller that has read the clock just now.
    pub(crate) fn respond_at(&mut self, status: u16, now: i64) -> Response<'_> {
        if self.context.connection.should_close() {
            self.machine.disable_keep_alive();
        }
        self.outbox.set_date(now);
        self.response_made = true;
        let core = self.machine.respond(status, self.outbox);
        let is_encrypted = self.context.connection.stream().is_encrypted();
        Response::new(core.record(&mut self.progress.sent), is_encrypted)
    }

    /// Responds 501 to a method that is not supported, as `http.server` does (B-022). The reason phrase
    /// quotes it, up to 200 bytes.
    ///
    /// # Errors
    /// Returns [`Misuse`](doorstep_core::http1::Misuse) if a response has begun.
    pub fn unsupported(&mut self) -> io::Result<()> {
        let reason = status::unsupported_method(self.head.method());
        self.respond(501).reason(&reason).error_page("")
    }

    /// Adds a header to the response of this exchange, whoever makes it: the handler, [`Files`], a
    /// script, or the server in place of a handler that fails. For handlers that wrap others: it comes
    /// before the headers that the response has of its own, also if these have the same name. It is not
    /// part of interim responses.
    ///
    /// # Errors
    /// Returns [`Misuse`](doorstep_core::http1::Misuse) if a response has begun, if name or value are
    /// malformed, and for headers of framing (`Content-Length`, `Connection` and others).
    ///
    /// [`Files`]: crate::Files
    pub fn add_header(&mut self, name: &str, value: impl AsRef<[u8]>) -> io::Result<()> {
        match self.machine.response_due() {
            Some(ResponseDue::Head) => Ok(self.outbox.add_header(name, value.as_ref())?),
            Some(_) => Err(Misuse::ResponseBegun.into()),
            None => Err(Misuse::ResponseComplete.into()),
        }
    }

    /// The status of the response, once it has begun: for handlers that wrap others, when the other
    /// one has returned. `None` before that. If the other one has returned an error, the server
    /// responds 500 afterwards.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        (self.progress.sent.status > 0).then_some(self.progress.sent.status)
    }

    /// Whether a response has begun.
    #[must_use]
    pub fn has_responded(&self) -> bool {
        self.machine.response_due() != Some(ResponseDue::Head)
    }

    /// The number of bytes of the response's body that were sent so far, without the framing of chunks:
    /// the byte at this offset is the next one. Always 0 for a HEAD request. Some of these bytes may
    /// wait in memory until the next flush; [`Record::body_bytes_sent`] has those that have left.
    ///
    /// It tells how far a call came that has failed, or whose future was dropped.
    ///
    /// [`Record::body_bytes_sent`]: doorstep_core::log::Record::body_bytes_sent
    #[must_use]
    pub fn body_bytes_sent(&self) -> u64 {
        self.progress.sent.body_bytes
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

    /// Responds 503 with `Retry-After`, in whole seconds, rounded up, at least 1: a resource is used
    /// up, and a later request may succeed.
    ///
    /// # Errors
    /// Returns [`Misuse`](doorstep_core::http1::Misuse) if a response has begun.
    pub fn unavailable(&mut self, retry_after: Duration) -> io::Result<()> {
        let more = u64::from(retry_after.subsec_nanos() > 0);
        let seconds = retry_after.as_secs().saturating_add(more);
        self.respond(503).header("Retry-After", seconds.max(1).to_string()).error_page("")
    }

    /// [`ExchangeView::unavailable`] for a second.
    ///
    /// # Errors
    /// Returns [`Misuse`](doorstep_core::http1::Misuse) if a response has begun.
    pub(crate) fn respond_503(&mut self) -> io::Result<()> {
        self.unavailable(Duration::from_secs(1))
    }

    /// Makes the response to a `GET` a download that [`StopConditions`] count, to be called before it
    /// begins. `reaches_end`: it includes the last byte of the file; other parts of it are waited for, but
    /// not counted. [`TransferStart::Refused`] means that the response was made here: 503,
    /// because as many transfers as may still be counted are in progress. Always [`TransferStart::Begun`]
    /// without [`StopConditions`], and for other methods.
    ///
    /// # Errors
    /// Returns [`Misuse`](doorstep_core::http1::Misuse) if a response has begun.
    ///
    /// [`StopConditions`]: crate::StopConditions
    pub fn begin_transfer(&mut self, reaches_end: bool) -> io::Result<TransferStart> {
        match &mut self.progress.watched {
            Some(watched) if self.head.method() == b"GET" => {
                match watched.begin_download(reaches_end) {
                    Ok(()) => Ok(TransferStart::Begun),
                    Err(refused) => self.refuse_transfer(refused),
                }
            }
            _ => Ok(TransferStart::Begun),
        }
    }

    /// Closes the connection after a download that counts and has so many bytes, unless they are few: how
    /// the client closes it shows whether it has read them. To be called before the response begins.
    pub(crate) fn confirm_download(&mut self, bytes: u64) {
        // With TLS a client may reset a connection that it has read completely: the close_notify is
        // behind the response.
        let is_plain = self.context.connection.stream().tls_version().is_none();
        if bytes > MAX_UNCONFIRMED
            && is_plain
            && self.progress.watched.as_mut().is_some_and(|it| it.confirm())
        {
            self.machine.disable_keep_alive();
        }
    }

    /// Whether stop conditions watch the request.
    pub(crate) fn is_watched(&self) -> bool {
        self.progress.watched.is_some()
    }

    pub(crate) fn set_watched(&mut self, watched: WatchedRequest) {
        self.progress.watched = Some(Box::new(watched));
    }

    /// Responds 503 in place of a transfer.
    pub(crate) fn refuse_transfer(
        &mut self,
        refused: TransferRefused,
    ) -> io::Result<TransferStart> {
        let response = self.respond(503);
        match refused {
            TransferRefused::AllTaken => {
                let response = response.header("Retry-After", RETRY_AFTER.as_secs().to_string());
                response.error_page(
                    "This server ends after a number of transfers, and the last ones are in progress. \
                     If one of them is cut, another can begin: try again later.",
                )?;
            }
            TransferRefused::CountReached => response.error_page(
                "This server ends after a number of transfers, and the last one was completed.",
            )?,
        }
        Ok(TransferStart::Refused)
    }

    /// Reports an error of this request to [`Observer::on_error`](crate::Observer::on_error). The client
    /// never sees it.
    pub fn log_error(&self, message: impl AsRef<str>) {
        let (observer, client) = (self.context.observer, self.client_addr().ip());
        notify_observer(|| observer.on_error(client, message.as_ref()));
    }

    /// Reports an error that concerns no client to [`Observer::on_error`](crate::Observer::on_error),
    /// with the server's own address.
    #[cfg(feature = "auth")]
    pub(crate) fn log_server_error(&self, message: &str) {
        let address = self.local_addr().unwrap_or_else(|_| self.peer_addr()).ip();
        notify_observer(|| self.context.observer.on_error(address, message));
    }
}
