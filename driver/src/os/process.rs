//! A child process: waiting for its output and its exit, and ending and reaping its process group.
//!
//! The process leads its own process group, with its process id. No other process can have this id
//! until the process is reaped, and signals are sent only before that. After the exit,
//! [`Process::reap`] kills the rest of the group. A process that is dropped before that gets
//! SIGTERM and, after [`Command::kill_delay`](super::Command::kill_delay), SIGKILL, from a thread
//! that reaps it: there are no zombies, and dropping does not block. A process that has made its
//! own session (`setsid`) is not in the group, and is not ended.
//!
//! ```
//! use std::fs::File;
//! use std::io::Read;
//! use std::path::Path;
//! use std::time::Duration;
//! use doorstep_driver::cgi::ProcessLimit;
//! use doorstep_driver::os::Command;
//!
//! let permit = ProcessLimit::new(1, 0).try_acquire().expect("it is free");
//! let mut command = Command::new(Path::new("/bin/echo"))?;
//! command.arg(b"hello")?;
//! let mut process = command.spawn(&File::open("/dev/null")?, permit)?;
//! let mut output = Vec::new();
//! while process.stdout.is_some() {
//!     process.wait_ready(None, Duration::from_secs(10))?;
//!     // Reads the available output, and then the end or `WouldBlock`.
//!     process.stdout.take_if(|stdout| stdout.read_to_end(&mut output).is_ok());
//! }
//! assert_eq!(output, b"hello\n");
//! # Ok::<(), std::io::Error>(())
//! ```

use std::io::{self, ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitOptions, kill_process, kill_process_group, waitid,
    waitpid,
};

use super::{ProcessPermit, Stopwatch};

/// The signal that ends a process that writes to a pipe that is not read.
pub const SIGPIPE: i32 = Signal::PIPE.as_raw();
/// The interval of checks for an exit where there are no descriptors for that: only Linux has them.
const EXIT_POLL_INTERVAL: Duration = Duration::from_millis(10);

/// A running process, and the pipes of what it writes.
#[derive(Debug)]
pub struct Process {
    /// `None` once it is reaped.
    child: Option<Child>,
    /// Its stdout; `None` after its end. Non-blocking.
    pub stdout: Option<Pipe>,
    /// Its stderr; `None` after its end. Non-blocking.
    pub stderr: Option<Pipe>,
    /// Readable when it has exited; opened when it is waited for.
    exit_fd: Option<OwnedFd>,
    permit: Option<ProcessPermit>,
    /// The time between SIGTERM and SIGKILL when it is dropped.
    kill_delay: Duration,
}

/// The reading end of a pipe. Clones are the same pipe.
#[derive(Debug, Clone)]
pub struct Pipe(Arc<OwnedFd>);

/// Why a wait has ended. If nothing is set, the timeout is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Readiness {
    /// There is output, or the end of it.
    pub stdout: bool,
    /// There is output on stderr, or the end of it.
    pub stderr: bool,
    /// The process has exited. Only set if stdout has ended.
    pub exit: bool,
}

impl Process {
    /// A process that was started just now, with its pipes.
    pub(super) fn new(
        pid: Pid,
        [stdout, stderr]: [OwnedFd; 2],
        permit: ProcessPermit,
        kill_delay: Duration,
    ) -> Self {
        let pipe = |end| Some(Pipe(Arc::new(end)));
        Self {
            child: Some(Child(pid)),
            stdout: pipe(stdout),
            stderr: pipe(stderr),
            exit_fd: None,
            permit: Some(permit),
            kill_delay,
        }
    }

