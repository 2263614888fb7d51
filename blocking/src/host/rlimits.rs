//! What one process may use of the machine.

use rustix::process::{Resource, Rlimit};

/// What one process may use. `None`: as much as the server itself.
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
        let limit = |most| Rlimit { current: Some(most), maximum: Some(most) };
        all.into_iter().filter_map(move |(resource, most)| Some((resource, limit(most?))))
    }
}
