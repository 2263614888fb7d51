//! The walk through the tree, and the questions about each entry.

use std::io;
use std::path::{Path, PathBuf};
use std::vec;

use doorstep_core::cgi::route::ScriptDirectories;
use doorstep_core::site::Site;
use doorstep_core::site::media_type::MediaTypes;
use doorstep_core::site::precompressed::{self, Codings};
use doorstep_driver::os::{self, Opened, Root, Symlinks};
use rustix::fs::{AtFlags, FileType, Mode, Stat, fstat, open, readlinkat, statat};
use rustix::io::Errno;

use super::UNKNOWN;
use super::directory::{DIRECTORY_FLAGS, Directory, Listed, full_path};
use super::kind::Kind;
use super::names;
use super::report::Report;

use crate::secrets::{MAX_KEY_FILE, private_key};

/// Directories of the system.
const SYSTEM: [&str; 10] = [
    "/boot",
    "/dev",
    "/etc",
    "/proc",
    "/root",
    "/run",
    "/sys",
    "/var/lib",
    "/var/log",
    "/var/spool",
];

/// A check of one tree.
pub(super) struct Checker {
    /// The checked directory.
    pub(super) path: PathBuf,
    /// The same, as the server opens files in it.
    pub(super) root: Root,
    /// The same, as if only links beneath it were followed.
    pub(super) beneath: Root,
    pub(super) symlinks: Symlinks,
    pub(super) site: Site,
    /// The media types of the site; the type of unknown names is [`UNKNOWN`].
    pub(super) types: MediaTypes,
    /// The directories of scripts, if scripts are run.
    pub(super) scripts: Option<Vec<Vec<u8>>>,
}

/// The directories of one directory that are still to be walked.
struct Level {
    path: Vec<u8>,
    directories: vec::IntoIter<Vec<u8>>,
}

impl Checker {
    /// Walks the tree. Fails if the directory itself cannot be read.
    pub(super) fn check(&self) -> io::Result<Report> {
        let mut report = Report { directory: self.path.clone(), ..Report::default() };
        let handle = open(&self.path, DIRECTORY_FLAGS, Mode::empty())?;
        let root = Directory::read(&self.root, &handle, &self.site, Vec::new())?;
        check_permissions(&fstat(&handle)?, b"", &mut report);
        let mut levels = vec![self.check_directory(&root, &mut report)];
        drop(root);
        while let Some(level) = levels.last_mut() {
            let Some(name) = level.directories.next() else {
                levels.pop();
                continue;
            };
            let path = match level.path.is_empty() {
                true => name,
                false => [&*level.path, b"/", &*name].concat(),
            };
            match Directory::read(&self.root, &handle, &self.site, path.clone()) {
                Ok(directory) => levels.push(self.check_directory(&directory, &mut report)),
                Err(error) => add_error(&error, &path, &mut report),
            }
        }
        report.sort();
        Ok(report)
    }

    /// Checks the entries of a directory. Returns the directories in it.
    fn check_directory(&self, directory: &Directory, report: &mut Report) -> Level {
        report.directories += 1;
        let mut directories = Vec::new();
        let mut shown: Vec<&[u8]> = directory.names.iter().map(Vec::as_slice).collect();
        shown.retain(|name| self.is_shown(directory, name, report));
        for name in &shown {
            let path = directory.join(name);
            let stat = match statat(&directory.handle, *name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                Err(Errno::NOENT) => continue, // removed meanwhile
                Err(error) => {
                    add_error(&error.into(), &path, report);
                    continue;
                }
            };
            let listed = directory.listed.get(*name).copied();
            if let Some((kind, reason)) = names::difficulty(name) {
                report.add(kind, &path, reason);
            }
            match file_type(&stat) {
                FileType::Symlink => self.check_link(directory, name, listed, report),
                FileType::Directory => {
                    check_permissions(&stat, &path, report);
                    if self.check_subdirectory(&path, name, report) {
                        directories.push(name.to_vec());
                    }
                }
                FileType::RegularFile => {
                    check_permissions(&stat, &path, report);
                    match listed {
                        Some(file) => self.check_file(&path, file, report),
                        None => report.add(Kind::Unreadable, &path, ""),
                    }
                }
                _ => report.add(Kind::SpecialFile, &path, ""),
            }
        }
        if !self.is_script(&directory.path) {
            self.check_index(directory, report);
            self.check_precompressed(directory, report);
        }
        for (kind, group) in names::collisions(shown.into_iter()) {
            let detail = format!("and {}", group[1..].join(", "));
            report.add(kind, &directory.join(group[0].as_bytes()), detail);
        }
        Level { path: directory.path.clone(), directories: directories.into_iter() }
    }

