//! The command at a terminal, which is a pseudo terminal here: what the screen shows.
#![cfg(all(target_os = "linux", feature = "cli"))]

mod support;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use support::client::Client;
use support::{RUNTIMES, as_user, doorstep, text};
use tempfile::TempDir;

/// More than the buffers of two sockets hold, in bytes.
const LARGE: u64 = 64 << 20;
const INTERRUPT: &[u8] = b"\x03";
const SUSPEND: &[u8] = b"\x1a";

/// A program on a terminal of its own.
struct Terminal {
    child: Child,
    keyboard: File,
    shown: Arc<Mutex<Shown>>,
}

struct Shown {
    screen: vt100::Parser,
    /// Everything that was written.
    bytes: Vec<u8>,
}

impl Terminal {
    /// Starts `program` with these environment variables, on a terminal with so many columns.
    fn start(program: &[&str], variables: &[(&str, &str)], columns: u16) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("there is a terminal");
        grantpt(&master).and_then(|()| unlockpt(&master)).expect("it is ours");
        let size = Winsize { ws_row: 30, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&master, size).expect("it has a size");
        let name = ptsname(&master, Vec::new()).expect("it has a name");
        let name = name.to_str().expect("it is ASCII");
        let slave = File::options().read(true).write(true).open(name).expect("it can be opened");
        let stdio = || Stdio::from(slave.try_clone().expect("there are descriptors"));
        // The terminal is the controlling one: keys are signals.
        let mut command = Command::new("setsid");
        command.args(["--wait", "--ctty"]).args(program);
        command.env_remove("NO_COLOR").env("TERM", "xterm-256color").env("LC_ALL", "C.UTF-8");
        command.envs(variables.iter().copied());
        command.stdin(stdio()).stdout(stdio()).stderr(stdio());
        let child = command.spawn().expect("setsid is installed");
        let shown = Shown { screen: vt100::Parser::new(30, columns, 0), bytes: Vec::new() };
        let shown = Arc::new(Mutex::new(shown));
        let mut output = File::from(master);
        let keyboard = output.try_clone().expect("there are descriptors");
        let reader = shown.clone();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(n @ 1..) = output.read(&mut buffer) {
                let mut shown = lock(&reader);
                shown.screen.process(&buffer[..n]);
                shown.bytes.extend_from_slice(&buffer[..n]);
            }
        });
        Self { child, keyboard, shown }
    }

    /// Serves `root` on this machine.
    fn serve(root: &Path, options: &[&str], variables: &[(&str, &str)], columns: u16) -> Self {
        let serve = [env!("CARGO_BIN_EXE_doorstep"), "0", "--bind=127.0.0.1", "-d"];
        let root = root.to_str().expect("it is UTF-8");
        Self::start(&[&serve[..], &[root], options].concat(), variables, columns)
    }

    fn screen(&self) -> String {
        lock(&self.shown).screen.screen().contents()
    }

    fn bytes(&self) -> Vec<u8> {
        lock(&self.shown).bytes.clone()
    }

    /// The screen when it has `part`, and none of `others`.
    fn wait_for(&self, part: &str, others: &[&str]) -> String {
        for _ in 0..1000 {
            let screen = self.screen();
            if screen.contains(part) && !others.iter().any(|other| screen.contains(other)) {
                return screen;
            }
            thread::sleep(Duration::from_millis(10));
        }
        unreachable!("never {part:?} without {others:?} in:\n{}", self.screen())
    }

    fn press(&mut self, key: &[u8]) {
        self.keyboard.write_all(key).expect("the terminal is there");
    }

    fn client(&self) -> Client {
        let screen = self.wait_for("Serving HTTP", &[]);
        let port = screen.split(" port ").nth(1).and_then(|rest| rest.split(' ').next());
        Client::connect(port.and_then(|port| port.parse().ok()).expect("the banner has it"))
    }

    fn wait(&mut self) -> ExitStatus {
        for _ in 0..2000 {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                return status;
            }
            thread::sleep(Duration::from_millis(10));
        }
        unreachable!("it goes on: {}", self.screen())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill(); // the terminal hangs up with its last descriptor
        let _ = self.child.wait();
    }
}

fn lock(shown: &Mutex<Shown>) -> MutexGuard<'_, Shown> {
    shown.lock().unwrap_or_else(PoisonError::into_inner)
}

fn root() -> TempDir {
    let root = support::root();
    let large = File::create(root.path().join("large file.bin")).expect("it can be created");
    large.set_len(LARGE).expect("it can be sparse");
    root
}

/// Begins to receive a large file, and does not go on.
fn download(terminal: &Terminal) -> Client {
    let mut client = terminal.client();
    client.send(b"GET /large%20file.bin HTTP/1.1\r\nHost: a\r\n\r\n");
    client
}

