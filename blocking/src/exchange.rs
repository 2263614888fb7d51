//! One request and its response, as a handler sees them.
//!
//! The head is a view of bytes that stay where they are; the body is read behind them. A response
//! begins with [`Exchange::respond`]; what it promises is sent with [`Exchange::send`] and
//! [`Exchange::send_file`] and ended with [`Exchange::end`]. Nothing is sent before the connection
//! has to wait, or 64 KiB have been written.

use std::fs::File;
use std::io::{self, Read};
use std::net::TcpStream;
use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant};

use doorstep_core::http1::WaitingFor;
use doorstep_driver::exchange::{BodyRead, ExchangeState, ExchangeView};
use doorstep_driver::net::DisconnectDetector;
use doorstep_driver::{Response, TransferStart};

use crate::socket::Socket;
use crate::wait;

/// A request, and the means to respond to it: an [`ExchangeView`], and what may wait for the
/// client.
///
/// # Examples
/// A body that is sent back as it is received, in memory of constant size. The first part is read
/// before the response begins, so that a client that waits for `100 Continue` gets it:
///
/// ```
/// # use std::io;
/// # use doorstep_blocking::{Exchange, Handler};
/// use std::io::Read;
///
/// struct Uppercase;
///
/// impl Handler for Uppercase {
///     fn post(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
///         let mut part = [0; 8 << 10];
///         let mut n = exchange.body().read(&mut part)?;
///         exchange.respond(200).header("Content-Type", "text/plain").streamed_body()?;
///         while n > 0 {
///             part[..n].make_ascii_uppercase();
///             exchange.send(&part[..n])?;
///             n = exchange.body().read(&mut part)?;
///         }
///         exchange.end()
///     }
/// }
/// ```
///
/// A PUT to a file, of at most 10 MiB. The file is replaced when the upload is complete:
///
/// ```
/// # use doorstep_blocking::{Exchange, Handler};
/// use std::fs::{self, File};
/// use std::io;
///
/// struct Upload;
///
/// impl Handler for Upload {
///     fn put(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
///         let path = format!("upload.{}", exchange.peer_addr()); // one for each connection
///         let mut file = File::create(&path)?;
///         if let Err(error) = io::copy(&mut exchange.body().limit(10 << 20), &mut file) {
///             fs::remove_file(&path)?;
///             return Err(error); // a 413 if it is too large, or the client has disconnected
///         }
///         fs::rename(&path, "upload")?;
///         exchange.respond(204).body("")
///     }
/// }
/// ```
///
/// An event stream, which ends when the server stops, so that the shutdown does not have to abort
/// it:
///
/// ```
/// # use std::io;
/// # use doorstep_blocking::{Exchange, Handler};
/// use std::time::Duration;
///
/// struct Events;
///
/// impl Handler for Events {
///     fn get(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
///         let response = exchange.respond(200).header("Content-Type", "text/event-stream");
///         response.header("Cache-Control", "no-store").streamed_body()?;
///         if exchange.head().is_head() {
///             return Ok(()); // its response has no body, and would never end here
///         }
///         for n in 0.. {
///             exchange.send(format!("data: {n}\n\n").as_bytes())?;
///             exchange.flush()?; // an error once the client has disconnected
///             if exchange.wait_stopping(Duration::from_secs(1)) {
///                 break;
///             }
///         }
///         exchange.end()
///     }
/// }
/// ```
pub struct Exchange<'a> {
    state: ExchangeState<'a>,
    socket: &'a Socket<'a>,
    /// Since the first call of [`Exchange::wait_disconnected`].
    disconnect_detector: Option<DisconnectDetector>,
}

impl<'a> Exchange<'a> {
    pub(crate) fn new(state: ExchangeState<'a>, socket: &'a Socket<'a>) -> Self {
        Self { state, socket, disconnect_detector: None }
    }

