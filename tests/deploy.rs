//! The files of `deploy/`: each is accepted by the program that it is for, and starts a server.
//!
//! Tests that need other programs are ignored unless asked for; `.ci/run` installs the programs.
#![cfg(all(target_os = "linux", feature = "cli"))]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use regex::Regex;
use socket2::{Domain, Socket, Type};
use support::client::Client;
use support::proxy::{deploy, free_port, haproxy, nginx, nginx_configuration, replaced};
use support::{RUNTIMES, Server, doorstep, root, text};
use tempfile::TempDir;

/// What `systemd-analyze security` may say of the service at most, in tenths.
const MAX_EXPOSURE: &str = "3";

/// The arguments of `ExecStart` of the service.
fn service_arguments() -> Vec<String> {
    words(&captured(&deploy("doorstep.service"), r"(?m)^ExecStart=/usr/local/bin/doorstep (.*)$"))
}

/// The arguments with which the containers of Kubernetes are started.
fn kubernetes_arguments() -> Vec<String> {
    list(&captured(&deploy("kubernetes.yaml"), r"(?m)^ +args: \[(.*)\]$"))
}

/// The program and the arguments of the image.
fn image_arguments() -> Vec<String> {
    let file = deploy("Containerfile");
    let parts =
        ["ENTRYPOINT", "CMD"].map(|part| captured(&file, &format!(r"(?m)^{part} \[(.*)\]$")));
    parts.iter().flat_map(|part| list(part)).collect()
}

/// The first group of a pattern, which is there once.
fn captured(text: &str, pattern: &str) -> String {
    let pattern = Regex::new(pattern).expect("it is a pattern");
    let mut found = pattern.captures_iter(text).map(|found| found[1].to_owned());
    let first = found.next().unwrap_or_else(|| unreachable!("no {pattern} in {text}"));
    assert_eq!(found.next(), None, "{pattern} is there twice");
    first
}

/// The strings of a list as in JSON.
fn list(text: &str) -> Vec<String> {
    text.split(", ").map(|word| word.trim_matches('"').to_owned()).collect()
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

/// The arguments for a free port of the loopback and another directory.
fn local(arguments: &[String], directory: &Path) -> Vec<String> {
    let mut local = vec!["0".to_owned(), "--bind=127.0.0.1".to_owned()];
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        match &**word {
            "--bind" => drop(words.next()),
            "--directory" => {
                words.next();
                local.extend([word.clone(), directory.display().to_string()]);
            }
            port if port.parse::<u16>().is_ok() => {}
            _ => local.push(word.clone()),
        }
    }
    assert!(local.iter().any(|word| word == "--directory"), "{arguments:?}");
    local
}

fn is_healthy(port: u16) {
    let response = Client::connect(port).request("GET", "/healthz", &[]);
    assert_eq!((response.status, &*response.body), (200, &b"ok\n"[..]));
    let response = Client::connect(port).request("GET", "/a.txt", &[]);
    assert_eq!((response.status, &*response.body), (200, &b"hello\n"[..]));
}

#[test]
fn the_arguments_in_every_file_start_a_server_with_a_health_check() {
    let comment = |name| captured(&deploy(name), r"(?m)^# +doorstep (\d.*)$");
    let all = [
        service_arguments(),
        kubernetes_arguments(),
        image_arguments().split_off(1),
        words(&comment("haproxy.cfg")),
        words(&comment("nginx.conf")),
    ];
    let root = root();
    for (runtime, arguments) in RUNTIMES.iter().flat_map(|r| all.iter().map(move |all| (r, all))) {
        let local = local(arguments, root.path());
        let server = Server::start(doorstep(&[*runtime]).args(local));
        is_healthy(server.port);
    }
}

