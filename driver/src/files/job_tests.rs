//! Files as jobs: which steps each kind of response asks for, and what is sent.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use doorstep_core::site::Site;

use super::*;
use crate::Files;
use crate::exchange::fixture::{Ran, respond, run};

/// Runs the job for `GET path` with these header lines, and returns what was logged, too.
fn get(files: &Files, path: &str, headers: &str) -> (Ran, Vec<String>) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: h\r\n{headers}\r\n");
    let mut ran = Ran::default();
    let seen = respond(request.as_bytes(), |exchange| ran = run(&mut files.job(), exchange));
    assert!(!seen.aborted, "{path}");
    (ran, seen.errors)
}

fn body(ran: &Ran) -> &str {
    ran.sent.split_once("\r\n\r\n").expect("a head").1
}

/// A file that was changed long ago, so that it is cached when it is requested again.
fn write(path: &Path, content: &str) {
    fs::write(path, content).unwrap();
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
    fs::File::options().write(true).open(path).unwrap().set_modified(long_ago).unwrap();
}

#[test]
fn a_job_can_be_sent_to_another_thread_and_is_small() {
    fn is_send<T: Send>() {}
    is_send::<FilesJob<'_>>();
    is_send::<JobStep>();
    assert!(size_of::<FilesJob<'_>>() <= 48, "{}", size_of::<FilesJob<'_>>());
}

#[test]
fn a_small_file_is_done_in_one_step_once_it_is_cached() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir.path().join("a.txt"), "hello");
    std::thread::sleep(Duration::from_secs(3)); // its ctime cannot be set
    let files = Files::new(dir.path()).unwrap();
    for _ in 0..3 {
        get(&files, "/a.txt", "");
    }
    let (ran, _) = get(&files, "/a.txt", "");
    assert_eq!(ran.steps, ["Done"]);
    assert!(ran.sent.starts_with("HTTP/1.1 200 OK\r\n"), "{}", ran.sent);
    assert_eq!(body(&ran), "hello");
}

#[test]
fn a_large_file_is_sent_by_the_front_end() {
    let dir = tempfile::tempdir().unwrap();
    let content = "0123456789".repeat(10_000);
    write(&dir.path().join("a"), &content);
    let files = Files::new(dir.path()).unwrap();
    let (ran, _) = get(&files, "/a", "");
    assert_eq!(ran.steps, ["SendFile", "Done"]);
    assert_eq!(body(&ran), content);
    let (ran, _) = get(&files, "/a", "Range: bytes=11-50012\r\n");
    assert_eq!(ran.steps, ["SendFile", "Done"]);
    assert!(ran.sent.starts_with("HTTP/1.1 206 "), "{:.200}", ran.sent);
    assert_eq!(body(&ran), &content[11..=50_012]);
}

#[test]
fn several_ranges_are_sent_in_order() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir.path().join("a"), &"0123456789".repeat(10_000));
    let files = Files::new(dir.path()).unwrap();
    let (ran, _) = get(&files, "/a", "Range: bytes=1-3,20005-40006\r\n");
    assert_eq!(ran.steps, ["SendFile", "SendFile", "Done"]);
    let length = ran.sent.split("Content-Length: ").nth(1).unwrap().split('\r').next().unwrap();
    assert_eq!(length.parse(), Ok(body(&ran).len()));
    assert!(body(&ran).contains("\r\n\r\n123\r\n--"), "{:.400}", ran.sent);
    assert!(body(&ran).trim_end().ends_with("--"));
}

#[test]
fn a_digest_is_computed_where_blocking_is_allowed() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir.path().join("a"), "abc");
    let files = Files::new(dir.path()).unwrap();
    let (ran, _) = get(&files, "/a", "Want-Repr-Digest: sha-256=1\r\n");
    assert_eq!(ran.steps.first().map(String::as_str), Some("Block"));
    let digest = "Repr-Digest: sha-256=:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=:\r\n";
    assert!(ran.sent.contains(digest), "{}", ran.sent);
    assert_eq!(body(&ran), "abc");
}

#[test]
fn a_listing_is_made_where_blocking_is_allowed() {
    let dir = tempfile::tempdir().unwrap();
    for i in 0..1500 {
        fs::write(dir.path().join(format!("a-file-with-a-name-{i}")), "").unwrap();
    }
    let files = Files::new(dir.path()).unwrap();
    let (ran, _) = get(&files, "/", "");
    assert_eq!(ran.steps[0], "Block");
    assert!(ran.has("Flush"), "it is sent in parts");
    assert!(body(&ran).contains("a-file-with-a-name-1499"));
    assert!(body(&ran).trim_end().ends_with("</html>"));
}

#[test]
fn a_listing_that_waits_too_long_for_its_permit_is_503() {
    let dir = tempfile::tempdir().unwrap();
    for i in 0..=Site::LARGE_LISTING_ENTRIES {
        fs::write(dir.path().join(i.to_string()), "").unwrap();
    }
    let mut site = Site::default();
    site.max_large_listings = 1;
    site.listing_queue_timeout = Duration::from_millis(20);
    let files = Files::new(dir.path()).unwrap().with_site(site);
    let mut first = files.job();
    let request = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    respond(request, |exchange| {
        // Made, and not sent yet: it has the permit.
        let JobStep::Block(work) = first.step(exchange).unwrap() else { panic!() };
        work();
        let (ran, errors) = get(&files, "/", "");
        assert_eq!(ran.steps[..3], ["Block", "Flush", "Wait"]);
        assert!(ran.sent.starts_with("HTTP/1.1 503 "), "{}", ran.sent);
        assert!(errors[0].contains("directory listing refused: too many"), "{errors:?}");
        assert!(run(&mut first, exchange).sent.starts_with("HTTP/1.1 200 "));
        let (ran, _) = get(&files, "/", "");
        assert!(ran.sent.starts_with("HTTP/1.1 200 "), "the permit was given back");
    });
}

#[test]
fn settings_of_a_clone_are_its_own() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir.path().join("a"), "abc");
    let files = Files::new(dir.path()).unwrap();
    let mut site = Site::default();
    site.cors = true;
    let other = files.clone().with_site(site);
    let preflight = "Origin: http://a\r\nAccess-Control-Request-Method: GET\r\n";
    for (files, allows) in [(&files, false), (&other, true)] {
        let mut ran = Ran::default();
        let request = format!("OPTIONS /a HTTP/1.1\r\nHost: h\r\n{preflight}\r\n");
        respond(request.as_bytes(), |exchange| ran = run(&mut files.job(), exchange));
        assert_eq!(ran.sent.contains("Access-Control-Allow-Methods"), allows, "{}", ran.sent);
    }
}