    /// The body, to read.
    ///
    /// The first read sends `100 Continue` if the client waits for it and no response has begun
    /// (RFC 9110 §10.1.1). The body can also be read after that, but such a client may then wait for a
    /// while before it sends the body: read the first part before [`Exchange::respond`].
    ///
    /// Reading returns [`io::ErrorKind::InvalidData`] with a [`doorstep_core::http1::Reject`] inside
    /// if the client breaks a rule of framing, `UnexpectedEof` if it has closed the connection,
    /// `TimedOut` if it is too slow. An error is returned once; reads after it return 0, like those
    /// after the end of the body, so that a loop which ignores errors ends, too. A handler that
    /// returns the error leaves the response to the server: a 400, 408 or 413 without a message to
    /// the observer. One that ignores it takes a part for the whole body.
    pub fn body(&mut self) -> Body<'_, 'a> {
        Body { exchange: self }
    }

    /// Begins the response. Its Date is this moment, however long ago the request came.
    pub fn respond(&mut self, status: u16) -> Response<'_> {
        self.state.respond(status)
    }

    /// Adds a header to the response of this exchange, whoever makes it: this handler, one that it
    /// wraps, [`Files`](crate::Files), or the server in place of a handler that fails. It comes before
    /// the headers that the response has of its own, also if these have the same name. It is not part
    /// of interim responses.
    ///
    /// # Errors
    /// Returns [`doorstep_core::http1::Misuse`] if a response has begun, if name or value are
    /// malformed, and for headers of framing (`Content-Length`, `Connection` and others).
    pub fn add_header(&mut self, name: &str, value: impl AsRef<[u8]>) -> io::Result<()> {
        self.state.add_header(name, value)
    }

    /// Sets the user as whom the client has authenticated, for a handler that verifies credentials and
    /// wraps others: it is [`ExchangeView::user`] for them, `Record::user` in the access log, and
    /// `REMOTE_USER` of scripts. `None` is a client that did not need to authenticate: scripts then have
    /// no `REMOTE_USER`, whatever its Authorization header claims.
    pub fn set_user(&mut self, user: Option<Arc<[u8]>>) {
        self.state.set_user(user);
    }

    /// Responds 501 to a method that is not supported, as `http.server` does (B-022).
    ///
    /// # Errors
    /// Returns [`doorstep_core::http1::Misuse`] if a response has begun.
    pub fn unsupported(&mut self) -> io::Result<()> {
        self.state.unsupported()
    }

    /// Makes the response to a `GET` a download that [`StopConditions`] count, to be called before it
    /// begins. `reaches_end`: it includes the last byte of the file; other parts of it are waited for, but
    /// not counted. [`TransferStart::Refused`] means that the response was made here: 503,
    /// because as many transfers as may still be counted are in progress. Always [`TransferStart::Begun`]
    /// without [`StopConditions`], and for other methods. `Files` calls it itself.
    ///
    /// # Errors
    /// Returns [`doorstep_core::http1::Misuse`] if a response has begun.
    ///
    /// [`StopConditions`]: crate::StopConditions
    pub fn begin_transfer(&mut self, reaches_end: bool) -> io::Result<TransferStart> {
        self.state.begin_transfer(reaches_end)
    }

    /// Responds 503 with `Retry-After`, in whole seconds, rounded up, at least 1: a resource is used
    /// up, and a later request may succeed.
    ///
    /// # Errors
    /// Returns [`doorstep_core::http1::Misuse`] if a response has begun.
    pub fn unavailable(&mut self, retry_after: Duration) -> io::Result<()> {
        self.state.unavailable(retry_after)
    }

    /// Sends an interim response: 103 with `Link` headers, for example.
    ///
    /// # Errors
    /// Returns [`doorstep_core::http1::Misuse`] if `status` is not from 102 to 199 or the final
    /// response has begun, or the error of the socket.
    pub fn send_interim(&mut self, status: u16, headers: &[(&str, &[u8])]) -> io::Result<()> {
        self.state.write_interim(status, headers)?;
        self.flush()
    }

    /// Sends a part of the response's body. To a HEAD request nothing is sent, which is not an error;
    /// its length is checked as for GET.
    ///
    /// # Errors
    /// Returns [`doorstep_core::http1::Misuse`] if no body, or less of it, was promised, or the error
    /// of the socket.
    pub fn send(&mut self, data: &[u8]) -> io::Result<()> {
        if self.state.append_body(data)? { self.flush() } else { Ok(()) }
    }

    /// Sends `count` bytes of `file` from `offset`: all or part of the body that was promised. A
    /// small part leaves in one write with its head; a larger one is sent without being copied.
    ///
    /// # Errors
    /// Returns `UnexpectedEof` if the file has become shorter, or the error of the file or the
    /// socket. The client then sees that the response is incomplete.
    pub fn send_file(&mut self, file: &File, offset: u64, count: u64) -> io::Result<()> {
        let Some(mut transfer) = self.state.begin_file(file, offset, count)? else {
            return if self.state.should_flush() { self.flush() } else { Ok(()) };
        };
        let flushed = self.socket.flush(self.state.to_send(), true);
        self.state.record_flush(flushed)?;
        let sent = self.socket.send_file(&mut transfer);
        self.state.file_sent(transfer.sent(), sent)
    }

    /// Ends the body of the response. Nothing happens if the response is complete: after `body`,
    /// after the last byte of a `sized_body`, after a HEAD request, and if it was ended before.
    ///
    /// # Errors
    /// Returns [`doorstep_core::http1::Misuse`] if no response has begun, if announced bytes are
    /// missing, and if the response was aborted.
    pub fn end(&mut self) -> io::Result<()> {
        self.state.end()
    }

    /// As `end`, with trailer fields (RFC 9110 §6.5). They are dropped if the body is not chunked, as
    /// for HTTP/1.0.
    ///
    /// # Errors
    /// As for `end`; also returns [`doorstep_core::http1::Misuse`] if a trailer is malformed.
    pub fn end_with(&mut self, trailers: &[(&str, &[u8])]) -> io::Result<()> {
        self.state.end_with(trailers)
    }

    /// Sends what has been written so far; for a body whose next part takes its time.
    ///
    /// # Errors
    /// Returns the error of the socket. A client that has closed the connection is noticed when the
    /// system knows it: the first part after that is often still accepted, and a later one is
    /// the error.
    pub fn flush(&mut self) -> io::Result<()> {
        let flushed = self.socket.flush(self.state.to_send(), false);
        self.state.record_flush(flushed)
    }

    /// After [`Response::upgrade`] or [`Response::tunnel`]: sends the response, and returns the
    /// socket with the bytes of the new protocol that have come already.
    ///
    /// # Errors
    /// Returns `InvalidInput` if no other protocol was agreed on, or the error of the socket.
    pub fn upgraded(&mut self) -> io::Result<(TcpStream, Vec<u8>)> {
        self.flush()?;
        let unread = self.state.take_unread()?;
        Ok((self.socket.try_clone()?, unread))
    }

    /// Whether the server is stopping: [`ShutdownHandle::stop`] was called. Responses in progress go
    /// on, but those that have no end of their own, such as event streams, should end now:
    /// otherwise the shutdown takes all of its grace, and aborts them.
    ///
    /// [`ShutdownHandle::stop`]: crate::ShutdownHandle::stop
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.socket.connections().is_stopping()
    }

    /// Waits until the server begins to stop, at most for `timeout`. Returns whether it is stopping
    /// ([`Exchange::is_stopping`]). For event streams, instead of a sleep.
    #[must_use]
    pub fn wait_stopping(&self, timeout: Duration) -> bool {
        wait::stopping(self.socket.connections(), timeout)
    }

    /// Waits until the client has disconnected, at most for `timeout`. Returns whether it has. It
    /// reads nothing: requests that have arrived already are kept. A client that has only closed its
    /// half of the connection may wait for the response; it counts as disconnected after
    /// [`Config::half_close_timeout`], which all calls during one exchange measure together.
    ///
    /// A handler may then return an error of kind [`io::ErrorKind::ConnectionAborted`]: that is not
    /// reported to the observer, and the log shows a client that has disconnected.
    ///
    /// A thread cannot wait for two things, so a handler that waits for something else checks now and
    /// then, with a timeout of zero:
    ///
    /// ```
    /// # use std::io;
    /// # use doorstep_blocking::{Exchange, Handler};
    /// use std::sync::Mutex;
    /// use std::sync::mpsc::{Receiver, RecvTimeoutError};
    /// use std::time::Duration;
    ///
    /// /// Responds with the next message, whenever it comes.
    /// struct LongPoll(Mutex<Receiver<String>>);
    ///
    /// impl Handler for LongPoll {
    ///     fn get(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
    ///         while !exchange.wait_disconnected(Duration::ZERO) {
    ///             let next = self.0.lock().map(|queue| queue.recv_timeout(Duration::from_secs(1)));
    ///             match next {
    ///                 Ok(Ok(message)) => return exchange.respond(200).body(message),
    ///                 Ok(Err(RecvTimeoutError::Timeout)) => {}
    ///                 _ => return exchange.unavailable(Duration::from_secs(10)),
    ///             }
    ///         }
    ///         Err(io::ErrorKind::ConnectionAborted.into())
    ///     }
    /// }
    /// ```
    ///
    /// [`Config::half_close_timeout`]: crate::Config::half_close_timeout
    #[must_use]
    pub fn wait_disconnected(&mut self, timeout: Duration) -> bool {
        let (connection, config) = (self.socket.connection(), self.state.config());
        let interval = config.disconnect_check_interval;
        let new = || DisconnectDetector::new(config.half_close_timeout, interval);
        let detector = self.disconnect_detector.get_or_insert_with(new);
        let begun = Instant::now();
        let mut state = connection.peer_state();
        loop {
            if detector.update(state).is_some() {
                return true;
            }
            let left = timeout.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return false;
            }
            state = wait::peer_change(connection, state, left.min(interval));
        }
    }

    pub(crate) fn state(&mut self) -> &mut ExchangeState<'a> {
        &mut self.state
    }

    pub(crate) fn socket(&self) -> &'a Socket<'a> {
        self.socket
    }
}

