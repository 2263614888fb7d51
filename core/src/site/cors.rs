//! Cross-origin headers: CORS, and cross-origin isolation.
//!
//! They belong on every response, errors included, so the server sends them. Only the response to a
//! preflight request has further headers ([`super::Site::cors`]). By default none is sent, and the
//! browser's same-origin policy applies: pages of other origins may embed what is here, and may not
//! read it.
//!
//! ```
//! use doorstep_core::site::cors::{CORS_HEADERS, ISOLATION_HEADERS};
//!
//! assert_eq!(CORS_HEADERS[0], ("Access-Control-Allow-Origin", "*"));
//! assert!(ISOLATION_HEADERS.contains(&("Cross-Origin-Opener-Policy", "same-origin")));
//! ```

use crate::http1::Head;

/// CORS: pages of any origin may read every response and its headers. `*` excludes requests with
/// credentials such as cookies.
pub const CORS_HEADERS: [(&str, &str); 2] =
    [("Access-Control-Allow-Origin", "*"), ("Access-Control-Expose-Headers", "*")];

/// Further headers of the response to a preflight request: the methods and headers that may be
/// used, valid for an hour. `*` stands for all headers but Authorization (Fetch standard).
pub const PREFLIGHT_HEADERS: [(&str, &str); 3] = [
    ("Access-Control-Allow-Methods", "GET, HEAD"),
    ("Access-Control-Allow-Headers", "*, Authorization"),
    ("Access-Control-Max-Age", "3600"),
];

/// Further headers of the response to a preflight request for a script, which accepts any method
/// (B-233).
pub const SCRIPT_PREFLIGHT_HEADERS: [(&str, &str); 3] = [
    ("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE"),
    PREFLIGHT_HEADERS[1],
    PREFLIGHT_HEADERS[2],
];

/// Cross-origin isolation: pages have a process of their own, which `SharedArrayBuffer` and
/// high-resolution timers require, and no other origin may embed what is here.
pub const ISOLATION_HEADERS: [(&str, &str); 3] = [
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Embedder-Policy", "require-corp"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
];

/// Whether this is a CORS preflight request (Fetch standard, "CORS-preflight request").
#[must_use]
pub fn is_preflight(head: &Head<'_>) -> bool {
    head.method() == b"OPTIONS"
        && head.header("origin").is_some()
        && head.header("access-control-request-method").is_some()
}
