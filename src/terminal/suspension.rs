//! ^Z: the lines of transfers are taken away before the process stops, so that the shell's prompt does not
//! stand between them, and drawn again when it goes on.

use std::fs;
use std::io;
use std::thread;

use signal_hook::consts::{SIGSTOP, SIGTSTP};
use signal_hook::iterator::Signals;
use signal_hook::low_level;

use super::screen::Screen;
use crate::signals;

/// The longest chain of processes between this one and a shell.
const MAX_ANCESTORS: usize = 32;

/// Starts the thread that handles SIGTSTP, unless the signal is ignored.
pub(super) fn start(screen: Screen) -> io::Result<()> {
    if signals::ignored()(SIGTSTP) {
        return Ok(());
    }
    let mut caught = Signals::new([SIGTSTP])?;
    let run = move || {
        for _ in caught.forever() {
            if is_orphaned(&stat) {
                continue; // as the system does: nobody could let it go on
            }
            screen.hide();
            let _ = low_level::raise(SIGSTOP);
            // It goes on here.
            screen.show();
        }
    };
    thread::Builder::new().name("suspension".into()).spawn(run).map(drop)
}

/// The parent, the process group and the session of a process.
type Stat = (u32, u32, u32);

/// Whether no process of another group in this session is an ancestor of this one, such as a shell with job
/// control. `stat` returns what is known of a process.
fn is_orphaned(stat: &dyn Fn(u32) -> Option<Stat>) -> bool {
    let Some((mut parent, group, session)) = stat(std::process::id()) else { return false };
    for _ in 0..MAX_ANCESTORS {
        match stat(parent) {
            Some((_, _, other)) if other != session => return true,
            Some((next, other, _)) if other == group => parent = next,
            Some(_) => return false,
            None => return true,
        }
    }
    false
}

/// What the system reports of a process.
fn stat(process: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name in parentheses may have any characters.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace().skip(1);
    let mut next = || fields.next()?.parse().ok();
    Some((next()?, next()?, next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With these processes; the first one is this process.
    fn orphaned(processes: &[Stat]) -> bool {
        is_orphaned(&|process| match process {
            1..=9 => processes.get(process as usize).copied(),
            _ => processes.first().copied(),
        })
    }

    #[test]
    fn a_shell_with_job_control_is_a_parent_of_another_group() {
        assert!(!orphaned(&[(1, 50, 40), (2, 40, 40), (0, 30, 30)]), "a shell");
        assert!(!orphaned(&[(1, 50, 40), (2, 50, 40), (3, 40, 40)]), "a script of one");
        assert!(orphaned(&[(1, 50, 50), (2, 30, 30)]), "a terminal emulator");
        assert!(orphaned(&[(1, 50, 50), (2, 50, 50), (3, 30, 30)]), "a script of one");
        assert!(orphaned(&[(9, 50, 50)]), "the first process of a container");
    }

    #[test]
    fn the_system_reports_this_process() {
        if let Some((parent, _, _)) = stat(std::process::id()) {
            assert_eq!(Some(parent), rustix::process::getppid().map(|id| id.as_raw_pid() as u32));
        }
    }
}
