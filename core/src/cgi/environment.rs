//! The environment of a script: variables and arguments (RFC 3875 §4.1 and §4.4).
//!
//! [`variables`] sets each variable once, and those of the request only: the server's own
//! environment is not known here (B-237). No value holds a NUL. Excluded are headers that would
//! pass a secret to a script (Authorization), describe framing that no longer applies, or configure
//! programs by their variable's name (Proxy), and headers whose variable could be that of another
//! header (B-242).
//!
//! REMOTE_USER is what the peer claims (B-239), unless the server verifies passwords ([`RemoteUser`]).
//!
//! ```
//! use doorstep_core::cgi::environment::{self, Context};
//! use doorstep_core::cgi::route::{ScriptDirectories, Found, Route};
//! use doorstep_core::http1::{Connection, Event, Limits};
//!
//! let mut connection = Connection::new(Limits::default());
//! let bytes = b"GET /cgi-bin/find/all?red+hat HTTP/1.1\r\nHost: here:8000\r\nDNT: 1\r\n\r\n";
//! let Ok((_, Event::Request(head))) = connection.advance(bytes) else { panic!() };
//! let mut route = Route::new(&ScriptDirectories::default(), false, head.path())?.expect("it is CGI's");
//! let script = route.found(Found::File { executable: true })?.expect("it is a file");
//!
//! let (local_addr, remote_addr) = (([127, 0, 0, 1], 8000).into(), ([127, 0, 0, 1], 50123).into());
//! let context = Context::new(head, &script, b"/srv/www", local_addr, remote_addr);
//! let mut lines = Vec::new();
//! environment::variables(&context, |name, value| {
//!     lines.push(format!("{name}={}", String::from_utf8_lossy(value)));
//! });
//! assert!(lines.contains(&"SCRIPT_FILENAME=/srv/www/cgi-bin/find".to_string()));
//! assert!(lines.contains(&"PATH_INFO=/all".to_string()));
//! assert!(lines.contains(&"HTTP_DNT=1".to_string()));
//! assert_eq!(environment::arguments(&head), [b"red", b"hat"]);
//! # Ok::<(), doorstep_core::cgi::route::RouteError>(())
//! ```

use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use super::route::Script;
use crate::bytes::Decimal;
use crate::credentials::Credentials;
use crate::http1::{Head, Version};
use crate::log::UNIX_PEER;
use percent_encoding::percent_decode;

/// What the variables of a script are made of.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Context<'a> {
    /// The request.
    pub head: Head<'a>,
    /// The script that handles it.
    pub script: &'a Script,
    /// The absolute path of the document root in the file system.
    pub document_root: &'a [u8],
    /// The name of the server, as in its Server header. [`Context::new`] sets `doorstep`.
    pub server_software: &'a str,
    /// The address at which the request arrived; its IP address is [`UNIX_PEER`] if that is a Unix
    /// socket.
    pub local_addr: SocketAddr,
    /// The address of the client; its IP address is [`UNIX_PEER`] if it is connected to a Unix
    /// socket.
    pub remote_addr: SocketAddr,
    /// The length of the request's body in bytes; `None`, as [`Context::new`] sets it, if there is
    /// no body.
    pub content_length: Option<u64>,
    /// Whether the client uses HTTPS. [`Context::new`] sets false.
    pub secure: bool,
    /// Whose request it is, for AUTH_TYPE and REMOTE_USER. [`Context::new`] sets
    /// [`RemoteUser::Claimed`].
    pub user: RemoteUser<'a>,
}

/// Whose request it is (RFC 3875 §4.1.1, §4.1.11).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RemoteUser<'a> {
    /// The server verifies no passwords: the variables have what the Authorization header claims
    /// (B-239).
    Claimed,
    /// The server has verified the password of this user, by Basic authentication (RFC 7617).
    Authenticated(&'a [u8]),
    /// The server verifies passwords, and needed none for this request: there is no user, whatever
    /// the Authorization header claims.
    Anonymous,
}

impl<'a> Context<'a> {
    /// What every request has. Set the other fields where they differ.
    #[must_use]
    pub fn new(
        head: Head<'a>,
        script: &'a Script,
        document_root: &'a [u8],
        local_addr: SocketAddr,
        remote_addr: SocketAddr,
    ) -> Self {
        Self {
            head,
            script,
            document_root,
            server_software: "doorstep",
            local_addr,
            remote_addr,
            content_length: None,
            secure: false,
            user: RemoteUser::Claimed,
        }
    }
}

