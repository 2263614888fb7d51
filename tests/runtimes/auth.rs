//! HTTP basic authentication (RFC 7617): what reaches the handler, what is refused and how, and how many
//! passwords are hashed for it.

use std::fs;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use doorstep::blocking::{Auth, Observer, Record};
use doorstep::driver::auth::AuthSettings;

use crate::runtimes::{ShippedRuntime, TestServer, config, front_end, with};
use crate::service::{self, State};
use crate::support::client::Client;

/// alice:secret
const ALICE: &str = "Authorization: Basic YWxpY2U6c2VjcmV0";
/// alice:wrong
const WRONG: &str = "Authorization: Basic YWxpY2U6d3Jvbmc=";
/// bob:secret
const BOB: &str = "Authorization: Basic Ym9iOnNlY3JldA==";

const CHALLENGE: Option<&str> = Some("Basic realm=\"Restricted\", charset=\"UTF-8\"");

/// Hashes of "secret" as `htpasswd` prints them.
const BCRYPT: &str = "$2y$04$DiSyr.ccLc2OUxg2d.r6M.pwQAPAQAp2RQiQbig0Fy14Ji1MTODmW";
const APR1: &str = "$apr1$RgeM6Qgb$BrXSwakIGUQL8plt.tewd/";

on_every_runtime! {
    fn rfc_7617_the_handler_is_called_for_users_only(runtime: ShippedRuntime) {
        let (server, users) = start(runtime, alice());
        let mut client = server.client();
        for (fields, status) in [
            (&[][..], 401), (&[ALICE], 200), (&[WRONG], 401), (&[ALICE], 200), (&[BOB], 401),
            (&["Authorization: Bearer YWxpY2U6c2VjcmV0"], 401), (&["authorization: bAsIc   YWxpY2U6c2VjcmV0"], 200),
            (&[ALICE, ALICE], 401),
        ] {
            let response = client.request("GET", "/a", fields);
            assert_eq!(response.status, status, "{fields:?}");
            assert_eq!(response.header("WWW-Authenticate"), CHALLENGE.filter(|_| status == 401));
            assert_eq!(response.body == b"GET /a\n", status == 200);
            assert_eq!(response.header("Connection"), None, "it is kept");
        }
        let log = server.state.log(8);
        assert_eq!(log[0].line, "GET /a HTTP/1.1");
        let expected = log.iter().map(|entry| (entry.status == 200).then(|| "alice".to_owned()));
        assert_eq!(*users.lock().expect("no panic"), expected.collect::<Vec<_>>());
        assert_eq!(server.state.errors(), [
            "/a: authentication failed for user \"alice\"",
            "/a: authentication failed for user \"bob\"",
            "/a: authentication failed: the Authorization header has no valid Basic credentials",
            "/a: authentication failed: several Authorization headers",
        ]);
    }

    fn rfc_7617_2_the_first_colon_ends_the_user_and_text_is_utf_8(runtime: ShippedRuntime) {
        let auth = Auth::from_user("d\u{e4}ve", "pa:ss \u{20ac}").expect("it is valid");
        let (server, users) = start(runtime, auth);
        let fields = ["Authorization: Basic ZMOkdmU6cGE6c3Mg4oKs"];
        assert_eq!(server.client().request("GET", "/a", &fields).status, 200);
        server.state.log(1);
        assert_eq!(*users.lock().expect("no panic"), [Some("d\u{e4}ve".to_owned())]);
    }

    fn every_method_is_refused_and_head_has_no_body(runtime: ShippedRuntime) {
        let (server, _) = start(runtime, alice());
        let mut client = server.client();
        for method in ["HEAD", "GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "BREW"] {
            let response = client.request(method, "/a", &[]);
            assert_eq!((response.status, response.header("WWW-Authenticate")), (401, CHALLENGE), "{method}");
        }
        assert_eq!(client.request("HEAD", "/a", &[ALICE]).status, 200);
        assert_eq!(client.request("POST", "/a", &[ALICE]).status, 200);
        assert_eq!(client.request("BREW", "/a", &[ALICE]).status, 501);
    }

    fn pipelined_requests_are_decided_one_by_one(runtime: ShippedRuntime) {
        let auth = alice();
        let (server, _) = start(runtime, auth.clone());
        let mut client = server.client();
        let all = [("/1", ""), ("/2", ALICE), ("/3", BOB), ("/4", ALICE), ("/5", ALICE), ("/6", "X: 1")];
        let request = |(path, field): &(&str, &str)| {
            let line_end = if field.is_empty() { "" } else { "\r\n" };
            format!("GET {path} HTTP/1.1\r\nHost: a\r\n{field}{line_end}\r\n")
        };
        client.send(all.iter().map(request).collect::<String>().as_bytes());
        for (path, field) in all {
            let response = client.response(false);
            match field == ALICE {
                true => assert_eq!(response.body, format!("GET {path}\n").as_bytes()),
                false => assert_eq!(response.status, 401, "{path}"),
            }
        }
        assert_eq!(auth.hash_count(), 2, "alice once, bob once");
    }

    fn b_054_a_body_is_refused_before_100_continue(runtime: ShippedRuntime) {
        let (server, _) = start(runtime, alice());
        let mut client = server.client();
        let fields = ["Expect: 100-continue", "Content-Length: 5"];
        let response = client.request("POST", "/echo", &fields);
        assert_eq!((response.status, response.header("Connection")), (401, Some("close")));
        assert_eq!(client.read_to_end(), b"");
        let mut client = server.client();
        assert_eq!(client.request("POST", "/echo", &[&fields[..], &[ALICE]].concat()).status, 100);
        client.send(b"hello");
        assert_eq!(client.response(false).body, b"hello");
    }

    fn the_body_of_a_refused_request_is_not_the_next_request(runtime: ShippedRuntime) {
        let (server, _) = start(runtime, alice());
        let hidden = format!("GET /hidden HTTP/1.1\r\nHost: a\r\n{ALICE}\r\n\r\n");
        let length = hidden.len();
        for (framing, body) in [
            (format!("Content-Length: {length}"), hidden.clone()),
            ("Transfer-Encoding: chunked".into(), format!("{length:x}\r\n{hidden}\r\n0\r\n\r\n")),
        ] {
            for field in ["X: 1", WRONG] {
                let mut client = server.client();
                let head = format!("POST /echo HTTP/1.1\r\nHost: a\r\n{field}\r\n{framing}\r\n\r\n");
                let next = format!("GET /next HTTP/1.1\r\nHost: a\r\n{ALICE}\r\nConnection: close\r\n\r\n");
                client.send([head, body.clone(), next].concat().as_bytes());
                assert_eq!(client.response(false).status, 401, "{framing}");
                assert_eq!(client.response(false).body, b"GET /next\n", "{framing}");
                assert_eq!(client.read_to_end(), b"");
            }
        }
        // A body that is too large to be discarded costs the connection.
        let mut client = server.client();
        client.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 60000000\r\n\r\n");
        let response = client.response(false);
        assert_eq!((response.status, response.header("Connection")), (401, Some("close")));
    }

    fn as_many_passwords_are_hashed_for_users_that_do_not_exist(runtime: ShippedRuntime) {
        let directory = tempfile::tempdir().expect("a directory can be made");
        let path = directory.path().join("users");
        fs::write(&path, format!("alice:{BCRYPT}\ncarol:{APR1}\n")).expect("it is writable");
        let auth = Auth::from_file(&path).expect("it is valid");
        let (server, _) = start(runtime, auth.clone());
        let mut client = server.client();
        let mut hashes = |field, status| {
            let before = auth.hash_count();
            assert_eq!(client.request("GET", "/a", &[field]).status, status, "{field}");
            auth.hash_count() - before
        };
        assert_eq!((hashes(WRONG, 401), hashes(WRONG, 401)), (1, 1), "a wrong password is not remembered");
        assert_eq!((hashes(BOB, 401), hashes(BOB, 401)), (1, 1), "bob does not exist");
        assert_eq!((hashes(ALICE, 200), hashes(ALICE, 200)), (1, 0), "a right one is");
        assert_eq!((hashes(WRONG, 401), hashes("X: 1", 401)), (1, 0));
        auth.reload().expect("it is valid");
        assert_eq!((hashes(ALICE, 200), hashes(ALICE, 200)), (1, 0), "it is forgotten by a reload");
    }

    fn a_flood_of_wrong_passwords_is_worked_off_a_few_at_a_time(runtime: ShippedRuntime) {
        const CLIENTS: u64 = 24;
        let directory = tempfile::tempdir().expect("a directory can be made");
        let path = directory.path().join("users");
        fs::write(&path, format!("alice:{BCRYPT}\n")).expect("it is writable");
        let settings = with(AuthSettings::default(), |s| s.max_hashing = 1);
        let auth = Auth::from_file(&path).expect("it is valid").with_settings(settings);
        let (server, _) = start(runtime, auth.clone());
        let port = server.address.port();
        let get = move |field| Client::connect(port).request("GET", "/a", &[field]).status;
        thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS)
                .map(|_| scope.spawn(move || get(BOB)))
                .collect();
            for client in clients {
                assert_eq!(client.join().expect("no panic"), 401);
            }
        });
        assert_eq!(auth.hash_count(), CLIENTS);
        assert_eq!(get(ALICE), 200);
    }

    fn the_file_is_read_again_when_it_changes(runtime: ShippedRuntime) {
        let directory = tempfile::tempdir().expect("a directory can be made");
        let path = directory.path().join("users");
        fs::write(&path, format!("# staff\r\nalice:{APR1}\r\n\r\n")).expect("it is writable");
        let settings = with(AuthSettings::default(), |s| s.check_interval = Duration::ZERO);
        let auth = Auth::from_file(&path).expect("it is valid").with_settings(settings);
        let (server, _) = start(runtime, auth);
        let mut client = server.client();
        let mut statuses = || [ALICE, BOB].map(|field| client.request("GET", "/a", &[field]).status);
        assert_eq!(statuses(), [200, 401]);
        fs::write(&path, format!("alice:{APR1}\nbob:{BCRYPT}\n")).expect("it is writable");
        assert_eq!(statuses(), [200, 200]);
        fs::write(&path, "bob:secret\n").expect("it is writable");
        assert_eq!(statuses(), [200, 200], "a file that is not valid changes nothing");
        fs::remove_file(&path).expect("it is there");
        assert_eq!(statuses(), [200, 200], "nor does one that is missing");
        fs::write(&path, format!("bob:{APR1}\n")).expect("it is writable");
        assert_eq!(statuses(), [401, 200], "what was remembered is forgotten");
        let errors = server.state.errors();
        let kept: Vec<_> = errors.iter().filter(|line| line.contains("the users stay as they are")).collect();
        assert_eq!(kept.len(), 2, "{errors:?}");
        assert!(kept[0].contains("line 1: its password is plain text") && !kept[0].contains("secret"), "{}", kept[0]);
    }

    fn open_paths_need_no_password_and_have_no_user(runtime: ShippedRuntime) {
        let (server, users) = start(runtime, alice().with_open_path("/health"));
        let mut client = server.client();
        for (path, fields, status) in [
            ("/health", &[][..], 200), ("/health", &[ALICE], 200), ("/health", &[WRONG], 200),
            ("/health/x", &[], 401), ("/%68ealth", &[], 401), ("/a/../health", &[], 401),
        ] {
            assert_eq!(client.request("GET", path, fields).status, status, "{path}");
        }
        server.state.log(6);
        assert_eq!(*users.lock().expect("no panic"), [const { None::<String> }; 6]);
    }

    fn files_are_for_users_only_and_the_error_page_is_the_usual_one(runtime: ShippedRuntime) {
        let root = tempfile::tempdir().expect("a directory can be made");
        fs::write(root.path().join("file"), "content").expect("it is writable");
        let state = State::files(root.path());
        let (server, _) = start_on(runtime, state, alice());
        let mut client = server.client();
        for path in ["/", "/file", "/missing", "/../.."] {
            let response = client.request("GET", path, &[]);
            assert_eq!(response.status, 401, "{path}");
            assert_eq!(response.header("Content-Type"), Some("text/html;charset=utf-8"));
            assert!(response.body.starts_with(b"<!DOCTYPE html>"));
        }
        assert_eq!(client.request("GET", "/file", &[ALICE]).body, b"content");
        assert_eq!(client.request("GET", "/missing", &[ALICE]).status, 404);
        let entries = server.state.log(6);
        assert_eq!((entries[4].status, entries[4].bytes), (200, Some(7)));
    }

    fn a_handler_can_set_the_user_itself(runtime: ShippedRuntime) {
        let (users, state) = (Users::default(), State::app());
        let seen = users.clone();
        let server = runtime.start_handler(
            front_end::blocking::Handler::with_observer(
                |x: &mut front_end::blocking::Exchange<'_>| {
                    x.set_user(Some(b"zoe"[..].into()));
                    let user = x.user().map(<[u8]>::to_vec);
                    x.respond(200).body(user.unwrap_or_default())
                },
                seen.clone(),
            ),
            front_end::smol::Handler::with_observer(
                |x: &mut front_end::smol::Exchange<'_>| {
                    x.set_user(Some(b"zoe"[..].into()));
                    let user = x.user().map(<[u8]>::to_vec);
                    x.respond(200).body(user.unwrap_or_default())
                },
                seen,
            ),
            |x: &mut front_end::tokio::Exchange<'_>| x.respond(500).body(""),
            state,
            config(),
        );
        let response = server.client().request("GET", "/", &["Connection: close"]);
        assert_eq!(response.body, b"zoe");
        server.stop();
        server.wait_until_stopped();
        assert_eq!(*users.0.lock().expect("no panic"), [Some("zoe".to_owned())]);
    }
}

