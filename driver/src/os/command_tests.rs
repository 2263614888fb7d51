//! The properties of a started process, and the errors of starting one.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread;
use std::time::Duration;

use nix::unistd::{Gid, Uid};

use super::{Command, SpawnError, SpawnStage};
use crate::cgi::ProcessLimit;
use crate::os::{Credentials, Process, Rlimits};

fn shell(script: &str) -> Command {
    let mut command = Command::new(Path::new("/bin/sh")).unwrap();
    command.arg(b"-c").unwrap();
    command.arg(script.as_bytes()).unwrap();
    command.env(b"PATH", b"/usr/bin:/bin").unwrap();
    command
}

fn spawn(command: &Command) -> Result<Process, SpawnError> {
    command.spawn(&File::open("/dev/null").unwrap(), ProcessLimit::new(1, 0).try_acquire().unwrap())
}

/// Its stdout.
fn output(command: &Command) -> String {
    let mut process = spawn(command).unwrap();
    let mut output = Vec::new();
    while process.stdout.is_some() {
        process.wait_ready(None, Duration::from_secs(10)).unwrap();
        process.stdout.take_if(|stdout| stdout.read_to_end(&mut output).is_ok());
    }
    assert!(process.wait().unwrap().success());
    String::from_utf8(output).unwrap()
}

fn stage(command: &Command) -> SpawnStage {
    spawn(command).unwrap_err().stage
}

#[test]
fn b_237_a_process_has_only_the_arguments_and_variables_that_were_set() {
    let mut command = shell("echo \"$0 $1 $A\"; exec env");
    command.arg(b"zero").unwrap();
    command.arg(b"a  b").unwrap();
    command.env(b"A", b"early").unwrap();
    command.env(b"A", b"late=\xff").unwrap();
    command.env(b"PWD", b"/").unwrap(); // which the shell would set
    let mut command_c = command.clone();
    command_c.env(b"A", b"late").unwrap();
    let output = output(&command_c);
    let mut lines: Vec<_> = output.lines().collect();
    assert_eq!(lines.remove(0), "zero a  b late");
    lines.sort_unstable();
    lines.retain(|line| !line.starts_with("_=") && !line.starts_with("PWD="));
    assert_eq!(lines, ["A=late", "PATH=/usr/bin:/bin"]);
    assert!(command.env(b"B", b"\0").is_err() && command.arg(b"\0").is_err());
}

#[cfg(all(target_os = "linux", not(feature = "portable")))] // elsewhere ignored signals stay ignored
#[test]
fn a_process_inherits_no_descriptor_and_no_blocked_or_ignored_signal() {
    crate::os::set_inherited_cloexec(); // the tests may have inherited some
    // The fourth is the one that `ls` reads.
    assert_eq!(output(&shell("exec ls /proc/self/fd")), "0\n1\n2\n3\n");
    let signals = output(&shell("grep -E '^Sig(Blk|Ign)' /proc/self/status"));
    for line in signals.lines() {
        // Those above 31 are real-time signals, of which the C library uses some.
        let mask = u64::from_str_radix(line.split_whitespace().last().unwrap(), 16).unwrap();
        assert_eq!(mask & 0x7fff_ffff, 0, "{signals}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn b_249_a_process_is_in_the_directory_of_its_program_and_leads_a_group() {
    let command = shell("pwd -P; cut -d' ' -f5 /proc/$$/stat; echo $$");
    let output = output(&command);
    let lines: Vec<_> = output.lines().collect();
    assert_eq!(Path::new(lines[0]), fs::canonicalize("/bin").unwrap());
    assert_eq!(lines[1], lines[2]);
}

#[test]
fn b_246_root_becomes_nobody_without_groups_and_capabilities() {
    let (uid, gid) = (Uid::from_raw(65534), Gid::from_raw(65534));
    let mut command = shell("id -u; id -G; grep CapPrm /proc/self/status");
    command.confine(Credentials::User(uid, gid), Rlimits::default());
    if Uid::effective().is_root() {
        assert_eq!(output(&command), "65534\n65534\nCapPrm:\t0000000000000000\n");
    } else {
        assert_eq!(stage(&command), SpawnStage::Privileges);
    }
}

#[test]
fn b_256_a_process_has_its_resource_limits() {
    let mut command = shell("ulimit -t; ulimit -n; ulimit -v; ulimit -Hn");
    let rlimits = Rlimits { cpu: Some(7), memory: Some(1 << 30), files: Some(33) };
    command.confine(Credentials::Inherited, rlimits);
    assert_eq!(output(&command), "7\n33\n1048576\n33\n");
}

#[test]
fn b_252_the_error_of_a_start_has_the_stage_that_has_failed() {
    let directory = tempfile::tempdir().unwrap();
    let script = |name: &str, text: &str, mode| {
        let path = directory.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        stage(&Command::new(&path).unwrap())
    };
    assert_eq!(script("no-interpreter", "#!/no/such/interpreter\n", 0o755), SpawnStage::Exec);
    assert_eq!(script("plain", "#!/bin/sh\n", 0o644), SpawnStage::Exec);
    assert_eq!(stage(&Command::new(&directory.path().join("missing")).unwrap()), SpawnStage::Exec);
    let nowhere = stage(&Command::new(&directory.path().join("no/directory")).unwrap());
    assert!(matches!(nowhere, SpawnStage::Directory | SpawnStage::Exec));
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