/// What waits for a server waits longer than the server does.
#[test]
fn a_stop_fits_into_the_time_that_each_file_allows() {
    let help = text(&doorstep(&["--help"]).output().expect("it runs").stdout);
    let (_, grace) = help.split_once("--grace <TIME>").expect("the option is described");
    let grace: u32 = number(grace, r"\[default: (\d+)s\]");
    let (service, pods) = (deploy("doorstep.service"), deploy("kubernetes.yaml"));
    assert!(number(&service, r"TimeoutStopSec=(\d+)") > grace + 1);
    let pause = number(&pods, r"preStop:\s+sleep:\s+seconds: (\d+)");
    assert!(number(&pods, r"terminationGracePeriodSeconds: (\d+)") > pause + grace + 1);
    // A proxy closes idle connections first, so that it sends no request on one that is being closed.
    let keep_alive = number(&service, "--timeout-keep-alive ([0-9]+)s");
    assert!(number(&deploy("nginx.conf"), r"keepalive_timeout (\d+)s") < keep_alive);
}

/// The first number in a text that a pattern captures.
fn number(text: &str, pattern: &str) -> u32 {
    let found = Regex::new(pattern).expect("it is a pattern").captures(text);
    let found = found.unwrap_or_else(|| unreachable!("no {pattern} in {text}"));
    found[1].parse().expect("it is a number")
}

/// The units in a folder, the program in place of the installed one.
fn units() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let program = ("/usr/local/bin/doorstep", env!("CARGO_BIN_EXE_doorstep"));
    for (name, pairs) in [("doorstep.service", &[program][..]), ("doorstep.socket", &[])] {
        let unit = replaced(deploy(name), pairs);
        fs::write(folder.path().join(name), unit).expect("it can be written");
    }
    folder
}

/// Runs a program that is to succeed.
fn succeeds(command: &mut Command) -> Output {
    let output = command.stdin(Stdio::null()).output().expect("the program is installed");
    let all = text(&output.stdout) + &text(&output.stderr);
    assert!(output.status.success(), "{command:?}: {all}");
    output
}

#[test]
#[ignore = "needs systemd-analyze"]
fn systemd_accepts_the_units_and_finds_them_hardened() {
    let folder = units();
    let analyze = |arguments: &[&str]| {
        let mut command = Command::new("systemd-analyze");
        succeeds(command.current_dir(folder.path()).arg("--no-pager").args(arguments))
    };
    let output = analyze(&["verify", "./doorstep.service", "./doorstep.socket"]);
    assert_eq!(text(&output.stderr), "", "it warns of nothing");
    let threshold = format!("--threshold={MAX_EXPOSURE}");
    let output = analyze(&["security", "--offline=true", &threshold, "./doorstep.service"]);
    assert!(text(&output.stdout).contains("exposure level for doorstep.service: 0."));
}

/// The system calls that the service allows: those of `SystemCallFilter`, and the default.
fn allowed_calls() -> BTreeSet<String> {
    let mut command = Command::new("systemd-analyze");
    let listing = text(&succeeds(command.args(["--no-pager", "syscall-filter"])).stdout);
    let mut sets: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut name = "";
    for line in listing.lines().filter(|line| !line.trim_start().starts_with('#')) {
        if line.starts_with('@') {
            name = line;
        } else if !line.trim().is_empty() {
            sets.entry(name).or_default().insert(line.trim());
        }
    }
    fn expand(word: &str, sets: &BTreeMap<&str, BTreeSet<&str>>) -> BTreeSet<String> {
        match sets.get(word) {
            Some(set) => set.iter().flat_map(|word| expand(word, sets)).collect(),
            None => {
                assert!(!word.starts_with('@'), "there is no set {word}");
                BTreeSet::from([word.to_owned()])
            }
        }
    }
    let mut allowed = expand("@default", &sets);
    let service = deploy("doorstep.service");
    for filter in service.lines().filter_map(|line| line.strip_prefix("SystemCallFilter=")) {
        let words = filter.trim_start_matches('~').split(' ');
        let calls = words.flat_map(|word| expand(word, &sets));
        match filter.starts_with('~') {
            false => allowed.extend(calls),
            true => calls.for_each(|call| _ = allowed.remove(&call)),
        }
    }
    allowed
}

