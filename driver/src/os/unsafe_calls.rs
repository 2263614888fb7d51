//! All the unsafe code of this crate: the system calls that neither std nor rustix has as safe functions.
//!
//! - **Spawning.** On Linux, [`spawn`] creates a process without copying this one
//!   (`CLONE_VM | CLONE_VFORK`), also if it has another user or resource limits; for these, std uses
//!   `fork`, which copies the page tables of this process and takes longer the more threads there are
//!   (docs/choosing.md has figures). It does what `posix_spawn` does: the child runs in the memory of
//!   this process, on its own stack, and the thread that has created it waits until the child has
//!   executed another program or has failed. On other systems, [`std::process::Command`] creates the
//!   process, and only resource limits are set in the child (`set_rlimits`).
//! - **Descriptors.** [`set_inherited_cloexec`]: close-on-exec for the descriptors that this program has
//!   inherited.
//! - **Sockets.** [`bytes_acked`] (`TCP_INFO`), [`bytes_unread`] (`TIOCOUTQ`) and [`set_defer_accept`]
//!   (`TCP_DEFER_ACCEPT`).
#![allow(
    unsafe_code,
    reason = "creating a process without copying this one; inherited descriptors; sockets"
)]

use std::fs;
#[cfg(all(target_os = "linux", not(feature = "portable")))]
use std::os::fd::AsRawFd;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::io::{FdFlags, fcntl_setfd};

#[cfg(not(all(target_os = "linux", not(feature = "portable"))))]
pub(super) use std_command::set_rlimits;
#[cfg(all(target_os = "linux", not(feature = "portable")))]
pub(super) use vfork::{SpawnArgs, spawn};

#[cfg(all(target_os = "linux", not(feature = "portable")))]
mod vfork {
    use std::cell::Cell;
    use std::convert::Infallible;
    use std::ffi::{CStr, CString, c_char, c_void};
    use std::io;
    use std::mem::MaybeUninit;
    use std::os::fd::BorrowedFd;
    use std::ptr;

