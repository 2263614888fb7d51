//! Checks that threads, memory and descriptors are available, before code runs that panics without
//! them.
//!
//! Other processes may use them up a moment later, so a check is no guarantee.
//!
//! ```
//! use doorstep_driver::os;
//!
//! os::can_start_thread()?;
//! os::can_open_descriptors(4)?;
//! # Ok::<(), std::io::Error>(())
//! ```

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::thread;
use std::time::Duration;

/// The number of checks whether the system has removed a thread that has ended, and the pause
/// between them.
const THREAD_EXIT_POLL: (usize, Duration) = (500, Duration::from_micros(200));

/// Checks that one more thread can be started.
///
/// # Errors
/// Returns the error of starting one.
pub fn can_start_thread() -> io::Result<()> {
    let thread_path = || fs::read_link("/proc/thread-self");
    let probe = thread::Builder::new().name("probe".into()).spawn(thread_path)?;
    // The system counts it until a moment after its end.
    if let Ok(Ok(probe)) = probe.join() {
        let (polls, pause) = THREAD_EXIT_POLL;
        for _ in 0..polls {
            if !fs::exists(Path::new("/proc").join(&probe)).unwrap_or(false) {
                break;
            }
            thread::sleep(pause);
        }
    }
    Ok(())
}

/// Checks that a poller can be created: on Linux, an epoll instance.
///
/// # Errors
/// Returns the error of creating one.
pub fn can_create_poller() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::event::epoll::create(rustix::event::epoll::CreateFlags::CLOEXEC)?;
    Ok(())
}

/// Checks that `size` more bytes of memory can be allocated.
///
/// # Errors
/// Returns [`io::ErrorKind::OutOfMemory`] if they cannot.
pub fn can_allocate(size: usize) -> io::Result<()> {
    let mut memory = Vec::<u8>::new();
    memory.try_reserve_exact(size).map_err(|_| io::ErrorKind::OutOfMemory.into())
}

/// Checks that `count` more descriptors can be opened.
///
/// # Errors
/// Returns the error of opening one: `EMFILE` or `ENFILE`.
pub fn can_open_descriptors(count: usize) -> io::Result<()> {
    let (_reader, writer) = io::pipe()?;
    (2..count).map(|_| writer.as_fd().try_clone_to_owned()).collect::<io::Result<Vec<_>>>()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checks_release_what_they_allocate() {
        for _ in 0..100 {
            can_start_thread().unwrap();
            can_open_descriptors(8).unwrap();
            can_create_poller().unwrap();
            can_allocate(1 << 20).unwrap();
        }
        assert_eq!(can_allocate(usize::MAX).unwrap_err().kind(), io::ErrorKind::OutOfMemory);
    }
}
