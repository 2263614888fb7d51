//! Least privilege that the kernel enforces: a process gives up what its server never does.
//!
//! A [`Sandbox`] says what may still be done after [`Sandbox::apply`]: where files may be read,
//! written, removed and executed, and whether connections may be made. On Linux, Landlock enforces it,
//! together with `no_new_privs` and "not dumpable" (no `ptrace`, no `/proc/PID/mem`, no core dumps).
//! It cannot be undone, and holds for the calling thread, for threads and processes that are started
//! later, and for their programs. So it is applied by the only thread there is. What is open already
//! stays usable: sockets that listen, log files, descriptors of any kind.
//!
//! By default, what the kernel does not support is left out, and [`SandboxReport`] lists it. With
//! [`Sandbox::required`] it is an error. Other systems support none of it.
//!
//! Not restricted: connections to Unix sockets that have a path, UDP, metadata (`stat`, `chmod`,
//! `chown`, `utime`), and listing names by `stat` alone.
//!
//! ```
//! use doorstep_driver::os::{Restriction, Sandbox};
//!
//! # let dir = tempfile::tempdir()?;
//! let report = Sandbox::strict(dir.path()).probe(); // what `apply` would enforce on this kernel
//! assert!(report.held().chain(report.missing()).any(|one| one == Restriction::Read));
//! println!("{report}");
//! # Ok::<(), std::io::Error>(())
//! ```

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::sandbox_report::{Restriction, SandboxReport};

/// Where something may be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SandboxPaths {
    /// Everywhere, as far as the user of the process may.
    Everywhere,
    /// Beneath these directories, and in these files, as they are when the sandbox is applied: a
    /// directory that gets one of these names later is another one. Empty is nowhere.
    Beneath(Vec<PathBuf>),
}

/// What a process may do after [`Sandbox::apply`]. By default, it may read files everywhere, and
/// neither write, make, remove, link nor execute any; it may make no connections, gain no privileges,
/// and not be traced.
///
/// ```no_run
/// use doorstep_driver::os::{Sandbox, SandboxPaths};
///
/// let mut sandbox = Sandbox::default();
/// sandbox.write = SandboxPaths::Beneath(vec!["/var/log/site".into()]); // log files are reopened
/// sandbox.apply()?; // before any thread is started
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sandbox {
    /// Where files may be read and directories be listed. Default: everywhere.
    pub read: SandboxPaths,
    /// Where files and directories may be written, made, removed, renamed and linked. Where reading is
    /// restricted, they may be read there, too. Default: nowhere.
    pub write: SandboxPaths,
    /// Directories in which files may be removed, such as the socket of a listener at exit.
    /// Default: none.
    pub remove: Vec<PathBuf>,
    /// Where programs may be executed. Default: nowhere.
    pub execute: SandboxPaths,
    /// Whether TCP connections may be made and TCP ports be bound. Default: false.
    pub connect: bool,
    /// Whether processes outside of the sandbox may be reached by abstract Unix sockets and by
    /// signals. Default: false.
    pub reach: bool,
    /// Whether programs that are executed may have more privileges (set-user-ID programs such as
    /// `sudo`, and `postdrop` of `sendmail`). If so, nothing else can be restricted unless the process
    /// is root. Default: false.
    pub new_privileges: bool,
    /// Whether other processes of the same user may trace this one and read its memory, and whether a
    /// crash writes a core dump. Default: false.
    pub dumpable: bool,
    /// Whether it is an error if the kernel cannot enforce this. [`Restriction::is_required`] has what
    /// is meant. Default: false.
    pub required: bool,
}

impl Default for Sandbox {
    fn default() -> Self {
        Self {
            read: SandboxPaths::Everywhere,
            write: SandboxPaths::Beneath(Vec::new()),
            remove: Vec::new(),
            execute: SandboxPaths::Beneath(Vec::new()),
            connect: false,
            reach: false,
            new_privileges: false,
            dumpable: false,
            required: false,
        }
    }
}

/// Where the programs of a system and what they read are: those of [`Sandbox::allow_scripts`] that
/// exist.
const SYSTEM: [&str; 9] =
    ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store"];
/// The configuration that programs read: names, certificates, the dynamic linker.
const SYSTEM_READ: [&str; 3] = ["/etc", "/dev/random", "/dev/urandom"];
/// Devices that programs read and write.
const SYSTEM_WRITE: [&str; 3] = ["/dev/null", "/dev/zero", "/dev/full"];

impl Sandbox {
    /// The strictest sandbox for a server of files: only what is beneath `root` is read. The directory
    /// is fixed: one that gets its name later is not served. It is an error if the kernel cannot
    /// enforce it.
    #[must_use]
    pub fn strict(root: &Path) -> Self {
        let read = SandboxPaths::Beneath(vec![root.to_owned()]);
        Self { read, required: true, ..Self::default() }
    }

    /// For a server whose scripts are to have all rights of their user, since they inherit the
    /// sandbox: only the process itself is protected, by not being dumpable.
    #[must_use]
    pub fn for_scripts() -> Self {
        Self {
            write: SandboxPaths::Everywhere,
            execute: SandboxPaths::Everywhere,
            connect: true,
            reach: true,
            new_privileges: true,
            ..Self::default()
        }
    }

