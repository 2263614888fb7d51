//! When all hostile scripts have run, nothing of them is left: no process, no descriptor, no
//! thread, no file.

use std::fs;
use std::time::Duration;

use crate::runtimes::{Runtime, eventually};
use crate::scripts::{ScriptServer, children, settings};

on_every_runtime! {
    fn no_process_thread_or_file_of_hostile_scripts_is_left(runtime: Runtime) {
        runtime.alone("cleanup", "no_process_thread_or_file_of_hostile_scripts_is_left", || {
            let temporary = tempfile::tempdir().expect("a temporary directory can be made");
            tempfile::env::override_temp_dir(temporary.path()).expect("it was not set before");
            let settings = settings(|s| { s.timeout = Duration::from_millis(300); s.max_output = 1_000_000; s.max_processes = 100; s.body_buffer = 0; });
            let round = || {
                let scripts = ScriptServer::start_with(runtime, settings.clone());
                let hostile = scripts.root.path().join("cgi-bin/hostile");
                let names = fs::read_dir(hostile).expect("they are there").flatten();
                let names: Vec<_> =
                    names.filter_map(|entry| entry.file_name().into_string().ok()).collect();
                assert!(names.len() == 32, "{names:?}");
                let mut clients = Vec::new();
                for name in &names {
                    for words in ["", "?half", "?after", "?body+KILL", "?work", "?hang"] {
                        let mut client = scripts.client();
                        let head =
                            format!("/cgi-bin/hostile/{name}{words} HTTP/1.1\r\nHost: a\r\n");
                        match words {
                            "" => {
                                client.send(
                                    format!("POST {head}Content-Length: 20000\r\n\r\n").as_bytes(),
                                );
                                client.send(&[b'x'; 20_000]);
                            }
                            _ => client.send(format!("GET {head}\r\n").as_bytes()),
                        }
                        clients.push(client);
                    }
                }
                // Some leave, some wait; each of these gets a response or a cut.
                for (n, mut client) in clients.into_iter().enumerate() {
                    if n % 7 > 0 {
                        client.shutdown_write();
                        assert!(
                            client.read_to_end_or_reset().starts_with(b"HTTP/1.1 "),
                            "{}",
                            names[n / 6]
                        );
                    }
                }
                scripts.wait_until_ended();
                assert_eq!(scripts.get("/a.txt").body, b"hello\n");
                scripts.server.stop();
                scripts.server.wait_until_stopped();
            };
            let descriptors = || fs::read_dir("/proc/self/fd").expect("this is Linux").count();
            round(); // the reactor, for example, is created once and kept
            eventually("no child process is left", || children().is_empty());
            eventually("no thread is left", || threads() <= 3);
            let before = descriptors();
            round();
            eventually("no child process is left", || children().is_empty());
            eventually("no thread is left", || threads() <= 3);
            eventually("no more descriptors", || descriptors() <= before);
            let left: Vec<_> =
                fs::read_dir(temporary.path()).expect("it is there").flatten().collect();
            assert!(left.is_empty(), "{left:?}");
        });
    }
}

/// The threads of this process: two of the test, and a reactor. Those of smol's blocking pool stay
/// when they have been needed once; they are not counted.
fn threads() -> usize {
    let all = fs::read_dir("/proc/self/task").expect("this is Linux").flatten();
    let names = all.filter_map(|thread| fs::read_to_string(thread.path().join("comm")).ok());
    names.filter(|name| !name.starts_with("blocking-")).count()
}
