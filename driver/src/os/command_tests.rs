//! What a started process has, and has not; and why one was not started.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread;
use std::time::Duration;

use nix::unistd::{Gid, Uid};

use super::{Failure, Start, Step};
use crate::cgi::ProcessLimit;
use crate::os::{Identity, Process, Rlimits};

fn shell(script: &str) -> Start {
    let mut start = Start::new(Path::new("/bin/sh")).unwrap();
    start.argument(b"-c").unwrap();
    start.argument(script.as_bytes()).unwrap();
    start.variable(b"PATH", b"/usr/bin:/bin").unwrap();
    start
}

fn go(start: &Start) -> Result<Process, Failure> {
    start.go(&File::open("/dev/null").unwrap(), ProcessLimit::new(1, 0).try_acquire().unwrap())
}

/// All that it writes.
fn output(start: &Start) -> String {
    let mut process = go(start).unwrap();
    let mut said = Vec::new();
    while process.stdout.is_some() {
        process.wait(None, Duration::from_secs(10)).unwrap();
        process.stdout.take_if(|stdout| stdout.read_to_end(&mut said).is_ok());
    }
    assert!(process.end().unwrap().success());
    String::from_utf8(said).unwrap()
}

fn step(start: &Start) -> Step {
    go(start).unwrap_err().step
}

#[test]
fn b_237_it_has_the_arguments_and_variables_it_is_given_and_no_others() {
    let mut start = shell("echo \"$0 $1 $A\"; exec env");
    start.argument(b"zero").unwrap();
    start.argument(b"a  b").unwrap();
    start.variable(b"A", b"early").unwrap();
    start.variable(b"A", b"late=\xff").unwrap();
    start.variable(b"PWD", b"/").unwrap(); // which the shell would set
    let mut start_c = start.clone();
    start_c.variable(b"A", b"late").unwrap();
    let said = output(&start_c);
    let mut lines: Vec<_> = said.lines().collect();
    assert_eq!(lines.remove(0), "zero a  b late");
    lines.sort_unstable();
    lines.retain(|line| !line.starts_with("_=") && !line.starts_with("PWD="));
    assert_eq!(lines, ["A=late", "PATH=/usr/bin:/bin"]);
    assert!(start.variable(b"B", b"\0").is_err() && start.argument(b"\0").is_err());
}

#[cfg(all(target_os = "linux", not(feature = "portable")))] // elsewhere what is ignored stays so
#[test]
fn it_has_no_descriptor_of_ours_and_no_signal_is_blocked_or_ignored() {
    crate::os::keep_descriptors(); // whoever started these tests may have left some open
    // The fourth is the one that `ls` reads.
    assert_eq!(output(&shell("exec ls /proc/self/fd")), "0\n1\n2\n3\n");
    let signals = output(&shell("grep -E '^Sig(Blk|Ign)' /proc/self/status"));
    for line in signals.lines() {
        // Those above 31 are the C library's, and nobody's.
        let mask = u64::from_str_radix(line.split_whitespace().last().unwrap(), 16).unwrap();
        assert_eq!(mask & 0x7fff_ffff, 0, "{signals}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn b_249_it_is_in_its_programs_folder_and_leads_a_group() {
    let start = shell("pwd -P; cut -d' ' -f5 /proc/$$/stat; echo $$");
    let said = output(&start);
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(Path::new(lines[0]), fs::canonicalize("/bin").unwrap());
    assert_eq!(lines[1], lines[2]);
}

#[test]
fn b_246_root_becomes_nobody_and_nothing_more() {
    let (uid, gid) = (Uid::from_raw(65534), Gid::from_raw(65534));
    let mut start = shell("id -u; id -G; grep CapPrm /proc/self/status");
    start.confine(Identity::Theirs(uid, gid), Rlimits::default());
    if Uid::effective().is_root() {
        assert_eq!(output(&start), "65534\n65534\nCapPrm:\t0000000000000000\n");
    } else {
        assert_eq!(step(&start), Step::Rights);
    }
}

#[test]
fn b_256_it_is_within_its_limits() {
    let mut start = shell("ulimit -t; ulimit -n; ulimit -v; ulimit -Hn");
    let rlimits = Rlimits { cpu: Some(7), memory: Some(1 << 30), files: Some(33) };
    start.confine(Identity::Ours, rlimits);
    assert_eq!(output(&start), "7\n33\n1048576\n33\n");
}

#[test]
fn b_252_what_cannot_be_started_says_where_it_got_stuck() {
    let folder = tempfile::tempdir().unwrap();
    let script = |name: &str, text: &str, mode| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        step(&Start::new(&path).unwrap())
    };
    assert_eq!(script("lost", "#!/no/such/interpreter\n", 0o755), Step::Run);
    assert_eq!(script("plain", "#!/bin/sh\n", 0o644), Step::Run);
    assert_eq!(step(&Start::new(&folder.path().join("missing")).unwrap()), Step::Run);
    let nowhere = step(&Start::new(&folder.path().join("no/folder")).unwrap());
    assert!(matches!(nowhere, Step::Folder | Step::Run));
}

#[test]
fn many_threads_start_many_processes() {
    thread::scope(|scope| {
        for thread in 0..8 {
            scope.spawn(move || {
                for round in 0..25 {
                    let words = format!("{thread} {round}");
                    let busy: Vec<String> = (0..100).map(|i| format!("{words} {i}")).collect();
                    assert_eq!(output(&shell(&format!("echo {words}"))), format!("{words}\n"));
                    assert_eq!(busy[99], format!("{words} 99"));
                }
            });
        }
    });
}
