//! The built command from outside: arguments, banner, exit codes, signals, connections.
#![cfg(feature = "cli")]

mod support;

use std::fs::{self, File};
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs, UdpSocket};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use regex::Regex;
use support::client::Client;
use support::{RUNTIMES, Server, doorstep, root, serve, text};

fn run(arguments: &[&str]) -> Output {
    doorstep(arguments).output().expect("the command starts")
}

#[test]
fn b_273_help_and_version_go_to_stdout() {
    for (argument, part) in [("-h", "--directory"), ("--help", "--bind"), ("--version", "0.")] {
        let output = run(&[argument]);
        assert_eq!(output.status.code(), Some(0), "{argument}");
        assert!(text(&output.stdout).contains(part), "{argument}");
        assert_eq!(text(&output.stderr), "", "{argument}");
    }
}

/// The options of `--help`, each with its whole text on one line.
fn help_of_options() -> Vec<(String, String)> {
    let help = text(&run(&["--help"]).stdout);
    let heading = Regex::new(r"^ {2,6}(?:-\w, )?(--[a-z-]+.*)$").expect("it is a pattern");
    let mut options: Vec<(String, String)> = Vec::new();
    for line in help.lines().skip_while(|line| *line != "Options:") {
        match (heading.captures(line), options.last_mut()) {
            (Some(found), _) => options.push((found[1].to_owned(), String::new())),
            (None, Some((_, text))) if line.starts_with("   ") => {
                text.push_str(line.trim());
                text.push(' ');
            }
            _ => {}
        }
    }
    options
}

#[test]
fn b_273_help_describes_every_option_and_its_default() {
    let options = help_of_options();
    assert!(options.len() > 40, "{options:?}");
    for (option, text) in options {
        assert!(text.starts_with(|first: char| first.is_ascii_uppercase()), "{option}: {text}");
        assert_eq!(text.contains("[default: "), option.contains('<'), "{option}: {text}");
    }
}

#[test]
fn b_273_help_has_the_words_that_users_search_for() {
    let help = text(&run(&["--help"]).stdout);
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for word in [
        "directory listing",
        "hidden files",
        "dotfiles",
        "symbolic links",
        "symlinks",
        "Index page",
        "Single-page application (SPA) fallback",
        "custom 404 page",
        "precompressed",
        "NAME.br",
        "NAME.gz",
        "MIME type",
        "Cache-Control",
        "max-age",
        "immutable",
        "CORS preflight",
        "Access-Control-Allow-Origin",
        "cross-origin isolation",
        "SharedArrayBuffer",
        "CGI scripts",
        "Drop privileges",
        "run scripts as",
        "concurrent scripts",
        "queue",
        "concurrent connections",
        "Request body limit",
        "graceful shutdown",
        "SIGTERM",
        "Keep-alive timeout",
        "idle timeout",
        "Header timeout",
        "access log",
        "client disconnected; this option hides it, too",
        "HTTP protocol version",
        "event loop",
    ] {
        assert!(help.contains(word), "{word:?} is not in {help}");
    }
}

#[test]
fn b_273_a_usage_error_says_what_is_expected() {
    for (arguments, expected) in [
        (&["--max-connections", "0"][..], "'--max-connections <N>': must be at least 1"),
        (&["99999"], "'[PORT]': must be a number from 0 to 65535"),
        (&["--max-body", "big"], "must be a number of bytes such as 4096, 64K, 10M or 1G"),
        (&["--timeout-header", "soon"], "must be a time such as 90s, 5m or 2h"),
        (&["--cgi", "--cgi-queue", "x"], "must be a whole number"),
        (&["--immutable", "/assets/*"], "can never match"),
        (&["-H", "Content-Length", "1"], "invalid header \"Content-Length\""),
        (&["-H", "X-A: b"], "write name and value as two arguments: -H X-A b"),
        (&["-H", "X-A: b", "0"], "write name and value as two arguments: -H X-A b"),
        (&["--port", "8000"], "give the port without an option: doorstep 8000"),
        (&["-P", "8000"], "give the port without an option: doorstep 8000"),
        (
            &["--timeout", "nonsense"],
            "ambiguous option: --timeout could match --timeout-keep-alive,",
        ),
        (&["--bind", "127.0.0.1:8000"], "give the port separately: doorstep 8000 --bind 127.0.0.1"),
    ] {
        let output = run(arguments);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.starts_with("error: ") && stderr.contains(expected), "{stderr}");
    }
}