#[test]
#[ignore = "needs strace and systemd-analyze"]
fn a_server_makes_only_the_system_calls_that_the_service_allows() {
    let (allowed, root) = (allowed_calls(), root());
    fs::write(root.path().join("large"), vec![b'x'; 1 << 20]).expect("it can be written");
    let log = root.path().join(".strace");
    let call = Regex::new(r"(?m)^\d+ +([a-z0-9_]+)\(").expect("it is a pattern");
    for runtime in RUNTIMES {
        let mut command = Command::new("strace");
        command.args(["-D", "-f", "-qq", "-o"]).arg(&log).arg(env!("CARGO_BIN_EXE_doorstep"));
        let mut server =
            Server::start(command.arg(runtime).args(local(&service_arguments(), root.path())));
        is_healthy(server.port);
        for target in ["/", "/large", "/nothing"] {
            server.get(target);
        }
        assert_eq!(server.end("TERM").status.code(), Some(0));
        let log = fs::read_to_string(&log).expect("strace writes its log");
        let made: BTreeSet<_> = call.captures_iter(&log).map(|found| found[1].to_owned()).collect();
        assert!(made.contains("sendfile") && made.contains("accept4"), "{made:?}");
        let refused: Vec<_> = made.difference(&allowed).collect();
        assert!(refused.is_empty(), "{runtime}: {refused:?}");
    }
}

/// As systemd starts the service at the first connection to the socket.
#[test]
#[ignore = "needs systemd-socket-activate"]
fn the_service_is_started_by_a_connection_and_reports_that_it_is_ready() {
    for runtime in RUNTIMES {
        let (root, port) = (root(), free_port());
        let notify = root.path().join(".notify");
        let manager = UnixDatagram::bind(&notify).expect("it can be bound");
        manager.set_read_timeout(Some(Duration::from_secs(10))).expect("it can be set");
        let arguments = local(&service_arguments(), root.path()).split_off(2); // no port, no --bind
        let mut activate = Command::new("systemd-socket-activate");
        activate.args(["--listen", &format!("127.0.0.1:{port}")]);
        activate.args(["--setenv", &format!("NOTIFY_SOCKET={}", notify.display())]);
        activate.args([
            "--setenv",
            "WATCHDOG_USEC=200000",
            env!("CARGO_BIN_EXE_doorstep"),
            runtime,
        ]);
        activate.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = activate.spawn().expect("systemd-socket-activate is installed");
        let connected = (0..500).find_map(|_| {
            thread::sleep(Duration::from_millis(10));
            Client::try_connect(port).ok()
        });
        let mut client = connected.expect("it listens");
        assert_eq!(client.request("GET", "/a.txt", &[]).body, b"hello\n");
        is_healthy(port);
        let message = || {
            let mut bytes = [0; 64];
            let n = manager.recv(&mut bytes).expect("a message arrives");
            text(&bytes[..n])
        };
        assert_eq!([message(), message()], ["READY=1", "WATCHDOG=1"]);
        let stop = Command::new("kill").args(["-s", "TERM", &child.id().to_string()]).status();
        assert!(stop.expect("kill is installed").success());
        assert!((0..100).any(|_| message() == "STOPPING=1"));
        assert!(child.wait().expect("a child can be waited for").success());
    }
}

/// A certificate and its key, in files of their own and in one.
fn certificate(folder: &Path) -> [PathBuf; 3] {
    let [cert, key, both] = ["cert", "key", "both"].map(|name| folder.join(name));
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=a", "-keyout"]);
    succeeds(openssl.arg(&key).arg("-out").arg(&cert));
    let pem = [&cert, &key].map(|file| fs::read_to_string(file).expect("it is text")).concat();
    fs::write(&both, pem).expect("it can be written");
    [cert, key, both]
}

