//! From a path to a process and back: CGI/1.1 (RFC 3875) as pure decisions.
//!
//! [`route`] finds which part of a path is the script, as questions that the caller answers;
//! [`environment`] makes the variables and arguments it starts with; [`output`] makes a response of
//! what it writes, and [`local_redirect`] a request of a local redirect. Nothing here starts anything:
//! processes, their limits and their end are the driver's.

mod credentials;
pub mod environment;
pub mod local_redirect;
pub mod output;
pub mod route;
