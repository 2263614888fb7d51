//! What is sent to a script: received whole and bounded, then an ordinary file. RFC 3875 §4.2,
//! B-247, B-250, B-254.

use doorstep::blocking::CgiSettings;

use crate::runtimes::{Runtime, config, with};
use crate::scripts::{ScriptServer, settings, text};
use crate::support::client::{Client, Response};

on_every_runtime! {
    fn rfc_3875_4_2_stdin_is_an_ordinary_file_of_known_length(runtime: Runtime) {
        // In memory, at its edges, and beyond.
        let scripts =
            ScriptServer::start_with(runtime, settings(|s| s.body_buffer = 10_000));
        let mut client = scripts.client();
        for size in [0, 1, 4096, 9_999, 10_000, 10_001, 300_000] {
            let body: Vec<u8> = (0..size).map(|n: u32| (n % 251) as u8).collect();
            for response in
                [post(&mut client, "stdin.py", &body), post_chunked(&mut client, "stdin.py", &body)]
            {
                assert!(response.body == body, "{size}");
                let length = size.to_string();
                assert_eq!(response.header("X-Told"), Some(&length[..]));
                assert_eq!(response.header("X-Read"), Some(&length[..]));
                if size > 0 {
                    assert_eq!(response.header("X-Stdin"), Some("file"));
                }
            }
        }
    }

    fn b_247_stdin_ends_where_the_request_body_ends(runtime: Runtime) {
        let scripts = ScriptServer::start(runtime);
        let mut client = scripts.client();
        client.send(
            b"POST /cgi-bin/stdin.py HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello\
            GET /a.txt HTTP/1.1\r\nHost: a\r\n\r\n",
        );
        assert_eq!(client.response(false).body, b"hello");
        assert_eq!(client.response(false).body, b"hello\n");
    }

    fn b_050_100_continue_is_sent_only_for_scripts_that_exist(runtime: Runtime) {
        let scripts = ScriptServer::start(runtime);
        let expect = |script: &str| {
            let mut client = scripts.client();
            client.send(
                format!(
                    "POST /cgi-bin/{script} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\
                Expect: 100-continue\r\n\r\n"
                )
                .as_bytes(),
            );
            let response = client.response(false);
            (client, response)
        };
        let (mut client, response) = expect("stdin.py");
        assert_eq!(response.status, 100);
        client.send(b"hello");
        assert_eq!(client.response(false).body, b"hello");
        for (script, status) in
            [("missing", 404), ("folder", 403), ("not-executable.sh", 403), ("../a.txt", 501)]
        {
            assert_eq!(expect(script).1.status, status, "{script}");
        }
    }

    fn b_254_a_body_beyond_the_limit_is_a_413_and_nothing_is_run(runtime: Runtime) {
                let scripts =
            ScriptServer::configured(runtime, CgiSettings::default(), with(config(), |c| c.limits.body = 1000));
        let response =
            scripts.client().request("POST", "/cgi-bin/hostile/stderr.sh", &["Content-Length: 1001"]);
        assert_eq!((response.status, response.header("Connection")), (413, Some("close")));
        let response = post_chunked(&mut scripts.client(), "hostile/stderr.sh", &[b'x'; 1001]);
        assert_eq!(response.status, 413);
        assert_eq!(post(&mut scripts.client(), "stdin.py", &[b'x'; 1000]).body.len(), 1000);
        let errors = scripts.server.state.errors();
        assert!(!errors.iter().any(|error| error.contains("stderr.sh: first")), "{errors:?}");
    }

    fn b_250_a_script_need_not_read_its_body(runtime: Runtime) {
        let scripts = ScriptServer::start(runtime);
        let mut client = scripts.client();
        for size in [5, 3_000_000] {
            let response = post(&mut client, "hostile/ignores-stdin.sh", &vec![b'x'; size]);
            assert_eq!((response.status, text(&response)), (200, "not read\n"));
            let response = post(&mut client, "document.sh", &vec![b'x'; size]);
            assert_eq!((response.status, text(&response)), (200, "a document\n"));
        }
        scripts.wait_until_ended();
    }

    fn b_250_a_slow_script_reads_fifty_megabytes(runtime: Runtime) {
        let scripts = ScriptServer::start(runtime);
        let response =
            post(&mut scripts.client(), "hostile/reads-slowly.py", &vec![b'x'; 50_000_000]);
        assert_eq!((response.status, text(&response)), (200, "50000000\n"));
        scripts.wait_until_ended();
    }

    fn an_incomplete_body_starts_no_script(runtime: Runtime) {
        let scripts = ScriptServer::start(runtime);
        let mut client = scripts.client();
        client.send(
            b"POST /cgi-bin/hostile/stderr.sh HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel",
        );
        client.shutdown_write();
        client.read_to_end_or_reset();
        let mut client = scripts.client();
        client.send(
            b"POST /cgi-bin/hostile/stderr.sh HTTP/1.1\r\nHost: a\r\n\
            Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        );
        assert_eq!(client.response(false).status, 400);
        let errors = scripts.server.state.errors();
        assert!(!errors.iter().any(|error| error.contains("stderr.sh: first")), "{errors:?}");
    }
}

fn post(client: &mut Client, script: &str, body: &[u8]) -> Response {
    let head = format!(
        "POST /cgi-bin/{script} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    client.send(&[head.as_bytes(), body].concat());
    client.response(false)
}

fn post_chunked(client: &mut Client, script: &str, body: &[u8]) -> Response {
    let mut request =
        format!("POST /cgi-bin/{script} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
            .into_bytes();
    for part in body.chunks(3_333) {
        request.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
        request.extend_from_slice(part);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"0\r\n\r\n");
    client.send(&request);
    client.response(false)
}
