//! A sandbox on Linux: Landlock rules, `no_new_privs`, and not dumpable.

use std::fs;
use std::io;
use std::path::PathBuf;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, Ruleset,
    RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::thread::set_no_new_privs;

use super::super::sandbox_report::{Restriction, SandboxReport};
use super::{Sandbox, SandboxPaths, path_error};

/// The rights of the newest ABI that is used. Those of newer ones would restrict what a server needs
/// (Unix sockets with a path: the service manager's).
const NEWEST: ABI = ABI::V6;
/// The ABIs, from the newest one, and what each of them has first.
const ABIS: [(u32, Feature); 6] = [
    (6, Feature::Scope),
    (5, Feature::Fs(AccessFs::IoctlDev)),
    (4, Feature::Net),
    (3, Feature::Fs(AccessFs::Truncate)),
    (2, Feature::Fs(AccessFs::Refer)),
    (1, Feature::Fs(AccessFs::Execute)),
];

#[derive(Clone, Copy)]
enum Feature {
    Fs(AccessFs),
    Net,
    Scope,
}

/// The ABI of the kernel's Landlock, at most [`NEWEST`]; 0 if there is none that can be used.
pub(super) fn landlock_abi() -> u32 {
    let supports = |&(_, feature): &(u32, Feature)| {
        let ruleset = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
        let ruleset = match feature {
            Feature::Fs(access) => ruleset.handle_access(access),
            Feature::Net => ruleset.handle_access(AccessNet::ConnectTcp),
            Feature::Scope => ruleset.scope(Scope::Signal),
        };
        ruleset.and_then(Ruleset::create).is_ok()
    };
    ABIS.iter().find(|abi| supports(abi)).map_or(0, |&(abi, _)| abi)
}

/// Enforces `sandbox` as far as `report` says that the kernel can, and records there what the kernel has
/// refused.
pub(super) fn apply(sandbox: &Sandbox, report: &mut SandboxReport) -> io::Result<()> {
    let held: Vec<_> = report.held().collect();
    if held.iter().any(|one| *one != Restriction::Dumpable) && !is_single_thread(sandbox)? {
        return Err(io::Error::other(
            "the sandbox would not hold for the threads that are running: apply it before any is \
             started",
        ));
    }
    let (landlock, others): (Vec<_>, Vec<_>) = held.into_iter().partition(|one| one.since() > 0);
    for one in others {
        let result = match one {
            Restriction::NewPrivileges => set_no_new_privs(true),
            _ => set_dumpable_behavior(DumpableBehavior::NotDumpable),
        };
        if let Err(error) = result {
            report.refused(&[one], error.to_string());
        }
    }
    if !landlock.is_empty()
        && let Err(error) = restrict(sandbox)?
    {
        report.refused(&landlock, error);
    }
    Ok(())
}

/// Enforces the rules of Landlock. The outer error is that of a path, the inner one the kernel's.
fn restrict(sandbox: &Sandbox) -> io::Result<Result<(), String>> {
    let ruleset = match ruleset(sandbox) {
        Ok(ruleset) => add_rules(ruleset, sandbox)?,
        Err(error) => Err(error),
    };
    let restricted = ruleset.and_then(|ruleset| ruleset.no_new_privs(false).restrict_self());
    Ok(match restricted {
        Ok(status) if status.ruleset == RulesetStatus::NotEnforced => {
            Err("Landlock enforces nothing".into())
        }
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    })
}

/// Whether this is the only thread. If the system does not report it: unless it is required.
fn is_single_thread(sandbox: &Sandbox) -> io::Result<bool> {
    match fs::read_dir("/proc/self/task") {
        Ok(tasks) => Ok(tasks.count() == 1),
        Err(error) if sandbox.required => Err(path_error("/proc/self/task".as_ref(), &error)),
        Err(_) => Ok(true),
    }
}

/// The rules for writing; `IoctlDev` is for nobody.
fn write_access() -> BitFlags<AccessFs> {
    AccessFs::from_write(NEWEST)
}

/// Whether rules about files are needed.
fn restricts_files(sandbox: &Sandbox) -> bool {
    let paths = [&sandbox.read, &sandbox.write, &sandbox.execute];
    paths.into_iter().any(|paths| *paths != SandboxPaths::Everywhere)
}

/// What is refused unless a rule allows it.
fn ruleset(sandbox: &Sandbox) -> Result<RulesetCreated, RulesetError> {
    let mut ruleset = Ruleset::default().set_compatibility(CompatLevel::BestEffort);
    let mut files = BitFlags::EMPTY;
    let beneath = |paths: &SandboxPaths| *paths != SandboxPaths::Everywhere;
    if beneath(&sandbox.read) {
        files |= AccessFs::ReadFile | AccessFs::ReadDir;
    }
    if beneath(&sandbox.execute) {
        files |= AccessFs::Execute;
    }
    if beneath(&sandbox.write) {
        files |= write_access();
    }
    if restricts_files(sandbox) {
        ruleset = ruleset.handle_access(files | AccessFs::Refer)?;
    }
    if !sandbox.connect {
        ruleset = ruleset.handle_access(AccessNet::from_all(ABI::V4))?;
    }
    if !sandbox.reach {
        ruleset = ruleset.scope(Scope::from_all(NEWEST))?;
    }
    ruleset.create()
}

/// Adds what is allowed. The outer error is that of a path.
fn add_rules(
    mut ruleset: RulesetCreated,
    sandbox: &Sandbox,
) -> io::Result<Result<RulesetCreated, RulesetError>> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let write = write_access() & !(AccessFs::IoctlDev | AccessFs::MakeChar | AccessFs::MakeBlock);
    let read_and_write =
        if sandbox.read == SandboxPaths::Everywhere { write } else { write | read };
    let root = [PathBuf::from("/")];
    let rules = [
        (beneath(&sandbox.read), read),
        (beneath(&sandbox.execute), AccessFs::Execute.into()),
        (beneath(&sandbox.write), read_and_write),
        match sandbox.write {
            SandboxPaths::Beneath(_) => (&sandbox.remove[..], AccessFs::RemoveFile.into()),
            // Landlock refuses to link and rename between directories unless a rule allows it.
            SandboxPaths::Everywhere if restricts_files(sandbox) => {
                (&root[..], AccessFs::Refer.into())
            }
            SandboxPaths::Everywhere => (&[][..], BitFlags::EMPTY),
        },
    ];
    for (paths, access) in rules {
        for path in paths {
            let error = |error: rustix::io::Errno| path_error(path, &error.into());
            let flags = OFlags::PATH | OFlags::CLOEXEC;
            let file = rustix::fs::open(path, flags, Mode::empty()).map_err(error)?;
            let mode = rustix::fs::fstat(&file).map_err(error)?.st_mode;
            let access = match FileType::from_raw_mode(mode) {
                FileType::Directory => access,
                _ => access & AccessFs::from_file(NEWEST),
            };
            if access.is_empty() {
                continue;
            }
            match ruleset.add_rule(PathBeneath::new(file, access)) {
                Ok(added) => ruleset = added,
                Err(error) => return Ok(Err(error)),
            }
        }
    }
    Ok(Ok(ruleset))
}

fn beneath(paths: &SandboxPaths) -> &[PathBuf] {
    match paths {
        SandboxPaths::Everywhere => &[],
        SandboxPaths::Beneath(paths) => paths,
    }
}
