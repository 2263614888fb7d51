//! What is sent to a script: received whole and bounded, then an ordinary file. RFC 3875 §4.2,
//! B-247, B-250, B-254.

use doorstep::blocking::CgiSettings;
use doorstep::blocking::Config;
use doorstep::core::http1::Limits;

use crate::drivers::{Driver, config};
use crate::scripts::{Scripts, text};
use crate::support::client::{Answer, Client};

on_every_driver! {
    fn rfc_3875_4_2_a_body_is_an_ordinary_file_of_known_length(driver: Driver) {
        // In memory, at its edges, and beyond.
        let scripts =
            Scripts::start_with(driver, CgiSettings { body_buffer: 10_000, ..CgiSettings::default() });
        let mut client = scripts.client();
        for size in [0, 1, 4096, 9_999, 10_000, 10_001, 300_000] {
            let body: Vec<u8> = (0..size).map(|n: u32| (n % 251) as u8).collect();
            for answer in
                [post(&mut client, "stdin.py", &body), post_chunked(&mut client, "stdin.py", &body)]
            {
                assert!(answer.body == body, "{size}");
                let length = size.to_string();
                assert_eq!(answer.field("X-Told"), Some(&length[..]));
                assert_eq!(answer.field("X-Read"), Some(&length[..]));
                if size > 0 {
                    assert_eq!(answer.field("X-Stdin"), Some("file"));
                }
            }
        }
    }

    fn b_247_it_ends_where_the_request_does(driver: Driver) {
        let scripts = Scripts::start(driver);
        let mut client = scripts.client();
        client.send(
            b"POST /cgi-bin/stdin.py HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello\
            GET /a.txt HTTP/1.1\r\nHost: a\r\n\r\n",
        );
        assert_eq!(client.answer(false).body, b"hello");
        assert_eq!(client.answer(false).body, b"hello\n");
    }

    fn b_050_only_a_script_that_is_there_gets_its_body(driver: Driver) {
        let scripts = Scripts::start(driver);
        let expect = |script: &str| {
            let mut client = scripts.client();
            client.send(
                format!(
                    "POST /cgi-bin/{script} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\
                Expect: 100-continue\r\n\r\n"
                )
                .as_bytes(),
            );
            let answer = client.answer(false);
            (client, answer)
        };
        let (mut client, answer) = expect("stdin.py");
        assert_eq!(answer.status, 100);
        client.send(b"hello");
        assert_eq!(client.answer(false).body, b"hello");
        for (script, status) in
            [("missing", 404), ("folder", 403), ("not-executable.sh", 403), ("../a.txt", 501)]
        {
            assert_eq!(expect(script).1.status, status, "{script}");
        }
    }

    fn b_254_a_body_beyond_the_limit_is_a_413_and_nothing_is_run(driver: Driver) {
        let limits = Limits { body: 1000, ..Limits::default() };
        let scripts =
            Scripts::configured(driver, CgiSettings::default(), Config { limits, ..config() });
        let answer =
            scripts.client().ask("POST", "/cgi-bin/hostile/stderr.sh", &["Content-Length: 1001"]);
        assert_eq!((answer.status, answer.field("Connection")), (413, Some("close")));
        let answer = post_chunked(&mut scripts.client(), "hostile/stderr.sh", &[b'x'; 1001]);
        assert_eq!(answer.status, 413);
        assert_eq!(post(&mut scripts.client(), "stdin.py", &[b'x'; 1000]).body.len(), 1000);
        let notes = scripts.server.state.notes();
        assert!(!notes.iter().any(|note| note.contains("stderr.sh")), "{notes:?}");
    }

    fn b_250_what_is_not_read_is_no_harm(driver: Driver) {
        let scripts = Scripts::start(driver);
        let mut client = scripts.client();
        for size in [5, 3_000_000] {
            let answer = post(&mut client, "hostile/ignores-stdin.sh", &vec![b'x'; size]);
            assert_eq!((answer.status, text(&answer)), (200, "not read\n"));
            let answer = post(&mut client, "document.sh", &vec![b'x'; size]);
            assert_eq!((answer.status, text(&answer)), (200, "a document\n"));
        }
        scripts.are_gone();
    }

    fn b_250_fifty_megabytes_read_at_leisure(driver: Driver) {
        let scripts = Scripts::start(driver);
        let answer =
            post(&mut scripts.client(), "hostile/reads-slowly.py", &vec![b'x'; 50_000_000]);
        assert_eq!((answer.status, text(&answer)), (200, "50000000\n"));
        scripts.are_gone();
    }

    fn a_body_that_is_cut_off_starts_nothing(driver: Driver) {
        let scripts = Scripts::start(driver);
        let mut client = scripts.client();
        client.send(
            b"POST /cgi-bin/hostile/stderr.sh HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel",
        );
        client.finish();
        client.rest_or_reset();
        let mut client = scripts.client();
        client.send(
            b"POST /cgi-bin/hostile/stderr.sh HTTP/1.1\r\nHost: a\r\n\
            Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        );
        assert_eq!(client.answer(false).status, 400);
        let notes = scripts.server.state.notes();
        assert!(!notes.iter().any(|note| note.contains("stderr.sh")), "{notes:?}");
    }
}

fn post(client: &mut Client, script: &str, body: &[u8]) -> Answer {
    let head = format!(
        "POST /cgi-bin/{script} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    client.send(&[head.as_bytes(), body].concat());
    client.answer(false)
}

fn post_chunked(client: &mut Client, script: &str, body: &[u8]) -> Answer {
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
    client.answer(false)
}
