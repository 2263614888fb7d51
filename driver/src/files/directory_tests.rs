//! The response when a directory cannot be listed, for errors that the disk of a test does not
//! give.

use rustix::io::Errno;

use super::*;
use crate::exchange::fixture::respond;

/// The response to `GET /d/` whose listing has failed with `error`, and the log.
fn listing_error_response(error: Errno) -> (String, Vec<String>) {
    let dir = tempfile::tempdir().unwrap();
    let directory = Directory::new(dir.path(), Symlinks::Beneath).unwrap();
    let seen = respond(b"GET /d/ HTTP/1.1\r\nHost: h\r\n\r\n", |exchange| {
        let listed = Err(ListingError::Io(error.into()));
        assert!(directory.respond_listing(exchange, View::default(), listed).unwrap().is_none());
    });
    (seen.sent, seen.errors)
}

#[test]
fn b_147_a_listing_that_is_refused_is_404() {
    for (error, reason) in [
        (Errno::ACCESS, "No permission to list directory"),
        (Errno::PERM, "No permission to list directory"),
        (Errno::NOENT, "File not found"),
    ] {
        let (response, messages) = listing_error_response(error);
        assert!(response.starts_with(&format!("HTTP/1.1 404 {reason}\r\n")), "{response}");
        assert_eq!(messages.len(), 1);
    }
}

#[test]
fn a_listing_that_could_not_be_completed_is_503_and_never_looks_complete() {
    let exhausted = [Errno::MFILE, Errno::NFILE, Errno::NOMEM];
    let failures = [Errno::IO, Errno::STALE, Errno::NOTCONN, Errno::TIMEDOUT];
    for error in exhausted.into_iter().chain(failures) {
        let (response, messages) = listing_error_response(error);
        assert!(response.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{response}");
        assert!(response.contains("\r\nRetry-After: 1\r\n"), "{response}");
        assert!(messages.len() == 1 && messages[0].starts_with("/d/: "), "{messages:?}");
    }
}
