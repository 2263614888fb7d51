//! What a script answers, and what becomes of it on the wire: RFC 3875 §5 and §6, B-234 to B-236.

use std::time::{SystemTime, UNIX_EPOCH};

use doorstep::blocking::CgiSettings;
use doorstep::core::http1::date;

use crate::drivers::Driver;
use crate::scripts::{Scripts, text};

on_every_driver! {
    fn rfc_3875_5_a_script_that_writes_its_own_head(driver: Driver) {
        let scripts = Scripts::start(driver);
        let mut client = scripts.client();
        for _ in 0..2 {
            let answer = client.ask("GET", "/cgi-bin/nph-whole.sh", &[]);
            assert_eq!((answer.status, &answer.reason[..]), (202, "As It Is"));
            assert_eq!((answer.field("X-Nph"), text(&answer)), (Some("yes"), "whole\n"));
            assert_eq!(answer.head.matches("Server: ").count(), 1);
        }
    }

    fn rfc_3875_6_2_1_a_document(driver: Driver) {
        let scripts = Scripts::start(driver);
        let answer = scripts.get("/cgi-bin/document.sh");
        assert_eq!((answer.status, text(&answer)), (200, "a document\n"));
        assert_eq!(answer.field("Content-Type"), Some("text/plain"));
        for name in ["Date: ", "Server: ", "Content-Type: "] {
            assert_eq!(answer.head.matches(name).count(), 1, "{name}");
        }
        let entry = scripts.server.state.entry();
        assert_eq!((entry.status, entry.bytes, entry.cut), (200, Some(11), false));
        scripts.are_gone();
        assert_eq!(scripts.server.state.notes(), [""; 0]);
    }

    fn b_062_the_date_is_when_the_scripts_response_was_made(driver: Driver) {
        let scripts = Scripts::start(driver);
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later").as_secs();
        for (target, status) in [
            ("late.sh", 200),
            ("late.sh?/a.txt", 200),
            ("late.sh?/missing", 404),
            ("late.sh?/folder", 301),
            ("late.sh?nothing", 502),
        ] {
            let asked = now();
            let answer = scripts.get(&format!("/cgi-bin/{target}"));
            assert_eq!(answer.status, status, "{target}");
            let date = answer.field("Date").expect("it has one").as_bytes();
            let date = date::parse(date, 0).expect("it is a date").cast_unsigned();
            assert!((asked + 2..=now()).contains(&date), "{target}: a script that took 2 seconds");
        }
    }

    fn r_25_a_preflight_runs_no_script(driver: Driver) {
        let settings = CgiSettings { cors: true, ..CgiSettings::default() };
        let scripts = Scripts::start_with(driver, settings);
        let mut client = scripts.client();
        let asks = ["Origin: http://a.example", "Access-Control-Request-Method: PUT"];
        for script in ["method.sh", "missing", "not-executable.sh", "folder/", "", "hostile/hang.sh"] {
            let answer = client.ask("OPTIONS", &format!("/cgi-bin/{script}"), &asks);
            assert_eq!((answer.status, &answer.body[..]), (204, &b""[..]), "{script}");
            let methods = answer.field("Access-Control-Allow-Methods").expect("it says so");
            assert!(methods.split(", ").any(|method| method == "PUT"), "{methods}");
            assert_eq!(answer.field("Access-Control-Allow-Headers"), Some("*"));
            assert_eq!(answer.field("Access-Control-Max-Age"), Some("3600"));
        }
        assert_eq!(scripts.processes(), [], "none was run");
        let elsewhere = client.ask("OPTIONS", "/a.txt", &asks);
        assert_eq!(elsewhere.status, 204, "files answer for themselves");
        let bad = client.ask("OPTIONS", "/cgi-bin/../../x", &asks);
        assert_eq!(bad.status, 400, "B-225");
        for fields in [&asks[..1], &asks[1..], &[]] {
            let answer = client.ask("OPTIONS", "/cgi-bin/method.sh", fields);
            assert_eq!((answer.status, text(&answer)), (200, "OPTIONS\n"), "no preflight: {fields:?}");
        }
        let answer = client.ask("PUT", "/cgi-bin/method.sh", &asks);
        assert_eq!(text(&answer), "PUT\n", "what comes after it");
    }

    fn r_25_without_cors_a_preflight_is_a_request_like_any_other(driver: Driver) {
        let scripts = Scripts::start(driver);
        let asks = ["Origin: http://a.example", "Access-Control-Request-Method: PUT"];
        let answer = scripts.client().ask("OPTIONS", "/cgi-bin/method.sh", &asks);
        assert_eq!((answer.status, text(&answer)), (200, "OPTIONS\n"));
        assert_eq!(answer.field("Access-Control-Allow-Methods"), None);
    }

    fn rfc_3875_6_2_2_a_local_redirect_to_a_file_a_folder_and_a_script(driver: Driver) {
        let scripts = Scripts::start(driver);
        let mut client = scripts.client();
        for (target, status, body) in [
            ("/a.txt", 200, "hello\n"),
            ("//a.txt#part", 200, "hello\n"),
            ("/folder/../a.txt?x=y", 200, "hello\n"),
            ("/cgi-bin/document.sh", 200, "a document\n"),
            ("/cgi-bin/words.sh?a+b", 200, "2\na\nb\n"),
            ("/cgi-bin/local.sh?/cgi-bin/local.sh?/a.txt", 200, "hello\n"),
        ] {
            let answer = client.ask("GET", &format!("/cgi-bin/local.sh?{target}"), &[]);
            assert_eq!((answer.status, text(&answer)), (status, body), "{target}");
            assert_eq!(answer.field("Location"), None);
        }
        for (target, status) in [
            ("/missing", 404),
            ("/folder", 301),
            ("/folder/", 200),
            ("/../../etc/passwd", 400),
            ("/cgi-bin/", 403),
            ("/cgi-bin/missing", 404),
            ("/cgi-bin/not-executable.sh", 403),
        ] {
            let answer = client.ask("GET", &format!("/cgi-bin/local.sh?{target}"), &[]);
            assert_eq!(answer.status, status, "{target}");
        }
        let log = scripts.server.state.log(13);
        assert_eq!(log[0].line, "GET /cgi-bin/local.sh?/a.txt HTTP/1.1", "what was asked for");
    }

    fn rfc_3875_6_2_2_what_is_answered_instead_is_a_get_without_the_body(driver: Driver) {
        let scripts = Scripts::start(driver);
        let mut client = scripts.client();
        let body = ["Content-Length: 0", "Content-Type: a/b"];
        let answer = client.ask("POST", "/cgi-bin/local.sh?/cgi-bin/method.sh", &body);
        assert_eq!(text(&answer), "GET\n");
        let answer = client.ask("POST", "/cgi-bin/local.sh?/a.txt", &body);
        assert_eq!((answer.status, text(&answer)), (200, "hello\n"));
        client.send(
            b"POST /cgi-bin/local.sh?/cgi-bin/stdin.py HTTP/1.1\r\nHost: a\r\n\
            Content-Length: 5\r\n\r\nhello",
        );
        let answer = client.answer(false);
        assert_eq!((answer.field("X-Told"), answer.field("X-Read")), (Some("nothing"), Some("0")));
        let answer = client.ask("HEAD", "/cgi-bin/local.sh?/a.txt", &[]);
        assert_eq!((answer.status, answer.field("Content-Length")), (200, Some("6")));
        let answer = client.ask("GET", "/cgi-bin/local.sh?/a.txt", &["Range: bytes=1-2"]);
        assert_eq!((answer.status, text(&answer)), (206, "el"));
    }

    fn rfc_3875_6_2_2_a_loop_of_redirects_has_an_end(driver: Driver) {
        let scripts = Scripts::start(driver);
        let mut client = scripts.client();
        assert_eq!(client.ask("GET", "/cgi-bin/hostile/loops.sh", &[]).status, 502);
        scripts.noted("/cgi-bin/hostile/loops.sh: too many local redirects, or an invalid target of one");
        let chain = |n| format!("{}/a.txt", "/cgi-bin/local.sh?".repeat(n));
        assert_eq!(text(&client.ask("GET", &chain(10), &[])), "hello\n");
        assert_eq!(client.ask("GET", &chain(12), &[]).status, 502);
        scripts.are_gone();
    }

    fn rfc_3875_6_2_3_a_client_redirect(driver: Driver) {
        let scripts = Scripts::start(driver);
        let answer = scripts.get("/cgi-bin/client.sh");
        assert_eq!((answer.status, &answer.reason[..]), (302, "Found"));
        assert_eq!(answer.field("Location"), Some("http://example.org/elsewhere?x=y"));
    }

    fn rfc_3875_6_2_3_a_local_location_loses_no_cookie(driver: Driver) {
        let scripts = Scripts::start(driver);
        let answer = scripts.get("/cgi-bin/local-cookie.sh");
        assert_eq!((answer.status, answer.field("Location")), (302, Some("/a.txt")));
        assert_eq!(answer.field("Set-Cookie"), Some("who=me"));
    }

    fn rfc_3875_6_2_4_a_client_redirect_with_a_document(driver: Driver) {
        let scripts = Scripts::start(driver);
        let answer = scripts.get("/cgi-bin/client-document.sh");
        assert_eq!((answer.status, &answer.reason[..]), (301, "Gone There"));
        assert_eq!(answer.field("Location"), Some("http://example.org/elsewhere"));
        assert_eq!(answer.field("Content-Type"), Some("text/html"));
        assert_eq!(text(&answer), "<p>It is elsewhere.\n");
    }

    fn rfc_3875_6_3_fields_in_every_spelling(driver: Driver) {
        let scripts = Scripts::start(driver);
        let answer = scripts.get("/cgi-bin/fields.sh");
        assert_eq!((answer.status, &answer.reason[..]), (404, "Nothing  Here"));
        for (name, value) in [
            ("Content-Type", "text/plain; charset=utf-8"),
            ("X-Empty", ""),
            ("X-Colons", "a: b :c"),
        ] {
            let lines = answer.head.lines().filter_map(|line| line.split_once(':'));
            let values: Vec<_> = lines.filter(|(n, _)| n.eq_ignore_ascii_case(name)).collect();
            assert_eq!(
                values.iter().map(|v| v.1.trim()).collect::<Vec<_>>(),
                [value],
                "{}",
                answer.head
            );
        }
        let cookies: Vec<_> =
            answer.head.lines().filter(|line| line.starts_with("Set-Cookie: ")).collect();
        assert_eq!(cookies, ["Set-Cookie: a=b", "Set-Cookie: c=d"]);
        assert!(!answer.head.to_ascii_lowercase().contains("\nstatus:"));
        assert_eq!(text(&answer), "nothing here\n");
    }

    fn rfc_3875_6_3_3_any_final_status_and_no_other(driver: Driver) {
        let scripts = Scripts::start(driver);
        let mut client = scripts.client();
        for status in [200, 201, 299, 400, 404, 418, 500, 503, 599] {
            let answer = client.ask("GET", &format!("/cgi-bin/status.sh?{status}"), &[]);
            assert_eq!((answer.status, text(&answer)), (status, "a document\n"));
        }
        for status in [204, 304] {
            let answer = client.ask("GET", &format!("/cgi-bin/status.sh?{status}"), &[]);
            assert_eq!((answer.status, answer.field("ETag")), (status, Some("\"1\"")));
            assert_eq!(answer.field("Transfer-Encoding"), None);
        }
        let answer = client.ask("GET", "/cgi-bin/status.sh?205", &[]);
        assert_eq!((answer.status, text(&answer)), (205, ""));
        for status in ["100", "101", "199", "600", "20", "2000", "2OO", "-200", ""] {
            let answer = client.ask("GET", &format!("/cgi-bin/status.sh?{status}"), &[]);
            assert_eq!(answer.status, 502, "{status}");
        }
        assert!(client.is_silent());
    }

    fn b_235_a_head_has_the_head_and_no_body(driver: Driver) {
        let scripts = Scripts::start(driver);
        let mut client = scripts.client();
        for script in
            ["document.sh", "length.sh", "nph-whole.sh", "status.sh?404", "hostile/too-long.sh"]
        {
            let answer = client.ask("HEAD", &format!("/cgi-bin/{script}"), &[]);
            let wanted = match script {
                "status.sh?404" => 404,
                "nph-whole.sh" => 202,
                _ => 200,
            };
            assert_eq!(answer.status, wanted);
        }
        let answer = client.ask("HEAD", "/cgi-bin/length.sh", &[]);
        assert_eq!(answer.field("Content-Length"), Some("11"));
        assert_eq!(client.ask("GET", "/cgi-bin/document.sh", &[]).body, b"a document\n");
        assert!(client.is_silent());
    }

    fn b_236_answers_are_framed_and_connections_kept(driver: Driver) {
        let scripts = Scripts::start(driver);
        let mut client = scripts.client();
        let pipelined = [
            "/cgi-bin/document.sh",
            "/a.txt",
            "/cgi-bin/length.sh",
            "/cgi-bin/hostile/nul-body.sh",
        ];
        let requests = pipelined.map(|target| format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
        client.send(requests.concat().as_bytes());
        for body in [&b"a document\n"[..], b"hello\n", b"a document\n", b"\0a\0\r\n\r\n\0"] {
            let answer = client.answer(false);
            assert_eq!((answer.status, &answer.body[..]), (200, body));
            assert_ne!(answer.field("Connection"), Some("close"));
        }
        assert!(client.is_silent());
    }

    fn b_236_http_1_0_is_framed_by_the_end_or_the_length(driver: Driver) {
        let scripts = Scripts::start(driver);
        for script in ["document.sh", "length.sh"] {
            let mut client = scripts.client();
            client.send(format!("GET /cgi-bin/{script} HTTP/1.0\r\n\r\n").as_bytes());
            let answer = client.answer(false);
            assert_eq!(text(&answer), "a document\n");
            assert_eq!(answer.field("Transfer-Encoding"), None);
            assert_eq!(client.rest(), b"");
        }
        let mut client = scripts.client();
        for _ in 0..2 {
            client.send(b"GET /cgi-bin/length.sh HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
            let answer = client.answer(false);
            assert_eq!(
                (answer.field("Connection"), text(&answer)),
                (Some("keep-alive"), "a document\n")
            );
        }
    }
}
