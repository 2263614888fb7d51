//! Scripts as jobs: which steps a request asks for, and what is sent.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::*;
use crate::exchange::fixture::{Ran, Seen, respond, run};
use crate::{Cgi, Files, cgi::CgiSettings};

/// A directory with `script` as `/cgi-bin/x` and a file.
fn site(script: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("cgi-bin")).unwrap();
    add(dir.path(), "x", script);
    fs::write(dir.path().join("file.txt"), "a file").unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    dir
}

/// Adds a script. Another process writes it: a process that other tests start meanwhile would
/// inherit its descriptor, and nothing runs that is open for writing (ETXTBSY).
fn add(dir: &Path, name: &str, script: &str) {
    let path = dir.join("cgi-bin").join(name);
    let write = "printf '#!/bin/sh\\n%s\\n' \"$1\" > \"$2\" && chmod 755 \"$2\"";
    let written = Command::new("/bin/sh").args(["-c", write, "sh", script]).arg(path).status();
    assert!(written.unwrap().success());
}

fn cgi(dir: &tempfile::TempDir, settings: CgiSettings) -> Cgi {
    Cgi::new(dir.path(), settings).unwrap().with_fallback(Files::new(dir.path()).unwrap())
}

fn responds(mut job: CgiJob<'_>, request: &str) -> (Ran, Seen) {
    let mut ran = Ran::default();
    let seen = respond(request.as_bytes(), |exchange| ran = run(&mut job, exchange));
    (ran, seen)
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n")
}

#[test]
fn a_job_can_be_sent_to_another_thread_and_is_small() {
    fn is_send<T: Send>() {}
    is_send::<CgiJob<'_>>();
    assert!(size_of::<CgiJob<'_>>() <= 96, "{}", size_of::<CgiJob<'_>>());
}

#[test]
fn a_script_gets_the_body_and_its_output_is_the_response() {
    // It sends Content-Length, so that the response is not chunked, however long it takes.
    let head = "printf 'Content-Type: text/plain\\nContent-Length: %s\\n\\n%s:'";
    let numbers = "$((CONTENT_LENGTH + ${#CONTENT_LENGTH} + 1)) $CONTENT_LENGTH";
    let dir = site(&format!("{head} {numbers}; exec cat"));
    for size in [5, 10_000] {
        let settings = CgiSettings { body_buffer: 4096, ..CgiSettings::default() };
        let cgi = cgi(&dir, settings);
        let body = "x".repeat(size);
        let request =
            format!("POST /cgi-bin/x HTTP/1.1\r\nHost: h\r\nContent-Length: {size}\r\n\r\n{body}");
        let (ran, seen) = responds(cgi.job(), &request);
        assert!(ran.sent.starts_with("HTTP/1.1 200 OK\r\n"), "{}", ran.sent);
        assert!(ran.sent.contains(&format!("{size}:x")), "{:.300}", ran.sent);
        assert!(ran.sent.matches('x').count() > size, "the media type has an x too");
        assert_eq!(ran.steps[0], "ReadBody");
        assert!(ran.has("WaitProcess"));
        let blocks = ran.steps.iter().filter(|step| *step == "Block").count();
        assert_eq!(blocks, 1 + size / 4096, "each block is written to a file");
        assert!(seen.errors.is_empty() && !seen.aborted, "{:?}", seen.errors);
    }
}

#[test]
fn a_local_redirect_leads_to_a_file_or_another_script() {
    let dir = site("printf 'Location: /file.txt\\n\\n'");
    add(dir.path(), "again", "printf 'Location: /cgi-bin/x\\n\\n'");
    let cgi = cgi(&dir, CgiSettings::default());
    for (path, starts) in [("/cgi-bin/x", 1), ("/cgi-bin/again", 2)] {
        for job in [cgi.job(), cgi.job().only_scripts()] {
            let (ran, seen) = responds(job, &get(path));
            assert!(ran.sent.starts_with("HTTP/1.1 200 OK\r\n"), "{}", ran.sent);
            assert!(ran.sent.ends_with("\r\n\r\na file"), "{}", ran.sent);
            assert_eq!(ran.steps.iter().filter(|step| *step == "Block").count(), starts);
            assert!(!seen.aborted);
        }
    }
}

