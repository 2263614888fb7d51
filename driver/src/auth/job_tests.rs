//! The decision about one request: its steps, its responses, and the number of hashes.

use std::sync::Mutex;
use std::time::Duration;

use super::{Auth, AuthSettings};
use crate::exchange::fixture::{Seen, respond, run};
use crate::job::{Job, JobStep};

/// alice:secret
const ALICE: &str = "Authorization: Basic YWxpY2U6c2VjcmV0\r\n";
/// alice:wrong
const WRONG: &str = "Authorization: Basic YWxpY2U6d3Jvbmc=\r\n";
/// bob:secret, who does not exist
const BOB: &str = "Authorization: Basic Ym9iOnNlY3JldA==\r\n";

fn alice() -> Auth {
    Auth::from_user("alice", "secret").unwrap()
}

/// The decision about `GET /a` with these header lines: the steps and the user.
fn decide(auth: &Auth, headers: &str) -> (Seen, Vec<String>, Option<String>) {
    decide_on(auth, &format!("GET /a HTTP/1.1\r\nHost: h\r\n{headers}\r\n"))
}

fn decide_on(auth: &Auth, request: &str) -> (Seen, Vec<String>, Option<String>) {
    let decided = Mutex::new((Vec::new(), None));
    let seen = respond(request.as_bytes(), |exchange| {
        let ran = run(&mut auth.job(), exchange);
        let user = exchange.user().map(|user| user.escape_ascii().to_string());
        if ran.has("Declined") {
            assert_eq!(ran.sent, "", "nothing was responded");
            exchange.respond(200).body("handled").unwrap();
        } else {
            let head = ran.sent.split("\r\n\r\n").next().unwrap_or_default();
            assert_eq!(user, None);
            assert!(
                head.starts_with("HTTP/1.1 401 ") || head.starts_with("HTTP/1.1 503 "),
                "{head}"
            );
        }
        *decided.lock().unwrap() = (ran.steps, user);
    });
    let (steps, user) = decided.into_inner().unwrap();
    (seen, steps, user)
}

#[test]
fn a_password_is_hashed_once_and_remembered() {
    let auth = alice();
    let (_, steps, user) = decide(&auth, ALICE);
    assert_eq!(
        (&steps[..], user.as_deref()),
        (&["Block".into(), "Declined".into()][..], Some("alice"))
    );
    let (_, steps, user) = decide(&auth, ALICE);
    assert_eq!((&steps[..], user.as_deref()), (&["Declined".to_owned()][..], Some("alice")));
    assert_eq!(auth.hash_count(), 1);
}

#[test]
fn a_user_that_does_not_exist_costs_as_many_hashes_as_a_wrong_password() {
    let auth = alice();
    for (headers, n) in [(WRONG, 1), (WRONG, 2), (BOB, 3), (BOB, 4)] {
        let (seen, steps, _) = decide(&auth, headers);
        assert_eq!(steps, ["Block", "Done"], "{headers}");
        assert_eq!(auth.hash_count(), n, "{headers}");
        let user = if headers == BOB { "bob" } else { "alice" };
        assert_eq!(seen.errors, [format!("/a: authentication failed for user \"{user}\"")]);
    }
    assert_eq!(decide(&auth, ALICE).2.as_deref(), Some("alice"));
}

