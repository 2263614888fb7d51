//! The operating system's answers: files below a root, sockets, addresses, local time, the log.
//!
//! Every decision is made elsewhere; here is how it is carried out. Nothing leaves the directory
//! that stands under the root's name ([`Root`]), nothing but regular files is read, and a log that
//! nobody reads blocks no request ([`Log`]).
//!
//! Linux's own calls are used where they are better; behind them stands POSIX, which every test
//! runs on as well (cargo feature `portable`). Systems without it are not supported.
//!
//! ```
//! use doorstep_driver::os::{Opened, Root, Symlinks};
//! # let dir = tempfile::tempdir()?;
//! # std::fs::write(dir.path().join("hello.txt"), "hi\n")?;
//!
//! let root = Root::new(dir.path(), Symlinks::Beneath)?;
//! let Opened::File(file, stat) = root.open(b"hello.txt") else { panic!("it was there") };
//! assert_eq!(stat.size, 3);
//! assert!(matches!(root.open(b"../hello.txt"), Opened::Nothing));
//! # drop(file);
//! # Ok::<(), std::io::Error>(())
//! ```

mod clock;
mod command;
mod identity;
mod list;
mod log;
mod log_repeats;
mod metadata;
mod opened;
mod probe;
mod process;
mod process_groups;
mod rlimits;
mod root;
mod spawn;
mod spawn_error;
mod stopwatch;
mod tree;
mod walk;

pub use clock::{Clock, now};
pub use command::Start;
pub use identity::Identity;
pub use log::Log;
pub(crate) use opened::Class;
pub use opened::Opened;
pub use probe::{can_allocate, can_open, can_start_thread, can_watch};
use process::signal_group;
pub use process::{Pipe, Process, UNHEARD, Woken};
pub use process_groups::{ProcessGroup, ProcessGroups, ProcessPermit};
pub use rlimits::{Rlimits, connections, descriptors, raise_descriptors};
pub use root::{Missing, Root, absolute};
pub use spawn::{acknowledged, keep_descriptors};
pub use spawn_error::{Failure, Step};
pub use stopwatch::{STEP, Stopwatch};
pub use tree::{Symlinks, Tree};

/// Whether an error says that descriptors, memory, disk space, threads or processes are used up.
#[must_use]
pub fn is_exhausted(error: &std::io::Error) -> bool {
    use rustix::io::Errno;

    let exhausted = [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::AGAIN, Errno::NOSPC];
    let code = error.raw_os_error();
    error.kind() == std::io::ErrorKind::OutOfMemory
        || exhausted.iter().any(|errno| code == Some(errno.raw_os_error()))
}

/// Whether an error says that a file is no program, and no script that names one.
#[must_use]
pub fn is_no_program(error: &std::io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::NOEXEC.raw_os_error())
}

/// Whether to use what only Linux has.
pub(crate) const LINUX: bool = cfg!(all(target_os = "linux", not(feature = "portable")));
