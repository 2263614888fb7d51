//! Starting a process, with its arguments, environment, user and resource limits.
//!
//! A [`Command`] prepares everything before the process is created: between its creation and
//! `execve`, a child can do little. On Linux it is created without copying this process
//! (`unsafe_calls.rs`), whatever its user; on other systems, by [`std::process::Command`].
//!
//! ```
//! use std::fs::File;
//! use std::path::Path;
//! use doorstep_driver::cgi::ProcessLimit;
//! use doorstep_driver::os::Command;
//!
//! let mut command = Command::new(Path::new("/bin/sh"))?;
//! command.arg(b"-c")?;
//! command.arg(b"exit $CODE")?;
//! command.env(b"CODE", b"3")?;
//! let permit = ProcessLimit::new(1, 0).try_acquire().expect("it is free");
//! let mut process = command.spawn(&File::open("/dev/null")?, permit)?;
//! assert_eq!(process.wait()?.code(), Some(3));
//! # Ok::<(), std::io::Error>(())
//! ```

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use rustix::io::ioctl_fionbio;
use rustix::process::Pid;

use super::spawn_error::{SpawnError, SpawnStage};
use super::{Credentials, Process, ProcessPermit, Rlimits};

/// The default of [`Command::kill_delay`].
const DEFAULT_KILL_DELAY: Duration = Duration::from_secs(1);

/// A process that is not started yet.
#[derive(Debug, Clone)]
pub struct Command {
    program: CString,
    directory: CString,
    /// The first one is the name of the program.
    args: Vec<CString>,
    env: BTreeMap<Vec<u8>, Vec<u8>>,
    credentials: Credentials,
    rlimits: Rlimits,
    kill_delay: Duration,
}

impl Command {
    /// A command for the program at this absolute path, with the directory of the program as its
    /// working directory, the user of this process, and an empty environment.
    ///
    /// # Errors
    /// Returns `InvalidInput` if the path contains a NUL.
    pub fn new(program: &Path) -> io::Result<Self> {
        let directory = program.parent().unwrap_or(Path::new("/"));
        let name = program.file_name().unwrap_or(program.as_os_str());
        Ok(Self {
            program: CString::new(program.as_os_str().as_bytes())?,
            directory: CString::new(directory.as_os_str().as_bytes())?,
            args: vec![CString::new(name.as_bytes())?],
            env: BTreeMap::new(),
            credentials: Credentials::Inherited,
            rlimits: Rlimits::default(),
            kill_delay: DEFAULT_KILL_DELAY,
        })
    }

    /// Adds an argument.
    ///
    /// # Errors
    /// Returns `InvalidInput` if it contains a NUL.
    pub fn arg(&mut self, arg: &[u8]) -> io::Result<()> {
        self.args.push(CString::new(arg)?);
        Ok(())
    }

    /// Sets a variable of the environment.
    ///
    /// # Errors
    /// Returns `InvalidInput` if the name or the value contains a NUL.
    pub fn env(&mut self, name: &[u8], value: &[u8]) -> io::Result<()> {
        if name.contains(&0) || value.contains(&0) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        self.env.insert(name.to_vec(), value.to_vec());
        Ok(())
    }

    /// Sets the user that it runs as, and its resource limits.
    pub fn confine(&mut self, credentials: Credentials, rlimits: Rlimits) {
        (self.credentials, self.rlimits) = (credentials, rlimits);
    }

    /// Sets how long its process group has to exit after SIGTERM, before SIGKILL, if the
    /// [`Process`] is dropped. 1 s.
    pub fn kill_delay(&mut self, kill_delay: Duration) {
        self.kill_delay = kill_delay;
    }

    /// Starts the process, with `stdin`, and with pipes for stdout and stderr. It leads its own
    /// process group, and inherits no other descriptor of this process; no signal is blocked or
    /// ignored. `permit` is released when the process is reaped.
    ///
    /// # Errors
    /// Returns the [`SpawnStage`] that has failed, and the error of the system.
    pub fn spawn(&self, stdin: &File, mut permit: ProcessPermit) -> Result<Process, SpawnError> {
        let pipe = || {
            let (reader, writer) = io::pipe()?;
            ioctl_fionbio(&reader, true)?;
            Ok((OwnedFd::from(reader), writer))
        };
        let prepare = |error: io::Error| SpawnStage::Prepare.failed(error);
        let (stdout, their_stdout) = pipe().map_err(prepare)?;
        let (stderr, their_stderr) = pipe().map_err(prepare)?;
        for stream in [stdin.as_fd(), their_stdout.as_fd(), their_stderr.as_fd()] {
            let _ = self.credentials.chown(stream); // if it fails, they can still be read and written
        }
        let pid = self.spawn_child([stdin.as_fd(), their_stdout.as_fd(), their_stderr.as_fd()])?;
        permit.started(pid);
        Ok(Process::new(pid, [stdout, stderr], permit, self.kill_delay))
    }

    #[cfg(all(target_os = "linux", not(feature = "portable")))]
    fn spawn_child(&self, streams: [BorrowedFd<'_>; 3]) -> Result<Pid, SpawnError> {
        use super::unsafe_calls::SpawnArgs;

        let line = |(name, value): (&Vec<u8>, &Vec<u8>)| {
            CString::new([name, &b"="[..], value].concat()).unwrap_or_default() // it contains no NUL
        };
        let environment: Vec<_> = self.env.iter().map(line).collect();
        super::unsafe_calls::spawn(&SpawnArgs {
            program: &self.program,
            directory: &self.directory,
            args: &self.args,
            environment: &environment,
            credentials: self.credentials,
            rlimits: self.rlimits,
            streams,
        })
    }

    #[cfg(not(all(target_os = "linux", not(feature = "portable"))))]
    fn spawn_child(&self, streams: [BorrowedFd<'_>; 3]) -> Result<Pid, SpawnError> {
        use std::ffi::OsStr;
        use std::os::unix::process::CommandExt;
        use std::process::Command;

        let os = |text: &CString| OsStr::from_bytes(text.as_bytes()).to_owned();
        let mut command = Command::new(os(&self.program));
        command.arg0(os(&self.args[0])).args(self.args[1..].iter().map(os));
        command.env_clear().current_dir(os(&self.directory)).process_group(0);
        for (name, value) in &self.env {
            command.env(OsStr::from_bytes(name), OsStr::from_bytes(value));
        }
        if let Credentials::User(uid, gid) = self.credentials {
            command.uid(uid.as_raw()).gid(gid.as_raw()); // std then drops root's groups as well
        }
        super::unsafe_calls::set_rlimits(&mut command, self.rlimits);
        let own = |stream: BorrowedFd<'_>| stream.try_clone_to_owned();
        let started = (|| {
            let [stdin, stdout, stderr] = streams;
            command.stdin(own(stdin)?).stdout(own(stdout)?).stderr(own(stderr)?).spawn()
        })();
        match started {
            Ok(child) => Ok(Pid::from_child(&child)),
            Err(error) if super::is_exhausted(&error) => Err(SpawnStage::Prepare.failed(error)),
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::PERM.raw_os_error()) => {
                Err(SpawnStage::Privileges.failed(error))
            }
            Err(error) => Err(SpawnStage::Exec.failed(error)),
        }
    }
}

#[cfg(test)]
#[path = "command_tests.rs"]
mod tests;