    use nix::libc;
    use nix::sys::signal::{SigSet, SigmaskHow};
    use rustix::io::Errno;
    use rustix::process::{Gid, Pid, Uid, WaitOptions, chdir, setpgid, waitpid};
    use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};
    use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

    use crate::os::spawn_error::{SpawnError, SpawnStage};
    use crate::os::{Credentials, Rlimits};

    /// The size of the child's stack, in bytes: several times what it needs.
    const CHILD_STACK_SIZE: usize = 64 << 10;
    /// The number of the highest signal.
    const MAX_SIGNAL: i32 = 64;

    /// The properties of a process that is to be started.
    pub(in crate::os) struct SpawnArgs<'a> {
        pub(in crate::os) program: &'a CStr,
        pub(in crate::os) directory: &'a CStr,
        pub(in crate::os) args: &'a [CString],
        pub(in crate::os) environment: &'a [CString],
        pub(in crate::os) credentials: Credentials,
        pub(in crate::os) rlimits: Rlimits,
        /// Its stdin, stdout and stderr.
        pub(in crate::os) streams: [BorrowedFd<'a>; 3],
    }

    /// The data that the child uses.
    struct Child<'a> {
        spawn_args: &'a SpawnArgs<'a>,
        args: Vec<*const c_char>,
        environment: Vec<*const c_char>,
        error: Cell<Option<SpawnError>>,
    }

    /// Starts a process that leads its own process group.
    pub(in crate::os) fn spawn(spawn_args: &SpawnArgs<'_>) -> Result<Pid, SpawnError> {
        let pointers = |list: &[CString]| {
            list.iter().map(|text| text.as_ptr()).chain([ptr::null()]).collect::<Vec<_>>()
        };
        let child = Child {
            spawn_args,
            args: pointers(spawn_args.args),
            environment: pointers(spawn_args.environment),
            error: Cell::new(None),
        };
        let mut stack = vec![MaybeUninit::<u128>::uninit(); CHILD_STACK_SIZE / size_of::<u128>()];
        let prepare = |error: nix::Error| SpawnStage::Prepare.failed(error);
        // No signal handler may run in the child, which has the memory of this process.
        let mask = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK).map_err(prepare)?;
        // SAFETY: with CLONE_VFORK this thread continues only when the child does not use this
        // memory any more, so `child` and `stack` outlive its use of them, and no other thread uses
        // them. The child runs `child_main` only, which needs far less stack and does not panic.
        let pid = unsafe {
            libc::clone(
                child_main,
                stack.as_mut_ptr_range().end.cast(),
                libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD,
                ptr::from_ref(&child).cast_mut().cast(),
            )
        };
        let cloned = nix::Error::result(pid);
        let _ = mask.thread_set_mask(); // cannot fail: it is the mask this thread had
        cloned.map_err(prepare)?;
        let Some(pid) = Pid::from_raw(pid) else { return Err(prepare(nix::Error::ESRCH)) };
        match child.error.take() {
            None => Ok(pid),
            Some(error) => {
                while matches!(waitpid(Some(pid), WaitOptions::empty()), Err(Errno::INTR)) {}
                Err(error)
            }
        }
    }

    /// The main function of the child, until `execve`. It returns the exit code of the child.
    extern "C" fn child_main(child: *mut c_void) -> i32 {
        // SAFETY: it is the `Child` that `spawn` passes, which is not moved or dropped meanwhile.
        let child = unsafe { &*child.cast::<Child<'_>>() };
        let Err(error) = child.exec();
        child.error.set(Some(error));
        127
    }

    impl Child<'_> {
        fn exec(&self) -> Result<Infallible, SpawnError> {
            let SpawnArgs { program, directory, credentials, rlimits, streams, .. } =
                self.spawn_args;
            let [stdin, stdout, stderr] = streams;
            for signal in 1..=MAX_SIGNAL {
                // SAFETY: it resets the handlers of the child only. For KILL, STOP and those that
                // the C library reserves, it fails, and they have no handlers.
                unsafe { libc::signal(signal, libc::SIG_DFL) };
            }
            let prepare = |error: Errno| SpawnStage::Prepare.failed(error);
            setpgid(None, None).map_err(prepare)?;
            dup2_stdin(stdin).map_err(prepare)?;
            dup2_stdout(stdout).map_err(prepare)?;
            dup2_stderr(stderr).map_err(prepare)?;
            rlimits.apply().map_err(prepare)?;
            credentials.apply().map_err(|error| SpawnStage::Privileges.failed(error))?;
            chdir(*directory).map_err(|error| SpawnStage::Directory.failed(error))?;
            SigSet::empty().thread_set_mask().map_err(|error| SpawnStage::Prepare.failed(error))?;
            // SAFETY: the strings end in NUL, the arrays in a null pointer, and all outlive the
            // call.
            unsafe {
                libc::execve(program.as_ptr(), self.args.as_ptr(), self.environment.as_ptr());
            }
            Err(SpawnStage::Exec.failed(io::Error::last_os_error()))
        }
    }

    impl Credentials {
        /// Drops privileges in this process only: the calls of the C library would do so in all
        /// threads that it knows of, which are those of the server.
        ///
        /// The child still has the memory of the server for a moment. No other process of that user
        /// can read it: a process that has changed its user is not dumpable (`PR_SET_DUMPABLE`),
        /// and only root can access its memory.
        fn apply(self) -> rustix::io::Result<()> {
            let Self::User(uid, gid) = self else { return Ok(()) };
            let (uid, gid) = (Uid::from_raw(uid.as_raw()), Gid::from_raw(gid.as_raw()));
            set_thread_groups(&[])?;
            set_thread_res_gid(gid, gid, gid)?;
            set_thread_res_uid(uid, uid, uid)
        }
    }

    impl Rlimits {
        fn apply(self) -> rustix::io::Result<()> {
            self.limits()
                .try_for_each(|(resource, limit)| rustix::process::setrlimit(resource, limit))
        }
    }
}

#[cfg(not(all(target_os = "linux", not(feature = "portable"))))]
mod std_command {
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    use rustix::process::setrlimit;

    use crate::os::Rlimits;

    /// Makes `command` set `rlimits` in the child. If there are none, it is not changed, so that
    /// std can start it without copying this process.
    pub(in crate::os) fn set_rlimits(command: &mut Command, rlimits: Rlimits) {
        if rlimits.limits().next().is_none() {
            return;
        }
        let limit = move || {
            let mut limits = rlimits.limits();
            Ok(limits.try_for_each(|(resource, limit)| setrlimit(resource, limit))?)
        };
        // SAFETY: it runs between fork and exec, where it makes system calls only: it allocates
        // nothing and takes no lock, even if it fails.
        unsafe { command.pre_exec(limit) };
    }
}

