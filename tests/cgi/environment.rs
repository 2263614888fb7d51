//! What a script is started with, and nothing else: RFC 3875 §4.1, §4.4 and §7.2, B-237 to B-249.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use doorstep::blocking::CgiSettings;

use crate::runtimes::{CommandRuntime, Runtime};
use crate::scripts::{ScriptServer, corpus, settings, text};
use crate::support::client::Response;
use crate::support::{Server, doorstep};

on_every_runtime! {
    fn b_247_b_248_the_standard_streams_can_be_opened_by_name(runtime: Runtime) {
        let settings = settings(|s| s.body_buffer = 1000);
        let scripts = ScriptServer::start_with(runtime, settings);
        for size in [5, 100_000] {
            let mut client = scripts.client();
            client.send(
                format!("POST /cgi-bin/streams.sh HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n")
                    .as_bytes(),
            );
            client.send(&vec![b'x'; size]);
            assert_eq!(client.response(false).body, vec![b'x'; size]);
        }
        scripts.wait_for_error("/cgi-bin/streams.sh: by its name");
    }

    fn rfc_3875_4_1_the_variables_of_a_plain_request(runtime: Runtime) {
        let scripts =
            ScriptServer::start_with(runtime, settings(|s| s.variables = vec![]));
        let root = fs::canonicalize(scripts.root.path()).expect("it is there");
        let root = root.display();
        let mut client = scripts.client();
        let seen =
            Myself::from(&client.request("GET", "/cgi-bin/../cgi-bin/myself/a%20b//c/?x=%20y#z", &[]));
        let port = client.port().to_string();
        let wanted = [
            ("DOCUMENT_ROOT", format!("{root}")),
            ("GATEWAY_INTERFACE", "CGI/1.1".into()),
            ("HTTP_HOST", "test".into()),
            ("PATH_INFO", "/a b/c/".into()),
            ("PATH_TRANSLATED", format!("{root}/a b/c/")),
            ("QUERY_STRING", "x=%20y".into()),
            ("REMOTE_ADDR", "127.0.0.1".into()),
            ("REMOTE_PORT", port),
            ("REQUEST_METHOD", "GET".into()),
            ("REQUEST_URI", "/cgi-bin/../cgi-bin/myself/a%20b//c/?x=%20y".into()),
            ("SCRIPT_FILENAME", format!("{root}/cgi-bin/myself")),
            ("SCRIPT_NAME", "/cgi-bin/myself".into()),
            ("SERVER_NAME", "test".into()),
            ("SERVER_PORT", scripts.server.address.port().to_string()),
            ("SERVER_PROTOCOL", "HTTP/1.1".into()),
            ("SERVER_SOFTWARE", CgiSettings::default().software),
        ];
        let wanted: BTreeMap<_, _> = wanted.map(|(name, value)| (name.to_owned(), value)).into();
        assert_eq!(seen.variables, wanted);
    }

    fn b_237_only_harmless_variables_of_the_servers_environment_are_passed(runtime: Runtime) {
        runtime.alone(
            "environment",
            "b_237_only_harmless_variables_of_the_servers_environment_are_passed",
            || {
                assert!(env::var_os("DOORSTEP_TEST_ALONE").is_some() && env::vars().count() > 3);
                let before: Vec<_> = env::vars_os().collect();
                let scripts = ScriptServer::start(runtime);
                let seen = Myself::from(&scripts.get("/cgi-bin/myself"));
                let ours = seen.variables.iter().filter(|(name, _)| env::var_os(name).is_some());
                for (name, value) in ours {
                    let passes =
                        ["PATH", "LANG", "TZ"].contains(&&name[..]) || name.starts_with("LC_");
                    assert!(passes && env::var_os(name) == Some(value.into()), "{name}={value}");
                }
                assert_eq!(seen.variables.get("PATH"), env::var("PATH").ok().as_ref());
                assert!(env::vars_os().eq(before), "B-238");
            },
        );
    }

    fn b_237_configured_variables_are_passed(runtime: Runtime) {
        let variables =
            vec![("MORE".into(), "a=b c".into()), ("HTTP_HOST".into(), "forged".into())];
        let scripts = ScriptServer::start_with(runtime, settings(|s| s.variables = variables));
        let seen = Myself::from(&scripts.get("/cgi-bin/myself"));
        assert_eq!(seen.variables["MORE"], "a=b c");
        assert_eq!(seen.variables["HTTP_HOST"], "test", "the request's value takes precedence");
        assert!(!seen.variables.contains_key("PATH"));
    }

    fn b_239_the_user_is_passed_and_the_credentials_are_not(runtime: Runtime) {
        let scripts = ScriptServer::start(runtime);
        let mut client = scripts.client();
        for (field, scheme, user) in [
            ("Authorization: Basic dXNlcjpwYTpzcw==", Some("Basic"), Some("user")), // user:pa:ss
            ("Authorization: Bearer token", Some("Bearer"), None),
            ("Authorization: Basic", None, None),
            ("Proxy-Authorization: Basic dXNlcjpwYTpzcw==", None, None),
            ("X-Nothing: 1", None, None),
        ] {
            let response = client.request("GET", "/cgi-bin/myself", &[field]);
            let seen = Myself::from(&response).variables;
            assert_eq!(seen.get("AUTH_TYPE").map(String::as_str), scheme, "{field}");
            assert_eq!(seen.get("REMOTE_USER").map(String::as_str), user, "{field}");
            for secret in ["pa:ss", "dXNlcj", "token"] {
                assert!(!text(&response).contains(secret), "{field}");
            }
        }
    }

    fn b_240_b_241_b_242_headers_are_joined_and_passed_except_harmful_ones(runtime: Runtime) {
        let scripts = ScriptServer::start(runtime);
        let fields = [
            "Accept: text/html",
            "accept: */*;q=0.1",
            "Cookie: a=b",
            "Cookie: c=d",
            "User-Agent: test",
            "Referer: http://x/",
            "X-Anything: yes",
            "X-Empty:",
            "Proxy: http://evil/",
            "X_Under: score",
            "X.Dot: no",
            "Connection: keep-alive",
        ];
        let response = scripts.client().request("GET", "/cgi-bin/myself", &fields);
        let seen = Myself::from(&response).variables;
        let http: Vec<_> = seen.iter().filter(|(name, _)| name.starts_with("HTTP_")).collect();
        let http: Vec<_> = http.into_iter().map(|(name, value)| (&name[5..], &value[..])).collect();
        assert_eq!(
            http,
            [
                ("ACCEPT", "text/html, */*;q=0.1"),
                ("COOKIE", "a=b; c=d"),
                ("HOST", "test"),
                ("REFERER", "http://x/"),
                ("USER_AGENT", "test"),
                ("X_ANYTHING", "yes"),
                ("X_EMPTY", ""),
            ]
        );
        assert!(!text(&response).contains("evil"), "httpoxy");
    }

    fn b_243_only_a_request_with_a_body_has_content_length_and_type(runtime: Runtime) {
        let scripts = ScriptServer::start(runtime);
        let ask = |request: &str| {
            let mut client = scripts.client();
            client
                .send(format!("POST /cgi-bin/myself HTTP/1.1\r\nHost: a\r\n{request}").as_bytes());
            let mut seen = Myself::from(&client.response(false)).variables;
            (
                seen.remove("CONTENT_LENGTH"),
                seen.remove("CONTENT_TYPE"),
                seen.remove("QUERY_STRING"),
            )
        };
        let some = |value: &str| Some(value.to_owned());
        assert_eq!(ask("\r\n"), (None, None, some("")));
        assert_eq!(ask("Content-Length: 0\r\n\r\n"), (some("0"), None, some("")));
        let whole = "Content-Type: a/b; c=d\r\nContent-Length: 5\r\n\r\nhello";
        assert_eq!(ask(whole), (some("5"), some("a/b; c=d"), some("")));
        let chunked =
            "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n3;x=y\r\n!!!\r\n0\r\nX: y\r\n\r\n";
        assert_eq!(ask(chunked), (some("8"), None, some("")));
    }

    fn rfc_3875_4_1_14_server_name_without_a_host_header(runtime: Runtime) {
        let scripts = ScriptServer::start(runtime);
        for (head, name, protocol) in [
            ("HTTP/1.0\r\n", "127.0.0.1", "HTTP/1.0"),
            ("HTTP/1.1\r\nHost: Name.test:81\r\n", "Name.test", "HTTP/1.1"),
            ("HTTP/1.1\r\nHost: [::1]:81\r\n", "[::1]", "HTTP/1.1"),
        ] {
            let mut client = scripts.client();
            client.send(format!("GET /cgi-bin/myself {head}\r\n").as_bytes());
            let seen = Myself::from(&client.response(false)).variables;
            assert_eq!((&seen["SERVER_NAME"][..], &seen["SERVER_PROTOCOL"][..]), (name, protocol));
            assert_eq!(seen["SERVER_PORT"], scripts.server.address.port().to_string());
        }
    }

    fn b_245_the_words_of_an_indexed_search_are_arguments(runtime: Runtime) {
        let scripts = ScriptServer::start(runtime);
        let mut client = scripts.client();
        for (method, query, words) in [
            ("GET", "", "0\n"),
            ("GET", "?", "0\n"),
            (
                "GET",
                "?one+two%20three+--four+%2b%3D+$(five)",
                "5\none\ntwo three\n--four\n+=\n$(five)\n",
            ),
            ("GET", "?a=b", "0\n"),
            ("GET", "?a+b=", "0\n"),
            ("GET", "?a+%00", "0\n"),
            ("GET", "?+", "2\n\n\n"),
            ("POST", "?a+b", "0\n"),
        ] {
            let response =
                client.request(method, &format!("/cgi-bin/words.sh{query}"), &["Content-Length: 0"]);
            assert_eq!(text(&response), words, "{method} {query}");
        }
        let seen = Myself::from(&client.request("GET", "/cgi-bin/folder/../myself?a+b", &[]));
        assert_eq!(seen.arguments, ["myself", "a", "b"]);
    }

    fn b_246_a_script_never_runs_as_root_and_has_no_supplementary_groups(runtime: Runtime) {
        let scripts = ScriptServer::start(runtime);
        let seen = Myself::from(&scripts.get("/cgi-bin/myself"));
        let ids = |name| seen.status(name).split_whitespace().collect::<Vec<_>>();
        assert!(ids("Uid").iter().chain(&ids("Gid")).all(|&id| id != "0"), "{:?}", seen.status);
        let ours = fs::read_to_string("/proc/self/status").expect("this is Linux");
        if ours.contains("\nUid:\t0\t") {
            assert_eq!(
                (ids("Uid"), ids("Gid"), ids("Groups")),
                (vec!["65534"; 4], vec!["65534"; 4], vec![])
            );
            assert_eq!(seen.status("CapEff").trim_matches('0'), "", "and with no powers of root");
        }
    }

    fn a_script_has_three_descriptors_and_ignores_no_signal(runtime: Runtime) {
        let scripts = ScriptServer::start(runtime);
        let mut others: Vec<_> = (0..5).map(|_| scripts.client()).collect();
        for client in &mut others {
            assert_eq!(client.request("GET", "/a.txt", &[]).status, 200); // what is open here is many
        }
        for fields in [&[][..], &["Content-Length: 0"]] {
            let seen = Myself::from(&scripts.client().request("POST", "/cgi-bin/myself", fields));
            assert_eq!(seen.descriptors, ["0", "1", "2"]);
            assert_eq!(seen.status("SigBlk").trim_matches('0'), "");
        }
        // Of a shell: the runtime of `myself` ignores SIGPIPE of its own accord.
        let response = scripts.get("/cgi-bin/signals.sh");
        let ignored = text(&response).strip_prefix("SigIgn:\t").expect("a line of status");
        let ignored = u64::from_str_radix(ignored.trim(), 16).expect("a mask");
        assert_eq!(ignored & (1 << 12 | 1 << 14), 0, "SIGPIPE and SIGTERM are to be felt");
    }

    fn a_script_inherits_no_descriptor_of_the_servers_parent(runtime: CommandRuntime) {
        let root = corpus();
        let leaky = ["-c", "exec 9</dev/null && exec \"$0\" \"$@\""];
        // Without root, nobody may look at the descriptors of a process in a sandbox.
        let options = ["0", "-b", "127.0.0.1", "--cgi", "--sandbox=off", "--runtime"];
        let mut inner = doorstep(&options);
        inner.args([runtime.name(), "-d"]);
        let mut command = Command::new("sh");
        command.args(leaky).arg(inner.get_program()).args(inner.get_args()).arg(root.path());
        let server = Server::start(&mut command);
        assert!(fs::exists(format!("/proc/{}/fd/9", server.id())).expect("this is Linux"));
        assert_eq!(Myself::from(&server.get("/cgi-bin/myself")).descriptors, ["0", "1", "2"]);
    }

    fn b_256_resource_limits_are_applied(runtime: Runtime) {
        let settings = settings(|s| {
            (s.rlimits.cpu, s.rlimits.memory) = (Some(7), Some(1 << 30));
            s.rlimits.files = Some(50);
        });
        let scripts = ScriptServer::start_with(runtime, settings);
        assert_eq!(text(&scripts.get("/cgi-bin/limits.sh")), "7 1048576 50\n");
        let seen = Myself::from(&scripts.get("/cgi-bin/myself"));
        assert!(!seen.status("Uid").contains("\t0\t"), "B-246 holds all the same");
    }

    fn b_249_a_script_runs_in_its_own_directory(runtime: Runtime) {
        let scripts = ScriptServer::start(runtime);
        let root = fs::canonicalize(scripts.root.path()).expect("it is there");
        let seen = Myself::from(&scripts.get("/cgi-bin/myself"));
        assert_eq!(Path::new(&seen.folder), root.join("cgi-bin"));
        let response = scripts.get("/cgi-bin/folder/deeper/here.sh");
        let folder = root.join("cgi-bin/folder/deeper");
        assert_eq!(text(&response), format!("{}\nbeside it\n", folder.display()));
    }

    fn b_247_without_a_body_stdin_is_empty(runtime: Runtime) {
        let scripts = ScriptServer::start(runtime);
        let mut client = scripts.client();
        // What follows is another request, and none of the script's business.
        client.send(
            b"GET /cgi-bin/stdin.py HTTP/1.1\r\nHost: a\r\n\r\n\
            GET /a.txt HTTP/1.1\r\nHost: a\r\n\r\n",
        );
        let response = client.response(false);
        assert_eq!((response.header("X-Told"), response.header("X-Read")), (Some("nothing"), Some("0")));
        assert_eq!(client.response(false).body, b"hello\n");
    }
}

/// What `myself.rs` has seen.
struct Myself {
    arguments: Vec<String>,
    variables: BTreeMap<String, String>,
    descriptors: Vec<String>,
    folder: String,
    status: BTreeMap<String, String>,
}

impl Myself {
    fn from(response: &Response) -> Self {
        assert_eq!(response.status, 200);
        let lines = |what: &str| {
            let lines = text(response).lines().filter_map(|line| line.strip_prefix(what));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        let split = |line: &str, by| {
            line.split_once(by).map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        };
        Self {
            arguments: lines("argv "),
            variables: lines("env ").iter().filter_map(|line| split(line, "=")).collect(),
            descriptors: lines("fd "),
            folder: lines("cwd ").concat(),
            status: text(response).lines().filter_map(|line| split(line, ":\t")).collect(),
        }
    }

    /// A line of `/proc/self/status`.
    fn status(&self, name: &str) -> &str {
        &self.status[name]
    }
}
