//! Uploads: what a client may store, decided without I/O.
//!
//! [`name`] has the rules for names of files. [`request`] reads what a request says: to which path,
//! whether it comes from a page of another site, and which part of a file it has (`Content-Range`).
//! [`Refusal`] is why a file is not stored, with its status and a sentence. The preconditions of a PUT
//! are [`preconditions::allow_write`](super::preconditions::allow_write), and forms are parsed by
//! [`crate::form_data`].
//!
//! ```
//! use doorstep_core::site::upload::{Refusal, name};
//!
//! assert_eq!(name::clean(b"C:\\photos\\cat.jpg", 255).unwrap(), "cat.jpg");
//! assert_eq!(Refusal::Exists.status(), 409);
//! ```

pub mod name;
mod refusal;
mod report;
pub mod request;

pub use refusal::Refusal;
pub use report::Report;
