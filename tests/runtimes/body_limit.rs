//! Reading bodies: a limit that a handler sets for one request, and errors, which are returned once.

use std::sync::Arc;

use crate::runtimes::{Runtime, TestServer, config};
use crate::service::State;
use crate::support::client::Client;

on_every_runtime! {
    fn a_body_of_the_limit_is_received_and_the_next_request_has_its_own(runtime: Runtime) {
        let (server, _) = start(runtime);
        let mut client = server.client();
        for body in [
            "Content-Length: 10\r\n\r\n0123456789",
            "Transfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n",
            "Content-Length: 0\r\n\r\n",
            "\r\n",
        ] {
            client.send(format!("POST /limit HTTP/1.1\r\nHost: a\r\n{body}").as_bytes());
            let response = client.response(false);
            let expected = if body.contains('9') { "0123456789" } else { "" };
            assert_eq!((response.status, response.body), (200, expected.into()), "{body}");
        }
        let length = "Content-Length: 11\r\n\r\n01234567890";
        client.send(format!("POST /all HTTP/1.1\r\nHost: a\r\n{length}").as_bytes());
        assert_eq!(client.response(false).body, b"01234567890");
    }

    fn a_longer_body_is_a_413_however_it_is_framed(runtime: Runtime) {
        let (server, state) = start(runtime);
        for (n, body) in [
            "Content-Length: 11\r\n\r\n01234567890",
            "Content-Length: 11\r\n\r\n", // it does not have to come
            "Transfer-Encoding: chunked\r\n\r\nb\r\n01234567890\r\n0\r\n\r\n",
            "Transfer-Encoding: chunked\r\n\r\nb\r\n", // its first chunk is too large already
            "Transfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n6\r\n567890\r\n0\r\n\r\n",
            "Expect: 100-continue\r\nContent-Length: 11\r\n\r\n", // no 100, since it comes first
        ]
        .iter()
        .enumerate()
        {
            let mut client = posted(&server, "/limit", body);
            let response = client.response(false);
            assert_eq!(response.status, 413, "{body}");
            assert_eq!(response.header("Connection"), Some("close"));
            assert_eq!(client.read_to_end_or_reset(), b"");
            let entry = state.log(n + 1)[n].clone();
            assert_eq!((entry.status, entry.aborted), (413, false), "{body}");
        }
        assert!(state.errors().is_empty(), "the client's fault: {:?}", state.errors());
    }

    fn an_error_of_reading_a_body_is_returned_once_and_then_its_end(runtime: Runtime) {
        let (server, state) = start(runtime);
        for body in [
            "Content-Length: 10\r\n\r\nhalf",
            "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
            "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nnonsense\r\n",
            "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nb\r\n01234567890\r\n",
        ] {
            let mut client = posted(&server, "/errors", body);
            client.shutdown_write();
            assert_eq!(client.response(false).body, b"4 bytes, 1 error", "{body}");
        }
        assert!(state.errors().is_empty(), "{:?}", state.errors());
    }

    fn a_client_that_sends_on_receives_the_413(runtime: Runtime) {
        let (server, _) = start(runtime);
        let mut client = posted(&server, "/limit", "Content-Length: 10000000\r\n\r\n");
        let _ = client.try_send(&vec![b'x'; 10_000_000]);
        assert_eq!(client.response(false).status, 413);
    }

    fn a_handler_can_respond_to_a_body_that_is_too_large(runtime: Runtime) {
        let (server, _) = start(runtime);
        for body in [
            "Content-Length: 11\r\n\r\n01234567890",
            "Transfer-Encoding: chunked\r\n\r\nb\r\n01234567890\r\n0\r\n\r\n",
        ] {
            let mut client = posted(&server, "/catch", body);
            let response = client.response(false);
            let expected = (422, &b"The request body is larger than this server accepts."[..]);
            assert_eq!((response.status, &response.body[..]), expected);
            client.send(b"POST /len HTTP/1.1\r\nHost: a\r\n\r\n");
            assert_eq!(client.response(false).body, b"Some(0)", "the rest was discarded");
        }
    }

    fn a_limit_can_be_lowered_and_not_raised(runtime: Runtime) {
        let (server, _) = start(runtime);
        let body = "Content-Length: 11\r\n\r\n01234567890";
        assert_eq!(posted(&server, "/raise", body).response(false).status, 413);
    }

    fn the_length_of_a_body_is_known_unless_it_is_chunked(runtime: Runtime) {
        let (server, _) = start(runtime);
        for (body, length) in [
            ("Content-Length: 5\r\n\r\nhello", "Some(5)"),
            ("Content-Length: 0\r\n\r\n", "Some(0)"),
            ("\r\n", "Some(0)"),
            ("Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "None"),
        ] {
            assert_eq!(posted(&server, "/len", body).response(false).body, length.as_bytes());
        }
    }

    fn an_unavailable_resource_has_retry_after(runtime: Runtime) {
        let (server, _) = start(runtime);
        for (path, seconds) in [
            ("/later/0", "1"), ("/later/1500", "2"), ("/later/30000", "30"),
            ("/later/max", "18446744073709551615"),
        ] {
            let response = posted(&server, path, "\r\n").response(false);
            assert_eq!((response.status, response.header("Retry-After")), (503, Some(seconds)));
        }
    }

    fn the_body_bytes_that_were_sent_are_counted(runtime: Runtime) {
        let (server, state) = start(runtime);
        let response = posted(&server, "/sent", "\r\n").response(false);
        assert_eq!(response.body.len(), 100_010);
        state.log(1); // the handler has ended: it logs after the client has everything
        let head = server.client().request("HEAD", "/sent", &[]);
        assert_eq!((head.status, head.header("Content-Length")), (200, Some("100010")));
        state.log(2);
        assert_eq!(state.errors(), ["[0, 0, 10, 100010]", "[0, 0, 0, 0]"]);
    }
}

fn start(runtime: Runtime) -> (TestServer, Arc<State>) {
    let state = State::app();
    let blocking = blocking_handlers::Bodies(state.observer());
    let smol = smol_handlers::Bodies(state.observer());
    let tokio = tokio_handlers::Bodies(state.observer());
    (runtime.start_handler(blocking, smol, tokio, state.clone(), config()), state)
}

/// A client that has posted this, its last headers and its body.
fn posted(server: &TestServer, path: &str, body: &str) -> Client {
    let mut client = server.client();
    client.send(format!("POST {path} HTTP/1.1\r\nHost: a\r\n{body}").as_bytes());
    client
}

/// The handlers for one runtime: the same lines with and without `.await`.
macro_rules! handlers {
    ($module:ident, $runtime:ident, $read:path, [$($async:tt)?], [$($await:tt)*]) => {
        mod $module {
            use std::io;
            use std::time::Duration;

            use doorstep::blocking::Observer;
            use $read as _;

            use crate::runtimes::front_end::$runtime::{Exchange, Handler};
            use crate::service::TestObserver;

            pub(super) struct Bodies(pub(super) TestObserver);

            impl Handler for Bodies {
                $($async)? fn post(&self, x: &mut Exchange<'_>) -> io::Result<()> {
                    let mut body = Vec::new();
                    match x.head().path() {
                        b"/limit" => _ = x.body().limit(10).read_to_end(&mut body)$($await)*?,
                        b"/raise" => {
                            _ = x.body().limit(10).limit(100).read_to_end(&mut body)$($await)*?;
                        }
                        b"/catch" => {
                            let read = x.body().limit(10).read_to_end(&mut body)$($await)*;
                            let error = read.expect_err("it is too large");
                            return x.respond(422).body(error.to_string());
                        }
                        b"/errors" => {
                            let (mut bytes, mut errors) = (0, 0);
                            while errors < 10 {
                                match x.body().limit(10).read(&mut [0; 64])$($await)* {
                                    Ok(0) => break,
                                    Ok(n) => bytes += n,
                                    Err(_) => errors += 1,
                                }
                            }
                            return x.respond(200).body(format!("{bytes} bytes, {errors} error"));
                        }
                        b"/sent" => {
                            let file = tempfile::tempfile()?;
                            file.set_len(100_000)?;
                            let mut sent = vec![x.body_bytes_sent()];
                            x.respond(200).sized_body(100_010)?;
                            sent.push(x.body_bytes_sent());
                            x.send(b"0123456789")$($await)*?;
                            sent.push(x.body_bytes_sent());
                            x.send_file(&file, 0, 100_000)$($await)*?;
                            sent.push(x.body_bytes_sent());
                            x.log_error(format!("{sent:?}"));
                            return Ok(());
                        }
                        b"/len" => body.extend(format!("{:?}", x.body_len()).bytes()),
                        path if path.starts_with(b"/later/") => {
                            let millis = str::from_utf8(&path[7..]).expect("digits");
                            let time = millis.parse().map_or(Duration::MAX, Duration::from_millis);
                            return x.unavailable(time);
                        }
                        _ => _ = x.body().read_to_end(&mut body)$($await)*?,
                    }
                    x.respond(200).body(body)
                }
                $($async)? fn get(&self, x: &mut Exchange<'_>) -> io::Result<()> {
                    self.post(x)$($await)*
                }
                fn observer(&self) -> &dyn Observer {
                    &self.0
                }
            }
        }
    };
}

handlers!(blocking_handlers, blocking, std::io::Read, [], []);
handlers!(smol_handlers, smol, ::smol::io::AsyncReadExt, [async], [.await]);
handlers!(tokio_handlers, tokio, crate::runtimes::ReadToEnd, [async], [.await]);
