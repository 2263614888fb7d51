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
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_io::Async;
use doorstep_core::http1::WaitingFor;
use doorstep_driver::connections::WaitGuard;
use doorstep_driver::exchange::{BodyRead, ExchangeState, ExchangeView};
use doorstep_driver::net::DisconnectDetector;
use doorstep_driver::{Response, Stopping, TransferStart};
use smol::future;
use smol::io::AsyncRead;

use crate::socket::{Reader, Socket};

/// A request, and the means to respond to it: an [`ExchangeView`], and what may wait for the
/// client.
///
/// # Examples
/// A body that is sent back as it is received, in memory of constant size. The first part is read
/// before the response begins, so that a client that waits for `100 Continue` gets it:
///
/// ```
/// # use std::io;
/// # use doorstep_async_smol::{Exchange, Handler};
/// use smol::io::AsyncReadExt;
///
/// struct Uppercase;
///
/// impl Handler for Uppercase {
///     async fn post(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
///         let mut part = vec![0; 8 << 10]; // an array would be a part of the future
///         let mut n = exchange.body().read(&mut part).await?;
///         exchange.respond(200).header("Content-Type", "text/plain").streamed_body()?;
///         while n > 0 {
///             part[..n].make_ascii_uppercase();
///             exchange.send(&part[..n]).await?;
///             n = exchange.body().read(&mut part).await?;
///         }
///         exchange.end()
///     }
/// }
/// ```
///
/// A PUT to a file, of at most 10 MiB. The file is replaced when the upload is complete:
///
/// ```
/// # use std::io;
/// # use doorstep_async_smol::{Exchange, Handler};
/// use std::fs::{self, File};
/// use std::io::Write;
/// use smol::io::AsyncReadExt;
///
/// struct Upload;
///
/// impl Handler for Upload {
///     async fn put(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
///         let path = format!("upload.{}", exchange.peer_addr()); // one for each connection
///         let received = receive(exchange, path.clone()).await;
///         exchange
///             .unblock(move || match received {
///                 Ok(()) => fs::rename(&path, "upload"),
///                 // Too large (413), or the client has disconnected.
///                 Err(error) => fs::remove_file(&path).and(Err(error)),
///             })
///             .await?;
///         exchange.respond(204).body("")
///     }
/// }
///
/// /// Receives the body into a new file. Files block, so that is done in the server's pool.
/// async fn receive(exchange: &mut Exchange<'_>, path: String) -> io::Result<()> {
///     let mut file = exchange.unblock(|| File::create(path)).await?;
///     loop {
///         let mut part = vec![0; 64 << 10];
///         let n = exchange.body().limit(10 << 20).read(&mut part).await?;
///         if n == 0 {
///             return Ok(());
///         }
///         let written = exchange.unblock(move || file.write_all(&part[..n]).map(|()| file));
///         file = written.await?;
///     }
/// }
/// ```
///
/// An event stream, which ends when the server stops, so that the shutdown does not have to abort
/// it:
///
/// ```
/// # use std::io;
/// # use doorstep_async_smol::{Exchange, Handler};
/// use std::time::Duration;
/// use smol::Timer;
/// use smol::future;
///
/// struct Events;
///
/// impl Handler for Events {
///     async fn get(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
///         let response = exchange.respond(200).header("Content-Type", "text/event-stream");
///         response.header("Cache-Control", "no-store").streamed_body()?;
///         if exchange.head().is_head() {
///             return Ok(()); // its response has no body, and would never end here
///         }
///         let mut stopping = exchange.stopping();
///         for n in 0.. {
///             exchange.send(format!("data: {n}\n\n").as_bytes()).await?;
///             exchange.flush().await?; // an error once the client has disconnected
///             let tick = async {
///                 Timer::after(Duration::from_secs(1)).await;
///                 false
///             };
///             let stop = async {
///                 (&mut stopping).await;
///                 true
///             };
///             if future::or(stop, tick).await {
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
}

