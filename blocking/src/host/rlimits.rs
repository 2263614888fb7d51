//! What one process may use of the machine.

use rustix::process::{Resource, Rlimit, getrlimit};

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
            (Resource::Cpu, self.cpu),
            (Resource::As, self.memory),
            (Resource::Nofile, self.files),
        ];
        all.into_iter().filter_map(|(resource, most)| {
            let granted = getrlimit(resource).maximum.unwrap_or(u64::MAX);
            let most = Some(most?.min(granted));
            Some((resource, Rlimit { current: most, maximum: most }))
        })
    }
}
