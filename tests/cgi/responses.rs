//! The output of scripts and the responses made from it: RFC 3875 §5 and §6, B-234 to B-236.

use std::time::{SystemTime, UNIX_EPOCH};

use doorstep::blocking::CgiSettings;
use doorstep::core::http1::date;
use doorstep::driver::net::MemoryStream;

use crate::runtimes::Runtime;
use crate::scripts::{ScriptServer, corpus, settings, text};
use crate::service::State;

on_every_runtime! {
    fn rfc_3875_5_a_script_may_write_its_own_status_line(runtime: Runtime) {
        let scripts = ScriptServer::start(runtime);
        let mut client = scripts.client();
        for _ in 0..2 {
            let response = client.request("GET", "/cgi-bin/nph-whole.sh", &[]);
            assert_eq!((response.status, &response.reason[..]), (202, "As It Is"));
            assert_eq!((response.header("X-Nph"), text(&response)), (Some("yes"), "whole\n"));
            assert_eq!(response.head.matches("Server: ").count(), 1);
        }
    }

    fn rfc_3875_6_2_1_a_document_response(runtime: Runtime) {
        let scripts = ScriptServer::start(runtime);
        let response = scripts.get("/cgi-bin/document.sh");
        assert_eq!((response.status, text(&response)), (200, "a document\n"));
        assert_eq!(response.header("Content-Type"), Some("text/plain"));
        for name in ["Date: ", "Server: ", "Content-Type: "] {
            assert_eq!(response.head.matches(name).count(), 1, "{name}");
        }
        let entry = scripts.server.state.entry();
        assert_eq!((entry.status, entry.bytes, entry.aborted), (200, Some(11), false));
        scripts.wait_until_ended();
        assert_eq!(scripts.server.state.errors(), [""; 0]);
    }

    fn a_script_is_run_for_a_client_in_memory(runtime: Runtime) {
        let root = corpus();
        let state = State::scripts(root.path(), CgiSettings::default());
        let request = "GET /cgi-bin/document.sh HTTP/1.1\r\nHost: a\r\n\r\n".repeat(2);
        let responses = runtime.serve_in_memory(&state, &MemoryStream::new(request));
        let responses = String::from_utf8_lossy(&responses);
        assert_eq!(responses.matches("a document\n").count(), 2, "{responses}");
        assert_eq!((state.log(2).len(), state.errors().len()), (2, 0));
    }

    fn b_062_the_date_is_when_the_scripts_response_was_made(runtime: Runtime) {
        let scripts = ScriptServer::start(runtime);
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later").as_secs();
        for (target, status) in [
            ("late.sh", 200),
            ("late.sh?/a.txt", 200),
            ("late.sh?/missing", 404),
            ("late.sh?/folder", 301),
            ("late.sh?nothing", 502),
        ] {
            let asked = now();
            let response = scripts.get(&format!("/cgi-bin/{target}"));
            assert_eq!(response.status, status, "{target}");
            let date = response.header("Date").expect("it has one").as_bytes();
            let date = date::parse(date, 0).expect("it is a date").cast_unsigned();
            assert!((asked + 2..=now()).contains(&date), "{target}: a script that took 2 seconds");
        }
    }

    fn r_25_a_preflight_runs_no_script(runtime: Runtime) {
        let settings = settings(|s| s.cors = true);
        let scripts = ScriptServer::start_with(runtime, settings);
        let mut client = scripts.client();
        let asks = ["Origin: http://a.example", "Access-Control-Request-Method: PUT"];
        for script in ["method.sh", "missing", "not-executable.sh", "folder/", "", "hostile/hang.sh"] {
            let response = client.request("OPTIONS", &format!("/cgi-bin/{script}"), &asks);
            assert_eq!((response.status, &response.body[..]), (204, &b""[..]), "{script}");
            let methods = response.header("Access-Control-Allow-Methods").expect("the header is there");
            assert!(methods.split(", ").any(|method| method == "PUT"), "{methods}");
            assert_eq!(response.header("Access-Control-Allow-Headers"), Some("*, Authorization"));
            assert_eq!(response.header("Access-Control-Max-Age"), Some("3600"));
        }
        assert_eq!(scripts.processes(), [], "none was run");
        let elsewhere = client.request("OPTIONS", "/a.txt", &asks);
        assert_eq!(elsewhere.status, 204, "files response for themselves");
        let bad = client.request("OPTIONS", "/cgi-bin/../../x", &asks);
        assert_eq!(bad.status, 400, "B-225");
        for fields in [&asks[..1], &asks[1..], &[]] {
            let response = client.request("OPTIONS", "/cgi-bin/method.sh", fields);
            assert_eq!((response.status, text(&response)), (200, "OPTIONS\n"), "no preflight: {fields:?}");
        }
        let response = client.request("PUT", "/cgi-bin/method.sh", &asks);
        assert_eq!(text(&response), "PUT\n", "what comes after it");
    }

    fn r_25_without_cors_a_preflight_is_an_ordinary_request(runtime: Runtime) {
        let scripts = ScriptServer::start(runtime);
        let asks = ["Origin: http://a.example", "Access-Control-Request-Method: PUT"];
        let response = scripts.client().request("OPTIONS", "/cgi-bin/method.sh", &asks);
        assert_eq!((response.status, text(&response)), (200, "OPTIONS\n"));
        assert_eq!(response.header("Access-Control-Allow-Methods"), None);
    }

    fn rfc_3875_6_2_2_a_local_redirect_to_a_file_a_folder_and_a_script(runtime: Runtime) {
        let scripts = ScriptServer::start(runtime);
        let mut client = scripts.client();
        for (target, status, body) in [
            ("/a.txt", 200, "hello\n"),
            ("//a.txt#part", 200, "hello\n"),
            ("/folder/../a.txt?x=y", 200, "hello\n"),
            ("/cgi-bin/document.sh", 200, "a document\n"),
            ("/cgi-bin/words.sh?a+b", 200, "2\na\nb\n"),
            ("/cgi-bin/local.sh?/cgi-bin/local.sh?/a.txt", 200, "hello\n"),
        ] {
            let response = client.request("GET", &format!("/cgi-bin/local.sh?{target}"), &[]);
            assert_eq!((response.status, text(&response)), (status, body), "{target}");
            assert_eq!(response.header("Location"), None);
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
            let response = client.request("GET", &format!("/cgi-bin/local.sh?{target}"), &[]);
            assert_eq!(response.status, status, "{target}");
        }
        let log = scripts.server.state.log(13);
        assert_eq!(log[0].line, "GET /cgi-bin/local.sh?/a.txt HTTP/1.1", "what was asked for");
    }

    fn rfc_3875_6_2_2_a_local_redirect_becomes_a_get_without_the_body(runtime: Runtime) {
        let scripts = ScriptServer::start(runtime);
        let mut client = scripts.client();
        let body = ["Content-Length: 0", "Content-Type: a/b"];
        let response = client.request("POST", "/cgi-bin/local.sh?/cgi-bin/method.sh", &body);
        assert_eq!(text(&response), "GET\n");
        let response = client.request("POST", "/cgi-bin/local.sh?/a.txt", &body);
        assert_eq!((response.status, text(&response)), (200, "hello\n"));
        client.send(
            b"POST /cgi-bin/local.sh?/cgi-bin/stdin.py HTTP/1.1\r\nHost: a\r\n\
            Content-Length: 5\r\n\r\nhello",
        );
        let response = client.response(false);
        assert_eq!((response.header("X-Told"), response.header("X-Read")), (Some("nothing"), Some("0")));
        let response = client.request("HEAD", "/cgi-bin/local.sh?/a.txt", &[]);
        assert_eq!((response.status, response.header("Content-Length")), (200, Some("6")));
        let response = client.request("GET", "/cgi-bin/local.sh?/a.txt", &["Range: bytes=1-2"]);
        assert_eq!((response.status, text(&response)), (206, "el"));
    }

    fn rfc_3875_6_2_2_a_loop_of_local_redirects_ends(runtime: Runtime) {
        let scripts = ScriptServer::start(runtime);
        let mut client = scripts.client();
        assert_eq!(client.request("GET", "/cgi-bin/hostile/loops.sh", &[]).status, 502);
        scripts.wait_for_error("/cgi-bin/hostile/loops.sh: too many local redirects, or an invalid target of one");
        let chain = |n| format!("{}/a.txt", "/cgi-bin/local.sh?".repeat(n));
        assert_eq!(text(&client.request("GET", &chain(10), &[])), "hello\n");
        assert_eq!(client.request("GET", &chain(12), &[]).status, 502);
        scripts.wait_until_ended();
    }

    fn rfc_3875_6_2_3_a_client_redirect(runtime: Runtime) {
        let scripts = ScriptServer::start(runtime);
        let response = scripts.get("/cgi-bin/client.sh");
        assert_eq!((response.status, &response.reason[..]), (302, "Found"));
        assert_eq!(response.header("Location"), Some("http://example.org/elsewhere?x=y"));
    }

    fn rfc_3875_6_2_3_a_local_location_with_other_headers_is_a_client_redirect(runtime: Runtime) {
        let scripts = ScriptServer::start(runtime);
        let response = scripts.get("/cgi-bin/local-cookie.sh");
        assert_eq!((response.status, response.header("Location")), (302, Some("/a.txt")));
        assert_eq!(response.header("Set-Cookie"), Some("who=me"));
    }

    fn rfc_3875_6_2_4_a_client_redirect_with_a_document(runtime: Runtime) {
        let scripts = ScriptServer::start(runtime);
        let response = scripts.get("/cgi-bin/client-document.sh");
        assert_eq!((response.status, &response.reason[..]), (301, "Gone There"));
        assert_eq!(response.header("Location"), Some("http://example.org/elsewhere"));
        assert_eq!(response.header("Content-Type"), Some("text/html"));
        assert_eq!(text(&response), "<p>It is elsewhere.\n");
    }

    fn rfc_3875_6_3_headers_in_every_spelling_are_accepted(runtime: Runtime) {
        let scripts = ScriptServer::start(runtime);
        let response = scripts.get("/cgi-bin/fields.sh");
        assert_eq!((response.status, &response.reason[..]), (404, "Nothing  Here"));
        for (name, value) in [
            ("Content-Type", "text/plain; charset=utf-8"),
            ("X-Empty", ""),
            ("X-Colons", "a: b :c"),
        ] {
            let lines = response.head.lines().filter_map(|line| line.split_once(':'));
            let values: Vec<_> = lines.filter(|(n, _)| n.eq_ignore_ascii_case(name)).collect();
            assert_eq!(
                values.iter().map(|v| v.1.trim()).collect::<Vec<_>>(),
                [value],
                "{}",
                response.head
            );
        }
        let cookies: Vec<_> =
            response.head.lines().filter(|line| line.starts_with("Set-Cookie: ")).collect();
        assert_eq!(cookies, ["Set-Cookie: a=b", "Set-Cookie: c=d"]);
        assert!(!response.head.to_ascii_lowercase().contains("\nstatus:"));
        assert_eq!(text(&response), "nothing here\n");
    }

    fn rfc_3875_6_3_3_every_final_status_is_accepted_and_no_other(runtime: Runtime) {
        let scripts = ScriptServer::start(runtime);
        let mut client = scripts.client();
        for status in [200, 201, 299, 400, 404, 418, 500, 503, 599] {
            let response = client.request("GET", &format!("/cgi-bin/status.sh?{status}"), &[]);
            assert_eq!((response.status, text(&response)), (status, "a document\n"));
        }
        for status in [204, 304] {
            let response = client.request("GET", &format!("/cgi-bin/status.sh?{status}"), &[]);
            assert_eq!((response.status, response.header("ETag")), (status, Some("\"1\"")));
            assert_eq!(response.header("Transfer-Encoding"), None);
        }
        let response = client.request("GET", "/cgi-bin/status.sh?205", &[]);
        assert_eq!((response.status, text(&response)), (205, ""));
        for status in ["100", "101", "199", "600", "20", "2000", "2OO", "-200", ""] {
            let response = client.request("GET", &format!("/cgi-bin/status.sh?{status}"), &[]);
            assert_eq!(response.status, 502, "{status}");
        }
        assert!(client.is_silent());
    }

    fn b_235_a_response_to_head_has_no_body(runtime: Runtime) {
        let scripts = ScriptServer::start(runtime);
        let mut client = scripts.client();
        for script in
            ["document.sh", "length.sh", "nph-whole.sh", "status.sh?404", "hostile/too-long.sh"]
        {
            let response = client.request("HEAD", &format!("/cgi-bin/{script}"), &[]);
            let wanted = match script {
                "status.sh?404" => 404,
                "nph-whole.sh" => 202,
                _ => 200,
            };
            assert_eq!(response.status, wanted);
        }
        let response = client.request("HEAD", "/cgi-bin/length.sh", &[]);
        assert_eq!(response.header("Content-Length"), Some("11"));
        assert_eq!(client.request("GET", "/cgi-bin/document.sh", &[]).body, b"a document\n");
        assert!(client.is_silent());
    }

    fn b_236_responses_are_framed_and_connections_are_kept_alive(runtime: Runtime) {
        let scripts = ScriptServer::start(runtime);
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
            let response = client.response(false);
            assert_eq!((response.status, &response.body[..]), (200, body));
            assert_ne!(response.header("Connection"), Some("close"));
        }
        assert!(client.is_silent());
    }

    fn b_236_an_http_1_0_response_is_framed_by_length_or_close(runtime: Runtime) {
        let scripts = ScriptServer::start(runtime);
        for script in ["document.sh", "length.sh"] {
            let mut client = scripts.client();
            client.send(format!("GET /cgi-bin/{script} HTTP/1.0\r\n\r\n").as_bytes());
            let response = client.response(false);
            assert_eq!(text(&response), "a document\n");
            assert_eq!(response.header("Transfer-Encoding"), None);
            assert_eq!(client.read_to_end(), b"");
        }
        let mut client = scripts.client();
        for _ in 0..2 {
            client.send(b"GET /cgi-bin/length.sh HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
            let response = client.response(false);
            assert_eq!(
                (response.header("Connection"), text(&response)),
                (Some("keep-alive"), "a document\n")
            );
        }
    }
}
