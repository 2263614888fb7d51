//! The configuration of a server: one plain struct, shared by all front ends.
//!
//! Together with [`Limits`] and [`Timeouts`], which are two of its fields, it holds the bounds that
//! a client can meet on a connection. Those of scripts are in
//! [`CgiSettings`](crate::cgi::CgiSettings).
//!
//! ```
//! use doorstep_driver::Config;
//! use std::num::NonZeroUsize;
//!
//! let mut config = Config::default();
//! config.max_connections = NonZeroUsize::new(64);
//! config.limits.body = 10 << 20;
//! assert_eq!(config.server, "doorstep/0.1");
//! ```

use std::io::{self, ErrorKind};
use std::num::NonZeroUsize;
use std::panic::{self, AssertUnwindSafe};
use std::time::Duration;

use doorstep_core::http1::{
    Connection, ErrorPages, GrowableBuffer, Inbox, Limits, Outbox, Timeouts, Version,
};

use crate::net::TrustedProxies;
use crate::transfers::Transfers;

/// How a server serves. The defaults are fit for the open network.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// The bounds of requests. Each field names the status of the response to a request that
    /// exceeds it. Default: those of [`Limits`].
    pub limits: Limits,
    /// The longest times to wait for a client, and the rates that it must keep. Default: those of
    /// [`Timeouts`].
    pub timeouts: Timeouts,
    /// How long a TLS handshake may take, from the start of the connection to its completion; then the
    /// connection is closed (B-292). [`Timeouts::idle`] applies from then on, and counts from the start
    /// of the connection, too. Default: 10 s.
    pub handshake_timeout: Duration,
    /// The port of HTTPS to which requests are redirected that are not encrypted: each gets a 301, or
    /// a 308 if its method is neither GET nor HEAD, to the same host and path (RFC 9110 §15.4). For a
    /// server that has a listener without TLS besides those with TLS. `None` serves them. Default:
    /// `None`.
    pub https_redirect: Option<u16>,
    /// The version of responses. With HTTP/1.0 each connection closes after its first response
    /// (B-042). Default: HTTP/1.1.
    pub protocol: Version,
    /// The value of the Server header; empty for none (B-063). If it is not a valid value, serving
    /// returns an error ([`Config::check`]). Default: `doorstep/` and the first two numbers of the
    /// version.
    pub server: String,
    /// Headers of every final response, name and value (B-293). With a pair that is not a valid
    /// header, or that only the server may write, such as `Content-Length`, serving returns an error
    /// ([`Config::check`]). A `Content-Security-Policy` is not sent with a listing, which has its own.
    /// Default: none.
    pub headers: Vec<(String, String)>,
    /// What makes the pages of all error responses, also of those to requests that are refused.
    /// `None` is the page of [`page::error`]. If the function panics, that page is sent. Default:
    /// `None`.
    ///
    /// ```
    /// use doorstep_driver::Config;
    /// use doorstep_driver::core::http1::ErrorPages;
    /// use doorstep_driver::core::page::escape_html;
    ///
    /// let error_pages = ErrorPages::new(|page| {
    ///     let mut html = format!("<!DOCTYPE html><title>{}</title><h1>", page.status).into_bytes();
    ///     escape_html(&mut html, page.reason); // it may quote the request
    ///     ("text/html; charset=utf-8", html)
    /// });
    /// let mut config = Config::default();
    /// config.error_pages = Some(error_pages);
    /// ```
    ///
    /// [`page::error`]: doorstep_core::page::error
    pub error_pages: Option<ErrorPages>,

    /// The proxies in front of this server. Of requests that come from them, `Forwarded` (RFC 7239),
    /// `X-Forwarded-For` and `X-Forwarded-Proto` are believed
    /// ([`ExchangeView::client_addr`](crate::exchange::ExchangeView::client_addr)), and a request in
    /// which they are malformed gets a 400. Of all others they are ignored, which is reported to
    /// [`Observer::on_error`](crate::Observer::on_error). A trusted proxy must append to these headers
    /// or replace them. Default: none.
    pub trusted_proxies: TrustedProxies,
    /// The path below which a proxy serves this server, such as `/docs`: handlers see paths without
    /// it, and URLs in responses have it ([`Head::prefix`]). A request for the prefix itself is
    /// redirected to `/docs/` (301), and one outside of it gets a 404. It must begin with a slash and
    /// not end in one ([`Config::check`]); empty for none. Default: empty.
    ///
    /// [`Head::prefix`]: doorstep_core::http1::Head::prefix
    pub prefix: String,

    /// Where responses and request bodies are listed while they are in progress. `None` lists none.
    /// Default: `None`.
    pub transfers: Option<Transfers>,

    /// Concurrent connections. `None` is the front end's default: 1,024 on threads, 10,000 on smol.
    /// When there are as many, a connection that is slow or idle is evicted for a new one; while
    /// none can be evicted, new ones wait in the listener's backlog (B-286). There are fewer where
    /// this process may have few descriptors ([`crate::os::max_connections`]): with the usual soft
    /// limit of 1,024 there are 659, unless that limit is raised, as
    /// `Server::raise_descriptor_limit` does. Default: `None`.
    pub max_connections: Option<NonZeroUsize>,
    /// The pause after the system has refused a descriptor, memory or a thread, before the server
    /// asks again. Meanwhile new connections wait in the listener's backlog, and work for the smol
    /// front end's pool in its queue. Default: 100 ms.
    pub accept_backoff: Duration,

    /// How long a connection may be idle, in the middle of a head, or in the middle of a body or a
    /// response below [`Config::eviction_rate`], before it can be evicted. It matters only when the
    /// server is full: then an idle connection is closed without a response, a slow request gets a
    /// 408, and a slow receiver a reset. Default: 1 s.
    pub eviction_grace: Duration,
    /// The same for a connection that has not sent a request yet. Default: 2 s.
    pub first_request_grace: Duration,
    /// Bytes per second at which a body or a response is not slow, and cannot be evicted. Default:
    /// 4,096.
    pub eviction_rate: u32,
    /// How long an evicted connection has to close before another one is evicted in its place.
    /// Default: 1 s.
    pub eviction_timeout: Duration,
    /// The longest time between two scans of all connections for those that can be evicted, while
    /// the server is full: a new connection waits at most this much longer than the others' graces
    /// require. Between 1 ms and this, it is 20 µs for each connection, and at least a tenth of
    /// [`Config::rotation_interval`]. Default: 100 ms.
    pub eviction_scan_interval: Duration,
    /// How long a request that needs a file waits for the descriptor of a connection that was
    /// evicted because this process had none left. If there is none after that time, the response
    /// is a 503. Default: 100 ms.
    pub descriptor_wait: Duration,
    /// While the server is full and no connection can be evicted: the time in which every
    /// connection is asked to close with its next response (`Connection: close`), so that waiting
    /// clients are served. Default: 100 ms.
    pub rotation_interval: Duration,

    /// The longest time between two checks of all deadlines, and so how late one may be noticed. It
    /// is a quarter of the shortest deadline if that is less, but at least 20 ms. Default: 1 s.
    pub sweep_interval: Duration,
    /// Bytes that are still received and discarded after the last response, while
    /// [`Timeouts::linger`] and its rate are kept. When a client sends more, the connection is
    /// closed, so that what the client sends after that is answered by a reset, which may cost it that
    /// response. Default: 1 GiB.
    pub max_linger_bytes: u64,

    /// The longest time that a shutdown takes (B-282). For all but the last quarter of it, or its
    /// last two [`Config::shutdown_step`]s if these are less, responses in progress go on. Then
    /// handlers are asked to end, and then connections are aborted. [`crate::ShutdownSchedule`] has
    /// the steps. At least 100 ms. Default: 8 s.
    pub shutdown_grace: Duration,
    /// How long a shutdown waits for one more request on each connection that is kept alive or has
    /// not sent a request yet; the response says `Connection: close`. Then idle connections are
    /// closed. So a proxy that sends a request at the moment of the shutdown does not lose it. Part
    /// of [`Config::shutdown_grace`]. Default: 1 s.
    pub lame_duck: Duration,
    /// The longest time of each of the last two steps of a shutdown: how long handlers have to end
    /// after [`Observer::on_grace_expired`](crate::Observer::on_grace_expired), and then how long
    /// aborted connections have to close. An eighth of [`Config::shutdown_grace`] if that is less,
    /// but at least 100 ms. Default: 1 s.
    pub shutdown_step: Duration,
    /// How long a shutdown waits for the end of processes that it has killed because
    /// [`Config::shutdown_grace`] was over; this wait is not part of it. A sixteenth of that grace if
    /// it is less, but at least 100 ms. Default: 500 ms.
    pub kill_wait: Duration,

    /// Bytes of a request body that are received before the handler reads them: together with the
    /// largest head and the largest trailer section ([`Limits`]) this is the most memory for input
    /// on one connection. At least 4 KiB. Default: 16 KiB.
    pub body_read_ahead: usize,
    /// Bytes of responses that wait in memory before they are sent: when pipelined requests have
    /// filled it, their responses are sent before the next request is handled. A response that is
    /// written in parts is sent when it exceeds this, too. Each response that waits has a record for
    /// the log besides, of about 300 bytes. Twice as much memory is kept between
    /// requests for the next responses. Default: 64 KiB.
    pub flush_threshold: usize,
    /// The most bytes of a file that one call sends (`sendfile`), so that one download cannot
    /// starve the others on the same thread. At least 4 KiB. Default: 256 KiB.
    pub max_sendfile_chunk: usize,
    /// How often it is checked whether a client has disconnected whose request waits for a permit,
    /// for a digest or a listing, or for a handler that waits for the disconnect, too. Default: 1 s.
    pub disconnect_check_interval: Duration,
    /// How long a client that has closed its half of the connection counts as connected for a
    /// handler that waits for its disconnect: it may wait for the response, or have disconnected.
    /// Default: 5 s.
    pub half_close_timeout: Duration,
    /// Idle threads that the thread pool of the blocking front end keeps for new connections, at
    /// least one; more of them end. Fewer are kept where this process may have few descriptors.
    /// Default: 32.
    pub max_idle_threads: usize,
    /// Pairs of idle buffers, one for input and one for output, that the blocking front end and each
    /// worker of the smol front end keep for busy connections; more of them are freed. Default: 64.
    pub max_spare_buffers: usize,
    /// Threads of the smol front end's thread pool for work that may block (listings, digests,
    /// starting scripts, large uploads), at least one. More work waits in a queue. Default: 64.
    pub pool_threads: usize,
    /// How long a thread of that pool, apart from the first, waits for work before it ends.
    /// Default: 5 s.
    pub pool_idle_timeout: Duration,
    /// A shortage of descriptors or threads is logged when it begins, and not again until it has
    /// been over for this time. Default: 10 s.
    pub log_quiet_time: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            timeouts: Timeouts::default(),
            handshake_timeout: Duration::from_secs(10),
            https_redirect: None,
            protocol: Version::Http11,
            server: concat!(
                "doorstep/",
                env!("CARGO_PKG_VERSION_MAJOR"),
                ".",
                env!("CARGO_PKG_VERSION_MINOR")
            )
            .into(),
            headers: Vec::new(),
            error_pages: None,
            trusted_proxies: TrustedProxies::default(),
            prefix: String::new(),
            transfers: None,
            max_connections: None,
            accept_backoff: Duration::from_millis(100),
            eviction_grace: Duration::from_secs(1),
            first_request_grace: Duration::from_secs(2),
            eviction_rate: 4096,
            eviction_timeout: Duration::from_secs(1),
            eviction_scan_interval: Duration::from_millis(100),
            descriptor_wait: Duration::from_millis(100),
            rotation_interval: Duration::from_millis(100),
            sweep_interval: Duration::from_secs(1),
            max_linger_bytes: 1 << 30,
            shutdown_grace: Duration::from_secs(8),
            lame_duck: Duration::from_secs(1),
            shutdown_step: Duration::from_secs(1),
            kill_wait: Duration::from_millis(500),
            body_read_ahead: 16 << 10,
            flush_threshold: FLUSH_THRESHOLD,
            max_sendfile_chunk: 256 << 10,
            disconnect_check_interval: Duration::from_secs(1),
            half_close_timeout: Duration::from_secs(5),
            max_idle_threads: 32,
            max_spare_buffers: 64,
            pool_threads: 64,
            pool_idle_timeout: Duration::from_secs(5),
            log_quiet_time: Duration::from_secs(10),
        }
    }
}