    /// Allows what scripts in these `directories` need within a [`Sandbox::strict`], which confines
    /// them, too: to be executed, to execute and read the programs of the system (`/usr`, `/bin`,
    /// `/lib` and the like), to read `/etc`, to use `/dev/null` and its kind, and to write in the
    /// directory for temporary files, where the server keeps large request bodies. Directories that do
    /// not exist are left out.
    #[must_use]
    pub fn allow_scripts(mut self, directories: impl IntoIterator<Item = PathBuf>) -> Self {
        let existing = |paths: &[&str]| paths.iter().map(PathBuf::from).collect::<Vec<_>>();
        let system = existing(&SYSTEM);
        self.read.extend(system.iter().cloned().chain(existing(&SYSTEM_READ)));
        self.write.extend(existing(&SYSTEM_WRITE).into_iter().chain([std::env::temp_dir()]));
        self.execute.extend(system.into_iter().chain(directories));
        self
    }

    /// What [`Sandbox::apply`] would enforce on this kernel. Changes nothing.
    #[must_use]
    pub fn probe(&self) -> SandboxReport {
        SandboxReport::new(self.restrictions(), kernel::landlock_abi())
    }

    /// Gives up everything that is not allowed, for good. Returns what is enforced.
    ///
    /// # Errors
    /// Returns an error if a path that is named cannot be opened, or if other threads are running, for
    /// which it would not hold. With [`Sandbox::required`], also `Unsupported` if the kernel cannot
    /// enforce all of it; then nothing is restricted.
    pub fn apply(&self) -> io::Result<SandboxReport> {
        let mut report = self.probe();
        if self.required {
            report.check()?;
        }
        kernel::apply(self, &mut report)?;
        match report.failure() {
            Some(failure) if self.required => {
                Err(io::Error::other(format!("the sandbox was refused: {failure}")))
            }
            _ => Ok(report),
        }
    }

    /// What it restricts, if the kernel can.
    fn restrictions(&self) -> Vec<Restriction> {
        let beneath = |paths: &SandboxPaths| *paths != SandboxPaths::Everywhere;
        let wanted = [
            (beneath(&self.read), &[Restriction::Read][..]),
            (beneath(&self.write), &[Restriction::Write, Restriction::Truncate]),
            (beneath(&self.write), &[Restriction::Devices]),
            (beneath(&self.execute), &[Restriction::Execute]),
            (!self.connect, &[Restriction::Tcp]),
            (!self.reach, &[Restriction::Reach]),
            (!self.new_privileges, &[Restriction::NewPrivileges]),
            (!self.dumpable, &[Restriction::Dumpable]),
        ];
        let wanted = wanted.into_iter().filter(|(is_wanted, _)| *is_wanted);
        wanted.flat_map(|(_, restrictions)| restrictions).copied().collect()
    }
}

impl SandboxPaths {
    /// Adds `paths`, as far as they exist, unless it is everywhere.
    pub fn extend(&mut self, paths: impl IntoIterator<Item = PathBuf>) {
        if let Self::Beneath(all) = self {
            all.extend(paths.into_iter().filter(|path| path.exists()));
        }
    }
}

#[cfg(target_os = "linux")]
#[path = "sandbox_linux.rs"]
mod kernel;

#[cfg(not(target_os = "linux"))]
mod kernel {
    use super::{Sandbox, SandboxReport, io};

    pub(super) fn landlock_abi() -> u32 {
        0
    }

    pub(super) fn apply(_: &Sandbox, _: &mut SandboxReport) -> io::Result<()> {
        Ok(())
    }
}

/// The error for a path of a sandbox that cannot be opened.
#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
fn path_error(path: &Path, error: &io::Error) -> io::Error {
    let kind = match error.kind() {
        kind @ (ErrorKind::NotFound | ErrorKind::PermissionDenied) => kind,
        _ => ErrorKind::Other,
    };
    io::Error::new(kind, format!("cannot open {path:?} for the sandbox: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_scripts_need_is_added_to_what_is_restricted_only() {
        let dir = tempfile::tempdir().unwrap();
        let directories = [dir.path().to_owned(), dir.path().join("missing")];
        let strict = Sandbox::strict(dir.path()).allow_scripts(directories.clone());
        let has = |paths: &SandboxPaths, path: &Path| match paths {
            SandboxPaths::Everywhere => true,
            SandboxPaths::Beneath(paths) => paths.iter().any(|one| one == path),
        };
        assert!(has(&strict.execute, dir.path()) && has(&strict.execute, Path::new("/usr")));
        assert!(!has(&strict.execute, &directories[1]), "it does not exist");
        assert!(has(&strict.read, Path::new("/etc")) && !has(&strict.read, Path::new("/")));
        assert!(has(&strict.write, &std::env::temp_dir()) && !has(&strict.write, dir.path()));
        let open = Sandbox::for_scripts();
        assert_eq!(open.clone().allow_scripts(directories), open);
    }

    #[test]
    fn a_sandbox_asks_for_what_it_restricts() {
        assert_eq!(Sandbox::for_scripts().restrictions(), [Restriction::Dumpable]);
        assert!(!Sandbox::default().restrictions().contains(&Restriction::Read));
        assert!(Sandbox::strict(Path::new("/")).restrictions().contains(&Restriction::Read));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn it_is_refused_while_there_are_other_threads() {
        // The harness of the tests has one.
        let error = std::thread::spawn(|| Sandbox::default().apply()).join().unwrap().unwrap_err();
        assert!(error.to_string().contains("threads"), "{error}");
    }

    #[test]
    fn the_error_for_a_path_names_it() {
        let error = path_error(Path::new("/a\nb"), &ErrorKind::NotFound.into());
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().contains(r#""/a\nb""#), "{error}");
    }
}
