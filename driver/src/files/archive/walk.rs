//! A tree in the order in which it is archived: each directory, and then its entries in the order of
//! the bytes of their names.
//!
//! What there is is what listings show ([`RootDir::entry`]). Every directory and file is opened by its
//! path from the root, which the system resolves beneath it, so what is replaced meanwhile leads out
//! of nothing. A directory with an index page contributes that page alone, since it is not listed.
//! A link to a directory that contains the link would lead to no end: it is left out.
//!
//! At most two descriptors are open at a time, and the names in memory have a bound: those of a
//! directory are forgotten if the directories below it need the room, and read again.

use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use doorstep_core::site::listing::Kind;
use doorstep_core::site::{Site, Stat};

use super::Abort;
use super::names::{Batch, MAX_BATCH, Names};
use super::problems::{LeftOut, Problems};
use super::zip_names::{ChangedNames, portable};
use crate::net::Disconnect;
use crate::os::{Opened, RootDir, TreeEntry};

/// The most memory for names that are collected and not yet used, in bytes.
pub(super) const MAX_NAMES: usize = 1 << 20;
/// The number of names after which it is checked whether the client has disconnected.
const NAMES_PER_DISCONNECT_CHECK: u32 = 256;

/// What is next in the tree; [`Walk::path`] is its path.
pub(super) enum Item {
    Directory(Stat),
    File(File, Stat),
}

/// A walk through a tree.
pub(super) struct Walk {
    root: Arc<RootDir>,
    /// The path of the current item, from the root.
    item: Vec<u8>,
    levels: Vec<Level>,
    /// The directory of the last level, to look up names in it.
    directory: Option<OwnedFd>,
    /// For a zip archive: the names that are not the same in it.
    changed: Option<ChangedNames>,
}

/// A directory between the top and the current item.
struct Level {
    path: Vec<u8>,
    /// Device and inode.
    id: (u64, u64),
    names: Names,
    /// The name that was used last.
    last: Option<Box<[u8]>>,
}

/// What a step of a walk needs.
pub(super) struct WalkContext<'a> {
    pub(super) site: &'a Site,
    pub(super) disconnect: &'a mut dyn FnMut() -> Option<Disconnect>,
    pub(super) problems: &'a mut Problems,
}

impl Walk {
    /// A walk through the directory at `path`, for a zip archive or for another one, and the metadata of
    /// the directory.
    ///
    /// # Errors
    /// Returns an error if there is no such directory, or if it cannot be read.
    pub(super) fn new(root: Arc<RootDir>, path: &[u8], is_zip: bool) -> io::Result<(Self, Stat)> {
        let stat = match root.open(path) {
            Opened::Directory(stat) => stat,
            Opened::Denied(error) | Opened::Exhausted(error) | Opened::Failed(error) => {
                return Err(error);
            }
            _ => return Err(io::ErrorKind::NotFound.into()),
        };
        root.open_to_list(path)?;
        let (levels, changed) = (Vec::new(), is_zip.then(ChangedNames::default));
        let mut walk = Self { root, item: path.to_vec(), levels, directory: None, changed };
        walk.enter(path.to_vec(), &stat, Names::default());
        Ok((walk, stat))
    }

    /// The path of the last item, from the root.
    pub(super) fn path(&self) -> &[u8] {
        &self.item
    }

    /// The next item; `None` after the last one.
    ///
    /// # Errors
    /// Returns an error if the client has disconnected, or if descriptors or memory are used up. What
    /// cannot be read is reported to the problems.
    pub(super) fn next(&mut self, context: &mut WalkContext<'_>) -> Result<Option<Item>, Abort> {
        loop {
            let Some(level) = self.levels.last_mut() else { return Ok(None) };
            let Some(name) = level.names.names.pop() else {
                if level.names.is_complete {
                    self.leave();
                } else {
                    self.read_names(context)?;
                }
                continue;
            };
            self.item.clear();
            self.item.extend_from_slice(&level.path);
            if !level.path.is_empty() {
                self.item.push(b'/');
            }
            self.item.extend_from_slice(&name);
            level.last = Some(name);
            let item = match self.look_up(context) {
                Ok(item) => item,
                Err(error) => {
                    context.problems.add(&self.item, &LeftOut::check(error)?);
                    None
                }
            };
            if item.is_some() {
                return Ok(item);
            }
        }
    }

