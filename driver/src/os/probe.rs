//! Whether threads, memory and descriptors can still be had, before code runs that panics without.
//!
//! Other processes may take what was found a moment later: the answer is a good guess.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::thread;
use std::time::Duration;

/// How often, and how long in between, to look whether the system has forgotten a thread.
const THREAD_EXIT_POLL: (usize, Duration) = (500, Duration::from_micros(200));

/// Whether one more thread can be started.
///
/// # Errors
/// Why not.
pub fn can_start_thread() -> io::Result<()> {
    let thread_path = || fs::read_link("/proc/thread-self");
    let probe = thread::Builder::new().name("probe".into()).spawn(thread_path)?;
    // It is counted until the system has forgotten it, which is a little after its end.
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

/// Whether the system can watch descriptors for readiness: epoll, on Linux.
///
/// # Errors
/// Why not.
pub fn can_create_poller() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::event::epoll::create(rustix::event::epoll::CreateFlags::CLOEXEC)?;
    Ok(())
}

/// Whether `size` more bytes of memory can be had.
///
/// # Errors
/// [`io::ErrorKind::OutOfMemory`].
pub fn can_allocate(size: usize) -> io::Result<()> {
    let mut memory = Vec::<u8>::new();
    memory.try_reserve_exact(size).map_err(|_| io::ErrorKind::OutOfMemory.into())
}

/// Whether `count` more descriptors can be opened.
///
/// # Errors
/// Why not.
pub fn can_open_descriptors(count: usize) -> io::Result<()> {
    let (_reader, writer) = io::pipe()?;
    (2..count).map(|_| writer.as_fd().try_clone_to_owned()).collect::<io::Result<Vec<_>>>()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_there_is_room_for_is_given_back() {
        for _ in 0..100 {
            can_start_thread().unwrap();
            can_open_descriptors(8).unwrap();
            can_create_poller().unwrap();
            can_allocate(1 << 20).unwrap();
        }
        assert_eq!(can_allocate(usize::MAX).unwrap_err().kind(), io::ErrorKind::OutOfMemory);
    }
}