    /// Whether the server looks for the entry `name`.
    fn is_shown(&self, directory: &Directory, name: &[u8], report: &mut Report) -> bool {
        let is_shown = self.site.lists_entry(&directory.path, name);
        let path = || directory.join(name);
        if !is_shown && name.starts_with(b".") {
            let detail = match names::content(name, false) {
                Some(Kind::SecretName) => "usually holds secrets or a history",
                Some(Kind::Backup) => "a backup",
                _ => "",
            };
            report.add(Kind::Hidden, &path(), detail);
        } else if !is_shown {
            report.add(Kind::PathTooLong, &path(), "");
        } else if self.site.hidden
            && name.starts_with(b".")
            && names::content(name, false).is_none()
        {
            report.add(Kind::HiddenServed, &path(), "");
        }
        is_shown
    }

    /// Whether the path is among the scripts, which are not sent.
    fn is_script(&self, path: &[u8]) -> bool {
        let is_below = |directory: &Vec<u8>| {
            let rest = path.strip_prefix(&**directory);
            directory.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
        };
        self.scripts.iter().flatten().any(is_below)
    }

    /// Whether to walk a directory.
    fn check_subdirectory(&self, path: &[u8], name: &[u8], report: &mut Report) -> bool {
        let kind = names::content(name, true).filter(|kind| *kind == Kind::SecretName);
        if let Some(kind) = kind {
            report.add(kind, path, "a directory");
        }
        let defaults = ScriptDirectories::default();
        if self.scripts.is_none() && defaults.paths().any(|directory| directory == path) {
            report.add(Kind::SourceCode, path, "a directory of scripts, without --cgi");
        }
        kind.is_none() // one finding for a repository, not one for each of its files
    }

    fn check_file(&self, path: &[u8], file: Listed, report: &mut Report) {
        report.files += 1;
        if self.is_script(path) {
            if let Opened::File(false, _) = self.root.inspect(path) {
                report.add(Kind::ScriptNotExecutable, path, "");
            }
            return;
        }
        let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        let mut is_reported = false;
        let mut add = |kind, detail: &str| {
            report.add(kind, path, detail);
            is_reported = true;
        };
        if let Some(kind) = names::content(name, false) {
            add(kind, "");
        }
        if file.size <= MAX_KEY_FILE {
            let key = match self.root.open(path) {
                Opened::File(file, _) => private_key(file),
                Opened::Failed(error) | Opened::Exhausted(error) => Err(error),
                _ => Ok(None), // replaced meanwhile
            };
            match key {
                Ok(Some(format)) => add(Kind::PrivateKey, format),
                Ok(None) => {}
                Err(error) => add(Kind::Unreadable, &os::describe_error(&error)),
            }
        }
        if !is_reported && self.types.guess(path).essence == UNKNOWN && !self.is_precompressed(name)
        {
            report.add(Kind::UnknownType, path, "");
        }
    }

    /// Whether a file is one that is sent in place of another one.
    fn is_precompressed(&self, name: &[u8]) -> bool {
        let mut codings = codings();
        self.site.precompressed && codings.any(|coding| name.ends_with(coding.suffix().as_bytes()))
    }

    fn check_link(
        &self,
        directory: &Directory,
        name: &[u8],
        listed: Option<Listed>,
        report: &mut Report,
    ) {
        let path = &*directory.join(name);
        let target = readlinkat(&directory.handle, name, Vec::new()).unwrap_or_default();
        let detail = [b"-> ", target.to_bytes()].concat();
        if self.symlinks == Symlinks::Deny {
            return report.add(Kind::LinkDenied, path, detail);
        }
        let leads_out =
            !matches!(self.beneath.inspect(path), Opened::File(..) | Opened::Directory(_));
        if let Some(found) = listed {
            if leads_out {
                report.add(Kind::LinkOutFollowed, path, detail);
            }
            if found.is_file {
                self.check_file(path, found, report);
            }
            return;
        }
        // It is not listed: why?
        let full = full_path(&self.path, path).canonicalize();
        let kind = match (statat(&directory.handle, name, AtFlags::empty()), full) {
            (Err(_), _) => Kind::LinkBroken,
            (_, Ok(target)) if !self.is_below(&target) => {
                if is_system(&target) {
                    report.add_system_link(Kind::LinkOut);
                }
                Kind::LinkOut
            }
            // The full path is too long.
            (_, Err(_)) if leads_out => Kind::LinkOut,
            (Ok(stat), _) if is_file_or_directory(&stat) => Kind::Unreadable,
            _ => Kind::SpecialFile,
        };
        report.add(kind, path, detail);
    }

