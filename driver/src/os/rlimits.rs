//! What one process may use of the machine: ours, and those that we start.

use std::fs;
use std::num::NonZeroUsize;
use std::sync::OnceLock;

use nix::sys::resource::{self, getrlimit, setrlimit};
use rustix::process::{Resource, Rlimit};

/// Descriptors that are left to what is no connection: the server's own, and one in so many of all.
const RESERVED_DESCRIPTORS: usize = 24;
const RESERVED_ONE_IN: usize = 3;

/// How many descriptors this process was started with, if [`raise_descriptor_limit`] raised that.
static INITIAL_DESCRIPTOR_LIMIT: OnceLock<u64> = OnceLock::new();

/// How many descriptors this process may have, a number; as good as none where nobody says so.
#[must_use]
pub fn descriptor_limit() -> usize {
    let limit = getrlimit(resource::Resource::RLIMIT_NOFILE).ok().map(|(soft, _)| soft);
    let limit = limit.or_else(|| proc_limit("Max open files")); // a sandbox may refuse the call
    limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
}

/// What Linux tells of a limit in a file.
fn proc_limit(name: &str) -> Option<u64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    limits.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}

/// How many connections there may be at once where `wanted` are wanted, at least one: of the descriptors
/// of this process, a third and two dozen are left for files, listings and scripts.
#[must_use]
pub fn max_connections(wanted: NonZeroUsize) -> NonZeroUsize {
    connections_within(descriptor_limit(), wanted)
}

fn connections_within(descriptors: usize, wanted: NonZeroUsize) -> NonZeroUsize {
    let left = descriptors.saturating_sub(descriptors / RESERVED_ONE_IN + RESERVED_DESCRIPTORS);
    NonZeroUsize::new(left).unwrap_or(NonZeroUsize::MIN).min(wanted)
}

/// Raises this process's soft limit of descriptors as far as `wanted` connections need, and the hard limit
/// allows; it is never lowered. Where the system refuses, it stays as it is. Processes that are started
/// by [`super::Command`] have the soft limit from before: programs that call `select` rely on it.
pub fn raise_descriptor_limit(wanted: NonZeroUsize) {
    let files = resource::Resource::RLIMIT_NOFILE;
    let Ok((soft, hard)) = getrlimit(files) else { return };
    if let Some(raised) = raised_limit((soft, hard), wanted) {
        INITIAL_DESCRIPTOR_LIMIT.get_or_init(|| soft); // first: somebody may be starting a process
        let _ = setrlimit(files, raised, hard);
    }
}

/// The soft limit with which [`connections_within`] grants `wanted` connections, or the nearest there can be.
fn raised_limit((soft, hard): (u64, u64), wanted: NonZeroUsize) -> Option<u64> {
    let kept = u64::try_from(wanted.get().saturating_add(RESERVED_DESCRIPTORS)).unwrap_or(u64::MAX);
    let raised = kept.saturating_add(kept.div_ceil(RESERVED_ONE_IN as u64 - 1)).min(hard);
    (raised > soft).then_some(raised)
}

/// What one process may use, and never more than the server itself. `None`: as much as the server was
/// started with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rlimits {
    /// Processor time, in seconds (`RLIMIT_CPU`).
    pub cpu: Option<u64>,
    /// Address space, in bytes (`RLIMIT_AS`).
    pub memory: Option<u64>,
    /// Open descriptors, a number (`RLIMIT_NOFILE`).
    pub files: Option<u64>,
}

impl Rlimits {
    /// Those that are set, in the system's terms.
    pub(super) fn limits(self) -> impl Iterator<Item = (Resource, Rlimit)> {
        let all = [
            (Resource::Cpu, resource::Resource::RLIMIT_CPU, self.cpu),
            (Resource::As, resource::Resource::RLIMIT_AS, self.memory),
            (Resource::Nofile, resource::Resource::RLIMIT_NOFILE, self.files),
        ];
        let set = all.into_iter().filter_map(|(resource, same, wanted)| {
            // Where the system does not say, it does not set one either, and that is told.
            let granted = getrlimit(same).map_or(u64::MAX, |(_, hard)| hard);
            let wanted = Some(wanted?.min(granted));
            Some((resource, Rlimit { current: wanted, maximum: wanted }))
        });
        set.chain(self.files.is_none().then(initial_limit).flatten())
    }
}

/// The limit of descriptors from before it was raised.
fn initial_limit() -> Option<(Resource, Rlimit)> {
    let before = *INITIAL_DESCRIPTOR_LIMIT.get()?;
    let (soft, hard) = getrlimit(resource::Resource::RLIMIT_NOFILE).ok()?;
    let limit = Rlimit { current: Some(before.min(soft)), maximum: Some(hard) };
    Some((Resource::Nofile, limit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn the_file_tells_what_the_call_does() {
        let (soft, _) = getrlimit(resource::Resource::RLIMIT_NOFILE).unwrap();
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