    /// Its process id; `None` after it was reaped.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.child.as_ref().map(|child| child.0.as_raw_nonzero().get().unsigned_abs())
    }

    /// Whether it should be ended, since the limit was closed ([`ProcessLimit::close`]).
    ///
    /// [`ProcessLimit::close`]: crate::cgi::ProcessLimit::close
    #[must_use]
    pub fn should_terminate(&self) -> bool {
        self.permit.as_ref().is_some_and(ProcessPermit::is_closed)
    }

    /// Whether it has exited.
    #[must_use]
    pub fn has_exited(&self) -> bool {
        self.child.as_ref().is_none_or(Child::has_exited)
    }

    /// Waits until there is output or, if stdout has ended, until it exits. Waits at most for
    /// `timeout`, and until the connection of `socket`, that of the client, is closed.
    ///
    /// # Errors
    /// Returns the error of `poll`.
    pub fn wait_ready(
        &mut self,
        socket: Option<BorrowedFd<'_>>,
        timeout: Duration,
    ) -> io::Result<Readiness> {
        let only_exit = self.stdout.is_none();
        if only_exit && self.exit_fd().is_none() {
            thread::sleep(timeout.min(EXIT_POLL_INTERVAL));
            return Ok(Readiness { exit: self.has_exited(), ..Readiness::default() });
        }
        let watched = [
            self.stdout.as_ref().map(|pipe| (pipe.as_fd(), PollFlags::IN)),
            self.stderr.as_ref().map(|pipe| (pipe.as_fd(), PollFlags::IN)),
            self.exit_fd.as_ref().filter(|_| only_exit).map(|exit| (exit.as_fd(), PollFlags::IN)),
            socket.map(|socket| (socket, PollFlags::empty())), // its end is always reported
        ];
        let mut fds: Vec<PollFd<'_>> = watched
            .iter()
            .flatten()
            .map(|&(fd, flags)| PollFd::from_borrowed_fd(fd, flags))
            .collect();
        poll_timeout(&mut fds, timeout)?;
        let mut ready = fds.iter().map(|fd| !fd.revents().is_empty());
        let mut was = |watched: &Option<_>| watched.is_some() && ready.next() == Some(true);
        let [stdout, stderr, exit, _] = &watched;
        Ok(Readiness { stdout: was(stdout), stderr: was(stderr), exit: was(exit) })
    }

    /// The descriptors of [`Process::wait_ready`], for callers that wait by other means until one
    /// of them is readable, and then call it with a timeout of zero. After the end of stdout on a
    /// system without [`Process::exit_fd`], the exit makes none of them readable.
    pub fn sources(&mut self) -> Vec<BorrowedFd<'_>> {
        let only_exit = self.stdout.is_none();
        if only_exit {
            let _ = self.exit_fd(); // opens it
        }
        let exit = self.exit_fd.as_ref().filter(|_| only_exit).map(AsFd::as_fd);
        let pipes = [&self.stdout, &self.stderr].into_iter().flatten().map(AsFd::as_fd);
        pipes.chain(exit).collect()
    }

    /// `timeout`, or less if an exit is to be waited for that makes none of
    /// [`Process::sources`] readable.
    pub(crate) fn bound_wait(&mut self, timeout: Duration) -> Duration {
        match self.stdout.is_none() && self.exit_fd().is_none() {
            true => timeout.min(EXIT_POLL_INTERVAL),
            false => timeout,
        }
    }

    /// A descriptor that is readable once it has exited (`pidfd_open`); `None` if the system has
    /// none.
    pub fn exit_fd(&mut self) -> Option<BorrowedFd<'_>> {
        if self.exit_fd.is_none() {
            self.exit_fd = self.child.as_ref().and_then(Child::pidfd);
        }
        self.exit_fd.as_ref().map(AsFd::as_fd)
    }

    /// Kills the rest of its group, reaps it, and returns its exit status. To be called after
    /// [`Process::has_exited`]; otherwise it is killed, too.
    ///
    /// # Errors
    /// Returns an error if it was reaped before. This program must not ignore SIGCHLD, by which
    /// processes are reaped automatically.
    pub fn reap(&mut self) -> io::Result<ExitStatus> {
        let child = self.child.take().ok_or(ErrorKind::NotFound)?;
        child.signal(Signal::KILL);
        let mut permit = self.permit.take();
        permit.iter_mut().for_each(ProcessPermit::reaped);
        child.wait()
    }

    /// Waits until it exits, and reaps it.
    ///
    /// # Errors
    /// Returns the error of `poll`, or that of [`Process::reap`].
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        (self.stdout, self.stderr) = (None, None);
        while !self.has_exited() {
            self.wait_ready(None, Duration::from_secs(1))?;
        }
        self.reap()
    }

    /// Kills it and its group (SIGKILL).
    pub fn kill(&self) {
        self.child.iter().for_each(|child| child.signal(Signal::KILL));
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let Some(child) = self.child.take() else { return };
        child.signal(Signal::TERM);
        let pipes = [self.stdout.take(), self.stderr.take()];
        let terminating = Terminating { child, permit: self.permit.take(), pipes };
        let shared = Arc::new(Mutex::new(Some(terminating)));
        let (in_thread, kill_delay) = (shared.clone(), self.kill_delay);
        let reap = |terminating: &Mutex<Option<Terminating>>, delay| {
            let terminating = terminating.lock().unwrap_or_else(PoisonError::into_inner).take();
            terminating.into_iter().for_each(|terminating| terminating.reap(delay));
        };
        let reaper = thread::Builder::new().name("reaper".into());
        if reaper.spawn(move || reap(&in_thread, kill_delay)).is_err() {
            reap(&shared, Duration::ZERO); // waiting after SIGKILL takes very little time
        }
    }
}