impl<'a> Deref for Exchange<'a> {
    type Target = ExchangeView<'a>;

    fn deref(&self) -> &ExchangeView<'a> {
        &self.state
    }
}

/// A request's body.
pub struct Body<'x, 'a> {
    exchange: &'x mut Exchange<'a>,
}

impl Body<'_, '_> {
    /// Accepts at most `max` bytes of this request's body. If there are more, reading returns
    /// [`io::ErrorKind::InvalidData`] with [`Reject::BodyTooLarge`] inside, and if the handler then
    /// returns this error, the response is a 413 and the connection closes. If the length is known
    /// ([`ExchangeView::body_len`]), the first read returns it, before the client is asked for the
    /// body (`100 Continue`).
    ///
    /// The limit holds for the whole exchange. It can be lowered, and not raised above
    /// [`Limits::body`], which bounds the bodies of all requests.
    ///
    /// [`Limits::body`]: doorstep_core::http1::Limits::body
    /// [`Reject::BodyTooLarge`]: doorstep_core::http1::Reject::BodyTooLarge
    #[must_use]
    pub fn limit(self, max: u64) -> Self {
        self.exchange.state.limit_body(max);
        self
    }
}

impl Read for Body<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let Exchange { state, socket, .. } = &mut *self.exchange;
            match state.read_body(buffer)? {
                BodyRead::Read(n) => return Ok(n),
                BodyRead::Flush => {
                    let flushed = socket.flush(state.to_send(), false);
                    state.body_flushed(flushed)?;
                }
                BodyRead::Receive(max) => {
                    return state.received(socket.read_into(&mut buffer[..max], WaitingFor::Body));
                }
                BodyRead::Fill => {
                    let filled = socket.fill(state.inbox(), WaitingFor::Body);
                    state.filled(filled)?;
                }
            }
        }
    }
}
