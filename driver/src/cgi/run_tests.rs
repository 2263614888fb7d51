//! Output that cannot be read: an error is not the end of a script's output.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use doorstep_core::cgi::route::{Found, Route, ScriptDirectories};

use super::{RunStep, ScriptRun};
use crate::Config;
use crate::cgi::{CgiSettings, ProcessLimit};
use crate::exchange::fixture::respond;
use crate::os::{Command, Readiness};

/// Runs a script that writes `output` to a pipe that then fails. Returns the bytes that are sent,
/// the log, and whether the response was aborted.
fn broken(output: &str) -> (String, Vec<String>, bool) {
    let mut route =
        Route::new(&ScriptDirectories::default(), false, b"/cgi-bin/x").unwrap().unwrap();
    let script = route.found(Found::File { executable: true }).unwrap().unwrap();
    let permit = ProcessLimit::new(1, 0).try_acquire().expect("it is free");
    let mut start = Command::new(Path::new("/bin/sh")).unwrap();
    for argument in ["-c", "printf %b \"$1\"; exec sleep 60", "sh", output] {
        start.arg(argument.as_bytes()).unwrap();
    }
    let process = start.spawn(&File::open("/dev/null").unwrap(), permit).unwrap();
    let mut run = ScriptRun::new(process, &script, &CgiSettings::default(), &Config::default());

    let seen = respond(b"GET /cgi-bin/x HTTP/1.1\r\nHost: a\r\n\r\n", |exchange| {
        let most = output.replace("\\n", "\n").len() as u64;
        for _ in 0..1000 {
            if run.output.0 == most {
                break;
            }
            let ready = run.process.wait_ready(None, Duration::from_secs(10)).unwrap();
            run.step(exchange, ready).unwrap();
        }
        assert_eq!(run.output.0, most);
        // A directory is open, and read(2) refuses it: EISDIR, as EIO would come from a bad disk.
        run.process.stdout = Some(OwnedFd::from(File::open("/").unwrap()).into());
        let ready = Readiness { stdout: true, ..Readiness::default() };
        assert_eq!(run.step(exchange, ready).unwrap(), RunStep::Done);
    });
    (seen.sent, seen.errors, seen.aborted)
}

#[test]
fn output_that_cannot_be_read_is_a_502_or_aborted_and_never_looks_complete() {
    for output in ["", "Content-Type: text/pl", "Content-Type: text/plain\\n"] {
        let (sent, messages, aborted) = broken(output);
        assert!(sent.starts_with("HTTP/1.1 502 ") && !aborted, "{output}: {sent}");
        assert!(messages.iter().any(|message| message.contains("cannot be read")), "{messages:?}");
    }
    let long = "x".repeat(70_000); // so much that it is not held back
    for (head, end) in [("X: y", "0\r\n\r\n"), ("Content-Length: 99999", "")] {
        let (sent, messages, aborted) = broken(&format!("Content-Type: a/b\\n{head}\\n\\n{long}"));
        assert!(sent.starts_with("HTTP/1.1 200 ") && aborted, "{head}: {sent:.200}");
        assert!(end.is_empty() || !sent.ends_with(end), "{head}: it looks complete");
        assert!(messages.iter().any(|message| message.contains("cannot be read")), "{messages:?}");
    }
}