#[test]
fn the_screen_says_where_what_and_to_whom_and_at_the_end_what_was_done() {
    for runtime in RUNTIMES {
        let root = root();
        fs::write(root.path().join(".env"), "SECRET=1").expect("it can be written");
        let mut terminal = Terminal::serve(root.path(), &["--hidden", runtime], &[], 100);
        let screen = terminal.wait_for("Ctrl-C stops the server.", &[]);
        let lines: Vec<_> = screen.lines().collect();
        assert!(lines[0].starts_with("Serving HTTP on 127.0.0.1 port "), "{screen}");
        assert!(lines[0].ends_with("/) ..."), "{screen}");
        for part in [
            "\n  This machine  http://127.0.0.1:",
            "\n  Options       hidden names (dotfiles) are served\n",
            "\n  Access        everyone on this machine\n",
            "\n  Warning       clients can read .env; leave out --hidden, or serve another directory\n",
        ] {
            assert!(screen.contains(part), "{part:?} is not in\n{screen}");
        }
        let mut client = terminal.client();
        assert_eq!(client.request("GET", "/a.txt", &[]).body, b"hello\n");
        assert_eq!(client.request("GET", "/missing", &[]).status, 404);
        terminal.wait_for("\"GET /missing HTTP/1.1\" 404", &[]);
        terminal.press(INTERRUPT);
        assert!(terminal.wait().success());
        let screen = terminal.wait_for("2 requests from 1 client, ", &[]);
        assert!(screen.contains("\nKeyboard interrupt received, exiting.\n2 requests"), "{screen}");
    }
}

#[test]
fn transfers_are_shown_below_the_log_while_they_last() {
    for runtime in RUNTIMES {
        let root = root();
        let mut terminal = Terminal::serve(root.path(), &[runtime], &[], 80);
        let client = download(&terminal);
        let screen = terminal.wait_for("  ↓ large file.bin  127.0.0.1", &[]);
        assert!(screen.lines().last().is_some_and(|line| line.contains('%')), "{screen}");
        for n in 0..20 {
            terminal.client().request("GET", &format!("/a.txt?{n}"), &["Connection: close"]);
        }
        let screen = terminal.wait_for("/a.txt?19 ", &[]);
        let rows: Vec<_> = screen.lines().collect();
        let logged = rows.iter().filter(|row| row.contains("\"GET /a.txt?")).count();
        assert_eq!(logged, 20, "{screen}");
        let transfers = |screen: &str| screen.matches("↓").count();
        let screen = terminal.wait_for("↓", &[]);
        assert_eq!(transfers(&screen), 1, "{screen}");
        client.reset();
        let screen = terminal.wait_for(" cut", &["↓"]);
        assert_eq!(screen.matches("\"GET /a.txt?").count(), 20, "{screen}");
        terminal.press(INTERRUPT);
        assert!(terminal.wait().success());
    }
}

/// The line has a row of its own, whatever was drawn there.
fn has_row(screen: &str, line: &str) -> bool {
    screen.lines().any(|row| row.trim_end() == line)
}

#[test]
fn the_last_message_of_a_share_is_not_written_over_a_transfer() {
    for runtime in RUNTIMES {
        let root = root();
        let mut terminal = Terminal::serve(root.path(), &[runtime, "--count=1"], &[], 80);
        let screen = terminal.wait_for("Ctrl-C stops the server.", &[]);
        assert!(has_row(&screen, "  Ends          after 1 transfer"), "{screen}");
        let mut client = download(&terminal);
        terminal.wait_for("  ↓ large file.bin", &[]);
        assert_eq!(client.response(false).body.len() as u64, LARGE);
        drop(client);
        assert!(terminal.wait().success());
        let screen = terminal.wait_for("1 request from 1 client, 64.0 MiB sent", &["↓"]);
        assert!(has_row(&screen, "1 transfer completed, exiting."), "{screen}");
        assert!(!screen.contains("Waiting"), "{screen}");
    }
}

#[test]
fn who_stops_the_server_is_told_what_is_waited_for_and_can_end_it_at_once() {
    for runtime in RUNTIMES {
        let root = root();
        let mut terminal = Terminal::serve(root.path(), &[runtime, "--grace=1m"], &[], 80);
        let _client = download(&terminal);
        terminal.wait_for("  ↓ large file.bin", &[]);
        terminal.press(INTERRUPT);
        let line = "Waiting up to 1 minute for 1 transfer in progress; Ctrl-C again ends at once.";
        let screen = terminal.wait_for(line, &[]);
        assert!(has_row(&screen, "Keyboard interrupt received, exiting."), "{screen}");
        assert!(has_row(&screen, line), "{screen}");
        let screen = terminal.wait_for("  ↓ large file.bin", &[]);
        assert!(has_row(&screen, line), "{screen}");
        thread::sleep(Duration::from_millis(200)); // the second one is no duplicate
        terminal.press(INTERRUPT);
        assert!(!terminal.wait().success());
        let screen = terminal.wait_for(line, &["↓"]);
        assert!(has_row(&screen, "Keyboard interrupt received, exiting."), "{screen}");
    }
}