    /// The item, if it is listed and can be opened.
    fn look_up(&mut self, context: &mut WalkContext<'_>) -> io::Result<Option<Item>> {
        let Some(level) = self.levels.last() else { return Ok(None) };
        let Some(name) = &level.last else { return Ok(None) };
        let directory = match self.directory.take() {
            Some(directory) => directory,
            None => self.root.open_to_search(&level.path)?,
        };
        let entry = self.root.entry(&level.path, &directory, name, context.site);
        let name_problem = match entry {
            Ok(TreeEntry::Listed(..)) => self.change_name(&directory)?,
            _ => None,
        };
        self.directory = Some(directory);
        if let Some(problem) = name_problem {
            context.problems.add(&self.item, &problem);
            if !matches!(problem, LeftOut::Renamed(_)) {
                return Ok(None);
            }
        }
        match entry? {
            TreeEntry::NotListed => Ok(None),
            TreeEntry::Denied => {
                context.problems.add_denied(&self.item);
                Ok(None)
            }
            TreeEntry::Listed(Kind::File, _) => match self.root.open(&self.item) {
                Opened::File(file, stat) => Ok(Some(Item::File(file, stat))),
                other => Err(other.into_error()),
            },
            TreeEntry::Listed(Kind::Directory, stat) => self.enter_listed(&stat, context),
        }
    }

    /// Looks whether the name of the item, which is in `directory`, is another one in the archive, and
    /// whether it is free there.
    fn change_name(&mut self, directory: &OwnedFd) -> io::Result<Option<LeftOut>> {
        let (Some(changed), Some(level)) = (&mut self.changed, self.levels.last()) else {
            return Ok(None);
        };
        let Some(Cow::Owned(name)) = level.last.as_deref().map(portable) else { return Ok(None) };
        Ok(Some(match RootDir::has_entry(directory, &name)? {
            true => LeftOut::NameTaken,
            false if changed.is_full() => LeftOut::TooManyRenamed,
            false if !changed.take(&level.path, &name) => LeftOut::NameTaken,
            false => LeftOut::Renamed(name),
        }))
    }

    fn enter_listed(
        &mut self,
        stat: &Stat,
        context: &mut WalkContext<'_>,
    ) -> io::Result<Option<Item>> {
        let id = (stat.device, stat.inode);
        if self.levels.iter().any(|level| level.id == id) {
            context.problems.add(&self.item, &LeftOut::Loop);
            return Ok(None);
        }
        if self.levels.len() > context.site.max_archive_depth {
            context.problems.add(&self.item, &LeftOut::TooDeep);
            return Ok(None);
        }
        let mut names = Names::default();
        if let Some(index) = self.index_page(context.site)? {
            context.problems.add(&self.item, &LeftOut::AllButIndexPage);
            names = Names { names: vec![index], is_complete: true };
        }
        self.enter(self.item.clone(), stat, names);
        Ok(Some(Item::Directory(*stat)))
    }

    /// The name of the index page of the item, which is sent in place of its listing.
    fn index_page(&self, site: &Site) -> io::Result<Option<Box<[u8]>>> {
        for name in &site.index {
            match self.root.open(&[&self.item, &b"/"[..], name.as_bytes()].concat()) {
                Opened::File(..) => return Ok(Some(name.as_bytes().into())),
                Opened::Exhausted(error) | Opened::Failed(error) => return Err(error),
                _ => {}
            }
        }
        Ok(None)
    }

    fn enter(&mut self, path: Vec<u8>, stat: &Stat, names: Names) {
        self.directory = None;
        self.levels.push(Level { path, id: (stat.device, stat.inode), names, last: None });
    }

    fn leave(&mut self) {
        self.directory = None;
        self.levels.pop();
    }

    /// Reads the next names of the last level. If that is not possible, the level ends.
    fn read_names(&mut self, context: &mut WalkContext<'_>) -> Result<(), Abort> {
        let Some(level) = self.levels.last_mut() else { return Ok(()) };
        let mut batch = Batch::new(level.last.as_deref(), MAX_BATCH);
        let (mut seen, mut disconnect) = (0_u32, None);
        let read = self.root.open_to_list(&level.path).and_then(|directory| {
            RootDir::for_each_name(directory, |name| {
                seen = seen.wrapping_add(1);
                if seen.is_multiple_of(NAMES_PER_DISCONNECT_CHECK) {
                    disconnect = (context.disconnect)();
                }
                if disconnect.is_some() {
                    return Err(io::ErrorKind::Other.into());
                }
                if context.site.lists_entry(&level.path, name) {
                    batch.add(name);
                }
                Ok(())
            })
        });
        if let Some(disconnect) = disconnect {
            return Err(Abort::Disconnected(disconnect));
        }
        match read {
            Ok(()) => level.names = batch.finish(),
            Err(error) => {
                context.problems.add(&level.path, &LeftOut::check(error)?);
                level.names = Names { names: Vec::new(), is_complete: true };
            }
        }
        let mut memory: usize = self.levels.iter().map(|level| level.names.memory()).sum();
        let above = self.levels.len() - 1;
        for level in &mut self.levels[..above] {
            if memory <= MAX_NAMES {
                break;
            }
            memory -= level.names.memory();
            if !level.names.names.is_empty() {
                level.names.forget();
            }
        }
        Ok(())
    }
}
