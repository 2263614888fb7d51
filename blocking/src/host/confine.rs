//! What a process may have of ours: nothing that is open, and no more of the machine than it is given.
//!
//! All the unsafe code of this crate is here, one block for each thing that std does not offer.
#![allow(unsafe_code, reason = "between fork and exec, and for descriptors that are not ours")]

use std::fs;
use std::os::fd::BorrowedFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{Resource, Rlimit, setrlimit};

/// What one process may use. `None`: as much as the server itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rlimits {
    /// Processor time, in seconds (`RLIMIT_CPU`).
    pub cpu: Option<u64>,
    /// Address space, in bytes (`RLIMIT_AS`).
    pub memory: Option<u64>,
    /// Open descriptors, a number (`RLIMIT_NOFILE`).
    pub files: Option<u64>,
}

impl Rlimits {
    /// Makes `command` start within these. Without any it is left alone: it can then be started
    /// without copying this process.
    pub fn confine(self, command: &mut Command) {
        let limits = [
            (Resource::Cpu, self.cpu),
            (Resource::As, self.memory),
            (Resource::Nofile, self.files),
        ];
        if limits.iter().all(|(_, most)| most.is_none()) {
            return;
        }
        let confine = move || {
            for (resource, most) in limits {
                if most.is_some() {
                    setrlimit(resource, Rlimit { current: most, maximum: most })?;
                }
            }
            Ok(())
        };
        // SAFETY: runs between fork and exec, where it makes plain system calls and nothing else: it
        // allocates nothing and takes no lock, also when it fails.
        unsafe { command.pre_exec(confine) };
    }
}

/// Sees to it that no descriptor this program was started with is passed on to what it starts. Those
/// that it opens itself never are.
pub fn keep_descriptors() {
    let Ok(open) = fs::read_dir("/dev/fd") else { return };
    let numbers = open.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    for number in numbers.filter(|&number: &i32| number > 2).collect::<Vec<_>>() {
        // SAFETY: borrowed for one fcntl that changes a flag which all of ours have anyway. One that
        // was closed meanwhile is refused by the system.
        let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
        let _ = fcntl_setfd(descriptor, FdFlags::CLOEXEC);
    }
}
