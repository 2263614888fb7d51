//! What becomes of a listing that could not be made, with errors that no disk here gives.

use rustix::io::Errno;

use super::*;
use crate::exchange::fixture::respond;

/// The answer to `GET /d/` whose listing ended so, and what the log was told.
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
        let (answer, notes) = listing_error_response(error);
        assert!(answer.starts_with(&format!("HTTP/1.1 404 {reason}\r\n")), "{answer}");
        assert_eq!(notes.len(), 1);
    }
}

#[test]
fn a_listing_that_could_not_be_ended_is_503_and_never_looks_whole() {
    let exhausted = [Errno::MFILE, Errno::NFILE, Errno::NOMEM];
    let failures = [Errno::IO, Errno::STALE, Errno::NOTCONN, Errno::TIMEDOUT];
    for error in exhausted.into_iter().chain(failures) {
        let (answer, notes) = listing_error_response(error);
        assert!(answer.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{answer}");
        assert!(answer.contains("\r\nRetry-After: 1\r\n"), "{answer}");
        assert!(notes.len() == 1 && notes[0].starts_with("/d/: "), "{notes:?}");
    }
}