#[cfg(test)]
impl From<OwnedFd> for Pipe {
    fn from(end: OwnedFd) -> Self {
        Self(Arc::new(end))
    }
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::read(&self.0, buffer)?)
    }
}

impl AsFd for Pipe {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A process that has got SIGTERM. Its pipes stay open: if it writes, SIGPIPE would end it before
/// it has cleaned up.
struct Terminating {
    child: Child,
    permit: Option<ProcessPermit>,
    pipes: [Option<Pipe>; 2],
}

impl Terminating {
    /// Waits for its exit, at most for `delay`, then kills and reaps it. Then the permit is
    /// released.
    fn reap(mut self, delay: Duration) {
        let mut waited = Stopwatch::default();
        let exit = self.child.pidfd();
        while !self.child.has_exited() {
            let Some(step) = waited.next_wait(delay) else { break };
            let pipes = self.pipes.iter().flatten().map(AsFd::as_fd);
            let watched = pipes.chain(exit.as_ref().map(AsFd::as_fd));
            let mut fds: Vec<_> =
                watched.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
            let _ = poll_timeout(
                &mut fds,
                if exit.is_some() { step } else { step.min(EXIT_POLL_INTERVAL) },
            );
            self.pipes.iter_mut().for_each(discard_available);
        }
        self.child.signal(Signal::KILL);
        self.permit.iter_mut().for_each(ProcessPermit::reaped);
        let _ = self.child.wait();
    }
}

/// Discards the available bytes of a pipe.
fn discard_available(pipe: &mut Option<Pipe>) {
    pipe.take_if(|pipe| match pipe.read(&mut [0; 4096]) {
        Ok(n) => n == 0,
        Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
    });
}

/// A child that was not reaped yet.
#[derive(Debug)]
struct Child(Pid);

impl Child {
    /// Sends a signal to its group, and to itself in case it is in another one.
    fn signal(&self, signal: Signal) {
        signal_group(self.0, signal);
    }

    fn has_exited(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        // An error means that nothing is left to wait for.
        !matches!(waitid(WaitId::Pid(self.0), options), Ok(None))
    }

