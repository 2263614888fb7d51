//! What one process may use of the machine: ours, and those that we start.

use std::fs;
use std::num::NonZeroUsize;

use nix::sys::resource::{self, getrlimit};
use rustix::process::{Resource, Rlimit};

/// Descriptors that are left to what is no connection: the server's own, and one in so many of all.
const OWN: usize = 24;
const ONE_OF: usize = 3;

/// How many descriptors this process may have, a number; as good as none where nobody says so.
#[must_use]
pub fn descriptors() -> usize {
    let limit = getrlimit(resource::Resource::RLIMIT_NOFILE).ok().map(|(soft, _)| soft);
    let limit = limit.or_else(|| told("Max open files")); // a sandbox may refuse the call
    limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
}

/// What Linux tells of a limit in a file.
fn told(name: &str) -> Option<u64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    limits.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}

/// How many connections there may be at once where `most` are wanted, at least one: of the descriptors
/// of this process, a third and two dozen are left for files, listings and scripts.
#[must_use]
pub fn connections(most: NonZeroUsize) -> NonZeroUsize {
    within(descriptors(), most)
}

fn within(descriptors: usize, most: NonZeroUsize) -> NonZeroUsize {
    let left = descriptors.saturating_sub(descriptors / ONE_OF + OWN);
    NonZeroUsize::new(left).unwrap_or(NonZeroUsize::MIN).min(most)
}

/// What one process may use, and never more than the server itself. `None`: as much as it.
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
        all.into_iter().filter_map(|(resource, same, most)| {
            // Where the system does not say, it does not set one either, and that is told.
            let granted = getrlimit(same).map_or(u64::MAX, |(_, hard)| hard);
            let most = Some(most?.min(granted));
            Some((resource, Rlimit { current: most, maximum: most }))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn the_file_tells_what_the_call_does() {
        let (soft, _) = getrlimit(resource::Resource::RLIMIT_NOFILE).unwrap();
        assert_eq!(told("Max open files"), Some(soft));
        assert_eq!(told("Max nonsense"), None);
    }

    #[test]
    fn b_286_connections_leave_descriptors_for_files() {
        for (descriptors, most, connections) in [
            (usize::MAX, 512, 512),
            (1024, 512, 512),
            (1024, 10_000, 659),
            (256, 512, 147),
            (64, 512, 19),
            (30, 512, 1),
            (0, 1, 1),
        ] {
            let most = NonZeroUsize::new(most).unwrap();
            assert_eq!(within(descriptors, most).get(), connections, "{descriptors}");
        }
    }
}
