//! HTTP/1.1, 1.0 and 0.9 as a pure state machine.
//!
//! It promises that no input and no order of calls makes it panic, that memory is bounded by
//! [`Limits`], and that nothing which two implementations could frame differently is accepted:
//! request smuggling needs such input. It refuses by returning a [`Reject`], which has a status.
//! The crate's first page has an example of a complete exchange.
//!
//! Where each rule is:
//!
//! | rule | file |
//! |---|---|
//! | states and transitions, keep-alive, half-close | [`state`] |
//! | requests and bodies in order, discarded bodies | `receive.rs` |
//! | request line, head, limits of both | `parse.rs`, `target.rs`, `scan.rs` |
//! | syntax of header lines and trailers | `fields.rs` |
//! | framing of a request's body, request smuggling | `framing.rs` |
//! | chunked transfer coding, trailers | `chunked.rs` |
//! | the head of a response, framing of its body | `response.rs` |
//! | which headers an application may set, and their syntax | `header.rs` |
//! | headers that are validated once and sent many times | `header_block.rs` |
//! | streamed bodies, interim responses, refusals | `response_body.rs` |
//! | which error pages are sent | `error_pages.rs` |
//! | bounds and deadlines, lingering close | [`Limits`], [`Timeouts`], [`WaitClock`] |
//! | input and output buffers, pipelining | [`Inbox`], [`Outbox`] |

mod chunked;
mod connection;
pub mod date;
mod error;
mod error_pages;
mod event;
mod fields;
mod framing;
mod head;
mod header;
mod header_block;
mod inbox;
mod limits;
mod outbox;
mod parse;
mod receive;
mod response;
mod response_body;
mod scan;
pub mod state;
pub mod status;
mod target;
mod unix_time;
mod wait_clock;

pub use connection::Connection;
#[cfg(feature = "cgi")]
pub(crate) use error::quote;
pub use error::{Misuse, Reject};
pub use error_pages::{ErrorPage, ErrorPages, PreparedErrorPage};
pub use event::{Event, ResponseDue, Trailers};
#[cfg(feature = "site")]
pub(crate) use head::KnownHeader;
pub use head::{Head, HeadOffsets, Headers, Version};
pub use header_block::HeaderBlock;
pub use inbox::{GrowableBuffer, Inbox, Position, Storage};
pub use limits::{Limits, Timeouts, WaitingFor};
pub use outbox::Outbox;
pub use parse::rejected_request_line;
pub use response::{Response, SentResponse};
pub use wait_clock::WaitClock;