/// Headers that do not become an `HTTP_` variable (B-242), in lower case.
const EXCLUDED_HEADERS: [&str; 8] = [
    "authorization",
    "proxy-authorization",
    "proxy",             // would be HTTP_PROXY, which many programs obey
    "content-type",      // CONTENT_TYPE
    "content-length",    // CONTENT_LENGTH
    "transfer-encoding", // the script reads a decoded body
    "connection",
    "host", // replaced by that of an absolute-form target
];

/// Calls `set` with the name and value of every variable, each name once.
///
/// A variable whose value holds a NUL is not set, because no process can be started with one. Only
/// `document_root` and `server_software` could hold one.
pub fn variables(context: &Context<'_>, mut set: impl FnMut(&str, &[u8])) {
    let Context {
        head,
        script,
        document_root,
        server_software,
        local_addr,
        remote_addr,
        content_length,
        secure,
        user,
    } = *context;
    let mut set = |name: &str, value: &[u8]| {
        if !value.contains(&0) {
            set(name, value);
        }
    };

    set("GATEWAY_INTERFACE", b"CGI/1.1");
    set("SERVER_SOFTWARE", server_software.as_bytes());
    set("SERVER_NAME", &server_name(&head, local_addr.ip()));
    set("SERVER_PORT", Decimal::new(server_port(&head, local_addr, secure).into()).as_bytes());
    match remote_addr.ip() {
        // As in nginx. An IP address, which §4.1.8 wants, would have to be one that scripts trust.
        UNIX_PEER => set("REMOTE_ADDR", b"unix:"),
        ip => {
            set("REMOTE_ADDR", ip.to_canonical().to_string().as_bytes());
            // A proxy may report an address without its port.
            if remote_addr.port() > 0 {
                set("REMOTE_PORT", Decimal::new(remote_addr.port().into()).as_bytes());
            }
        }
    }
    if secure {
        set("HTTPS", b"on");
    }

    set("SERVER_PROTOCOL", protocol(head.version()));
    set("REQUEST_METHOD", head.method());
    set("REQUEST_URI", &request_uri(&head));
    set("QUERY_STRING", head.query().unwrap_or_default());

    set("DOCUMENT_ROOT", document_root);
    set("SCRIPT_NAME", &[head.prefix(), script.name()].concat());
    set("SCRIPT_FILENAME", &join_path(document_root, script.name()));
    set("PATH_INFO", script.path_info());
    if !script.path_info().is_empty() {
        set("PATH_TRANSLATED", &join_path(document_root, script.path_info())); // B-244
    }

    if let Some(length) = content_length {
        set("CONTENT_LENGTH", Decimal::new(length).as_bytes());
    }
    if let Some(media_type) = head.header("Content-Type") {
        set("CONTENT_TYPE", media_type);
    }
    match user {
        RemoteUser::Authenticated(user) => {
            set("AUTH_TYPE", b"Basic");
            set("REMOTE_USER", user);
        }
        RemoteUser::Claimed => {
            if let Some(claim) = head.header("Authorization").and_then(Credentials::parse) {
                set("AUTH_TYPE", claim.scheme());
                if let Some(basic) = claim.basic() {
                    set("REMOTE_USER", basic.user());
                }
            }
        }
        RemoteUser::Anonymous => {}
    }
    for (name, value) in header_variables(&head) {
        set(&name, &value);
    }
}

/// The maximum number of arguments: every system accepts as many. A query with more words is not
/// passed as arguments.
const MAX_ARGUMENTS: usize = 4096;

/// The arguments of a script: the words of a query that is an indexed search, decoded (RFC 3875
/// §4.4, B-245); empty for every other request.
///
/// They come from the peer, and may look like options. [`std::process::Command::arg`] passes them
/// on unchanged; they must not be passed to a shell.
#[must_use]
pub fn arguments(head: &Head<'_>) -> Vec<Vec<u8>> {
    let query = head.query().unwrap_or_default();
    let reads = head.method() == b"GET" || head.is_head();
    if !reads || query.is_empty() || query.contains(&b'=') {
        return Vec::new();
    }
    // Arguments that cannot be passed completely are not passed at all (§4.4).
    if query.iter().filter(|&&b| b == b'+').count() >= MAX_ARGUMENTS {
        return Vec::new();
    }
    let words: Vec<Vec<u8>> =
        query.split(|&b| b == b'+').map(|word| percent_decode(word).collect()).collect();
    if words.iter().any(|word| word.contains(&0)) { Vec::new() } else { words }
}

