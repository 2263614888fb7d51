//! What a sandbox restricts, and which of it this kernel enforces.
//!
//! ```
//! use doorstep_driver::os::Restriction;
//!
//! assert_eq!(Restriction::Tcp.to_string(), "no TCP connections are made, no ports bound");
//! assert_eq!(Restriction::Tcp.since(), 4);
//! ```

use std::fmt;
use std::io::{self, ErrorKind};

/// One thing that a [`Sandbox`](super::Sandbox) restricts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Restriction {
    /// Opening files for reading, and listing directories.
    Read,
    /// Opening files for writing, and making, removing, renaming and linking files and directories.
    Write,
    /// Truncating files that are not opened for writing.
    Truncate,
    /// `ioctl` calls on devices that are opened.
    Devices,
    /// Executing programs.
    Execute,
    /// Making TCP connections, and binding TCP ports.
    Tcp,
    /// Abstract Unix sockets of other processes, and signals to them.
    Reach,
    /// Gaining privileges by executing a program (`no_new_privs`).
    NewPrivileges,
    /// Being traced and read by other processes of the same user, and core dumps (`PR_SET_DUMPABLE`).
    Dumpable,
}

impl Restriction {
    /// The first Landlock ABI that has it; 0 if it is not one of Landlock.
    #[must_use]
    pub fn since(self) -> u32 {
        match self {
            Self::Read | Self::Write | Self::Execute => 1,
            Self::Truncate => 3,
            Self::Tcp => 4,
            Self::Devices => 5,
            Self::Reach => 6,
            Self::NewPrivileges | Self::Dumpable => 0,
        }
    }

    /// The first Linux that has it.
    fn linux(self) -> &'static str {
        match self {
            Self::Read | Self::Write | Self::Execute => "5.13",
            Self::Truncate => "6.2",
            Self::Tcp => "6.7",
            Self::Devices => "6.10",
            Self::Reach => "6.12",
            Self::NewPrivileges => "3.5",
            Self::Dumpable => "2.4",
        }
    }

    /// Whether [`Sandbox::required`](super::Sandbox::required) demands it. All are, but
    /// [`Restriction::Devices`] and [`Restriction::Reach`], which are enforced where the kernel can.
    #[must_use]
    pub fn is_required(self) -> bool {
        !matches!(self, Self::Devices | Self::Reach)
    }
}

impl fmt::Display for Restriction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "nothing is read outside of the served directory and of what is allowed",
            Self::Write => {
                "no file is written, made, removed or linked, except where it is allowed"
            }
            Self::Truncate => "no file is truncated, except where it is allowed",
            Self::Devices => "no device is controlled (ioctl)",
            Self::Execute => "no program is executed, except where it is allowed",
            Self::Tcp => "no TCP connections are made, no ports bound",
            Self::Reach => "no abstract Unix socket and no signal reaches other processes",
            Self::NewPrivileges => "no program that is executed gains privileges (no_new_privs)",
            Self::Dumpable => "no process of the same user traces this one or reads its memory",
        })
    }
}

/// What holds, and what the kernel does not support. `Display` has a line for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SandboxReport {
    wanted: Vec<Restriction>,
    landlock_abi: u32,
    /// What the kernel supports and has refused, and why.
    refused: Vec<Restriction>,
    failure: Option<String>,
}

impl SandboxReport {
    pub(super) fn new(wanted: Vec<Restriction>, landlock_abi: u32) -> Self {
        Self { wanted, landlock_abi, refused: Vec::new(), failure: None }
    }

    /// The ABI of the kernel's Landlock, at most 6, the last one that is used; 0 if it has none, or if
    /// it is not enabled (`lsm=` of the kernel's command line), or refused by a container.
    #[must_use]
    pub fn landlock_abi(&self) -> u32 {
        self.landlock_abi
    }

    /// What is enforced.
    pub fn held(&self) -> impl Iterator<Item = Restriction> {
        self.wanted.iter().copied().filter(|&one| self.holds(one))
    }

    /// What was asked for and is not enforced.
    pub fn missing(&self) -> impl Iterator<Item = Restriction> {
        self.wanted.iter().copied().filter(|&one| !self.holds(one))
    }

    /// Why the kernel has refused something that it supports, if it has: a container may forbid it.
    #[must_use]
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    #[cfg_attr(not(target_os = "linux"), allow(dead_code))]
    pub(super) fn refused(&mut self, restrictions: &[Restriction], error: String) {
        self.refused.extend(restrictions);
        self.failure = Some(error);
    }

    /// The error if something that is required cannot be enforced.
    pub(super) fn check(&self) -> io::Result<()> {
        let Some(first) = self.missing().find(|one| one.is_required()) else { return Ok(()) };
        let has = match self.landlock_abi {
            0 => "it has no Landlock, or it is disabled".to_owned(),
            abi => format!("it has Landlock ABI {abi}"),
        };
        let message =
            format!("this kernel cannot enforce \"{first}\": {has}, Linux {} can", first.linux());
        Err(io::Error::new(ErrorKind::Unsupported, message))
    }

    fn holds(&self, one: Restriction) -> bool {
        let is_landlock = one.since() > 0;
        cfg!(target_os = "linux")
            && !self.refused.contains(&one)
            && (!is_landlock || one.since() <= self.landlock_abi)
    }
}

impl fmt::Display for SandboxReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.landlock_abi {
            0 => writeln!(f, "Landlock: not available")?,
            abi => writeln!(f, "Landlock: ABI {abi}")?,
        }
        if let Some(failure) = &self.failure {
            writeln!(f, "refused by the system: {failure}")?;
        }
        for one in self.held() {
            writeln!(f, "holds: {one}")?;
        }
        for one in self.missing() {
            writeln!(f, "does not hold: {one} (Linux {})", one.linux())?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    const ALL: [Restriction; 4] =
        [Restriction::Read, Restriction::Tcp, Restriction::Reach, Restriction::NewPrivileges];

    #[test]
    fn what_holds_depends_on_the_kernel() {
        let held = |abi| SandboxReport::new(ALL.to_vec(), abi).held().count();
        assert_eq!([0, 1, 3, 4, 5, 6].map(held), [1, 2, 2, 3, 3, 4]);
        for abi in 0..=6 {
            let report = SandboxReport::new(ALL.to_vec(), abi);
            assert_eq!(report.held().count() + report.missing().count(), ALL.len());
            assert_eq!(report.to_string().lines().count(), 1 + ALL.len(), "{report}");
        }
    }

    #[test]
    fn what_is_required_and_missing_is_an_error_of_one_line() {
        let check = |abi| SandboxReport::new(ALL.to_vec(), abi).check().map_err(|e| e.to_string());
        let error = check(3).unwrap_err();
        assert!(error.contains("Landlock ABI 3, Linux 6.7 can"), "{error}");
        assert!(check(0).unwrap_err().contains("no Landlock"));
        assert_eq!(check(4), Ok(()), "signals and abstract sockets are not required");
    }

    #[test]
    fn what_the_system_has_refused_does_not_hold() {
        let mut report = SandboxReport::new(ALL.to_vec(), 6);
        report.refused(&ALL[..3], "no".into());
        let held: Vec<_> = report.held().collect();
        assert_eq!((&*held, report.failure()), (&[Restriction::NewPrivileges][..], Some("no")));
        assert!(report.to_string().contains("refused by the system: no"), "{report}");
    }
}
