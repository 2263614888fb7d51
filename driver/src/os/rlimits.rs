//! Resource limits (`setrlimit`) of this process and of the processes that it starts.
//!
//! Most of a process's descriptors are for connections, and a share is reserved for files, listings
//! and scripts: see [`max_connections`].
//!
//! ```
//! use doorstep_driver::os;
//! use std::num::NonZeroUsize;
//!
//! let wanted = NonZeroUsize::MIN;
//! os::raise_descriptor_limit(wanted);
//! assert_eq!(os::max_connections(wanted), wanted);
//! ```

use std::fs;
use std::num::NonZeroUsize;
use std::sync::OnceLock;

use rustix::process::{Resource, Rlimit, setrlimit};

/// Descriptors that are reserved for everything but connections: this number for the server's own,
/// and one in [`RESERVED_ONE_IN`] of all.
const RESERVED_DESCRIPTORS: usize = 24;
const RESERVED_ONE_IN: usize = 3;

/// The soft limit of descriptors with which this process was started, if [`raise_descriptor_limit`]
/// has raised it.
static INITIAL_DESCRIPTOR_LIMIT: OnceLock<u64> = OnceLock::new();

/// The number of descriptors that this process may have open (the soft limit of `RLIMIT_NOFILE`);
/// `usize::MAX` if the system reports none.
#[must_use]
pub fn descriptor_limit() -> usize {
    let limit = soft_and_hard(Resource::Nofile).map(|(soft, _)| soft);
    let limit = limit.or_else(|| proc_limit("Max open files")); // a sandbox may refuse the call
    limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
}

/// The soft and the hard limit of a resource, `u64::MAX` for none; `None` if the system refuses to
/// report them.
#[cfg(target_os = "linux")]
#[allow(clippy::unnecessary_cast)] // the type of a limit differs between platforms
fn soft_and_hard(resource: Resource) -> Option<(u64, u64)> {
    use nix::sys::resource::{self, getrlimit};

    // Not rustix's call, which takes it for one that cannot fail.
    let resource = match resource {
        Resource::Cpu => resource::Resource::RLIMIT_CPU,
        Resource::As => resource::Resource::RLIMIT_AS,
        Resource::Nofile => resource::Resource::RLIMIT_NOFILE,
        _ => return None,
    };
    getrlimit(resource).ok().map(|(soft, hard)| (soft as u64, hard as u64))
}

#[cfg(not(target_os = "linux"))]
fn soft_and_hard(resource: Resource) -> Option<(u64, u64)> {
    let Rlimit { current, maximum } = rustix::process::getrlimit(resource);
    Some((current.unwrap_or(u64::MAX), maximum.unwrap_or(u64::MAX)))
}

/// A soft limit as Linux reports it in `/proc`.
fn proc_limit(name: &str) -> Option<u64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    limits.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}

/// How many concurrent connections there may be if `wanted` are wanted, at least one: a third of
/// this process's descriptors, and 24 more, are reserved for files, listings and scripts.
#[must_use]
pub fn max_connections(wanted: NonZeroUsize) -> NonZeroUsize {
    connections_within(descriptor_limit(), wanted)
}

fn connections_within(descriptors: usize, wanted: NonZeroUsize) -> NonZeroUsize {
    let left = descriptors.saturating_sub(descriptors / RESERVED_ONE_IN + RESERVED_DESCRIPTORS);
    NonZeroUsize::new(left).unwrap_or(NonZeroUsize::MIN).min(wanted)
}

/// Raises this process's soft limit of descriptors (`RLIMIT_NOFILE`) as far as `wanted` connections
/// need and the hard limit allows. It is never lowered, and stays as it is if the system refuses.
/// Processes that are started by [`super::Command`] get the soft limit from before: programs that
/// call `select` rely on it.
pub fn raise_descriptor_limit(wanted: NonZeroUsize) {
    let Some((soft, hard)) = soft_and_hard(Resource::Nofile) else { return };
    if let Some(raised) = raised_limit((soft, hard), wanted) {
        // First: another thread may be starting a process.
        INITIAL_DESCRIPTOR_LIMIT.get_or_init(|| soft);
        let _ = setrlimit(Resource::Nofile, rlimit(raised, hard));
    }
}