/// The users of the access log's records.
#[derive(Clone, Default)]
struct Users(Arc<Mutex<Vec<Option<String>>>>);

impl Observer for Users {
    fn log(&self, record: &Record<'_>) {
        let user = record.user.map(|user| String::from_utf8_lossy(user).into_owned());
        self.0.lock().expect("no panic").push(user);
    }
}

fn alice() -> Auth {
    Auth::from_user("alice", "secret").expect("it is valid")
}

/// The application for the users of `auth`, and the users that are logged.
fn start(runtime: ShippedRuntime, auth: Auth) -> (TestServer, Arc<Mutex<Vec<Option<String>>>>) {
    start_on(runtime, State::app(), auth)
}

fn start_on(
    runtime: ShippedRuntime,
    state: Arc<State>,
    auth: Auth,
) -> (TestServer, Arc<Mutex<Vec<Option<String>>>>) {
    let users = Users::default();
    let blocking = {
        use front_end::blocking::Handler;
        let service = service::blocking::Service::new(state.clone());
        service.with_auth(auth.clone()).with_observer(users.clone())
    };
    let smol = {
        use front_end::smol::Handler;
        service::smol::Service::new(state.clone()).with_auth(auth).with_observer(users.clone())
    };
    // The example on tokio has no `with_auth`: these tests are not run on it.
    let tokio = |x: &mut front_end::tokio::Exchange<'_>| x.respond(500).body("");
    (runtime.start_handler(blocking, smol, tokio, state, config()), users.0)
}
