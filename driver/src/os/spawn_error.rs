//! The error of starting a process.

use std::{fmt, io};

/// The step of starting a process that has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpawnStage {
    /// Creating pipes and the process: a later attempt may succeed.
    Prepare,
    /// Dropping privileges: changing the user and the groups.
    Privileges,
    /// Changing to the working directory.
    Directory,
    /// Executing the program, or its interpreter.
    Exec,
}

/// Why a process was not started.
#[derive(Debug)]
#[non_exhaustive]
pub struct SpawnError {
    /// The step that has failed.
    pub stage: SpawnStage,
    /// The error of the system.
    pub error: io::Error,
}

impl SpawnStage {
    pub(super) fn failed(self, error: impl Into<io::Error>) -> SpawnError {
        SpawnError { stage: self, error: error.into() }
    }
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let action = match self.stage {
            SpawnStage::Prepare => "cannot be started now",
            SpawnStage::Privileges => "cannot drop privileges",
            SpawnStage::Directory => "cannot change to its directory",
            SpawnStage::Exec => "cannot be run",
        };
        write!(f, "{action}: {}", super::describe_error(&self.error))
    }
}

impl std::error::Error for SpawnError {}

impl From<SpawnError> for io::Error {
    fn from(error: SpawnError) -> Self {
        Self::new(error.error.kind(), error)
    }
}
