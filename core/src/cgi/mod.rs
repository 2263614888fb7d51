//! CGI/1.1 (RFC 3875) as pure decisions: from a path to a script, and from its output to a
//! response.
//!
//! [`route`] finds the part of a path that is the script, by questions that the caller answers;
//! [`environment`] makes its variables and arguments; [`output`] parses what it writes, and
//! [`local_redirect`] writes the request for a local redirect. Nothing here starts a process:
//! processes, their limits and their end are the driver's task. Each module has an example.

pub mod environment;
pub mod local_redirect;
pub mod output;
pub mod route;