/// A configuration with its variants: `#` before a word, without a space.
fn with_variants(text: &str) -> String {
    let variant = Regex::new(r"(?m)^( +)#([a-z])").expect("it is a pattern");
    variant.replace_all(text, "$1$2").into_owned()
}

#[test]
#[ignore = "needs haproxy and openssl"]
fn haproxy_accepts_its_configuration_and_the_variants() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let [_, _, both] = certificate(folder.path());
    let both = both.display().to_string();
    let plain = deploy("haproxy.cfg");
    let variants = replaced(with_variants(&plain), &[("/etc/haproxy/site.pem", &both)]);
    assert!(variants.contains("\n    default-server send-proxy-v2"));
    for configuration in [plain, variants] {
        let file = folder.path().join("haproxy.cfg");
        fs::write(&file, configuration).expect("it can be written");
        succeeds(Command::new("haproxy").args(["-c", "-dW", "-f"]).arg(file)); // warnings are errors
    }
}

#[test]
#[ignore = "needs nginx and openssl"]
fn nginx_accepts_its_configuration_and_the_variants() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let [cert, key, _] = certificate(folder.path()).map(|file| file.display().to_string());
    let plain = nginx_configuration(folder.path());
    let variants = replaced(
        with_variants(&plain),
        &[("/etc/nginx/site.pem", &cert), ("/etc/nginx/site.key", &key)],
    );
    let ports = |text: String| {
        let (http, https) = (free_port().to_string(), free_port().to_string());
        text.replace(" 80;", &format!(" {http};")).replace(" 443 ", &format!(" {https} "))
    };
    for configuration in [plain, variants] {
        let file = folder.path().join("nginx.conf");
        fs::write(&file, ports(configuration)).expect("it can be written");
        succeeds(Command::new("nginx").args(["-t", "-e", "stderr", "-c"]).arg(file));
    }
}

/// A script that responds its environment.
fn scripts() -> TempDir {
    let root = root();
    let script = root.path().join("cgi-bin/env");
    fs::create_dir(root.path().join("cgi-bin")).expect("it can be made");
    fs::write(&script, "#!/bin/sh\necho 'Content-Type: text/plain'\necho\nenv\n")
        .expect("it can be");
    for path in [root.path(), &root.path().join("cgi-bin"), &script] {
        fs::set_permissions(path, Permissions::from_mode(0o755)).expect("it is ours");
    }
    root
}

#[test]
#[ignore = "needs haproxy and nginx"]
fn proxies_replace_what_clients_say_of_themselves() {
    let root = scripts();
    for runtime in RUNTIMES {
        let arguments = ["0", "--bind=127.0.0.1", "--cgi", "--health=/healthz", runtime];
        let start = || Server::start(doorstep(&arguments).arg("--directory").arg(root.path()));
        let servers = [start(), start(), start()];
        let ports = servers.each_ref().map(|server| server.port);
        for proxy in [haproxy(ports, &[]), nginx(ports, &[])] {
            let lies =
                ["X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: gopher", "Forwarded: for=x"];
            let response = Client::connect(proxy.port).request("GET", "/cgi-bin/env", &lies);
            let environment = text(&response.body);
            let has = |line: &str| environment.lines().any(|found| found == line);
            assert!(has("HTTP_X_FORWARDED_FOR=127.0.0.1"), "{environment}");
            assert!(has("HTTP_X_FORWARDED_PROTO=http"), "{environment}");
            assert!(has("HTTP_HOST=test"), "{environment}");
            assert!(!environment.contains("HTTP_FORWARDED="), "{environment}");
        }
    }
}

