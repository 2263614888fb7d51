//! doorstep-core: an HTTP/1.1 server as a pure state machine.
//!
//! Bytes in, request events out; answers in, response bytes out. The machine owns no bytes, has no
//! clock, no threads, no files and no sockets; it says whom it waits for, never how long. Whoever
//! has an event loop has a server:
//!
//! ```text
//!    bytes from the peer          the application            bytes to the peer
//!  ───────────────────▶ Inbox ──▶ Connection ──▶ Event ──▶ Response ─▶ Outbox ─────▶
//! ```
//!
//! One whole conversation:
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
//!         Ok(Event::SwitchedProtocol) => unreachable!("nobody asked for another protocol"),
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
//! Beside the wire ([`http1`]) stand the decisions that a file server makes, as questions that the
//! caller answers: [`path`] from a target to a clean path, [`site`] from a path to an answer,
//! [`page`] and [`log`] for what people read.

#![forbid(unsafe_code)]

pub mod bytes;
pub mod cgi;
pub mod http1;
pub mod log;
pub mod page;
pub mod path;
pub mod site;
