//! Scripts that do not keep to the header block: 502 and the reason in the log, or what is theirs
//! to say and no more. RFC 3875 §6, B-234, B-251, B-252.

use crate::drivers::Driver;
use crate::scripts::{SOURCE, Scripts, cut, text};

on_every_driver! {
    fn b_234_what_is_no_header_block_is_a_502_and_the_log_says_why(driver: Driver) {
        let scripts = Scripts::start(driver);
        let mut client = scripts.client();
        for (script, why) in [
            ("silent.sh", "it wrote nothing"),
            ("no-header.sh", "a line of its header is no field ('Hello, world')"),
            ("half-header.sh", "it ended inside its header ('Content-Type: text/pl')"),
            ("endless-header.sh", "its header has more than 200 fields"),
            ("endless-line.py", "its header is longer than 65536 bytes"),
            ("nul-header.sh", "a line of its header is no field ('Content-Type: text/pl\\x00ain')"),
            ("chunked.sh", "its Transfer-Encoding says that its body is coded ('chunked')"),
            (
                "splits.sh",
                "a line of its header is no field ('Content-Type: text/plain\\x0dSet-Cookie: a=b')",
            ),
        ] {
            let answer = client.ask("GET", &format!("/cgi-bin/hostile/{script}"), &[]);
            assert_eq!((answer.status, &answer.reason[..]), (502, "Bad Gateway"), "{script}");
            assert!(!text(&answer).contains("never seen") && answer.field("Set-Cookie").is_none());
            scripts.noted(&format!("/cgi-bin/hostile/{script}: {why}"));
        }
        assert_eq!(
            client.ask("GET", "/cgi-bin/document.sh", &[]).body,
            b"a document\n",
            "kept alive"
        );
        scripts.are_gone();
    }

    fn b_251_b_234_a_crash_before_the_end_of_the_header_is_a_502(driver: Driver) {
        let scripts = Scripts::start(driver);
        let mut client = scripts.client();
        for stage in ["before", "half"] {
            for (way, code) in [("exit", 3), ("KILL", -9), ("SEGV", -11)] {
                let answer =
                    client.ask("GET", &format!("/cgi-bin/hostile/crash.sh?{stage}+{way}"), &[]);
                assert_eq!(answer.status, 502, "{stage} {way}");
                scripts.noted(&format!("/cgi-bin/hostile/crash.sh: CGI script exit code {code}"));
            }
        }
        scripts.are_gone();
    }

    fn b_251_a_crash_after_it_is_for_the_log(driver: Driver) {
        let scripts = Scripts::start(driver);
        let mut client = scripts.client();
        for (way, code) in [("exit", 3), ("TERM", -15), ("ABRT", -6)] {
            for (stage, body) in [("after", ""), ("body", "so far")] {
                let answer =
                    client.ask("GET", &format!("/cgi-bin/hostile/crash.sh?{stage}+{way}"), &[]);
                assert_eq!((answer.status, text(&answer)), (200, body), "{stage} {way}");
            }
            scripts.noted(&format!("/cgi-bin/hostile/crash.sh: CGI script exit code {code}"));
        }
    }

    fn b_252_what_cannot_be_started_is_a_502(driver: Driver) {
        let scripts = Scripts::start(driver);
        let mut client = scripts.client();
        let answer = client.ask("GET", "/cgi-bin/hostile/bad-interpreter.sh", &[]);
        assert_eq!(answer.status, 502);
        scripts.noted("/cgi-bin/hostile/bad-interpreter.sh: cannot be run: No such file");
        scripts.noted(": the interpreter in its first line (#!) does not exist, or the line ends in CR LF");
        let answer = client.ask("GET", "/cgi-bin/hostile/no-interpreter.sh", &[]);
        assert_eq!(answer.status, 502);
        scripts.noted("/cgi-bin/hostile/no-interpreter.sh: cannot be run: Exec format error");
        scripts.noted(": its first line (#!) names no interpreter");
        assert!(!text(&answer).contains(SOURCE));
        assert_eq!(client.ask("GET", "/cgi-bin/document.sh", &[]).body, b"a document\n");
    }

    fn rfc_3875_6_3_4_the_connection_is_not_a_scripts_to_speak_of(driver: Driver) {
        let scripts = Scripts::start(driver);
        let mut client = scripts.client();
        let answer = client.ask("GET", "/cgi-bin/hostile/frames.sh", &[]);
        assert_eq!((answer.status, text(&answer)), (200, "0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"));
        for name in ["Connection", "Keep-Alive", "Upgrade", "Trailer"] {
            assert_eq!(answer.field(name), None, "{name}");
        }
        // The server's own, if at all.
        assert!(answer.head.matches("Transfer-Encoding: chunked").count() <= 1, "{}", answer.head);
        assert!(
            !answer.head.contains("never") && !answer.head.contains("another"),
            "{}",
            answer.head
        );
        scripts.noted(
            "headers that a script cannot set were dropped: Transfer-Encoding, Connection, Keep-Alive, Upgrade, Trailer, \
            Server",
        );
        assert_eq!(client.ask("GET", "/a.txt", &[]).body, b"hello\n");
    }

    fn more_than_was_promised_is_left_out(driver: Driver) {
        let scripts = Scripts::start(driver);
        let mut client = scripts.client();
        let answer = client.ask("GET", "/cgi-bin/hostile/too-long.sh", &[]);
        assert_eq!((answer.field("Content-Length"), text(&answer)), (Some("5"), "five\n"));
        assert_eq!(
            client.ask("GET", "/a.txt", &[]).body,
            b"hello\n",
            "nothing was slipped in between"
        );
        scripts.noted("/cgi-bin/hostile/too-long.sh: output exceeds its Content-Length");
        assert!(client.is_silent());
    }

    fn less_than_was_promised_is_a_visible_cut(driver: Driver) {
        let scripts = Scripts::start(driver);
        let said = cut(&scripts, "hostile/too-short.sh");
        assert!(
            said.contains("Content-Length: 100\r\n") && said.ends_with("\r\n\r\nfive\n"),
            "{said}"
        );
        scripts.noted("output is 95 bytes shorter than its Content-Length");
        assert!(scripts.server.state.entry().cut);
    }

    fn b_248_complaints_go_to_the_log_line_by_line(driver: Driver) {
        let scripts = Scripts::start(driver);
        let answer = scripts.get("/cgi-bin/hostile/stderr.sh");
        assert_eq!(text(&answer), "answered\n");
        scripts.noted("/cgi-bin/hostile/stderr.sh: third");
        let notes = scripts.server.state.notes();
        let ours =
            notes.iter().filter_map(|note| note.strip_prefix("/cgi-bin/hostile/stderr.sh: "));
        assert_eq!(ours.collect::<Vec<_>>(), ["first", "second \u{1b}[31m", "third"]);
    }
}