/// Makes processes that are started inherit none of the descriptors that this program has inherited
/// (close-on-exec). Descriptors that it opens itself are never inherited.
pub fn set_inherited_cloexec() {
    #[cfg(target_os = "linux")]
    {
        use nix::libc::{CLOSE_RANGE_CLOEXEC, SYS_close_range, syscall};

        // SAFETY: it accesses no memory, and sets a flag that all other descriptors have already.
        if unsafe { syscall(SYS_close_range, 3, u32::MAX, CLOSE_RANGE_CLOEXEC) } == 0 {
            return;
        }
    }
    // An older kernel, or another system.
    let Ok(open) = fs::read_dir("/dev/fd") else { return };
    let numbers = open.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    for number in numbers.filter(|&number: &i32| number > 2).collect::<Vec<_>>() {
        // SAFETY: borrowed for one fcntl that sets a flag that all other descriptors have already.
        // If it was closed meanwhile, the call fails.
        let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
        let _ = fcntl_setfd(descriptor, FdFlags::CLOEXEC);
    }
}

/// The number of bytes that the peer of a TCP socket has acknowledged in all; `None` if the system
/// does not report it.
#[must_use]
pub fn bytes_acked(socket: impl AsFd) -> Option<u64> {
    #[cfg(all(target_os = "linux", not(feature = "portable")))]
    {
        use nix::libc::{IPPROTO_TCP, TCP_INFO, getsockopt, socklen_t};

        /// Where `tcpi_bytes_acked` is in `struct tcp_info`, counted in its type (linux/tcp.h).
        const BYTES_ACKED_INDEX: usize = 15;
        let mut info = [0_u64; BYTES_ACKED_INDEX + 1];
        let mut size = size_of_val(&info) as socklen_t;
        let (socket, into) = (socket.as_fd().as_raw_fd(), info.as_mut_ptr().cast());
        // SAFETY: the descriptor is borrowed for the call, which writes at most `size` bytes to
        // `info`.
        let succeeded =
            unsafe { getsockopt(socket, IPPROTO_TCP, TCP_INFO, into, &raw mut size) } == 0;
        if succeeded && size as usize == size_of_val(&info) {
            return Some(info[BYTES_ACKED_INDEX]);
        }
    }
    let _ = socket;
    None
}

/// The number of bytes that the peer of a Unix socket has not read yet, with what the system needs to
/// keep them; `None` if the system does not report it.
pub(crate) fn bytes_unread(socket: impl AsFd) -> Option<u64> {
    #[cfg(all(target_os = "linux", not(feature = "portable")))]
    {
        use nix::libc::{TIOCOUTQ, c_int, ioctl};

        let mut unread: c_int = 0;
        // SAFETY: the descriptor is borrowed for the call, which writes an `int` to `unread`.
        let result = unsafe { ioctl(socket.as_fd().as_raw_fd(), TIOCOUTQ, &raw mut unread) };
        if result == 0 {
            return u64::try_from(unread).ok();
        }
    }
    let _ = socket;
    None
}

/// Sets for how long at most a connection to a TCP listener is not accepted while it has sent nothing
/// (`TCP_DEFER_ACCEPT`), in seconds; 0 to accept it at once. Returns whether the system has set it.
pub(crate) fn set_defer_accept(listener: impl AsFd, seconds: u8) -> bool {
    #[cfg(all(target_os = "linux", not(feature = "portable")))]
    {
        use nix::libc::{IPPROTO_TCP, TCP_DEFER_ACCEPT, setsockopt, socklen_t};

        let seconds = i32::from(seconds);
        let (listener, value) = (listener.as_fd().as_raw_fd(), &raw const seconds);
        let size = size_of_val(&seconds) as socklen_t;
        // SAFETY: the descriptor is borrowed for the call, which reads `size` bytes of `seconds`.
        unsafe { setsockopt(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, value.cast(), size) == 0 }
    }
    #[cfg(not(all(target_os = "linux", not(feature = "portable"))))]
    {
        let _ = (listener, seconds);
        false
    }
}
