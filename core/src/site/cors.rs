//! What pages of other origins may do with a site: read it, or not even name it.
//!
//! These are headers for every response, errors too, so they go where a server keeps such headers; of a
//! site itself only the response to a preflight is another ([`super::Site::cors`]). By default none is
//! sent, and the browser's own rule holds: others may show what they find here and not read it.
//!
//! ```
//! use doorstep_core::site::cors::{CORS_HEADERS, ISOLATION_HEADERS};
//!
//! assert_eq!(CORS_HEADERS[0], ("Access-Control-Allow-Origin", "*"));
//! assert!(ISOLATION_HEADERS.contains(&("Cross-Origin-Opener-Policy", "same-origin")));
//! ```

use crate::http1::Head;

/// Everybody may read everything, the headers too: without them a reader of ranges is blind.
/// Nothing that belongs to one person is given away, as `*` goes without cookies.
pub const CORS_HEADERS: [(&str, &str); 2] =
    [("Access-Control-Allow-Origin", "*"), ("Access-Control-Expose-Headers", "*")];

/// What a preflight is told besides: which methods and headers may be sent, and that this holds for
/// an hour.
pub const PREFLIGHT_HEADERS: [(&str, &str); 3] = [
    ("Access-Control-Allow-Methods", "GET, HEAD"),
    ("Access-Control-Allow-Headers", "*"),
    ("Access-Control-Max-Age", "3600"),
];

/// Headers of the response to a preflight for a script, besides [`CORS_HEADERS`]: any method runs one
/// (B-233).
pub const SCRIPT_PREFLIGHT_HEADERS: [(&str, &str); 3] = [
    ("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE"),
    PREFLIGHT_HEADERS[1],
    PREFLIGHT_HEADERS[2],
];

/// Pages are by themselves in their process, which `SharedArrayBuffer` and exact clocks ask for,
/// and nobody else may show what is here.
pub const ISOLATION_HEADERS: [(&str, &str); 3] = [
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Embedder-Policy", "require-corp"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
];

/// Whether a browser asks before it asks (Fetch standard, "CORS-preflight request").
#[must_use]
pub fn is_preflight(head: &Head<'_>) -> bool {
    head.method() == b"OPTIONS"
        && head.header("origin").is_some()
        && head.header("access-control-request-method").is_some()
}