#[test]
fn uploads_are_in_the_last_line() {
    for runtime in RUNTIMES {
        let root = root();
        let mut terminal = Terminal::serve(root.path(), &[runtime, "--upload"], &[], 80);
        let mut client = terminal.client();
        // One comes with its head, the other one after it.
        client.send(b"PUT /a.bin HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
        assert_eq!(client.response(false).status, 201);
        client.send(b"PUT /b.bin HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
        client.send(&vec![b'x'; 100_000]);
        assert_eq!(client.response(false).status, 201);
        terminal.press(INTERRUPT);
        assert!(terminal.wait().success());
        let screen = terminal.wait_for("2 requests from 1 client, ", &[]);
        assert!(screen.contains(" sent, 97.7 KiB received in "), "{screen}");
    }
}

#[test]
fn a_share_that_ends_says_what_is_waited_for() {
    let root = root();
    let terminal = Terminal::serve(root.path(), &["--for=2s", "--grace=1m"], &[], 100);
    let client = download(&terminal);
    let line =
        "Waiting up to 1 minute for 1 transfer in progress; Ctrl-C pressed twice ends at once.";
    let screen = terminal.wait_for(line, &[]);
    assert!(has_row(&screen, "The time of --for is over, exiting."), "{screen}");
    client.reset();
    terminal.wait_for("doorstep: stopped with 1 transfer that was cut; ", &["↓"]);
}

#[test]
fn at_most_half_of_the_terminal_has_transfers() {
    let root = root();
    let terminal = Terminal::serve(root.path(), &[], &[], 60);
    let clients: Vec<_> = (0..20).map(|_| download(&terminal)).collect();
    let screen = terminal.wait_for("    and 6 more", &[]);
    assert_eq!(screen.matches("↓").count(), 14, "{screen}");
    assert!(screen.contains("Ctrl-C stops the server."), "{screen}");
    drop(clients);
    terminal.wait_for(" cut", &["↓", "more"]);
}

#[test]
fn a_suspended_server_leaves_the_terminal_to_the_shell_and_goes_on() {
    let root = root();
    let doorstep = env!("CARGO_BIN_EXE_doorstep");
    let script = "set -m; \"$0\" 0 --bind 127.0.0.1 -d \"$1\"; echo; echo in the shell; \
                  read line; fg; echo at the end";
    let path = root.path().to_str().expect("it is UTF-8");
    let mut terminal = Terminal::start(&["sh", "-c", script, doorstep, path], &[], 80);
    let client = download(&terminal);
    terminal.wait_for("↓ large file.bin", &[]);
    terminal.press(SUSPEND);
    terminal.wait_for("\nin the shell", &["↓"]);
    terminal.press(b"\n");
    let screen = terminal.wait_for("↓ large file.bin", &[]);
    assert_eq!(screen.matches("↓").count(), 1, "{screen}");
    assert!(screen.contains("Ctrl-C stops the server."), "{screen}");
    client.reset();
    terminal.wait_for(" cut", &["↓"]);
    terminal.press(INTERRUPT);
    let screen = terminal.wait_for("1 request from 1 client, ", &[]);
    assert!(screen.contains("\nin the shell"), "{screen}");
}

#[test]
fn a_server_that_no_shell_could_let_go_on_is_not_suspended() {
    let root = root();
    let mut terminal = Terminal::serve(root.path(), &[], &[], 80);
    terminal.wait_for("Ctrl-C stops the server.", &[]);
    terminal.press(SUSPEND);
    terminal.wait_for("^Z", &[]);
    assert_eq!(terminal.client().request("GET", "/a.txt", &[]).status, 200);
}

#[test]
fn no_progress_and_no_colours_where_they_are_not_wanted() {
    // Whether there are any escape sequences, and whether there are colours.
    let escape_sequences = |is_shown: bool, options: &[&str], variables: &[(&str, &str)]| {
        let root = root();
        let mut terminal = Terminal::serve(root.path(), options, variables, 80);
        let client = download(&terminal);
        let line = "  ↓ large file.bin  127.0.0.1";
        match is_shown {
            true => _ = terminal.wait_for(line, &[]),
            false => thread::sleep(Duration::from_millis(1500)), // it would be shown by then
        }
        assert_eq!(terminal.screen().contains(line), is_shown, "{options:?} {variables:?}");
        client.reset();
        terminal.wait_for(" cut", &[]);
        terminal.press(INTERRUPT);
        assert!(terminal.wait().success());
        let bytes = text(&terminal.bytes());
        let colors = regex::Regex::new("\x1b\\[[0-9;]+m").expect("it is a pattern");
        (bytes.contains('\x1b'), colors.is_match(&bytes))
    };
    assert_eq!(escape_sequences(true, &[], &[]), (true, true));
    assert_eq!(escape_sequences(true, &[], &[("NO_COLOR", "1")]), (true, false));
    assert_eq!(escape_sequences(false, &["--no-progress"], &[]), (true, true));
    let no_color = [("NO_COLOR", "1")];
    assert_eq!(escape_sequences(false, &["--no-progress"], &no_color), (false, false));
    assert_eq!(escape_sequences(false, &[], &[("TERM", "dumb")]), (false, false));
}

#[test]
fn what_is_written_to_a_file_has_nothing_of_it() {
    let root = root();
    let log = root.path().with_extension("log");
    let option = format!("--access-log={}", log.display());
    let mut terminal = Terminal::serve(root.path(), &[&option, "--log-format=json"], &[], 80);
    let client = download(&terminal);
    terminal.wait_for("↓ large file.bin", &[]);
    client.reset();
    terminal.press(INTERRUPT);
    assert!(terminal.wait().success());
    let written = fs::read_to_string(&log).expect("it was written");
    fs::remove_file(&log).expect("it is there");
    assert!(written.lines().all(|line| line.starts_with('{')) && !written.is_empty(), "{written}");
    assert!(!written.contains('\x1b') && !written.contains('↓'), "{written}");

    // The banner in a pipe is that of http.server, and --qr is answered there, too.
    let mut server = support::serve(root.path(), &["--qr"]);
    server.wait_for("  No QR code: the server listens on this machine only.");
    let output = server.end("INT");
    assert!(!text(&output.stdout).contains("requests"), "{output:?}");
    assert!(!text(&output.stderr).contains('\x1b'), "{output:?}");
}

#[test]
fn the_browser_opens_the_url_or_a_line_says_why_not() {
    let root = root();
    let programs = tempfile::tempdir().expect("there is room");
    fs::set_permissions(programs.path(), fs::Permissions::from_mode(0o777)).expect("it is ours");
    let opener = programs.path().join("xdg-open");
    let run_with = |script: &str, variables: &[(&str, &str)], errors: Option<&Path>| {
        fs::write(&opener, format!("#!/bin/sh\n{script}\n")).expect("it can be written");
        fs::set_permissions(&opener, fs::Permissions::from_mode(0o755)).expect("it is ours");
        let program = doorstep(&[]).get_program().to_owned();
        let mut command = as_user(65534, &program);
        command.args(["0", "--bind=127.0.0.1", "--open", "-d"]).arg(root.path());
        errors.into_iter().for_each(|errors| _ = command.arg("--error-log").arg(errors));
        for name in ["DISPLAY", "WAYLAND_DISPLAY", "BROWSER", "WSL_DISTRO_NAME"] {
            command.env_remove(name);
        }
        let path = format!("{}:/usr/bin:/bin", programs.path().display());
        command.env("PATH", path).envs(variables.iter().copied());
        support::Server::start(&mut command)
    };
    let run = |script: &str, variables: &[(&str, &str)]| run_with(script, variables, None);
    let opened = programs.path().join("opened");
    let script = format!("echo \"$1\" > '{0}.new'; mv '{0}.new' '{0}'", opened.display());
    let mut server = run(&script, &[("DISPLAY", ":9")]);
    let url = (0..1000).find_map(|_| {
        thread::sleep(Duration::from_millis(10));
        fs::read_to_string(&opened).ok()
    });
    assert_eq!(url, Some(format!("http://127.0.0.1:{}/\n", server.port)));
    assert_eq!(text(&server.end("TERM").stderr), "");

    let mut server = run("", &[]);
    let line = text(&server.end("TERM").stderr);
    let expected = "doorstep: --open: there is no display to open a browser on (DISPLAY, \
                    WAYLAND_DISPLAY and BROWSER are not set); open http://127.0.0.1:";
    assert!(line.starts_with(expected) && line.ends_with("/ yourself\n"), "{line}");
    assert_eq!(line.lines().count(), 1);

    let errors = programs.path().join("errors");
    let script = "exit 3";
    let mut server = run_with(script, &[("DISPLAY", ":9")], Some(&errors));
    let mut log = String::new();
    for _ in 0..1000 {
        log = fs::read_to_string(&errors).expect("the server has made it");
        if !log.is_empty() {
            break;
        }
        thread::sleep(Duration::from_millis(10));
    }
    assert!(log.contains("--open: no browser was found; open http://"), "{log}");
    assert_eq!(server.get("/a.txt").status, 200);
    server.end("TERM");
}