/// The host of the request without its port, or, if there is none, the local address. No name is
/// resolved (B-287). An IPv6 address is in brackets (RFC 3875 §4.1.14).
///
/// A Unix socket has no address; then it is `localhost`.
fn server_name(head: &Head<'_>, local: IpAddr) -> Vec<u8> {
    match (split_host(head).0, local.to_canonical()) {
        (b"", UNIX_PEER) => b"localhost".to_vec(),
        (b"", IpAddr::V4(address)) => address.to_string().into_bytes(),
        (b"", IpAddr::V6(address)) => format!("[{address}]").into_bytes(),
        (name, _) => name.to_vec(),
    }
}

/// The port at which the request arrived (RFC 3875 §4.1.15). A Unix socket has none: then it is that
/// of the Host header, or the default of the scheme.
fn server_port(head: &Head<'_>, local: SocketAddr, secure: bool) -> u16 {
    let default = if secure { 443 } else { 80 };
    match local.ip() {
        UNIX_PEER => {
            let port = core::str::from_utf8(split_host(head).1).ok();
            port.and_then(|port| port.parse().ok()).unwrap_or(default)
        }
        _ => local.port(),
    }
}

/// The host of the request, and its port, which may be empty.
fn split_host<'a>(head: &Head<'a>) -> (&'a [u8], &'a [u8]) {
    let host = head.host().unwrap_or_default();
    let end = match host.iter().position(|&b| b == b']') {
        Some(bracket) => bracket + 1,
        None => host.iter().position(|&b| b == b':').unwrap_or(host.len()),
    };
    let (name, port) = host.split_at(end);
    (name, port.strip_prefix(b":").unwrap_or(port))
}

fn protocol(version: Version) -> &'static [u8] {
    match version {
        Version::Http09 => b"HTTP/0.9",
        Version::Http10 => b"HTTP/1.0",
        Version::Http11 => b"HTTP/1.1",
    }
}

/// Path and query, undecoded, without a fragment.
fn request_uri(head: &Head<'_>) -> Vec<u8> {
    let (path, suffix) = head.origin_form();
    let end = suffix.iter().position(|&b| b == b'#').unwrap_or(suffix.len());
    [head.prefix(), path, &suffix[..end]].concat()
}

/// `path`, which starts with a `/`, below `root`, which may be `/` itself.
fn join_path(root: &[u8], path: &[u8]) -> Vec<u8> {
    [root.strip_suffix(b"/").unwrap_or(root), path].concat()
}

/// The `HTTP_` variables: one for each name, however often and in whatever letter case it occurs
/// (RFC 3875 §4.1.18).
fn header_variables(head: &Head<'_>) -> BTreeMap<String, Vec<u8>> {
    let mut variables = BTreeMap::new();
    if let Some(host) = head.host() {
        variables.insert("HTTP_HOST".to_owned(), host.to_vec());
    }
    for (name, value) in head.headers() {
        let Some(variable) = header_variable_name(name) else {
            continue;
        };
        // RFC 9110 §5.3; RFC 6265 §5.4 for cookies, which are not a list (B-241).
        let separator: &[u8] = if variable == "HTTP_COOKIE" { b"; " } else { b", " };
        variables
            .entry(variable)
            .and_modify(|joined: &mut Vec<u8>| {
                joined.extend_from_slice(separator);
                joined.extend_from_slice(value);
            })
            .or_insert_with(|| value.to_vec());
    }
    variables
}

/// The variable for the header `name`, if it is passed. A name with characters other than letters,
/// digits and `-` is not: `X_A` and `X-A` would be the same variable.
fn header_variable_name(name: &[u8]) -> Option<String> {
    let name = str::from_utf8(name).ok()?;
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let passed = plain && !EXCLUDED_HEADERS.iter().any(|other| name.eq_ignore_ascii_case(other));
    passed.then(|| format!("HTTP_{}", name.replace('-', "_").to_ascii_uppercase()))
}

#[cfg(test)]
#[path = "environment_tests.rs"]
mod tests;
