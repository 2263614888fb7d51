//! Which path is which script's, and that no path shows the text of one. RFC 3875 §3.2 and §3.3,
//! B-221 to B-233, B-255.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

use doorstep::blocking::CgiSettings;
use doorstep::core::cgi::route::ScriptDirectories;
use doorstep::driver::os::Symlinks;
use tempfile::TempDir;

use crate::runtimes::Runtime;
use crate::scripts::{SOURCE, ScriptServer, corpus, serve_scripts_only, settings, text};
use crate::service::State;

on_every_runtime! {
    fn b_220_without_cgi_scripts_are_files(runtime: Runtime) {
        let root = corpus();
        let server = runtime.start(State::files(root.path()));
        let response = server.client().request("GET", "/cgi-bin/document.sh", &[]);
        assert!(response.status == 200 && text(&response).contains(SOURCE));
        let response = server.client().request("POST", "/cgi-bin/document.sh", &[]);
        assert_eq!((response.status, text(&response).contains("a document\n")), (405, false));
    }

    fn b_221_scripts_are_in_cgi_bin_and_htbin(runtime: Runtime) {
        let scripts = ScriptServer::start(runtime);
        let htbin = Command::new("cp")
            .arg("-pR")
            .args(["cgi-bin", "htbin"])
            .current_dir(&scripts.root)
            .status();
        assert!(htbin.expect("it is installed").success());
        let mut client = scripts.client();
        for folder in ["cgi-bin", "htbin"] {
            let response = client.request("GET", &format!("/{folder}/document.sh"), &[]);
            assert_eq!(text(&response), "a document\n");
        }
    }

    fn b_221_script_directories_can_be_configured(runtime: Runtime) {
        let directories = ScriptDirectories::new(["/cgi-bin/folder/"]).expect("it is a path");
        let scripts = ScriptServer::start_with(runtime, settings(|s| s.directories = directories));
        let mut client = scripts.client();
        assert!(
            text(&client.request("GET", "/cgi-bin/folder/deeper/here.sh", &[]))
                .ends_with("beside it\n")
        );
        assert!(text(&client.request("GET", "/cgi-bin/document.sh", &[])).contains(SOURCE), "a file");

        let directories = ScriptDirectories::new(["/"]).expect("it is a path");
        let scripts = ScriptServer::start_with(runtime, settings(|s| s.directories = directories));
        let mut client = scripts.client();
        assert_eq!(text(&client.request("GET", "/cgi-bin/document.sh", &[])), "a document\n");
        assert_eq!(
            client.request("GET", "/a.txt", &[]).reason,
            "CGI script is not executable ('/a.txt')"
        );
        assert_eq!(client.request("GET", "/", &[]).status, 403);
    }

    fn b_222_b_223_every_spelling_of_a_scripts_path_runs_it(runtime: Runtime) {
        let scripts = ScriptServer::start(runtime);
        let mut client = scripts.client();
        for target in [
            "/cgi-bin/document.sh",
            "//cgi-bin/document.sh",
            "/./cgi-bin/document.sh",
            "/folder/../cgi-bin/document.sh",
            "/nothing/../cgi-bin/./document.sh",
            "/cgi-bin//document.sh",
            "/cgi-bin%2fdocument.sh",
            "/%63gi-bin/document%2Esh",
            "/folder/%2e%2e/cgi-bin/document.sh",
            "/folder%2f..%2fcgi-bin/document.sh",
            "/cgi-bin/folder/../document.sh",
            "/cgi-bin/document.sh/more/../info",
            "http://other/cgi-bin/document.sh",
            "/cgi-bin/link.sh",
        ] {
            let response = client.request("GET", target, &[]);
            assert_eq!((response.status, text(&response)), (200, "a document\n"), "{target}");
        }
    }

    fn b_225_a_path_above_the_root_is_a_400(runtime: Runtime) {
        let scripts = ScriptServer::start(runtime);
        let mut client = scripts.client();
        for target in
            ["/../cgi-bin/document.sh", "/cgi-bin/../../cgi-bin/document.sh", "/..", "/cgi-bin/%00"]
        {
            assert_eq!(client.request("GET", target, &[]).status, 400, "{target}");
        }
    }

    fn b_227_b_231_the_log_says_why_a_script_cannot_be_run(runtime: Runtime) {
        let scripts = ScriptServer::start(runtime);
        let mut client = scripts.client();
        for (target, status, reason) in [
            ("/cgi-bin/", 403, "CGI script is not a plain file ('/cgi-bin/')"),
            ("/cgi-bin/folder", 403, "CGI script is not a plain file ('/cgi-bin/folder')"),
            (
                "/cgi-bin/folder/deeper/",
                403,
                "CGI script is not a plain file ('/cgi-bin/folder/deeper/')",
            ),
            ("/cgi-bin/fifo", 403, "CGI script is not a plain file ('/cgi-bin/fifo')"),
            ("/cgi-bin/fifo/more", 403, "CGI script is not a plain file ('/cgi-bin/fifo')"),
            ("/cgi-bin/missing.sh/a?b", 404, "No such CGI script ('/cgi-bin/missing.sh')"),
            ("/cgi-bin/folder/missing", 404, "No such CGI script ('/cgi-bin/folder/missing')"),
            ("/cgi-bin/.hidden.sh", 404, "No such CGI script ('/cgi-bin/.hidden.sh')"),
            (
                "/cgi-bin/not-executable.sh",
                403,
                "CGI script is not executable ('/cgi-bin/not-executable.sh')",
            ),
            ("/cgi-bin/index.html/a", 403, "CGI script is not executable ('/cgi-bin/index.html')"),
            (
                "/cgi-bin/folder/deeper/beside.txt",
                403,
                "CGI script is not executable ('/cgi-bin/folder/deeper/beside.txt')",
            ),
            (
                "/cgi-bin/a%0d%0aSet-Cookie:%20b",
                404,
                "No such CGI script ('/cgi-bin/a\\x0d\\x0aSet-Cookie: b')",
            ),
        ] {
            for method in ["GET", "HEAD", "POST", "DELETE"] {
                let response = client.request(method, target, &[]);
                assert_eq!(
                    (response.status, &response.reason[..]),
                    (status, reason),
                    "{method} {target}"
                );
                assert_eq!(response.header("Set-Cookie"), None);
            }
        }
        let response = client.request("GET", "/cgi-bin", &[]);
        assert_eq!((response.status, response.header("Location")), (301, Some("/cgi-bin/")));
    }

    fn b_227_hidden_scripts_run_if_hidden_files_are_served(runtime: Runtime) {
        let scripts = ScriptServer::start_with(runtime, settings(|s| s.hidden = true));
        assert_eq!(text(&scripts.get("/cgi-bin/.hidden.sh")), "hidden\n");
    }

    fn b_231_links_to_scripts_follow_the_rules_for_files(runtime: Runtime) {
        for (symlinks, inside, outside) in [
            (Symlinks::Beneath, 200, 404),
            (Symlinks::Follow, 200, 502), // `true` is no script, but it runs
            (Symlinks::Deny, 404, 404),
        ] {
            let settings = settings(|s| s.symlinks = symlinks);
            let scripts = ScriptServer::start_with(runtime, settings);
            assert_eq!(scripts.get("/cgi-bin/link.sh").status, inside, "{symlinks:?}");
            assert_eq!(scripts.get("/cgi-bin/outside").status, outside, "{symlinks:?}");
        }
    }

    fn b_228_b_229_b_230_a_path_is_split_into_directories_script_and_path_info(runtime: Runtime) {
        let scripts = ScriptServer::start(runtime);
        let root = fs::canonicalize(scripts.root.path()).expect("it is there");
        let mut client = scripts.client();
        for (target, info, query) in [
            ("/cgi-bin/path-info.sh", "", ""),
            ("/cgi-bin/path-info.sh/", "/", ""),
            ("/cgi-bin/path-info.sh/a/b/", "/a/b/", ""),
            ("/cgi-bin/path-info.sh/.dot/a%2fb%3f", "/.dot/a/b?", ""),
            ("/cgi-bin/path-info.sh?a/b?c=%20", "", "a/b?c=%20"),
            ("/cgi-bin/path-info.sh/a?/../b", "/a", "/../b"),
            ("/cgi-bin/folder/../path-info.sh/a", "/a", ""),
        ] {
            let response = client.request("GET", target, &[]);
            let translated = match info {
                "" => "none".to_owned(),
                info => format!("{}{info}", root.display()),
            };
            let wanted = format!("/cgi-bin/path-info.sh|{info}|{translated}|{query}\n");
            assert_eq!(text(&response), wanted, "{target}");
        }
        assert!(
            text(&client.request("GET", "/cgi-bin/folder/deeper/here.sh/a", &[]))
                .ends_with("beside it\n")
        );
    }

    fn b_232_post_is_supported_for_scripts_only(runtime: Runtime) {
        let scripts = ScriptServer::start(runtime);
        let mut client = scripts.client();
        for target in ["/a.txt", "/missing", "/", "/folder/", "/cgi-bin", "/xcgi-bin/document.sh"] {
            let response = client.request("POST", target, &["Content-Length: 0"]);
            let wanted = (501, "Can only POST to CGI scripts");
            assert_eq!((response.status, &response.reason[..]), wanted, "{target}");
        }
        assert_eq!(text(&client.request("GET", "/a.txt", &[])), "hello\n");
    }

    fn b_233_a_script_handles_any_method(runtime: Runtime) {
        let scripts = ScriptServer::start(runtime);
        let mut client = scripts.client();
        for method in
            ["GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "PROPFIND", "get", "X!#$"]
        {
            let response = client.request(method, "/cgi-bin/method.sh", &["Content-Length: 0"]);
            assert_eq!((response.status, text(&response)), (200, &format!("{method}\n")[..]));
        }
        assert_eq!(client.request("PUT", "/a.txt", &["Content-Length: 0"]).status, 405);
    }

    fn b_255_no_spelling_of_a_path_shows_a_source(runtime: Runtime) {
        let scripts = ScriptServer::start(runtime);
        let mut client = scripts.client();
        let names = [
            "document.sh",
            "not-executable.sh",
            ".hidden.sh",
            "index.html",
            "link.sh",
            "hostile/silent.sh",
        ];
        let befores = [
            "/cgi-bin/",
            "//cgi-bin/",
            "/cgi-bin//",
            "/./cgi-bin/./",
            "/folder/../cgi-bin/",
            "/cgi-bin%2f",
            "/%2fcgi-bin/",
            "/folder/..%2fcgi-bin/",
            "/folder%2f%2e%2e/cgi-bin%2F",
            "/x/../cgi-bin/",
            "/cgi-bin/folder/../",
            "/../cgi-bin/",
            "/a.txt/../cgi-bin/",
            "/cgi-bin/../cgi-bin/",
            "/CGI-BIN/",
            "/Cgi-Bin/",
            "/cgi-bin./",
            "/cgi-bin%20/",
            "/cgi-bin%00/",
            "/cgi-bin;x/",
            "/cgi-bin\\",
            "/\\cgi-bin/",
            "/cgi-bin%5c",
            "/cgi-bin/%2e/",
            "/cgi%E2%80%90bin/",
            "/cgi-bin%252f",
            "/cgi-bin/x%2f..%2f",
            "/.%2fcgi-bin/",
            "/;/../cgi-bin/",
            "X:/cgi-bin/",
        ];
        let afters =
            ["", "/", "/.", "%00", "%20", "/..%2f", "?", "/../", ".gz", "::$DATA", "%2f%2e"];
        for name in names {
            for before in befores {
                for after in afters {
                    let target = format!("{before}{name}{after}");
                    let range = ["Range: bytes=0-", "Accept-Encoding: gzip, br"];
                    let response = client.request("GET", &target, &range);
                    assert!(!String::from_utf8_lossy(&response.body).contains(SOURCE), "{target}");
                    if response.header("Connection") == Some("close") {
                        client = scripts.client();
                    }
                }
            }
        }
    }

    fn r_1_a_switched_root_takes_effect_for_scripts(runtime: Runtime) {
        let corpora = [corpus(), corpus()];
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("it is ours");
        let root = dir.path().join("root");
        let switch = |to: usize| {
            symlink(corpora[to].path(), dir.path().join("aside")).expect("a link can be made");
            fs::rename(dir.path().join("aside"), &root).expect("and put in its place at once");
        };
        switch(0);
        let server = runtime.start(State::scripts(&root, CgiSettings::default()));
        let script = |corpus: &TempDir, text: &str| {
            // By another process: what this one writes may be busy when it starts it.
            let write = "printf '#!/bin/sh\n%s\n%s\n%s\n' 'echo Content-Type: text/plain' echo \
                         \"$1\" > cgi-bin/which.sh && chmod 755 cgi-bin/which.sh";
            let made = Command::new("sh").args(["-c", write, "sh", text]).current_dir(corpus).status();
            assert!(made.expect("there is a shell").success());
        };
        script(&corpora[0], "echo first");
        script(&corpora[1], "echo second; pwd; echo $DOCUMENT_ROOT; echo $SCRIPT_FILENAME");
        let ask = || server.client().request("GET", "/cgi-bin/which.sh", &["Connection: close"]);
        assert_eq!(text(&ask()), "first\n");
        switch(1);
        let name = root.display();
        let pwd = corpora[1].path().join("cgi-bin").canonicalize().expect("it is there");
        let printed = text(&ask()).to_owned();
        assert!(printed.starts_with(&format!("second\n{}\n{name}\n", pwd.display())), "{printed}");
        fs::remove_file(&root).expect("the link is there");
        for target in ["/cgi-bin/which.sh", "/cgi-bin/which.sh", "/a.txt", "/"] {
            assert_eq!(server.client().request("GET", target, &[]).status, 404, "{target}");
        }
        let errors = server.state.errors();
        let about = errors.iter().filter(|error| error.contains("nothing is served while")).count();
        assert_eq!(about, 1, "once for scripts and files: {errors:?}");
        switch(0);
        assert_eq!(text(&ask()), "first\n");
        assert_eq!(server.client().request("GET", "/a.txt", &[]).body, b"hello\n");
    }

    fn r_3_a_script_may_be_an_absolute_link_to_one_beneath_the_root(runtime: Runtime) {
        let scripts = ScriptServer::start(runtime);
        let at = |name: &str| scripts.root.path().join(name);
        fs::rename(at("cgi-bin/document.sh"), at("folder/document.sh")).expect("it is there");
        symlink(at("folder/document.sh"), at("cgi-bin/absolute.sh")).expect("a link can be made");
        assert_eq!(text(&scripts.get("/cgi-bin/absolute.sh")), "a document\n");
        assert_eq!(scripts.get("/cgi-bin/outside").status, 404);
        scripts.wait_for_error("/cgi-bin/outside: a link leads out of the directory that is served");
    }

    fn r_4_a_script_directory_is_not_in_its_parents_listing(runtime: Runtime) {
        let root = corpus();
        for folder in ["htbin", "folder/cgi-bin"] {
            fs::create_dir(root.path().join(folder)).expect("a directory can be made");
        }
        let server = runtime.start(State::scripts(root.path(), CgiSettings::default()));
        let listing = server.client().request("GET", "/", &[]);
        assert!(text(&listing).contains("\"folder/\""), "{}", text(&listing));
        for folder in ["cgi-bin", "htbin"] {
            assert!(!text(&listing).contains(folder), "{folder}");
            assert_eq!(server.client().request("GET", &format!("/{folder}/"), &[]).status, 403);
        }
        let other = server.client().request("GET", "/folder/", &[]);
        assert!(text(&other).contains("\"cgi-bin/\""), "another of that name is a folder of files");
        fs::remove_dir(root.path().join("htbin")).expect("it is empty");
        fs::write(root.path().join("htbin"), "a file\n").expect("it can be written");
        let listing = server.client().request("GET", "/", &[]);
        assert!(text(&listing).contains("\"htbin\""), "a file of that name is fetchable");
        assert_eq!(server.client().request("GET", "/htbin", &[]).body, b"a file\n");
    }

    fn a_script_directory_is_never_listed(runtime: Runtime) {
        let scripts = ScriptServer::start(runtime);
        fs::remove_file(scripts.root.path().join("cgi-bin/index.html")).expect("it is there");
        let mut client = scripts.client();
        for target in [
            "/cgi-bin/",
            "/cgi-bin/?a",
            "//cgi-bin/.",
            "/cgi-bin/folder/",
            "/cgi-bin/folder/deeper",
            "/cgi-bin/folder/..",
        ] {
            let response = client.request("GET", target, &[]);
            assert_eq!(response.status, 403, "{target}");
            assert!(!text(&response).contains("document.sh") && !text(&response).contains("beside"));
        }
    }

    fn without_a_fallback_paths_without_scripts_are_404(runtime: Runtime) {
        let root = corpus();
        let server = serve_scripts_only(runtime, root.path());
        let mut client = server.client();
        assert_eq!(text(&client.request("GET", "/cgi-bin/document.sh", &[])), "a document\n");
        for target in ["/a.txt", "/", "/cgi-bin", "/missing"] {
            assert_eq!(client.request("GET", target, &[]).status, 404, "{target}");
        }
        let response = client.request("GET", "/cgi-bin/local.sh?/a.txt", &[]);
        assert_eq!(response.status, 404, "also for a script");
    }
}