    /// Reaps it.
    fn wait(self) -> io::Result<ExitStatus> {
        loop {
            match waitpid(Some(self.0), WaitOptions::empty()) {
                Ok(Some((_, status))) => return Ok(ExitStatus::from_raw(status.as_raw())),
                Ok(None) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    #[cfg(target_os = "linux")]
    fn pidfd(&self) -> Option<OwnedFd> {
        use rustix::process::{PidfdFlags, pidfd_open};

        pidfd_open(self.0, PidfdFlags::empty()).ok().filter(|_| super::LINUX)
    }

    #[cfg(not(target_os = "linux"))]
    fn pidfd(&self) -> Option<OwnedFd> {
        None
    }
}

/// Sends a signal to the group of a child that was not reaped yet, and to the child in case it is
/// in another group.
pub(super) fn signal_group(leader: Pid, signal: Signal) {
    let _ = kill_process_group(leader, signal);
    let _ = kill_process(leader, signal);
}

fn poll_timeout(fds: &mut [PollFd<'_>], timeout: Duration) -> io::Result<()> {
    // Not zero, so that no wait ends just before its time.
    let timeout = timeout.max(Duration::from_micros(1));
    let timeout = Timespec::try_from(timeout).ok(); // if it is too long, there is none
    match poll(fds, timeout.as_ref()) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgi::ProcessLimit;
    use crate::os::Command;
    use std::fs::File;
    use std::path::Path;

    const LONG: Duration = Duration::from_secs(10);

    fn spawn(script: &str) -> (ProcessLimit, Process) {
        let limit = ProcessLimit::new(1, 0);
        let mut command = Command::new(Path::new("/bin/sh")).unwrap();
        command.arg(b"-c").unwrap();
        command.arg(script.as_bytes()).unwrap();
        command.env(b"PATH", b"/usr/bin:/bin").unwrap();
        let process =
            command.spawn(&File::open("/dev/null").unwrap(), limit.try_acquire().unwrap());
        (limit, process.unwrap())
    }

    fn read(process: &mut Process) -> String {
        let mut output = Vec::new();
        for _ in 0..100 {
            process.wait_ready(None, LONG).unwrap();
            let ended = process.stdout.as_mut().unwrap().read_to_end(&mut output).is_ok();
            if ended || output.ends_with(b"\n") {
                break;
            }
        }
        String::from_utf8(output).unwrap()
    }

    fn is_alive(id: &str) -> bool {
        let status = std::fs::read_to_string(format!("/proc/{}/stat", id.trim()));
        status.is_ok_and(|stat| !stat.contains(") Z"))
    }

    #[test]
    fn an_exit_is_detected_and_has_its_code() {
        let (limit, mut process) = spawn("exit 3");
        (process.stdout, process.stderr) = (None, None);
        for _ in 0..1000 {
            if process.wait_ready(None, Duration::MAX).unwrap().exit {
                break;
            }
        }
        assert!(process.has_exited());
        assert_eq!(process.reap().unwrap().code(), Some(3));
        assert!(limit.wait_idle(LONG));
    }

    #[test]
    fn one_of_the_sources_is_readable_when_a_wait_would_end() {
        let (_limit, mut process) = spawn("echo hello; exec >&- 2>&-; read a < /dev/zero");
        let wait = |process: &mut Process| {
            let timeout = process.bound_wait(LONG);
            let sources = process.sources();
            let mut fds: Vec<_> = sources.iter().map(|fd| PollFd::new(fd, PollFlags::IN)).collect();
            poll_timeout(&mut fds, timeout).unwrap();
            let readable = fds.iter().any(|fd| !fd.revents().is_empty());
            drop(fds);
            (readable, process.wait_ready(None, Duration::ZERO).unwrap())
        };
        let (readable, ready) = wait(&mut process);
        assert!(readable && ready.stdout && !ready.exit);
        assert_eq!(read(&mut process), "hello\n");
        let (readable, ready) = wait(&mut process);
        assert!(readable && (ready.stdout || ready.stderr));
        (process.stdout, process.stderr) = (None, None);
        assert_eq!(process.wait_ready(None, Duration::ZERO).unwrap(), Readiness::default());
        process.kill();
        let exited = (0..1000).any(|_| wait(&mut process) != (false, Readiness::default()));
        assert!(exited && process.has_exited());
        assert_eq!(process.sources().len(), usize::from(super::super::LINUX));
    }

    #[test]
    fn the_rest_of_the_group_is_killed() {
        let (limit, mut process) = spawn("sleep 100 & echo $!");
        let id = read(&mut process);
        while !process.has_exited() {
            thread::sleep(EXIT_POLL_INTERVAL);
        }
        assert!(is_alive(&id));
        assert!(process.reap().unwrap().success());
        assert!(limit.wait_idle(LONG));
        assert!((0..1000).any(|_| {
            thread::sleep(EXIT_POLL_INTERVAL);
            !is_alive(&id)
        }));
    }

    #[test]
    fn all_process_groups_can_be_killed_at_once() {
        let (limit, mut process) = spawn("echo here; sleep 100 & wait");
        assert_eq!(read(&mut process), "here\n");
        limit.kill(LONG);
        while !process.has_exited() {
            thread::sleep(EXIT_POLL_INTERVAL);
        }
        assert!(!process.reap().unwrap().success());
        limit.kill(LONG); // no process is left
    }

    #[test]
    fn a_process_that_is_dropped_can_write_and_clean_up() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("cleaned-up");
        let script = format!(
            "trap 'yes | head -c 200000; echo more >&2; : >{}; exit' TERM; echo here; sleep 100 & wait",
            file.display()
        );
        let (limit, mut process) = spawn(&script);
        assert_eq!(read(&mut process), "here\n");
        drop(process);
        assert!(limit.wait_idle(LONG));
        assert!(file.exists());
    }

    #[test]
    fn a_process_that_ignores_sigterm_is_killed_when_dropped() {
        let (limit, mut process) = spawn("trap '' TERM; echo here; while :; do sleep 1; done");
        assert_eq!(read(&mut process), "here\n");
        let id = process.id().unwrap().to_string();
        drop(process);
        assert!(limit.wait_idle(LONG));
        assert!(!is_alive(&id));
    }
}