/// The size of a new inbox, in bytes: more than nearly every head. It bounds nothing: an inbox
/// grows.
pub(crate) const INITIAL_INBOX: usize = 2 << 10;
/// The least [`Config::body_read_ahead`], in bytes: with less, a body could not be decoded.
const MIN_READ_AHEAD: usize = 4 << 10;
/// The default of [`Config::flush_threshold`], in bytes; and the size of the parts in which
/// generated content, such as a listing, is written.
pub const FLUSH_THRESHOLD: usize = 64 << 10;

impl Config {
    /// Checks what an embedder may get wrong: [`Config::server`], [`Config::headers`] and
    /// [`Config::prefix`]. The front ends call it before they serve.
    ///
    /// ```
    /// use doorstep_driver::Config;
    ///
    /// let mut config = Config::default();
    /// config.headers = vec![("X-Frame-Options".into(), "DENY\r\n".into())];
    /// let error = config.check().unwrap_err();
    /// assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    /// assert!(error.to_string().starts_with("Config::headers: X-Frame-Options: "));
    /// ```
    ///
    /// # Errors
    /// Returns [`io::ErrorKind::InvalidInput`] with the name of the field and of the header, and the
    /// reason.
    pub fn check(&self) -> io::Result<()> {
        let mut outbox = Outbox::new("");
        let mut check = |field: &str, name: &str, value: &str| {
            let added = outbox.add_default_header(name, value.as_bytes());
            added.map_err(|misuse| {
                let message = format!("{field}: {}: {misuse}", name.escape_debug());
                io::Error::new(ErrorKind::InvalidInput, message)
            })
        };
        check("Config::server", "Server", &self.server)?;
        if !is_prefix(&self.prefix) {
            let message =
                "Config::prefix: must be a path such as /docs, without a slash at its end";
            return Err(io::Error::new(ErrorKind::InvalidInput, message));
        }
        self.headers.iter().try_for_each(|(name, value)| check("Config::headers", name, value))
    }

