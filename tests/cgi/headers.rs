//! ScriptServer that do not keep to the header block: 502 and the reason in the log, or what is theirs
//! to say and no more. RFC 3875 §6, B-234, B-251, B-252.

use crate::runtimes::Runtime;
use crate::scripts::{SOURCE, ScriptServer, incomplete_response, text};

on_every_runtime! {
    fn b_234_an_invalid_header_is_a_502_and_the_log_has_the_reason(runtime: Runtime) {
        let scripts = ScriptServer::start(runtime);
        let mut client = scripts.client();
        for (script, why) in [
            ("silent.sh", "no output"),
            ("no-header.sh", "malformed header line ('Hello, world')"),
            ("half-header.sh", "the output ends within the header block ('Content-Type: text/pl')"),
            ("endless-header.sh", "more than 200 headers"),
            ("endless-line.py", "the header block is longer than 65536 bytes"),
            ("nul-header.sh", "malformed header line ('Content-Type: text/pl\\x00ain')"),
            ("chunked.sh", "unsupported Transfer-Encoding ('chunked')"),
            (
                "splits.sh",
                "malformed header line ('Content-Type: text/plain\\x0dSet-Cookie: a=b')",
            ),
        ] {
            let response = client.request("GET", &format!("/cgi-bin/hostile/{script}"), &[]);
            assert_eq!((response.status, &response.reason[..]), (502, "Bad Gateway"), "{script}");
            assert!(!text(&response).contains("never seen") && response.header("Set-Cookie").is_none());
            scripts.wait_for_error(&format!("/cgi-bin/hostile/{script}: {why}"));
        }
        assert_eq!(
            client.request("GET", "/cgi-bin/document.sh", &[]).body,
            b"a document\n",
            "kept alive"
        );
        scripts.wait_until_ended();
    }

    fn b_251_b_234_a_crash_before_the_end_of_the_header_is_a_502(runtime: Runtime) {
        let scripts = ScriptServer::start(runtime);
        let mut client = scripts.client();
        for stage in ["before", "half"] {
            for (way, code) in [("exit", 3), ("KILL", -9), ("SEGV", -11)] {
                let response =
                    client.request("GET", &format!("/cgi-bin/hostile/crash.sh?{stage}+{way}"), &[]);
                assert_eq!(response.status, 502, "{stage} {way}");
                scripts.wait_for_error(&format!("/cgi-bin/hostile/crash.sh: CGI script exit code {code}"));
            }
        }
        scripts.wait_until_ended();
    }

    fn b_251_a_crash_after_the_header_is_logged(runtime: Runtime) {
        let scripts = ScriptServer::start(runtime);
        let mut client = scripts.client();
        for (way, code) in [("exit", 3), ("TERM", -15), ("ABRT", -6)] {
            for (stage, body) in [("after", ""), ("body", "so far")] {
                let response =
                    client.request("GET", &format!("/cgi-bin/hostile/crash.sh?{stage}+{way}"), &[]);
                assert_eq!((response.status, text(&response)), (200, body), "{stage} {way}");
            }
            scripts.wait_for_error(&format!("/cgi-bin/hostile/crash.sh: CGI script exit code {code}"));
        }
    }

    fn b_252_a_script_that_cannot_be_started_is_a_502(runtime: Runtime) {
        let scripts = ScriptServer::start(runtime);
        let mut client = scripts.client();
        let response = client.request("GET", "/cgi-bin/hostile/bad-interpreter.sh", &[]);
        assert_eq!(response.status, 502);
        scripts.wait_for_error("/cgi-bin/hostile/bad-interpreter.sh: cannot be run: No such file");
        scripts.wait_for_error(": what its first line names is not there, or the line ends in CR LF");
        let response = client.request("GET", "/cgi-bin/hostile/no-interpreter.sh", &[]);
        assert_eq!(response.status, 502);
        scripts.wait_for_error("/cgi-bin/hostile/no-interpreter.sh: cannot be run: Exec format error");
        scripts.wait_for_error(": its first line names no interpreter");
        assert!(!text(&response).contains(SOURCE));
        assert_eq!(client.request("GET", "/cgi-bin/document.sh", &[]).body, b"a document\n");
    }

    fn rfc_3875_6_3_4_connection_headers_of_a_script_are_dropped(runtime: Runtime) {
        let scripts = ScriptServer::start(runtime);
        let mut client = scripts.client();
        let response = client.request("GET", "/cgi-bin/hostile/frames.sh", &[]);
        assert_eq!((response.status, text(&response)), (200, "0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"));
        for name in ["Connection", "Keep-Alive", "Upgrade", "Trailer"] {
            assert_eq!(response.header(name), None, "{name}");
        }
        // The server's own, if at all.
        assert!(response.head.matches("Transfer-Encoding: chunked").count() <= 1, "{}", response.head);
        assert!(
            !response.head.contains("never") && !response.head.contains("another"),
            "{}",
            response.head
        );
        scripts.wait_for_error(
            "not a script's to say: Transfer-Encoding, Connection, Keep-Alive, Upgrade, Trailer, \
            Server",
        );
        assert_eq!(client.request("GET", "/a.txt", &[]).body, b"hello\n");
    }

    fn output_beyond_the_content_length_is_dropped(runtime: Runtime) {
        let scripts = ScriptServer::start(runtime);
        let mut client = scripts.client();
        let response = client.request("GET", "/cgi-bin/hostile/too-long.sh", &[]);
        assert_eq!((response.header("Content-Length"), text(&response)), (Some("5"), "five\n"));
        assert_eq!(
            client.request("GET", "/a.txt", &[]).body,
            b"hello\n",
            "nothing was slipped in between"
        );
        scripts.wait_for_error("/cgi-bin/hostile/too-long.sh: wrote more than its Content-Length");
        assert!(client.is_silent());
    }

    fn output_short_of_the_content_length_ends_in_a_visible_abort(runtime: Runtime) {
        let scripts = ScriptServer::start(runtime);
        let output = incomplete_response(&scripts, "hostile/too-short.sh");
        assert!(
            output.contains("Content-Length: 100\r\n") && output.ends_with("\r\n\r\nfive\n"),
            "{output}"
        );
        scripts.wait_for_error("ended 95 bytes short of its Content-Length");
        assert!(scripts.server.state.entry().aborted);
    }

    fn b_248_stderr_is_logged_line_by_line(runtime: Runtime) {
        let scripts = ScriptServer::start(runtime);
        let response = scripts.get("/cgi-bin/hostile/stderr.sh");
        assert_eq!(text(&response), "answered\n");
        scripts.wait_for_error("/cgi-bin/hostile/stderr.sh: third");
        let errors = scripts.server.state.errors();
        let ours =
            errors.iter().filter_map(|error| error.strip_prefix("/cgi-bin/hostile/stderr.sh: "));
        assert_eq!(ours.collect::<Vec<_>>(), ["first", "second \u{1b}[31m", "third"]);
    }
}