impl<'a> Exchange<'a> {
    pub(crate) fn new(state: ExchangeState<'a>, socket: &'a Socket<'a>) -> Self {
        Self { state, socket }
    }

    /// Runs `work`, which may wait for a disk or a process, on a thread of the server's pool
    /// ([`Config::pool_threads`]). Unlike `smol::unblock` it works where the system has no threads
    /// left.
    ///
    /// [`Config::pool_threads`]: crate::Config::pool_threads
    ///
    /// # Cancel safety
    /// If the future is dropped, work that has begun goes on to its end, and its result is dropped; other
    /// work is not done.
    pub async fn unblock<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        self.socket.pool().run(work).await
    }

    /// The body, to read.
    /// It is an `AsyncRead`: `smol::io::AsyncReadExt` has the methods to read it.
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
    ///
    /// # Cancel safety
    /// If the future of a single read is dropped, nothing is lost: read again. What `read_exact`,
    /// `read_to_end` or `copy` has read already is in the caller's buffer, or lost with the future.
    pub fn body(&mut self) -> Body<'_, 'a> {
        let wait = self.socket.connection().wait_guard();
        Body { exchange: self, _wait: wait }
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
    ///
    /// # Cancel safety
    /// If the future is dropped after it was polled, the interim response leaves before what follows: do
    /// not send it again.
    pub async fn send_interim(&mut self, status: u16, headers: &[(&str, &[u8])]) -> io::Result<()> {
        self.state.write_interim(status, headers)?;
        self.flush().await
    }

    /// Sends a part of the response's body. To a HEAD request nothing is sent, which is not an error;
    /// its length is checked as for GET.
    ///
    /// # Errors
    /// Returns [`doorstep_core::http1::Misuse`] if no body, or less of it, was promised, or the error
    /// of the socket.
    ///
    /// # Cancel safety
    /// If the future is dropped after it was polled, the whole part counts as sent, and leaves before the
    /// next one: do not send it again.
    pub async fn send(&mut self, data: &[u8]) -> io::Result<()> {
        if self.state.append_body(data)? { self.flush().await } else { Ok(()) }
    }

    /// Sends `count` bytes of `file` from `offset`: all or part of the body that was promised. A
    /// small part leaves in one write with its head; a larger one is sent without being copied.
    ///
    /// # Errors
    /// Returns `UnexpectedEof` if the file has become shorter, or the error of the file or the
    /// socket. The client then sees that the response is incomplete.
    ///
    /// # Cancel safety
    /// If the future is dropped, sending stops between two bytes, and [`ExchangeView::body_bytes_sent`]
    /// tells how far it came: send the rest from there, or return, which aborts the response.
    pub async fn send_file(&mut self, file: &File, offset: u64, count: u64) -> io::Result<()> {
        let Some(mut transfer) = self.state.begin_file(file, offset, count)? else {
            return if self.state.should_flush() { self.flush().await } else { Ok(()) };
        };
        let flushed = self.socket.flush(self.state.to_send(), true).await;
        self.state.record_flush(flushed)?;
        loop {
            // Each part is counted as soon as it was sent: the handler may drop this future.
            let before = transfer.sent();
            let result = self.socket.send_part(&mut transfer).await;
            self.state.file_sent(transfer.sent() - before, result)?;
            if transfer.is_done() {
                return Ok(());
            }
            future::yield_now().await; // one fair share at a time: others have their turn
        }
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
    ///
    /// # Cancel safety
    /// If the future is dropped, the rest leaves with the next flush, or at the end of the response.
    pub async fn flush(&mut self) -> io::Result<()> {
        let flushed = self.socket.flush(self.state.to_send(), false).await;
        self.state.record_flush(flushed)
    }

    /// After [`Response::upgrade`] or [`Response::tunnel`]: sends the response, and returns the
    /// socket with the bytes of the new protocol that have come already.
    ///
    /// # Errors
    /// Returns `InvalidInput` if no other protocol was agreed on, or the error of the socket.
    ///
    /// # Cancel safety
    /// If the future is dropped, nothing is lost: call this again.
    pub async fn upgraded(&mut self) -> io::Result<(Async<TcpStream>, Vec<u8>)> {
        self.flush().await?; // first: the handler may drop this future, and try again
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

    /// A future that is ready when the server begins to stop, or at once if it is stopping already
    /// ([`Exchange::is_stopping`]). It does not borrow the exchange, needs no particular executor, and
    /// stays ready.
    pub fn stopping(&self) -> Stopping {
        self.socket.connections().stopping()
    }

    /// A future that is ready when the client has disconnected, for handlers that wait for something
    /// else meanwhile. It does not borrow the exchange, and reads nothing: requests that have arrived
    /// already are kept. A client that has only closed its half of the connection may wait for the
    /// response; it counts as disconnected after [`Config::half_close_timeout`]. If it has sent
    /// something that was not read, a disconnect is noticed after
    /// [`Config::disconnect_check_interval`].
    ///
    /// A handler may then return an error of kind [`io::ErrorKind::ConnectionAborted`]: that is not
    /// reported to the observer, and the log shows a client that has disconnected.
    ///
    /// Make it once, and poll it by reference if it is needed again: a new one begins the timeout of
    /// a half-close anew.
    ///
    /// ```
    /// # use std::io;
    /// # use doorstep_async_smol::{Exchange, Handler};
    /// use smol::channel::Receiver;
    /// use smol::future;
    ///
    /// /// Responds with the next message, whenever it comes.
    /// struct LongPoll(Receiver<String>);
    ///
    /// impl Handler for LongPoll {
    ///     async fn get(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
    ///         let message = async { self.0.recv().await.ok() };
    ///         let disconnected = exchange.disconnected();
    ///         let gone = async {
    ///             disconnected.await;
    ///             None
    ///         };
    ///         match future::or(message, gone).await {
    ///             Some(message) => exchange.respond(200).body(message),
    ///             None => Err(io::ErrorKind::ConnectionAborted.into()),
    ///         }
    ///     }
    /// }
    /// ```
    ///
    /// [`Config::half_close_timeout`]: crate::Config::half_close_timeout
    /// [`Config::disconnect_check_interval`]: crate::Config::disconnect_check_interval
    pub fn disconnected(&self) -> impl Future<Output = ()> + Send + use<'a> {
        let (socket, config) = (self.socket, self.state.config());
        let interval = config.disconnect_check_interval;
        let mut detector = DisconnectDetector::new(config.half_close_timeout, interval);
        async move {
            loop {
                let state = socket.connection().peer_state();
                if detector.update(state).is_some() {
                    return;
                }
                socket.peer_change(state, interval).await;
            }
        }
    }

    pub(crate) fn into_state(self) -> ExchangeState<'a> {
        self.state
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
    /// The wait of a read that is dropped ends with this.
    _wait: WaitGuard<'a>,
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

impl AsyncRead for Body<'_, '_> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let Exchange { state, socket } = &mut *self.get_mut().exchange;
        loop {
            match state.read_body(buffer)? {
                BodyRead::Read(n) => return Poll::Ready(Ok(n)),
                BodyRead::Flush => {
                    let flushed = ready!(socket.poll_flush(cx, state.to_send(), false));
                    state.body_flushed(flushed)?;
                }
                BodyRead::Receive(max) => {
                    let read = |stream: &mut Reader<'_>| stream.read(&mut buffer[..max]);
                    let received = ready!(socket.poll_read(cx, WaitingFor::Body, read));
                    return Poll::Ready(state.received(received));
                }
                BodyRead::Fill => {
                    let fill = |stream: &mut Reader<'_>| state.inbox().fill(stream);
                    let filled = ready!(socket.poll_read(cx, WaitingFor::Body, fill));
                    state.filled(filled)?;
                }
            }
        }
    }
}
