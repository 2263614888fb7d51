//! Why a process was not started.

use std::{fmt, io};

/// What a start got stuck at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Pipes, memory, a process at all: what may be there later.
    Prepare,
    /// Becoming somebody else, and nobody more.
    Rights,
    /// Entering its folder.
    Folder,
    /// Becoming the program: it, or its interpreter.
    Run,
}

/// Why a process was not started.
#[derive(Debug)]
pub struct Failure {
    /// Where it got stuck.
    pub step: Step,
    /// What the system says.
    pub error: io::Error,
}

impl Step {
    pub(super) fn failed(self, error: impl Into<io::Error>) -> Failure {
        Failure { step: self, error: error.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.step {
            Step::Prepare => "cannot be started now",
            Step::Rights => "cannot give up the server's rights",
            Step::Folder => "cannot enter its folder",
            Step::Run => "cannot be run",
        };
        write!(f, "{what}: {}", self.error)
    }
}

impl std::error::Error for Failure {}

impl From<Failure> for io::Error {
    fn from(failure: Failure) -> Self {
        Self::new(failure.error.kind(), failure)
    }
}