    /// Whether a path of the system without links is in the checked directory, as far as that is known.
    fn is_below(&self, path: &Path) -> bool {
        self.path.canonicalize().is_ok_and(|root| path.starts_with(root))
    }

    /// Index pages: the first one that is a file is the page of the directory.
    fn check_index(&self, directory: &Directory, report: &mut Report) {
        let mut page: Option<&str> = None;
        for name in &self.site.index {
            if !directory.contains(name.as_bytes()) {
                continue;
            }
            let path = directory.join(name.as_bytes());
            let listed = directory.listed.get(name.as_bytes());
            if listed.is_none_or(|entry| !entry.is_file) {
                if matches!(self.root.inspect(&path), Opened::Directory(_)) {
                    report.add(Kind::IndexNotFile, &path, "");
                }
                continue;
            }
            match page {
                Some(page) => report.add(Kind::IndexShadowed, &path, format!("{page} is sent")),
                None => page = Some(name),
            }
        }
        if page.is_some() {
            return;
        }
        for (name, _) in directory.listed.iter().filter(|(_, entry)| entry.is_file) {
            let other =
                self.site.index.iter().find(|index| index.as_bytes().eq_ignore_ascii_case(name));
            if let Some(index) = other {
                report.add(Kind::IndexCase, &directory.join(name), format!("not {index}"));
            }
        }
        let entries = directory.listed.len();
        if entries > self.site.max_listing_entries {
            report.add(Kind::ListingTruncated, &directory.path, format!("{entries} entries"));
        } else if entries > Site::LARGE_LISTING_ENTRIES {
            report.add(Kind::LargeListing, &directory.path, format!("{entries} entries"));
        }
    }

    /// Precompressed files are sent only if they are not older than their original.
    fn check_precompressed(&self, directory: &Directory, report: &mut Report) {
        if !self.site.precompressed {
            return;
        }
        let files = || directory.listed.iter().filter(|(_, entry)| entry.is_file);
        for (name, entry) in files() {
            for coding in codings() {
                let Some(original) = name.strip_suffix(coding.suffix().as_bytes()) else {
                    continue;
                };
                let original = directory.listed.get(original).filter(|original| original.is_file);
                if original.is_some_and(|original| original.modified > entry.modified) {
                    report.add(Kind::StalePrecompressed, &directory.join(name), "");
                }
            }
        }
    }
}

/// Whether a path is that of a directory of the system, or in one, or contains one; or a home directory.
/// To follow a link there would serve what nobody means to.
fn is_system(path: &Path) -> bool {
    let is_near = |system: &&str| path.starts_with(system) || Path::new(system).starts_with(path);
    let is_home = path.parent() == Some(Path::new("/home")) || path == Path::new("/home");
    is_home || SYSTEM.iter().any(is_near)
}

/// The codings of precompressed files.
fn codings() -> Codings {
    precompressed::preferred_codings(["br", "zstd", "gzip"])
}

fn file_type(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

fn is_file_or_directory(stat: &Stat) -> bool {
    matches!(file_type(stat), FileType::RegularFile | FileType::Directory)
}

/// What cannot be looked at.
fn add_error(error: &io::Error, path: &[u8], report: &mut Report) {
    match Errno::from_io_error(error) {
        Some(Errno::NAMETOOLONG) => report.add(Kind::PathTooLong, path, ""),
        _ => report.add(Kind::Unreadable, path, os::describe_error(error)),
    }
}

/// A sticky directory protects the files of others in it, such as `/tmp`.
fn check_permissions(stat: &Stat, path: &[u8], report: &mut Report) {
    let is_sticky = file_type(stat) == FileType::Directory && stat.st_mode & 0o1000 != 0;
    if stat.st_mode & 0o002 != 0 && !is_sticky {
        report.add(Kind::WritableByAll, path, "");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_of_the_system() {
        for path in ["/", "/etc", "/etc/ssl", "/var", "/var/log/x", "/root/.ssh", "/home/ann"] {
            assert!(is_system(Path::new(path)), "{path}");
        }
        for path in ["/srv/www", "/var/www", "/home/ann/site", "/etcetera", "/tmp/x"] {
            assert!(!is_system(Path::new(path)), "{path}");
        }
    }
}
