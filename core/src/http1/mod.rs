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
//! | what an answer's head says | `respond.rs` |
//! | which fields may be set, and what may stand in them | `field.rs` |
//! | bodies, interim answers, refusals | `answer.rs` |
//! | every bound and deadline | [`Limits`], [`Timeouts`] |
//! | who owns which memory | [`Inbox`], [`Outbox`] |

mod answer;
mod chunked;
mod connection;
pub mod date;
mod error;
mod event;
mod field;
mod framing;
mod head;
mod inbox;
mod limits;
mod outbox;
mod parse;
mod respond;
mod scan;
pub mod state;
pub mod status;
mod target;

pub use connection::Connection;
pub(crate) use error::quote;
pub use error::{Misuse, Reject};
pub use event::{Event, Owed, Trailers};
pub use head::{Fields, Head, Spans, Version};
pub use inbox::{Growing, Inbox, Mark, Storage};
pub use limits::{Limits, Timeouts, Waiting};
pub use outbox::Outbox;
pub use parse::refused_line;
pub use respond::Response;