#[test]
fn requests_without_valid_credentials_cost_no_hash() {
    let auth = alice();
    let long = format!(
        "Authorization: Basic {}\r\n",
        data_encoding::BASE64.encode(&[b"a:", &[b'x'; 513][..]].concat())
    );
    for (headers, message) in [
        ("", None),
        ("Proxy-Authorization: Basic YWxpY2U6c2VjcmV0\r\n", None),
        ("Authorization: Bearer YWxpY2U6c2VjcmV0\r\n", Some("no valid Basic credentials")),
        ("Authorization: Basic\r\n", Some("no valid Basic credentials")),
        ("Authorization: Basic YWxpY2U6c2VjcmV0!\r\n", Some("no valid Basic credentials")),
        ("Authorization: Basic YWxpY2U\r\n", Some("no valid Basic credentials")),
        (&long, Some("the password is too long")),
        (&[ALICE, ALICE].concat(), Some("several Authorization headers")),
        (&[WRONG, ALICE].concat(), Some("several Authorization headers")),
    ] {
        let (seen, steps, user) = decide(&auth, headers);
        assert_eq!((&steps[..], user), (&["Done".to_owned()][..], None), "{headers}");
        let expected = message.map(|message| format!("/a: authentication failed: {message}"));
        match expected {
            None => assert_eq!(seen.errors, [""; 0], "{headers}"),
            Some(expected) => {
                let message = expected.split(": no valid").next().unwrap_or_default();
                assert!(seen.errors[0].starts_with(message), "{:?}", seen.errors);
            }
        }
    }
    assert_eq!(auth.hash_count(), 0);
}

#[test]
fn no_log_line_has_a_password_and_names_are_escaped_and_short() {
    let auth = alice();
    let name = [b"\xff\xc2\x85\"\xe2\x80\xae", &[b'x'; 200][..]].concat();
    let secret = data_encoding::BASE64.encode(&[&name[..], b":topsecret"].concat());
    let (seen, ..) = decide(&auth, &format!("Authorization: Basic {secret}\r\n"));
    let [line] = &seen.errors[..] else { unreachable!("{:?}", seen.errors) };
    assert!(line.is_ascii() || line.contains('…'), "{line}");
    assert!(line.contains("\\xff") && line.len() < 160 && !line.contains("topsecret"), "{line}");
    assert!(!line.contains('\u{202e}') && !line.contains('\u{85}'), "{line}");
}

#[test]
fn open_paths_are_open_in_one_spelling() {
    let auth = alice().with_open_path("/health").with_open(|head| head.path().ends_with(b".css"));
    for (path, is_open) in [
        ("/health", true),
        ("/health?x", true),
        ("http://h/health", true),
        ("/a.css", true),
        ("/health/", false),
        ("/health/a", false),
        ("//health", true),
        ("/%68ealth", false),
        ("/Health", false),
        ("/a/../health", false),
        ("/", false),
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n");
        let (_, steps, user) = decide_on(&auth, &request);
        assert_eq!(steps, [if is_open { "Declined" } else { "Done" }], "{path}");
        assert_eq!(user, None);
    }
    // The credentials of an open path are not looked at.
    let (_, steps, user) =
        decide_on(&auth, &format!("GET /health HTTP/1.1\r\nHost: h\r\n{ALICE}\r\n"));
    assert_eq!((&steps[..], user, auth.hash_count()), (&["Declined".to_owned()][..], None, 0));
}

#[test]
fn a_preflight_request_is_open_only_if_that_is_allowed() {
    let preflight = "OPTIONS /a HTTP/1.1\r\nHost: h\r\nOrigin: http://a\r\nAccess-Control-Request-Method: GET\r\n\r\n";
    assert_eq!(decide_on(&alice(), preflight).1, ["Done"]);
    let auth = alice().with_open_preflight();
    assert_eq!(decide_on(&auth, preflight).1, ["Declined"]);
    for other in [
        preflight.replace("OPTIONS", "GET"),
        preflight.replace("Origin", "X"),
        preflight.replace("Access", "X"),
    ] {
        assert_eq!(decide_on(&auth, &other).1, ["Done"], "{other}");
    }
}

#[test]
fn the_response_is_the_challenge_whatever_the_method() {
    let auth = alice().with_realm("Staff").unwrap();
    for method in ["GET", "HEAD", "POST", "DELETE", "OPTIONS", "BREW"] {
        let mut sent = String::new();
        let request = format!("{method} /a HTTP/1.1\r\nHost: h\r\n\r\n");
        respond(request.as_bytes(), |exchange| sent = run(&mut auth.job(), exchange).sent);
        assert!(sent.starts_with("HTTP/1.1 401 Unauthorized\r\n"), "{sent}");
        let challenge = "\r\nWWW-Authenticate: Basic realm=\"Staff\", charset=\"UTF-8\"\r\n";
        assert!(sent.contains(challenge), "{sent}");
        assert_eq!(sent.contains("<!DOCTYPE html>"), method != "HEAD", "{method}");
    }
}

