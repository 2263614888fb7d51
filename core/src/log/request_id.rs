//! The id of a request.

use core::fmt;

use crate::bytes::hex;

/// The id of a request, for a log: a number that counts within a process, behind one that differs
/// between processes. It is shown as sixteen hexadecimal digits, `-` and the count.
///
/// ```
/// use doorstep_core::log::RequestId;
///
/// assert_eq!(RequestId::new(0x5f3a_9c0d_1b2e_4f60, 17).to_string(), "5f3a9c0d1b2e4f60-17");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestId {
    process: u64,
    count: u64,
}

impl RequestId {
    /// `process` is a random number that was drawn when the process started, and `count` the number of
    /// the request in it.
    #[must_use]
    pub const fn new(process: u64, count: u64) -> Self {
        Self { process, count }
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let process = hex(self.process);
        let process = core::str::from_utf8(&process).unwrap_or_default();
        write!(f, "{process}-{}", self.count)
    }
}