/// The soft limit with which [`connections_within`] grants `wanted` connections, or the nearest
/// one that the hard limit allows.
fn raised_limit((soft, hard): (u64, u64), wanted: NonZeroUsize) -> Option<u64> {
    let kept = u64::try_from(wanted.get().saturating_add(RESERVED_DESCRIPTORS)).unwrap_or(u64::MAX);
    let raised = kept.saturating_add(kept.div_ceil(RESERVED_ONE_IN as u64 - 1)).min(hard);
    (raised > soft).then_some(raised)
}

/// Limits in the system's form, in which none has no number.
fn rlimit(soft: u64, hard: u64) -> Rlimit {
    let [current, maximum] = [soft, hard].map(|limit| Some(limit).filter(|&n| n != u64::MAX));
    Rlimit { current, maximum }
}

/// The resource limits of one process; never more than the server's own. `None` is the limit that
/// the server was started with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Rlimits {
    /// Processor time, in seconds (`RLIMIT_CPU`). Default: none.
    pub cpu: Option<u64>,
    /// Address space, in bytes (`RLIMIT_AS`). Default: none.
    pub memory: Option<u64>,
    /// Open descriptors, a number (`RLIMIT_NOFILE`). Default: none.
    pub files: Option<u64>,
}

impl Rlimits {
    /// Those that are set, in the system's form. Allocates nothing: it is called between the fork
    /// and the exec of a process.
    pub(super) fn limits(self) -> impl Iterator<Item = (Resource, Rlimit)> {
        let all = [
            (Resource::Cpu, self.cpu),
            (Resource::As, self.memory),
            (Resource::Nofile, self.files),
        ];
        let set = all.into_iter().filter_map(|(resource, wanted)| {
            // If the system does not report a limit, it does not set one either, which is an error.
            let granted = soft_and_hard(resource).map_or(u64::MAX, |(_, hard)| hard);
            let limit = wanted?.min(granted);
            Some((resource, rlimit(limit, limit)))
        });
        set.chain(self.files.is_none().then(initial_limit).flatten())
    }
}

/// The limit of descriptors from before [`raise_descriptor_limit`].
fn initial_limit() -> Option<(Resource, Rlimit)> {
    let before = *INITIAL_DESCRIPTOR_LIMIT.get()?;
    let (soft, hard) = soft_and_hard(Resource::Nofile)?;
    Some((Resource::Nofile, rlimit(before.min(soft), hard)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn the_limit_in_proc_is_that_of_getrlimit() {
        let (soft, _) = soft_and_hard(Resource::Nofile).unwrap();
        assert_eq!(proc_limit("Max open files"), Some(soft));
        assert_eq!(proc_limit("Max nonsense"), None);
    }

    #[test]
    fn b_286_the_limit_is_raised_as_far_as_the_bound_needs() {
        for (soft, hard, wanted, limit) in [
            (1024, 524_288, 1024, Some(1572)),
            (1024, 524_288, 10_000, Some(15_036)),
            (1024, 4096, 10_000, Some(4096)),
            (1024, 1024, 10_000, None),
            (1024, 524_288, 600, None),
            (65_536, u64::MAX, 10_000, None),
            (1024, u64::MAX, usize::MAX, Some(u64::MAX)),
        ] {
            let wanted = NonZeroUsize::new(wanted).unwrap();
            assert_eq!(raised_limit((soft, hard), wanted), limit, "{soft}, {hard}, {wanted}");
        }
        for wanted in (1..3000).filter_map(NonZeroUsize::new) {
            let limit = raised_limit((0, u64::MAX), wanted).unwrap();
            let connections =
                |limit: u64| connections_within(usize::try_from(limit).unwrap(), NonZeroUsize::MAX);
            assert!(connections(limit) >= wanted, "{wanted}");
            assert!(
                connections(limit - 2) < wanted || wanted.get() == 1,
                "{wanted}: no more than needed"
            );
        }
    }

    #[test]
    fn b_286_connections_leave_descriptors_for_files() {
        for (descriptors, wanted, connections) in [
            (usize::MAX, 512, 512),
            (1024, 512, 512),
            (1024, 10_000, 659),
            (256, 512, 147),
            (64, 512, 19),
            (30, 512, 1),
            (0, 1, 1),
        ] {
            let wanted = NonZeroUsize::new(wanted).unwrap();
            assert_eq!(connections_within(descriptors, wanted).get(), connections, "{descriptors}");
        }
    }
}
