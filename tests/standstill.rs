//! Time in which the server stands still counts for nobody: SIGSTOP and SIGCONT stand for a
//! container that is paused and for a machine that is suspended.

mod support;

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
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
fn b_049_no_connection_is_lost_to_a_standstill() {
    let root = support::root();
    let scripts = root.path().join("cgi-bin");
    fs::create_dir(&scripts).expect("it can be made");
    let (draft, script) = (root.path().join("draft"), scripts.join("echo"));
    fs::write(&draft, "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'\ncat\n").expect("a file");
    // By another process: what we write ourselves may be busy when it is started.
    assert!(Command::new("cp").arg(&draft).arg(&script).status().expect("cp").success());
    for path in [root.path(), &scripts, &script] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("it is ours");
    }
    let large = File::create(root.path().join("large")).expect("a file can be made");
    large.set_len(LARGE as u64).expect("it can have holes");

    let begin = |runtime| {
        let server = serve(root.path(), &[&[runtime, "--cgi"], &DEADLINES[..]].concat());
        let [silent, mut idle, mut head, mut upload, mut download] =
            [(); 5].map(|()| server.client());
        assert_eq!(idle.ask("GET", "/a.txt", &[]).status, 200);
        head.send(b"GET /a.txt HTTP/1.1\r\nHo");
        upload.send(b"POST /cgi-bin/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\nhalf");
        download.send(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
        download.peek();
        Clients { server, silent, idle, head, upload, download }
    };
    let all = RUNTIMES.map(begin);
    thread::sleep(Duration::from_millis(300)); // so that each of them is waited for
    all.iter().for_each(|clients| clients.server.signal("STOP"));
    thread::sleep(STANDSTILL);
    all.iter().for_each(|clients| clients.server.signal("CONT"));
    thread::sleep(Duration::from_millis(300)); // so that whoever thinks it is late has looked
    for mut clients in all {
        for client in [&mut clients.silent, &mut clients.idle] {
            assert_eq!(client.ask("GET", "/a.txt", &[]).body, b"hello\n");
        }
        clients.head.send(b"st: a\r\n\r\n");
        assert_eq!(clients.head.answer(false).body, b"hello\n");
        clients.upload.send(b"half");
        assert_eq!(clients.upload.answer(false).body, b"halfhalf");
        assert_eq!(clients.download.answer(false).body.len(), LARGE);
    }
}
