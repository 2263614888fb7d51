//! What a process is started with.
//!
//! A [`Start`] is a plan in the system's own terms, made before anything is done: a child between
//! its making and its becoming another program must do little, so all that can be prepared is. On
//! Linux the start is [`super::raw`]'s, which copies nothing of this process, whoever the child is to
//! be; elsewhere it is std's.
//!
//! ```
//! use std::fs::File;
//! use std::path::Path;
//! use doorstep_driver::cgi::ProcessLimit;
//! use doorstep_driver::os::Start;
//!
//! let mut start = Start::new(Path::new("/bin/sh"))?;
//! start.argument(b"-c")?;
//! start.argument(b"exit $CODE")?;
//! start.variable(b"CODE", b"3")?;
//! let permit = ProcessLimit::new(1, 0).try_acquire().expect("it is free");
//! let mut process = start.go(&File::open("/dev/null")?, permit)?;
//! assert_eq!(process.end()?.code(), Some(3));
//! # Ok::<(), std::io::Error>(())
//! ```

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::io::ioctl_fionbio;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::Pid;

use super::spawn_error::{Failure, Step};
use super::{Identity, Process, ProcessPermit, Rlimits};

/// A process that is not started yet.
#[derive(Debug, Clone)]
pub struct Start {
    program: CString,
    folder: CString,
    /// The first one is the program's name.
    arguments: Vec<CString>,
    variables: BTreeMap<Vec<u8>, Vec<u8>>,
    identity: Identity,
    rlimits: Rlimits,
}

impl Start {
    /// Of the program at this absolute path, in the folder it is in, with our rights, without any
    /// variables.
    ///
    /// # Errors
    /// `InvalidInput` for a NUL in the path. So for everything that is added.
    pub fn new(program: &Path) -> io::Result<Self> {
        let folder = program.parent().unwrap_or(Path::new("/"));
        let name = program.file_name().unwrap_or(program.as_os_str());
        Ok(Self {
            program: CString::new(program.as_os_str().as_bytes())?,
            folder: CString::new(folder.as_os_str().as_bytes())?,
            arguments: vec![CString::new(name.as_bytes())?],
            variables: BTreeMap::new(),
            identity: Identity::Ours,
            rlimits: Rlimits::default(),
        })
    }

    /// Adds an argument.
    ///
    /// # Errors
    /// As of [`Start::new`].
    pub fn argument(&mut self, argument: &[u8]) -> io::Result<()> {
        self.arguments.push(CString::new(argument)?);
        Ok(())
    }

    /// Sets a variable; the last value counts.
    ///
    /// # Errors
    /// As of [`Start::new`].
    pub fn variable(&mut self, name: &[u8], value: &[u8]) -> io::Result<()> {
        if name.contains(&0) || value.contains(&0) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        self.variables.insert(name.to_vec(), value.to_vec());
        Ok(())
    }

    /// Starts it as `identity`, within `rlimits`.
    pub fn confine(&mut self, identity: Identity, rlimits: Rlimits) {
        (self.identity, self.rlimits) = (identity, rlimits);
    }

    /// Starts it. It reads `stdin`, and what it writes comes to us. It leads a process group, has no
    /// other descriptor of ours, and no signal is blocked or ignored. `place` is given back when it is
    /// gone.
    ///
    /// # Errors
    /// See [`Step`].
    pub fn go(&self, stdin: &File, mut place: ProcessPermit) -> Result<Process, Failure> {
        let pipe = || {
            let (ours, theirs) = pipe_with(PipeFlags::CLOEXEC)?;
            ioctl_fionbio(&ours, true)?;
            Ok((ours, theirs))
        };
        let prepare = |error: rustix::io::Errno| Step::Prepare.failed(error);
        let (stdout, their_stdout) = pipe().map_err(prepare)?;
        let (stderr, their_stderr) = pipe().map_err(prepare)?;
        for stream in [stdin.as_fd(), their_stdout.as_fd(), their_stderr.as_fd()] {
            let _ = self.identity.own(stream); // without it, it can still be read and written
        }
        let pid = self.start([stdin.as_fd(), their_stdout.as_fd(), their_stderr.as_fd()])?;
        place.started(pid);
        Ok(Process::new(pid, [stdout, stderr], place))
    }

    #[cfg(all(target_os = "linux", not(feature = "portable")))]
    fn start(&self, streams: [BorrowedFd<'_>; 3]) -> Result<Pid, Failure> {
        use super::spawn::Plan;

        let line = |(name, value): (&Vec<u8>, &Vec<u8>)| {
            CString::new([name, &b"="[..], value].concat()).unwrap_or_default() // there is no NUL
        };
        let environment: Vec<_> = self.variables.iter().map(line).collect();
        super::spawn::start(&Plan {
            program: &self.program,
            folder: &self.folder,
            arguments: &self.arguments,
            environment: &environment,
            identity: self.identity,
            rlimits: self.rlimits,
            streams,
        })
    }

    #[cfg(not(all(target_os = "linux", not(feature = "portable"))))]
    fn start(&self, streams: [BorrowedFd<'_>; 3]) -> Result<Pid, Failure> {
        use std::ffi::OsStr;
        use std::os::unix::process::CommandExt;
        use std::process::Command;

        let os = |text: &CString| OsStr::from_bytes(text.as_bytes()).to_owned();
        let mut command = Command::new(os(&self.program));
        command.arg0(os(&self.arguments[0])).args(self.arguments[1..].iter().map(os));
        command.env_clear().current_dir(os(&self.folder)).process_group(0);
        for (name, value) in &self.variables {
            command.env(OsStr::from_bytes(name), OsStr::from_bytes(value));
        }
        if let Identity::Theirs(uid, gid) = self.identity {
            command.uid(uid.as_raw()).gid(gid.as_raw()); // std then gives up root's groups as well
        }
        super::spawn::limit(&mut command, self.rlimits);
        let own = |stream: BorrowedFd<'_>| stream.try_clone_to_owned();
        let started = (|| {
            let [stdin, stdout, stderr] = streams;
            command.stdin(own(stdin)?).stdout(own(stdout)?).stderr(own(stderr)?).spawn()
        })();
        match started {
            Ok(child) => Ok(Pid::from_child(&child)),
            Err(error) if super::is_exhausted(&error) => Err(Step::Prepare.failed(error)),
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::PERM.raw_os_error()) => {
                Err(Step::Rights.failed(error))
            }
            Err(error) => Err(Step::Run.failed(error)),
        }
    }
}

#[cfg(test)]
#[path = "command_tests.rs"]
mod tests;