#[test]
fn b_272_273_275_281_a_usage_error_is_exit_code_2() {
    for arguments in [
        &["--nonsense"][..],
        &["8000", "8001"],
        &["99999"],
        &["-1"],
        &[""],
        &["--protocol", "HTTP/2"],
        &["--runtime", "none"],
        &["--max-connections", "0"],
        &["--bind"],
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert_eq!(text(&output.stdout), "", "{arguments:?}");
        let stderr = text(&output.stderr);
        assert!(stderr.starts_with("error: "), "{stderr}");
        assert!(stderr.contains("Usage: doorstep [OPTIONS] [PORT] [PATH]"), "{stderr}");
    }
}

#[test]
fn b_280_a_missing_directory_is_exit_code_2() {
    let root = root();
    let missing = root.path().join("missing");
    let file = root.path().join("a.txt");
    for (path, message) in [(missing, "no such directory"), (file, "not a directory")] {
        let output = doorstep(&["0", "-d"]).arg(&path).output().expect("the command starts");
        assert_one_line(&output, 2, message);
    }
}

#[test]
fn b_280_whatever_the_command_line_names_and_does_not_exist_is_exit_code_2() {
    for arguments in [
        &["/nowhere"][..],
        &["-d", "/nowhere"],
        &["check", "/nowhere"],
        &["--mime-types", "/nowhere"],
        &["--auth-file", "/nowhere"],
        &["--access-log", "/nowhere/log"],
        &["--error-log", "/nowhere/log"],
        &["--spa", "nowhere.html"],
        &["--upload=nowhere"],
        &["--cgi", "--cgi-dir", "nowhere"],
        #[cfg(feature = "tls")]
        &["--tls-cert", "/nowhere"],
    ] {
        let output = run(arguments);
        assert_one_line(&output, 2, "nowhere");
    }
}

#[test]
fn a_missing_single_page_application_is_exit_code_2() {
    let root = root();
    for (page, message) in [("missing.html", "no such file"), ("b", "not a regular file")] {
        fs::create_dir_all(root.path().join("b")).expect("a directory can be made");
        let output = doorstep(&["0", "--spa", page, "-d"]).arg(root.path()).output();
        assert_one_line(&output.expect("the command starts"), 2, message);
    }
}

#[test]
fn b_280_a_working_directory_that_was_deleted_is_exit_code_2() {
    let root = root();
    let deleted = root.path().join("deleted");
    fs::create_dir(&deleted).expect("a directory can be made");
    let mut shell = Command::new("sh");
    shell.args(["-c", "cd \"$1\" && rmdir \"$1\" && exec \"$0\" 0 -b 127.0.0.1"]);
    shell.arg(env!("CARGO_BIN_EXE_doorstep")).arg(&deleted);
    assert_one_line(&shell.output().expect("the shell starts"), 2, "no such directory");
}

#[test]
fn b_284_an_address_that_cannot_be_bound_is_exit_code_1() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = taken.local_addr().expect("it is bound").port().to_string();
    assert_one_line(&run(&[&port, "-b", "127.0.0.1"]), 1, &format!("port {port} is in use"));
    assert_one_line(&run(&["0", "-b", "192.0.2.1"]), 1, "not an address of this machine");
    assert_one_line(&run(&["0", "-b", "no address"]), 1, "check the address");
}

fn assert_one_line(output: &Output, code: i32, message: &str) {
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.starts_with("doorstep: ") && stderr.contains(message), "{stderr}");
    assert_eq!(text(&output.stdout), "");
}

#[test]
fn b_274_278_279_the_banner_is_flushed_and_has_the_port() {
    let root = root();
    let server = serve(root.path(), &[]); // stdout is a pipe, and the banner has been read
    let port = server.port;
    assert_ne!(port, 0);
    let expected =
        format!("Serving HTTP on 127.0.0.1 port {port} (http://127.0.0.1:{port}/) ...\n");
    assert_eq!(server.banner, expected);
    assert_eq!(server.get("/a.txt").body, b"hello\n");
}

