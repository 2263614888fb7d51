//! doorstep-core: an HTTP/1.1 server as a pure state machine.
//!
//! Bytes in, request events out; responses in, response bytes out. The state machine owns no
//! buffers and has no clock, threads, files or sockets. It reports what it is waiting for, never
//! for how long. Any event loop can drive it:
//!
//! ```text
//!    bytes from the peer          the application            bytes to the peer
//!  ───────────────────▶ Inbox ──▶ Connection ──▶ Event ──▶ Response ─▶ Outbox ─────▶
//! ```
//!
//! One complete exchange:
//!
//! ```
//! use doorstep_core::http1::{Connection, Event, Inbox, Limits, Outbox};
//!
//! let mut connection = Connection::new(Limits::default());
//! let mut inbox = Inbox::new([0; 1024]);
//! let mut outbox = Outbox::new("doorstep");
//!
//! // Bytes arrive from somewhere.
//! let mut peer = &b"GET /hello HTTP/1.1\r\nHost: here\r\n\r\n"[..];
//! inbox.fill(&mut peer)?;
//!
//! loop {
//!     match connection.next(&mut inbox) {
//!         Ok(Event::Request(head)) => {
//!             assert_eq!(head.path(), b"/hello");
//!             connection.respond(200, &mut outbox).header("Content-Type", "text/plain").body(b"hi\n")?;
//!         }
//!         Ok(Event::Body(_) | Event::End(_) | Event::ResponseDue(_)) => unreachable!("a GET has no body"),
//!         Ok(Event::SwitchedProtocol) => unreachable!("no request asked for another protocol"),
//!         Ok(Event::NeedData | Event::Closed) => break, // flush the outbox; then wait, or close
//!         Err(reject) => _ = connection.refuse(reject, inbox.unread(), &mut outbox),
//!     }
//! }
//!
//! assert_eq!(
//!     outbox.unsent(),
//!     b"HTTP/1.1 200 OK\r\nServer: doorstep\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nhi\n",
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Beside the protocol ([`http1`]) are the decisions of a file server and of CGI. They are pure:
//! they ask, and the caller does the I/O. [`path`] normalizes a request target, [`site`] plans the
//! response for a path, [`cgi`] finds scripts and parses their output, [`forwarded`] and
//! [`proxy_protocol`] find the client behind proxies, [`page`] and [`log`] write
//! error pages and access log lines, [`credentials`] parses the Authorization
//! header, [`form_data`] parses forms with files, and [`bytes`] holds the byte utilities that all of them share.
//!
//! # Features
//!
//! All are on by default. With `default-features = false`, the crate is `no_std` and needs `alloc`;
//! `examples/no_std/` is a server like that. A feature adds items and changes nothing else.
//!
//! | feature | adds | needs |
//! |---|---|---|
//! | none | `http1`, `path`, `page`, `log`, `credentials`, `bytes`, `form_data`, `forwarded`, `proxy_protocol` | `alloc`; the crate percent-encoding |
//! | `cgi` | `cgi` | `alloc` |
//! | `site` | `site` | `std`; the crates httpdate, mime_guess |
//! | `std` | `Inbox::fill` from an `io::Read`, `io::Error` from `Misuse`, `UnixTime` from a `SystemTime` | `std` |
//!
//! It depends on no operating system. docs/stability.md in the repository has what may change between
//! releases, Rust versions, and what is guaranteed about panics and threads.
//!
//! Numbers such as B-301 name rows of the project's specification. docs/differences.md lists them,
//! and describes where the behaviour differs from that of `http.server`.

#![cfg_attr(not(any(feature = "std", test)), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod bytes;
#[cfg(feature = "cgi")]
pub mod cgi;
pub mod credentials;
pub mod form_data;
pub mod forwarded;
pub mod http1;
pub mod log;
pub mod page;
pub mod path;
pub mod proxy_protocol;
#[cfg(feature = "site")]
pub mod site;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
