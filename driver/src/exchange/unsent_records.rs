//! Records of the access log that wait for their responses to be sent.
//!
//! Responses to pipelined requests leave in one write, after the last of them was made. So the
//! record of a response is kept until its bytes have left the outbox, and then says what has become
//! of them: complete, or lost, with the number of body bytes that the socket has accepted.
//!
//! Nothing is copied: a record has the place of its head in the inbox, whose bytes stay until the
//! next read ([`Inbox::buffered`](doorstep_core::http1::Inbox::buffered)), and a session sends
//! before it reads. One record is kept without an allocation.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use doorstep_core::http1::{HeadOffsets, Reject, SentResponse, rejected_request_line};
use doorstep_core::log::{Ending, Record, Timing};

use super::{Context, Identity};
use crate::observer::notify_observer;
use crate::os;
use crate::request_number::RequestNumber;
use crate::stop_conditions::WatchedRequest;

/// For how many pipelined requests, after the first one, there is room at once.
const USUAL_PIPELINED: usize = 15;

/// The memory of one record in bytes, without the reason of an error: its page has it, too.
pub(crate) const UNSENT_RECORD_SIZE: usize = size_of::<UnsentRecord>();

/// The records of a connection whose responses are in the outbox, in order.
#[derive(Default)]
pub(crate) struct UnsentRecords {
    first: Option<UnsentRecord>,
    /// Those of further pipelined requests.
    rest: Vec<UnsentRecord>,
    /// A download that counts and was sent: complete unless the client resets the connection.
    unconfirmed: Option<Box<WatchedRequest>>,
}

/// What is to be logged of a response.
pub(super) struct UnsentRecord {
    pub(super) request: Request,
    /// The offset of its first byte in the inbox.
    pub(super) head_offset: usize,
    pub(super) sent: SentResponse,
    /// The bytes of the request's body that the handler has read.
    pub(super) received: u64,
    /// How it ends if its bytes are sent.
    pub(super) ending: Ending,
    /// Where the response ends, among all bytes that the outbox has sent so far.
    pub(super) end: u64,
    pub(super) started: Option<Instant>,
    pub(super) request_id: Option<RequestNumber>,
    pub(super) identity: Identity,
    /// The client, if trusted proxies report it; otherwise it is the connection's peer.
    pub(super) client: Option<SocketAddr>,
    /// What is notified of how the response has ended.
    pub(super) watched: Option<Box<WatchedRequest>>,
}

/// What is known of a request.
pub(super) enum Request {
    Head(HeadOffsets),
    /// It was refused before it was complete.
    Rejected(Reject),
}

impl UnsentRecords {
    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Whether how the client closes the connection is to be waited for.
    pub(super) fn is_unconfirmed(&self) -> bool {
        self.unconfirmed.is_some()
    }

    /// The client has closed the connection; or it has not, and is not waited for any longer.
    pub(super) fn confirm(&mut self) {
        if let Some(watched) = self.unconfirmed.take() {
            watched.confirmed();
        }
    }

    /// The client has reset the connection: it has not read the response to its end.
    pub(super) fn refute(&mut self) {
        self.unconfirmed = None; // a transfer that is dropped was cut
    }

    /// Adds the record of a response whose last byte is in the outbox.
    pub(super) fn push(&mut self, record: UnsentRecord) {
        match self.first {
            None => self.first = Some(record),
            Some(_) => {
                if self.rest.capacity() == 0 {
                    self.rest.reserve(USUAL_PIPELINED); // by one allocation, not by several
                }
                self.rest.push(record);
            }
        }
    }

    /// Logs all records: everything was sent. `buffered` are the bytes of the inbox.
    pub(super) fn log_sent(&mut self, buffered: &[u8], context: &Context<'_>) {
        self.log(buffered, context, |_| {});
    }

    /// Logs all records. The outbox has sent `total_sent` bytes, and what follows them is lost:
    /// responses that are not sent completely end in `ending`. Returns whether there are any.
    pub(super) fn log_lost(
        &mut self,
        buffered: &[u8],
        context: &Context<'_>,
        total_sent: u64,
        ending: Ending,
    ) -> bool {
        let mut any = false;
        self.log(buffered, context, |record| {
            let unsent = record.end.saturating_sub(total_sent);
            if unsent > 0 {
                any = true;
                // The body is at the end of the response.
                record.sent.body_bytes = record.sent.body_bytes.saturating_sub(unsent);
                if record.ending == Ending::Complete {
                    record.ending = ending;
                }
            }
        });
        any
    }

    fn log(
        &mut self,
        buffered: &[u8],
        context: &Context<'_>,
        mut update: impl FnMut(&mut UnsentRecord),
    ) {
        let Some(first) = self.first.take() else { return };
        let now = context.timing.then(|| (os::since_epoch(), Instant::now()));
        // The memory is freed, since an idle connection is to be small.
        for mut record in std::iter::once(first).chain(std::mem::take(&mut self.rest)) {
            update(&mut record);
            record.log(buffered, context, now);
            match record.watched {
                Some(watched)
                    if watched.is_confirmed_by_close() && record.ending == Ending::Complete =>
                {
                    self.unconfirmed = Some(watched);
                }
                Some(watched) => watched.end(record.sent.status, record.ending),
                None => {}
            }
        }
    }
}

impl UnsentRecord {
    fn log(&self, buffered: &[u8], context: &Context<'_>, now: Option<(Duration, Instant)>) {
        let received = buffered.get(self.head_offset..).unwrap_or_default();
        let head = match &self.request {
            Request::Head(head) => Some(head.view(received.get(..head.size()).unwrap_or_default())),
            Request::Rejected(_) => None,
        };
        let line = match &self.request {
            Request::Head(_) => head.as_ref().map_or(&b""[..], |head| head.request_line()),
            Request::Rejected(reject) => rejected_request_line(*reject, received),
        };
        let local_addr = || context.connection.stream().local_addr().ok();
        let client = self.client.unwrap_or_else(|| context.connection.peer());
        let record = Record::new(client, line, self.sent.status);
        let mut record = record.with_local_addr(&local_addr);
        record.body_bytes_sent = (self.sent.body_bytes > 0).then_some(self.sent.body_bytes);
        record.body_bytes_received = self.received;
        record.ending = self.ending;
        record.error_message = self.sent.error_reason.as_deref();
        record.head = head.as_ref();
        record.request_id = self.request_id.map(RequestNumber::id);
        if let Identity::User(user) = &self.identity {
            record.user = Some(user);
        }
        record.tls_version = context.connection.stream().tls_version();
        record.timing = self.started.zip(now).map(|(started, (time, now))| {
            let duration = now.saturating_duration_since(started);
            Timing::new(time.saturating_sub(duration), duration)
        });
        notify_observer(|| context.observer.log(&record));
    }
}