#[test]
fn b_278_an_ipv6_host_is_bracketed_in_the_url() {
    let root = root();
    let server = Server::start(doorstep(&["0", "-b", "::1", "-d"]).arg(root.path()));
    let port = server.port;
    let expected = format!("Serving HTTP on ::1 port {port} (http://[::1]:{port}/) ...\n");
    assert_eq!(server.banner, expected);
}

#[test]
fn b_276_294_a_name_is_served_at_all_its_addresses() {
    let root = root();
    let mut server = Server::start(doorstep(&["0", "-b", "localhost", "-d"]).arg(root.path()));
    let addresses = ("localhost", server.port).to_socket_addrs().expect("localhost is known");
    let here: Vec<_> =
        addresses.filter(|found| TcpListener::bind((found.ip(), 0)).is_ok()).collect();
    for address in &here {
        TcpStream::connect(address).expect("each address is listened on");
    }
    let printed = server.banner.clone() + &text(&server.end("TERM").stdout);
    for address in here {
        assert!(printed.contains(&format!("http://{address}/")), "{printed}");
    }
    let more = Regex::new(r"^  http://\S+:\d+/$").expect("it is a pattern");
    assert!(printed.lines().skip(1).all(|line| more.is_match(line)), "{printed}");
}

#[test]
fn b_279_a_closed_stdout_does_not_prevent_serving() {
    let root = root();
    let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
    let port = port.expect("a port is free").port();
    let (reader, writer) = io::pipe().expect("a pipe can be made");
    drop(reader);
    let mut child = doorstep(&[&port.to_string(), "-b", "127.0.0.1", "-d"])
        .arg(root.path())
        .stdout(writer)
        .stderr(Stdio::null())
        .spawn()
        .expect("the command starts");
    let reached = (0..500).any(|_| {
        thread::sleep(Duration::from_millis(20));
        TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    let response =
        reached.then(|| Client::connect(port).request("GET", "/a.txt", &["Connection: close"]));
    child.kill().expect("it still runs");
    child.wait().expect("a child can be waited for");
    assert_eq!(response.expect("it listens").status, 200);
}

#[test]
fn b_132_the_current_directory_is_served_by_default() {
    let root = root();
    let server = Server::start(doorstep(&["0", "--bi", "127.0.0.1"]).current_dir(root.path()));
    assert_eq!(server.get("/a.txt").body, b"hello\n");
}

#[test]
fn b_042_281_the_default_protocol_is_http_1_1() {
    let root = root();
    let server = serve(root.path(), &[]);
    let mut client = server.client();
    assert!(client.request("GET", "/a.txt", &[]).head.starts_with("HTTP/1.1 200 OK\r\n"));
    assert_eq!(client.request("GET", "/a.txt", &[]).body, b"hello\n");

    let server = serve(root.path(), &["--protocol", "HTTP/1.0"]);
    let mut client = server.client();
    assert!(client.request("GET", "/a.txt", &[]).head.starts_with("HTTP/1.0 200 OK\r\n"));
    assert_eq!(client.read_to_end(), b"");
}

#[test]
fn b_282_ctrl_c_prints_a_message_and_is_success() {
    let root = root();
    for runtime in RUNTIMES {
        let output = serve(root.path(), &[runtime]).end("INT");
        assert_eq!(output.status.code(), Some(0));
        assert!(text(&output.stdout).ends_with("\nKeyboard interrupt received, exiting.\n"));
    }
}

#[test]
fn b_283_sigterm_stops_silently_and_is_success() {
    let root = root();
    for runtime in RUNTIMES {
        let output = serve(root.path(), &[runtime]).end("TERM");
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(text(&output.stdout) + &text(&output.stderr), "");
    }
}

#[test]
fn b_282_an_idle_client_does_not_delay_the_end() {
    let root = root();
    for runtime in RUNTIMES {
        let mut server = serve(root.path(), &[runtime]);
        let mut client = server.client();
        assert_eq!(client.request("GET", "/a.txt", &[]).status, 200);
        assert_eq!(server.end("INT").status.code(), Some(0));
        assert_eq!(client.read_to_end(), b"");
    }
}

#[test]
fn b_283_sigterm_grants_a_kept_connection_one_more_response() {
    let root = root();
    for runtime in RUNTIMES {
        let mut server = serve(root.path(), &[runtime]);
        let mut client = server.client();
        assert_eq!(client.request("GET", "/a.txt", &[]).status, 200);
        server.signal("TERM");
        let address = SocketAddr::from(([127, 0, 0, 1], server.port));
        // A SYN that is dropped is repeated a second later, and that would be too late.
        let refused = || TcpStream::connect_timeout(&address, Duration::from_millis(100)).is_err();
        assert!((0..5000).any(|_| refused()), "it stops listening");
        let response = client.request("GET", "/a.txt", &[]);
        assert_eq!((response.status, response.header("Connection")), (200, Some("close")));
        assert_eq!(client.read_to_end(), b"");
        drop(client);
        assert_eq!(server.wait().code(), Some(0));
    }
}

#[test]
fn r_28_connections_that_hang_are_aborted_when_the_grace_is_over() {
    hang(&["--grace=1"]);
}

/// As above, with the default grace, which is shorter than the 10 s of `docker stop`.
#[test]
#[ignore = "takes 10 s"]
fn r_28_by_default_a_stop_takes_less_than_10_s() {
    hang(&[]);
}

/// Stops a server that is in the middle of a download that nobody reads, with half a header and half
/// a body received on other connections.
fn hang(options: &[&str]) {
    let root = root();
    let large = File::create(root.path().join("large")).expect("a file can be made");
    large.set_len(1 << 28).expect("it can have holes");
    let aborted = r"- - - \[.*\] graceful shutdown timed out: [23] connections aborted\n";
    let aborted = Regex::new(aborted).expect("it is a pattern");
    for runtime in RUNTIMES {
        let mut server = serve(root.path(), &[&[runtime][..], options].concat());
        let mut download = server.client();
        download.send(b"GET /large HTTP/1.1\r\nHost: test\r\n\r\n");
        download.peek();
        let mut head = server.client();
        head.send(b"GET /a.txt HTTP/1.1\r\nHost:");
        let mut body = server.client();
        body.send(b"POST /a.txt HTTP/1.1\r\nHost: test\r\nContent-Length: 9\r\n\r\nhalf");
        assert_eq!(body.response(false).status, 405);
        let since = Instant::now();
        let output = server.end("TERM");
        assert!(since.elapsed() < Duration::from_secs(10), "{:?}", since.elapsed());
        assert_eq!(output.status.code(), Some(0));
        let log = text(&output.stderr);
        // The lingering close of the refused client may have ended before.
        assert!(aborted.is_match(&log), "{log}");
        assert!(log.contains("\"GET /large HTTP/1.1\" 200") && log.contains(" cut\n"), "{log}");
    }
}

#[test]
fn b_282_a_second_signal_ends_it_at_once() {
    let root = root();
    for runtime in RUNTIMES {
        let large = File::create(root.path().join("large")).expect("a file can be made");
        large.set_len(1 << 28).expect("it can have holes");
        let mut server = serve(root.path(), &[runtime]);
        let mut client = server.client();
        client.send(b"GET /large HTTP/1.1\r\nHost: test\r\n\r\n");
        client.peek(); // the transfer has begun and does not end, as nobody reads it
        server.signal("INT");
        server.wait_for("Keyboard interrupt received, exiting.");
        thread::sleep(Duration::from_millis(200)); // sooner, it would count as a duplicate of the first
        assert_eq!(server.end("INT").status.signal(), Some(2));
    }
}

/// The name server is this test, and never responds. It needs a `/etc/resolv.conf` of its own.
#[test]
#[cfg(target_os = "linux")]
#[allow(clippy::print_stdout, reason = "what this machine cannot test is said")]
fn b_282_a_signal_ends_it_while_a_name_is_looked_up() {
    let place = tempfile::tempdir().expect("a directory can be made");
    let file = |name: &str, text: &str| {
        let path = place.path().join(name);
        fs::write(&path, text).expect("it can be written");
        path
    };
    for (number, runtime) in RUNTIMES.into_iter().enumerate() {
        let address = format!("127.53.53.{}", 53 + number);
        let Ok(names) = UdpSocket::bind((address.as_str(), 53)) else {
            println!("not tested: this user cannot bind the port of a name server");
            return;
        };
        names.set_read_timeout(Some(Duration::from_secs(60))).expect("60 s is a timeout");
        let resolver = file("resolv.conf", &format!("nameserver {address}\n"));
        let services = file("nsswitch.conf", "hosts: dns\n");
        let script = "mount --bind \"$1\" /etc/resolv.conf && mount --bind \"$2\" /etc/nsswitch.conf \
                      && shift 2 && exec \"$@\"";
        let mut unshare = Command::new("unshare");
        unshare.args(["--mount", "sh", "-c", script, "sh"]).args([&resolver, &services]);
        let isolated = |program: &str| {
            let mut command = Command::new(unshare.get_program());
            command.args(unshare.get_args()).arg(program);
            command
        };
        if !isolated("true").output().is_ok_and(|output| output.status.success()) {
            println!("not tested: this user cannot have an /etc/resolv.conf of its own");
            return;
        }
        let mut command = isolated(env!("CARGO_BIN_EXE_doorstep"));
        let mut child = command
            .args(["0", "--bind", "doorstep.invalid", runtime])
            .stderr(Stdio::null())
            .spawn()
            .expect("the command starts");
        names.recv_from(&mut [0; 512]).expect("the name is asked for");
        let sent = Command::new("kill").arg(child.id().to_string()).status();
        assert!(sent.expect("kill is installed").success());
        let status = child.wait().expect("a child can be waited for");
        assert_eq!(status.signal(), Some(15), "{runtime}: {status}");
    }
}

#[test]
fn b_063_the_server_header_has_the_name_and_the_version() {
    let root = root();
    let response = serve(root.path(), &[]).get("/a.txt");
    let name = Regex::new(r"^doorstep/\d+\.\d+$").expect("it is a pattern");
    assert!(name.is_match(response.header("Server").unwrap_or("")), "{}", response.head);
}

#[test]
fn b_285_the_port_is_free_again_at_once() {
    let root = root();
    for runtime in RUNTIMES {
        let mut server = serve(root.path(), &[runtime]);
        // The side that closes first keeps the address for a while; here it is the server.
        assert_eq!(server.get("/a.txt").status, 200);
        let port = server.port.to_string();
        server.end("TERM");
        let again =
            Server::start(doorstep(&[&port, runtime, "-b", "127.0.0.1", "-d"]).arg(root.path()));
        assert_eq!(again.get("/a.txt").status, 200);
    }
}

#[test]
fn b_308_idle_connections_do_not_block_others() {
    let root = root();
    for runtime in RUNTIMES {
        let server = serve(root.path(), &[runtime, "--max-connections", "8"]);
        let idle: Vec<Client> = (0..20).map(|_| server.client()).collect();
        assert_eq!(server.get("/a.txt").status, 200);
        drop(idle);
    }
}

#[test]
#[cfg(target_os = "linux")]
fn b_186_files_are_closed_whatever_the_response() {
    let root = root();
    for runtime in RUNTIMES {
        // Without root, nobody may look at the descriptors of a process in a sandbox.
        let server = serve(root.path(), &[runtime, "--sandbox=off"]);
        let large = File::create(root.path().join("large")).expect("a file can be made");
        large.set_len(1 << 20).expect("it can have holes");
        let open = || {
            let descriptors = fs::read_dir(format!("/proc/{}/fd", server.id()));
            descriptors.expect("the process is there").count()
        };
        let mut client = server.client();
        let mut ask_all = || {
            let since = "If-Modified-Since: Fri, 31 Dec 2100 23:59:59 GMT";
            for target in ["/a.txt", "/large", "/", "/none", "/a.txt/", "/none/../large"] {
                client.request("GET", target, &[]);
                client.request("HEAD", target, &[]);
                client.request("GET", target, &[since]);
                client.request("POST", target, &["Content-Length: 0"]);
            }
        };
        ask_all(); // what is cached is in the cache now
        let before = open();
        (0..20).for_each(|_| ask_all());
        assert_eq!(open(), before);
    }
}
