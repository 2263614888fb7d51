//! Time in which the server is suspended counts against no client and no script: SIGSTOP and SIGCONT
//! stand for a paused container and a suspended machine.
#![cfg(feature = "cli")]

mod support;

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use support::client::Client;
use support::{RUNTIMES, Server, serve};

/// Longer than any deadline of the servers here.
const STANDSTILL: Duration = Duration::from_secs(5);
const DEADLINES: [&str; 4] =
    ["--timeout-keep-alive=2", "--timeout-header=2", "--timeout-body=2", "--timeout-send=2"];

/// What the download is long, in bytes: more than the buffers of two sockets hold.
const LARGE: usize = 64 << 20;

/// A server, and a client at each point of an exchange.
struct Clients {
    server: Server,
    silent: Client,
    idle: Client,
    head: Client,
    upload: Client,
    download: Client,
}

#[test]
fn b_049_no_connection_times_out_while_the_server_is_suspended() {
    let root = support::root();
    script(root.path(), "echo", "cat");
    let large = File::create(root.path().join("large")).expect("a file can be made");
    large.set_len(LARGE as u64).expect("it can have holes");

    let begin = |runtime| {
        let server = serve(root.path(), &[&[runtime, "--cgi"], &DEADLINES[..]].concat());
        let [silent, mut idle, mut head, mut upload, mut download] =
            [(); 5].map(|()| server.client());
        assert_eq!(idle.request("GET", "/a.txt", &[]).status, 200);
        head.send(b"GET /a.txt HTTP/1.1\r\nHo");
        upload.send(b"POST /cgi-bin/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\nhalf");
        download.send(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
        download.peek();
        Clients { server, silent, idle, head, upload, download }
    };
    let all = RUNTIMES.map(begin);
    thread::sleep(Duration::from_millis(300)); // so that each of them is waited for
    suspend(&all.each_ref().map(|clients| &clients.server), STANDSTILL);
    for mut clients in all {
        for client in [&mut clients.silent, &mut clients.idle] {
            assert_eq!(client.request("GET", "/a.txt", &[]).body, b"hello\n");
        }
        clients.head.send(b"st: a\r\n\r\n");
        assert_eq!(clients.head.response(false).body, b"hello\n");
        clients.upload.send(b"half");
        assert_eq!(clients.upload.response(false).body, b"halfhalf");
        assert_eq!(clients.download.response(false).body.len(), LARGE);
    }
}

/// ScriptServer that run and that wait, of a server that serves and of one that is shutting down.
struct Requests {
    servers: [Server; 2],
    running: [Client; 2],
    half_closed: Client,
    queued: Client,
}

#[test]
fn no_script_times_out_while_the_server_is_suspended() {
    // Longer than the scripts' time, a half-closed client's, and what a shutdown grants requests.
    let (time, standstill) = ("--cgi-time=6", Duration::from_secs(9));
    let root = support::root();
    let go = script(root.path(), "wait", "until [ -e go ]; do sleep 0.1; done; echo done");
    let begin = |runtime| {
        let servers =
            [(); 2].map(|()| serve(root.path(), &[runtime, "--cgi", "--cgi-processes=2", time]));
        let ask = |server: &Server| {
            let mut client = server.client();
            client.send(b"GET /cgi-bin/wait HTTP/1.1\r\nHost: a\r\n\r\n");
            client
        };
        let [serving, stopping] = &servers;
        let (running, mut half_closed) = ([ask(serving), ask(stopping)], ask(serving));
        half_closed.shutdown_write();
        thread::sleep(Duration::from_millis(500)); // so that both run
        let queued = ask(serving);
        stopping.signal("TERM");
        Requests { servers, running, half_closed, queued }
    };
    let all = RUNTIMES.map(begin);
    thread::sleep(Duration::from_millis(300));
    suspend(&all.iter().flat_map(|requests| &requests.servers).collect::<Vec<_>>(), standstill);
    fs::write(go, "").expect("it can be written");
    for (requests, runtime) in all.into_iter().zip(RUNTIMES) {
        let Requests { servers: [serving, mut stopping], running, half_closed, queued } = requests;
        for (mut client, what) in running.into_iter().chain([half_closed, queued]).zip([
            "running",
            "stopping",
            "half-closed",
            "queued",
        ]) {
            let response = client.response(false);
            assert_eq!(
                (response.status, &*response.body),
                (200, &b"done\n"[..]),
                "{runtime}: {what}"
            );
        }
        assert_eq!(stopping.wait().code(), Some(0), "{runtime}");
        drop(serving);
    }
}

/// A script below `root` that does this and responses with what it writes; where a file of its own
/// directory is that is called `go`.
fn script(root: &Path, name: &str, does: &str) -> PathBuf {
    let (scripts, draft) = (root.join("cgi-bin"), root.join("draft"));
    fs::create_dir(&scripts).expect("it can be made");
    let script = scripts.join(name);
    fs::write(&draft, format!("#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'\n{does}\n"))
        .expect("a file");
    // By another process: what we write ourselves may be busy when it is started.
    assert!(Command::new("cp").arg(&draft).arg(&script).status().expect("cp").success());
    for path in [root, &scripts, &script] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("it is ours");
    }
    scripts.join("go")
}

/// Stops the processes of the servers for this time.
fn suspend(servers: &[&Server], time: Duration) {
    servers.iter().for_each(|server| server.signal("STOP"));
    thread::sleep(time);
    servers.iter().for_each(|server| server.signal("CONT"));
    thread::sleep(Duration::from_millis(300)); // time for the deadlines to be checked
}