    /// The state machine of one connection.
    #[must_use]
    pub fn connection(&self) -> Connection {
        Connection::new(self.limits).with_version(self.protocol)
    }

    /// An inbox for one connection. It is small at first, and grows up to the largest head, the
    /// largest trailer section and [`Config::body_read_ahead`] together.
    #[must_use]
    pub fn inbox(&self) -> Inbox<GrowableBuffer> {
        Inbox::new(GrowableBuffer::new(INITIAL_INBOX, self.max_inbox()))
    }

    /// The largest size of an inbox, in bytes.
    pub(crate) fn max_inbox(&self) -> usize {
        let head = self.limits.head as usize + usize::from(self.limits.trailers);
        head.saturating_add(self.body_read_ahead.max(MIN_READ_AHEAD))
    }

    /// An outbox whose responses begin with this server's headers, as far as they are valid
    /// ([`Config::check`]), and which has this server's error pages.
    #[must_use]
    pub fn outbox(&self) -> Outbox {
        let mut outbox = Outbox::new(&self.server);
        for (name, value) in &self.headers {
            let _ = outbox.add_default_header(name, value.as_bytes());
        }
        if let Some(pages) = self.error_pages.clone() {
            outbox.set_error_pages(ErrorPages::new(move |page| {
                let rendered = panic::catch_unwind(AssertUnwindSafe(|| pages.render(page)));
                rendered.unwrap_or_else(|_| ErrorPages::default().render(page))
            }));
        }
        outbox
    }
}

