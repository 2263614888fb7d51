//! Operating system calls: files beneath a root, processes, resource limits, local time, the log.
//!
//! No path leads out of the root ([`Root`]), only regular files are read, no process is run as root
//! ([`Command`]) or stays a zombie ([`Process`]), and a log whose reader is stuck blocks no request
//! ([`Log`]).
//!
//! On Linux, calls of its own are used where they are better (`openat2`, `sendfile`, `pidfd_open`).
//! Other systems need POSIX; the cargo feature `portable` runs the tests without Linux's calls.
//!
//! ```
//! use doorstep_driver::os::{Opened, Root, Symlinks};
//! # let dir = tempfile::tempdir()?;
//! # std::fs::write(dir.path().join("hello.txt"), "hi\n")?;
//!
//! let root = Root::new(dir.path(), Symlinks::Beneath)?;
//! let Opened::File(file, stat) = root.open(b"hello.txt") else { panic!("it exists") };
//! assert_eq!(stat.size, 3);
//! assert!(matches!(root.open(b"../hello.txt"), Opened::NotFound));
//! # drop(file);
//! # Ok::<(), std::io::Error>(())
//! ```

mod clock;
mod command;
mod credentials;
mod list;
mod log;
mod log_file;
mod log_settings;
mod metadata;
mod opened;
mod path_error;
mod probe;
mod process;
mod process_groups;
mod read;
mod repeat_filter;
mod rlimits;
mod root;
mod root_dir;
#[cfg(feature = "sandbox")]
mod sandbox;
#[cfg(feature = "sandbox")]
mod sandbox_report;
mod server_user;
mod service_manager;
mod spawn_error;
mod stopwatch;
#[cfg(feature = "archive")]
mod tree;
mod unsafe_calls;
mod upload_dir;
mod walk;

pub use clock::{Clock, now, since_epoch};
pub use command::Command;
pub use credentials::Credentials;
pub use log::Log;
pub use log_settings::LogSettings;
/// Of nix: the user and group of [`Credentials::User`].
pub use nix::unistd::{Gid, Uid};
pub(crate) use opened::ErrorClass;
pub use opened::Opened;
pub(crate) use path_error::with_path;
pub use path_error::without_path;
pub use probe::{can_allocate, can_create_poller, can_open_descriptors, can_start_thread};
use process::signal_group;
pub use process::{Pipe, Process, Readiness, SIGPIPE};
pub use process_groups::{ProcessGroup, ProcessGroups, ProcessPermit};
pub(crate) use read::read_at;
pub use rlimits::{Rlimits, descriptor_limit, max_connections, raise_descriptor_limit};
pub use root::{FullName, Root, RootError, absolute};
pub use root_dir::{RootDir, Symlinks};
#[cfg(feature = "sandbox")]
pub use sandbox::{Sandbox, SandboxPaths};
#[cfg(feature = "sandbox")]
pub use sandbox_report::{Restriction, SandboxReport};
pub use server_user::ServerUser;
pub use service_manager::ServiceManager;
pub use spawn_error::{SpawnError, SpawnStage};
pub use stopwatch::{POLL_INTERVAL, Stopwatch};
#[cfg(feature = "archive")]
pub(crate) use tree::TreeEntry;
pub use unsafe_calls::{bytes_acked, set_inherited_cloexec};
pub(crate) use unsafe_calls::{bytes_unread, set_defer_accept};
pub(crate) use upload_dir::{Existing, PublishError, TemporaryFile, UploadDir};

/// Whether an error means that descriptors, memory, disk space, threads or processes are used up.
#[must_use]
pub fn is_exhausted(error: &std::io::Error) -> bool {
    use rustix::io::Errno;

    let exhausted = [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::AGAIN, Errno::NOSPC];
    let code = error.raw_os_error();
    error.kind() == std::io::ErrorKind::OutOfMemory
        || exhausted.iter().any(|errno| code == Some(errno.raw_os_error()))
}

/// The text of an error for the log, without its number. A shortage is named by the words that users
/// search for, such as `out of file descriptors (EMFILE)`.
#[must_use]
pub fn describe_error(error: &std::io::Error) -> String {
    use rustix::io::Errno;

    let shortage = match Errno::from_io_error(error) {
        Some(Errno::MFILE) => "out of file descriptors (EMFILE)",
        Some(Errno::NFILE) => "the system is out of file descriptors (ENFILE)",
        Some(Errno::NOMEM) => "out of memory (ENOMEM)",
        Some(Errno::NOSPC) => "no space left on the device (ENOSPC)",
        _ => return without_error_numbers(&error.to_string()),
    };
    format!("{shortage}: {}", without_error_numbers(&error.to_string()))
}

/// `text` without ` (os error 13)` and the like, which the words before it say as well.
///
/// ```
/// use doorstep_driver::os;
///
/// let error = std::io::Error::from_raw_os_error(13);
/// assert_eq!(os::describe_error(&error), "Permission denied");
/// let text = format!("cannot read a.txt: {error}; try again");
/// assert_eq!(os::without_error_numbers(&text), "cannot read a.txt: Permission denied; try again");
/// ```
#[must_use]
pub fn without_error_numbers(text: &str) -> String {
    let mut parts = text.split(" (os error ");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let number = part.split_once(')').filter(|(number, _)| number.parse::<i32>().is_ok());
        match number {
            Some((_, rest)) => out.push_str(rest),
            None => out.extend([" (os error ", part]),
        }
    }
    out
}

/// Whether an error means that a file is neither a program nor a script with an interpreter
/// (`ENOEXEC`).
#[must_use]
pub fn is_exec_format_error(error: &std::io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::NOEXEC.raw_os_error())
}

/// Whether system calls are used that only Linux has.
pub(crate) const LINUX: bool = cfg!(all(target_os = "linux", not(feature = "portable")));