/// The commented `send-proxy-v2`, and the options of doorstep that belong to it.
#[test]
#[ignore = "needs haproxy"]
fn haproxy_passes_the_client_by_the_proxy_protocol() {
    let root = scripts();
    for runtime in RUNTIMES {
        let arguments = ["0", "--bind=127.0.0.1", "--cgi", "--health=/healthz", runtime];
        let start = || {
            let mut command = doorstep(&arguments);
            command.args(["--proxy-protocol", "--trusted-proxy=127.0.0.1", "--directory"]);
            Server::start(command.arg(root.path()))
        };
        let servers = [start(), start(), start()];
        let variant = [("#default-server", "default-server")];
        let proxy = haproxy(servers.each_ref().map(|server| server.port), &variant);
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a descriptor is free");
        let client = SocketAddr::from(([127, 0, 0, 77], 0));
        socket.bind(&client.into()).expect("all of 127.0.0.0/8 is ours");
        let front = SocketAddr::from(([127, 0, 0, 1], proxy.port));
        socket.connect(&front.into()).expect("it listens");
        let response = Client::on(socket.into()).request("GET", "/cgi-bin/env", &[]);
        let environment = text(&response.body);
        assert!(environment.lines().any(|line| line == "REMOTE_ADDR=127.0.0.77"), "{environment}");
    }
}

/// The program that is linked statically, as in the image.
fn static_program() -> PathBuf {
    let target = concat!(env!("CARGO_TARGET_TMPDIR"), "/static");
    let triple = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(env!("CARGO_MANIFEST_DIR")).args(["build", "--locked", "--bin=doorstep"]);
    succeeds(cargo.args(["--target", &triple, "--target-dir", target]));
    Path::new(target).join(triple).join("debug/doorstep")
}

/// The image has the program and nothing else: no libraries, no `/etc`, `/dev`, `/proc` or `/tmp`.
#[test]
#[ignore = "needs readelf, unshare, and the standard library for musl"]
fn the_static_program_runs_with_nothing_else_in_its_root() {
    let program = static_program();
    let elf = succeeds(Command::new("readelf").args(["-W", "-l", "-d"]).arg(&program)).stdout;
    let elf = text(&elf);
    assert!(elf.contains("LOAD") && !elf.contains("INTERP") && !elf.contains("NEEDED"), "{elf}");
    let root = tempfile::tempdir().expect("a directory can be made");
    let inside = |name: &str| root.path().join(name.trim_start_matches('/'));
    let image = image_arguments();
    fs::copy(program, inside(&image[0])).expect("it can be copied");
    fs::create_dir(inside("srv")).expect("it can be made");
    fs::write(inside("srv/a.txt"), "hello\n").expect("it can be written");
    fs::write(inside("srv/page.html"), "hello\n").expect("it can be written");
    for (path, mode) in [(root.path().into(), 0o755), (inside("srv"), 0o755)] {
        fs::set_permissions::<PathBuf>(path, Permissions::from_mode(mode)).expect("it is ours");
    }
    for runtime in RUNTIMES {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-user=65534", "--map-group=65534"]);
        command.arg("--root").arg(root.path()).arg(&image[0]).arg(runtime);
        command.args(local(&image[1..], Path::new("/srv"))).env_clear();
        let mut server = Server::start(&mut command);
        is_healthy(server.port);
        let page = server.get("/page.html");
        let kind = page.header("Content-Type").unwrap_or_default().to_owned();
        assert!(kind.starts_with("text/html"), "{kind}");
        assert_eq!(server.get("/").status, 200);
        let output = server.end("TERM");
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let log = text(&output.stderr);
        assert!(log.contains("\"GET /a.txt HTTP/1.1\" 200"), "{log}");
    }
}

#[test]
#[ignore = "needs kubernetes-validate, from PyPI"]
fn kubernetes_accepts_the_manifest() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/kubernetes.yaml");
    let validate = std::env::var_os("KUBERNETES_VALIDATE").unwrap_or("kubernetes-validate".into());
    for version in ["1.30", "1.37"] {
        let mut command = Command::new(&validate);
        command.args(["--strict", "--no-warn", "-k", version]).arg(&file);
        let output = succeeds(&mut command);
        let all = text(&output.stdout) + &text(&output.stderr);
        assert_eq!(all.matches(" passed for resource ").count(), 3, "{all}");
    }
}