/// Whether this can be [`Config::prefix`]: empty, or a path as it stands in a request, with names that
/// are not dot segments.
fn is_prefix(prefix: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@%".contains(&b);
    let is_name = |name: &str| !matches!(name, "" | "." | "..") && name.bytes().all(is_plain);
    let names = prefix.strip_prefix('/').map(|names| names.split('/'));
    prefix.is_empty() || names.is_some_and(|mut names| names.all(is_name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_headers_are_errors_that_name_them() {
        let error = |server: &str, name: &str, value: &str| {
            let headers = vec![("X-A".into(), "1".into()), (name.into(), value.into())];
            let config = Config { server: server.into(), headers, ..Config::default() };
            config.check().map_err(|error| error.to_string()).err()
        };
        for (server, name) in [("", "X-B"), ("a/1 (b)", "Cache-Control")] {
            assert_eq!(error(server, name, "max-age=1"), None);
        }
        for (server, name, value, blamed) in [
            ("", "X B", "1", "Config::headers: X B: "),
            ("", "", "1", "Config::headers: : "),
            ("", "X-B", "1\r\nX-C: 2", "Config::headers: X-B: "),
            ("", "content-length", "1", "Config::headers: content-length: "),
            ("a\nb", "X-B", "1", "Config::server: Server: "),
        ] {
            let error = error(server, name, value).unwrap();
            assert!(error.starts_with(blamed), "{error}");
        }
    }

    #[test]
    fn an_inbox_holds_the_largest_head_and_trailers_and_what_is_read_ahead() {
        let mut limits = Limits::default();
        (limits.head, limits.trailers) = (1000, 100);
        for (body_read_ahead, largest) in [(10_000, 11_100), (0, 5_196)] {
            let config = Config { limits, body_read_ahead, ..Config::default() };
            let mut inbox = config.inbox();
            while !inbox.space().is_empty() {
                let n = inbox.space().len();
                inbox.filled(n);
            }
            assert_eq!(inbox.unread().len(), largest);
        }
        let _ = Config { body_read_ahead: usize::MAX, ..Config::default() }.inbox();
    }

    #[test]
    fn a_prefix_is_a_path_without_a_slash_at_its_end() {
        let check = |prefix: &str| Config { prefix: prefix.into(), ..Config::default() }.check();
        for prefix in ["", "/docs", "/a/b", "/~a/b.c-d", "/%C3%A9"] {
            assert!(check(prefix).is_ok(), "{prefix}");
        }
        for prefix in
            ["/", "docs", "/docs/", "/a//b", "/.", "/a/..", "/a b", "/a?b", "/a#b", "/\r\n"]
        {
            let error = check(prefix).unwrap_err().to_string();
            assert!(error.starts_with("Config::prefix: "), "{prefix}: {error}");
        }
    }
}