#[test]
fn local_redirects_that_do_not_end_are_502() {
    let dir = site("printf 'Location: /cgi-bin/x\\n\\n'");
    for max_local_redirects in [0, 3] {
        let settings = CgiSettings { max_local_redirects, ..CgiSettings::default() };
        let (ran, seen) = responds(cgi(&dir, settings).job(), &get("/cgi-bin/x"));
        assert!(ran.sent.starts_with("HTTP/1.1 502 "), "{}", ran.sent);
        let starts = ran.steps.iter().filter(|step| *step == "Block").count();
        assert_eq!(starts, 1 + max_local_redirects);
        assert!(seen.errors[0].contains("local redirects"), "{:?}", seen.errors);
    }
}

#[test]
fn a_request_that_is_not_for_a_script_is_for_the_files_or_declined() {
    let dir = site("");
    let cgi = cgi(&dir, CgiSettings::default());
    let (ran, _) = responds(cgi.job(), &get("/file.txt"));
    assert!(ran.sent.ends_with("\r\n\r\na file"), "{}", ran.sent);
    let (ran, _) = responds(cgi.job(), "POST /file.txt HTTP/1.1\r\nHost: h\r\n\r\n");
    assert!(ran.sent.starts_with("HTTP/1.1 501 "), "{}", ran.sent);

    let alone = Cgi::new(dir.path(), CgiSettings::default()).unwrap();
    let (ran, _) = responds(alone.job(), &get("/file.txt"));
    assert!(ran.sent.starts_with("HTTP/1.1 404 "), "{}", ran.sent);

    respond(get("/file.txt").as_bytes(), |exchange| {
        let ran = run(&mut cgi.job().only_scripts(), exchange);
        assert_eq!((ran.steps, ran.sent), (vec!["Declined".to_owned()], String::new()));
        assert!(!exchange.has_responded());
    });
}

#[test]
fn listings_leave_out_the_scripts_even_if_the_files_were_cloned() {
    let dir = site("");
    let files = Files::new(dir.path()).unwrap();
    let cgi = Cgi::new(dir.path(), CgiSettings::default()).unwrap().with_fallback(files.clone());
    let (ran, _) = responds(cgi.job(), &get("/"));
    assert!(ran.sent.contains("file.txt") && !ran.sent.contains("cgi-bin"), "{}", ran.sent);
    let mut ran = Ran::default();
    respond(get("/").as_bytes(), |exchange| ran = run(&mut files.job(), exchange));
    assert!(ran.sent.contains("cgi-bin"), "{}", ran.sent);
}

#[test]
fn b_256_a_request_that_waits_too_long_for_its_permit_is_503() {
    let dir = site("printf 'Content-Type: text/plain\\n\\nhi'");
    let timeout = Duration::from_millis(20);
    let settings = CgiSettings { max_processes: 1, timeout, ..CgiSettings::default() };
    let cgi = cgi(&dir, settings);
    let permit = cgi.process_limit().try_acquire().unwrap();
    let (ran, seen) = responds(cgi.job(), &get("/cgi-bin/x"));
    assert_eq!(ran.steps, ["Flush", "Wait", "Done"]);
    assert!(ran.sent.starts_with("HTTP/1.1 503 "), "{}", ran.sent);
    assert!(seen.errors[0].contains("not run: too many concurrent scripts"), "{:?}", seen.errors);
    drop(permit);
}

#[test]
fn a_script_whose_job_is_dropped_gives_its_permit_back() {
    let dir = site("exec sleep 60");
    let cgi = cgi(&dir, CgiSettings::default());
    respond(get("/cgi-bin/x").as_bytes(), |exchange| {
        let mut job = cgi.job();
        let JobStep::Block(work) = job.step(exchange).unwrap() else { panic!() };
        drop(job); // the client has disconnected while it was being started
        work();
    });
    assert!(cgi.process_limit().wait_idle(Duration::from_secs(10)));
}
