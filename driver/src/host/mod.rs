//! The operating system's answers: files below a root, sockets, addresses, local time, the log.
//!
//! Every decision is made elsewhere; here is how it is carried out. Nothing leaves the directory
//! that stands under the root's name ([`Root`]), nothing but regular files is read, one call sends
//! at most [`FAIR_SHARE`] bytes, an accepted socket needs no further set-up ([`Acceptor`]) and a
//! log nobody reads stops nobody ([`Log`]).
//!
//! Linux's own calls are used where they are better; behind them stands POSIX, which every test
//! runs on as well (cargo feature `portable`). Systems without it are not supported.
//!
//! ```
//! use doorstep_driver::host::{Opened, Root, Symlinks};
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

mod accept;
mod addresses;
mod clock;
mod digest;
mod failure;
mod identity;
mod list;
mod listen;
mod log;
mod opened;
mod places;
mod presence;
mod probe;
mod process;
mod raw;
mod repeats;
mod rlimits;
mod root;
mod send;
mod start;
mod stat;
mod stopwatch;
mod store;
mod tree;
mod walk;
mod watch;

pub use accept::Acceptor;
pub use addresses::{url, urls};
pub use clock::{Clock, now};
pub use digest::{Digest, Digests};
pub use failure::{Failure, Step};
pub use identity::Identity;
pub use listen::bind;
pub use log::Log;
pub(crate) use opened::Class;
pub use opened::Opened;
pub use places::{Place, Places, Ticket};
pub use presence::{Departure, Presence, Vigil};
pub use probe::{can_allocate, can_open, can_start_thread, can_watch};
pub use process::{Pipe, Process, UNHEARD, Woken};
pub use raw::{acknowledged, keep_descriptors};
pub use rlimits::{Rlimits, connections, descriptors, raise_descriptors};
pub use root::{Missing, Root, absolute};
pub use send::{FAIR_SHARE, close_by_reset, finish, reset, send, send_file, send_now};
pub use start::Start;
pub use stopwatch::{STEP, Stopwatch};
pub use store::{Content, SMALL, Store};
pub use tree::{Symlinks, Tree};
pub use watch::{Transfer, Watch};

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
const LINUX: bool = cfg!(all(target_os = "linux", not(feature = "portable")));