#[test]
fn beyond_the_permits_and_the_queue_requests_get_503() {
    let mut settings = AuthSettings::default();
    (settings.max_hashing, settings.max_queued) = (1, 0);
    let auth = alice().with_settings(settings);
    let request = format!("GET /a HTTP/1.1\r\nHost: h\r\n{ALICE}\r\n");
    respond(request.as_bytes(), |exchange| {
        let mut job = auth.job();
        let Ok(JobStep::Block(work)) = job.step(exchange) else { unreachable!("a permit is free") };
        let (seen, steps, _) = decide(&auth, BOB);
        assert_eq!(steps, ["Done"]);
        assert!(seen.errors[0].contains("the queue is full"), "{:?}", seen.errors);
        work();
        assert!(matches!(job.step(exchange), Ok(JobStep::Declined)));
        exchange.respond(200).body("").unwrap();
    });
    assert_eq!(decide(&auth, BOB).1, ["Block", "Done"], "the permit was released");
    assert_eq!(auth.hash_count(), 2);
}

#[test]
fn a_request_that_waits_too_long_in_the_queue_gets_503() {
    let mut settings = AuthSettings::default();
    (settings.max_hashing, settings.queue_timeout) = (1, Duration::ZERO);
    let auth = alice().with_settings(settings);
    let request = format!("GET /a HTTP/1.1\r\nHost: h\r\n{ALICE}\r\n");
    respond(request.as_bytes(), |exchange| {
        let mut job = auth.job();
        let Ok(JobStep::Block(work)) = job.step(exchange) else { unreachable!("a permit is free") };
        let mut status = None;
        respond(request.as_bytes(), |second| {
            let mut queued = auth.job();
            let is_done = |step| matches!(step, Ok(JobStep::Done));
            assert!(is_done(queued.step(second)) || is_done(queued.step(second)));
            status = second.status();
        });
        assert_eq!(status, Some(503));
        work();
        assert!(matches!(job.step(exchange), Ok(JobStep::Declined)));
        exchange.respond(200).body("").unwrap();
    });
    assert_eq!(auth.hash_count(), 1);
}

#[test]
fn a_request_in_the_queue_uses_what_was_verified_meanwhile() {
    let settings = AuthSettings { max_hashing: 1, ..AuthSettings::default() };
    let auth = alice().with_settings(settings);
    let request = format!("GET /a HTTP/1.1\r\nHost: h\r\n{ALICE}\r\n");
    respond(request.as_bytes(), |first| {
        let mut job = auth.job();
        let Ok(JobStep::Block(work)) = job.step(first) else { unreachable!("a permit is free") };
        respond(request.as_bytes(), |second| {
            let mut queued = auth.job();
            assert!(matches!(queued.step(second), Ok(JobStep::Wait(..))));
            work();
            assert!(matches!(job.step(first), Ok(JobStep::Declined)));
            assert!(matches!(queued.step(second), Ok(JobStep::Declined)));
            assert_eq!(second.user(), Some(&b"alice"[..]));
            second.respond(200).body("").unwrap();
        });
        first.respond(200).body("").unwrap();
    });
    assert_eq!(auth.hash_count(), 1);
}

#[test]
fn earlier_responses_are_sent_before_a_password_is_hashed() {
    let auth = alice();
    let request = format!("GET /a HTTP/1.1\r\nHost: h\r\n{ALICE}\r\n");
    respond(request.as_bytes(), |exchange| {
        exchange
            .outbox
            .append_with(1, |space| {
                space[0] = b'x';
                Ok::<_, std::io::Error>(1)
            })
            .unwrap();
        let mut job = auth.job();
        assert!(matches!(job.step(exchange), Ok(JobStep::Flush)));
        exchange.outbox.clear();
        assert!(matches!(job.step(exchange), Ok(JobStep::Block(_))));
        exchange.respond(200).body("").unwrap();
    });
}
