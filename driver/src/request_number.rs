//! The numbers of requests, for logs that show an id of each.
//!
//! Within a process an id is the next number; a random number in front of it, which is drawn once,
//! makes it differ from those of other processes and of earlier runs.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::num::NonZeroU64;
use std::process;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use doorstep_core::log::RequestId;

use crate::os;

/// The number of a request, in eight bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RequestNumber(NonZeroU64);

impl RequestNumber {
    /// The next number: no other request of this process has it.
    pub(crate) fn next() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Self(NonZeroU64::MIN.saturating_add(LAST.fetch_add(1, Ordering::Relaxed)))
    }

    /// The id of the request, which no other one has, of this process or of another.
    pub(crate) fn id(self) -> RequestId {
        static PROCESS: LazyLock<u64> = LazyLock::new(|| {
            // The keys of the hasher are random numbers of the system.
            let mut hasher = RandomState::new().build_hasher();
            hasher.write_u32(process::id());
            hasher.write_u128(os::since_epoch().as_nanos());
            hasher.finish()
        });
        RequestId::new(*PROCESS, self.0.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::thread;

    #[test]
    fn no_two_requests_have_the_same_id() {
        let ids = |_| (0..1000).map(|_| RequestNumber::next().id()).collect::<Vec<_>>();
        let threads = [0, 1].map(|n| thread::spawn(move || ids(n)));
        let all = threads.into_iter().flat_map(|thread| thread.join().unwrap());
        assert_eq!(all.map(|id| id.to_string()).collect::<HashSet<_>>().len(), 2000);
    }
}
