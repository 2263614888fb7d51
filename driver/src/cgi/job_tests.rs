//! A pipe that cannot be read: an error is not the end of a script's output.

use super::{Next, Run};
use crate::cgi::Settings;
use crate::connections::Registry;
use crate::exchange::Turn;
use crate::os::{Start, Woken};
use crate::semaphore::Places;
use doorstep_core::cgi::route::{Found, Route, ScriptDirectories};
use doorstep_core::http1::{Connection, Event, Inbox, Limits, Outbox};
use std::cell::Cell;
use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

/// What goes out, and what the log is told, of a script that writes `output` into a pipe which then
/// fails; at last whether the answer was cut.
fn broken(output: &str) -> (String, Vec<String>, bool) {
    let mut route =
        Route::new(&ScriptDirectories::default(), false, b"/cgi-bin/x").unwrap().unwrap();
    let script = route.found(Found::File { executable: true }).unwrap().unwrap();
    let place = Places::new(1, 0).take().expect("nobody else is here");
    let mut start = Start::new(Path::new("/bin/sh")).unwrap();
    for argument in ["-c", "printf %b \"$1\"; exec sleep 60", "sh", output] {
        start.argument(argument.as_bytes()).unwrap();
    }
    let process = start.go(&File::open("/dev/null").unwrap(), place).unwrap();
    let mut run = Run::new(process, &script, &Settings::default());

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (stream, peer) = listener.accept().unwrap();
    let seat = Registry::default().enter(stream, peer);

    let mut connection = Connection::new(Limits::default());
    let request = b"GET /cgi-bin/x HTTP/1.1\r\nHost: a\r\n\r\n";
    let Ok((_, Event::Request(head))) = connection.advance(request) else { unreachable!() };
    let (mut outbox, notes) = (Outbox::new(""), Mutex::new(Vec::new()));
    let note = |words: &str| notes.lock().unwrap().push(words.to_owned());
    let mut empty = [];
    let mut turn =
        Turn::new(head, &mut connection, Inbox::new(&mut empty), &mut outbox, peer, &note, &|| {
            false
        });

    let most = output.replace("\\n", "\n").len() as u64;
    for _ in 0..1000 {
        if run.output.0 == most {
            break;
        }
        let woken = run.process.wait(None, Duration::from_secs(10)).unwrap();
        run.step(&mut turn, woken, &seat).unwrap();
    }
    assert_eq!(run.output.0, most);
    // A directory is open, and read(2) refuses it: EISDIR, as EIO would come from a bad disk.
    run.process.stdout = Some(OwnedFd::from(File::open("/").unwrap()).into());
    let woken = Woken { stdout: true, ..Woken::default() };
    assert_eq!(run.step(&mut turn, woken, &seat).unwrap(), Next::Over);
    let cut = Cell::new(false);
    turn.conclude(Ok(Ok(())), |record| cut.set(record.aborted));
    drop((client, turn));
    let sent = String::from_utf8(outbox.unsent().to_vec()).unwrap();
    (sent, notes.into_inner().unwrap(), cut.get())
}

#[test]
fn an_output_that_cannot_be_read_is_a_502_or_a_cut_and_never_whole() {
    for output in ["", "Content-Type: text/pl", "Content-Type: text/plain\\n"] {
        let (sent, notes, cut) = broken(output);
        assert!(sent.starts_with("HTTP/1.1 502 ") && !cut, "{output}: {sent}");
        assert!(notes.iter().any(|note| note.contains("cannot be read")), "{notes:?}");
    }
    let long = "x".repeat(70_000); // more than is held back, so that it has begun
    for (head, end) in [("X: y", "0\r\n\r\n"), ("Content-Length: 99999", "")] {
        let (sent, notes, cut) = broken(&format!("Content-Type: a/b\\n{head}\\n\\n{long}"));
        assert!(sent.starts_with("HTTP/1.1 200 ") && cut, "{head}: {sent:.200}");
        assert!(end.is_empty() || !sent.ends_with(end), "{head}: it looks whole");
        assert!(notes.iter().any(|note| note.contains("cannot be read")), "{notes:?}");
    }
}
