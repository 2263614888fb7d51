//! Why a process was not started.

use std::{fmt, io};

/// What a start got stuck at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpawnStage {
    /// Pipes, memory, a process at all: what may be there later.
    Prepare,
    /// Becoming somebody else, and nobody more.
    Privileges,
    /// Entering its folder.
    Directory,
    /// Becoming the program: it, or its interpreter.
    Exec,
}

/// Why a process was not started.
#[derive(Debug)]
pub struct SpawnError {
    /// Where it got stuck.
    pub stage: SpawnStage,
    /// What the system says.
    pub error: io::Error,
}

impl SpawnStage {
    pub(super) fn failed(self, error: impl Into<io::Error>) -> SpawnError {
        SpawnError { stage: self, error: error.into() }
    }
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.stage {
            SpawnStage::Prepare => "cannot be started now",
            SpawnStage::Privileges => "cannot give up the server's rights",
            SpawnStage::Directory => "cannot enter its folder",
            SpawnStage::Exec => "cannot be run",
        };
        write!(f, "{what}: {}", self.error)
    }
}

impl std::error::Error for SpawnError {}

impl From<SpawnError> for io::Error {
    fn from(error: SpawnError) -> Self {
        Self::new(error.error.kind(), error)
    }
}
