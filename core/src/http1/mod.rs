//! The wire: HTTP/1.1, 1.0 and 0.9 as a pure state machine.
//!
//! One file, one idea. Where to look for a rule:
//!
//! | rule | file |
//! |---|---|
//! | who may do what when | [`state`] |
//! | request line, head, limits of both | `parse.rs`, `target.rs`, `scan.rs` |
//! | how long a request's body is | `framing.rs` |
//! | the chunked coding | `chunked.rs` |
//! | what an answer's head says | `response.rs` |
//! | which fields may be set, and what may stand in them | `header.rs` |
//! | bodies, interim answers, refusals | `response_body.rs` |
//! | every bound and deadline | [`Limits`], [`Timeouts`] |
//! | who owns which memory | [`Inbox`], [`Outbox`] |

mod chunked;
mod connection;
pub mod date;
mod error;
mod event;
mod framing;
mod head;
mod header;
mod inbox;
mod limits;
mod outbox;
mod parse;
mod response;
mod response_body;
mod scan;
pub mod state;
pub mod status;
mod target;

pub use connection::Connection;
pub(crate) use error::quote;
pub use error::{Misuse, Reject};
pub use event::{Event, ResponseDue, Trailers};
pub use head::{Head, HeadOffsets, Headers, Version};
pub use inbox::{GrowableBuffer, Inbox, Position, Storage};
pub use limits::{Limits, Timeouts, WaitingFor};
pub use outbox::Outbox;
pub use parse::rejected_request_line;
pub use response::{Response, SentResponse};
