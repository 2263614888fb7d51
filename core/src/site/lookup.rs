//! The questions that lead from a request to an answer.
//!
//! A [`Lookup`] says what it [`need`](Lookup::need)s: a path opened, a directory listed. The caller
//! does it and tells what was found; a file that was opened stays with the caller, and the last one
//! that was a file is the one an [`Answer::File`] is about, so its size and date cannot be another's
//! (B-184). The questions are few: the path, its index pages, and where a site has compressed files
//! beside its files, those that the client can read and none that is older than what it stands for.
//!
//! It promises that every path it asks for is clean ([`crate::path`]) and not hidden. That the path
//! stays below the root through symbolic links is the opener's duty. It judges GET and HEAD; other
//! methods do not come here. The one buffer is the caller's: with a used one nothing is allocated.
//!
//! ```
//! use doorstep_core::http1::{Connection, Event, Limits};
//! use doorstep_core::site::{Answer, Found, Lookup, Need, Site, Stat};
//!
//! let mut connection = Connection::new(Limits::default());
//! let bytes = b"GET /docs/ HTTP/1.1\r\nHost: here\r\n\r\n";
//! let Ok((_, Event::Request(head))) = connection.advance(bytes) else { panic!() };
//!
//! let site = Site::default();
//! let mut scratch = Vec::new();
//! let mut lookup = Lookup::new(&site, &head, 1_700_000_000, &mut scratch);
//! let answer = loop {
//!     match lookup.need() {
//!         Need::Open(b"docs") => lookup.opened(Found::Directory(Stat::default())),
//!         Need::Open(b"docs/index.html") => {
//!             lookup.opened(Found::File(Stat { size: 5, ..Stat::default() }));
//!         }
//!         Need::Open(_) => lookup.opened(Found::Nothing),
//!         Need::List(_) => lookup.listed(true),
//!         Need::Answer(answer) => break answer,
//!     }
//! };
//! assert!(matches!(answer, Answer::File(file, _) if file.size == 5));
//! ```

use super::Site;
use super::answer::{Answer, Denial, Location, Representation};
use super::conditional::{self, Validators, Verdict};
use super::encoding::{self, Coding, Codings};
use super::listing::View;
use super::media_type;
use super::multipart;
use super::range::{self, Selection};
use crate::http1::Head;
use crate::path::{self, Ending};

/// What the lookup wants to know, or its answer. Paths are relative; the empty one is the root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need<'a> {
    /// Open this and tell with [`Lookup::opened`] what it is.
    Open(&'a [u8]),
    /// Read this directory and tell with [`Lookup::listed`] whether that went well.
    List(&'a [u8]),
    /// Send this. It stays the answer however often one asks.
    Answer(Answer<'a>),
}

/// What the caller found at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Nothing is there.
    Nothing,
    /// Something is there and it cannot be had: no permission, a link out of the root.
    /// To the client it is as nothing (B-171); the caller logs why.
    Refused,
    /// A regular file, now open.
    File(Stat),
    /// A directory.
    Directory(Stat),
    /// A device, a FIFO, a socket: never opened for reading (B-175).
    Other,
}

/// What is known of an open file or directory. It comes from the open descriptor (B-184).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stat {
    /// In bytes.
    pub size: u64,
    /// When its content last changed, in seconds since 1970.
    pub modified: i64,
    /// The part of a second that belongs to `modified`, in nanoseconds.
    pub modified_nanos: u32,
    /// The device it is on; with `inode` it tells one file from another.
    pub device: u64,
    /// Its number on the device.
    pub inode: u64,
    /// When anything about it last changed, in seconds since 1970 and nanoseconds.
    pub changed: (i64, u32),
}

/// One request's way to its answer.
#[derive(Debug)]
pub struct Lookup<'a> {
    site: &'a Site,
    head: Head<'a>,
    now: i64,
    ending: Ending,
    /// The clean path of the target, behind it the index page that is being tried, and behind that
    /// the ending of a side file.
    path: &'a mut Vec<u8>,
    /// Where in `path` the target ends.
    target: usize,
    /// Where in `path` the file ends, once there is one.
    file: usize,
    /// Which side files are still to be looked for.
    codings: Codings,
    selection: Selection,
    /// Whether the site's one page stands in for what is not there.
    fallback: bool,
    step: Step<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Step<'a> {
    Target,
    /// Nothing is at the target: trying the site's one page.
    Fallback,
    /// Trying the index page of this number.
    Index(usize),
    /// Listing. Barred when an index page is there and cannot be had: the files that it stands for
    /// are not shown instead.
    List {
        barred: bool,
    },
    Listing,
    /// Trying the side file of this coding, for a file of this state.
    Side(Coding, Stat),
    /// Back to the file itself, after a side file that will not do.
    Again,
    File(Representation<'a>),
    /// Nothing to send: trying the site's page that says so.
    OwnPage(Denial),
    Done(Answer<'a>),
}

impl<'a> Lookup<'a> {
    /// Starts on a GET or HEAD request. `now` is in seconds since 1970; `scratch` is overwritten.
    #[must_use]
    pub fn new(site: &'a Site, head: &Head<'a>, now: i64, scratch: &'a mut Vec<u8>) -> Self {
        let (ending, step) = match path::resolve(head.path(), scratch) {
            Err(refusal) => (Ending::Name, Step::Done(Answer::Page(Denial::Path(refusal)))),
            Ok(ending) if path::hidden(scratch) && !site.hidden => {
                (ending, Step::Done(Answer::Page(Denial::Hidden)))
            }
            Ok(ending) => (ending, Step::Target),
        };
        let mut lookup = Self {
            site,
            head: *head,
            now,
            ending,
            target: scratch.len(),
            file: 0,
            path: scratch,
            codings: Codings::default(),
            selection: Selection::Whole,
            fallback: false,
            step,
        };
        lookup.excuse();
        lookup
    }

    /// What it wants to know next, or the answer.
    #[must_use]
    pub fn need(&self) -> Need<'_> {
        match self.step {
            Step::Target | Step::Fallback | Step::Index(_) => Need::Open(self.path),
            Step::Side(..) | Step::Again | Step::OwnPage(_) => Need::Open(self.path),
            Step::List { .. } => Need::List(self.path),
            Step::Listing => Need::Answer(Answer::Listing(self.path, View::of(&self.head))),
            Step::File(file) => Need::Answer(Answer::File(file, &self.selection)),
            Step::Done(answer) => Need::Answer(answer),
        }
    }

    /// Answers [`Need::Open`]. Out of turn it changes nothing.
    pub fn opened(&mut self, found: Found) {
        if let Step::OwnPage(denial) = self.step {
            self.step = Step::Done(match found {
                Found::File(stat) => {
                    let media_type = self.site.types.guess(self.path);
                    Answer::OwnPage(denial, media_type, stat.size)
                }
                _ => Answer::Page(denial),
            });
            return;
        }
        self.step = match (self.step, found) {
            (Step::Target, Found::File(stat)) if self.ending == Ending::Name => self.file(&stat),
            (Step::Target, Found::File(_)) => denied(Denial::NotADirectory),
            (Step::Target, Found::Directory(_)) if self.ending == Ending::Slash => self.index(0),
            (Step::Target, Found::Directory(_)) => {
                let location = Location { path: self.head.path(), suffix: self.head.suffix() };
                Step::Done(Answer::Redirect(location))
            }
            (Step::Target, Found::Other) => denied(Denial::Special),
            (Step::Target, Found::Nothing) => self.fallback(),
            (Step::Target, Found::Refused) => denied(Denial::Missing),

            (Step::Fallback, Found::File(stat)) => self.file(&stat),
            (Step::Fallback, _) => denied(Denial::Missing),

            (Step::Index(_), Found::File(stat)) => self.file(&stat),
            (Step::Index(_), Found::Refused) => self.list(true),
            (Step::Index(n), _) => self.index(n + 1), // B-145: regular files only

            // One that is older is not of this state of the file. Tools set whole seconds.
            (Step::Side(coding, file), Found::File(side)) if side.modified >= file.modified => {
                self.chosen(&side, Some(coding))
            }
            (Step::Side(..), Found::File(_)) => {
                self.path.truncate(self.file);
                Step::Again
            }
            (Step::Side(_, file), _) => self.side(&file),
            (Step::Again, Found::File(stat)) => self.chosen(&stat, None),
            (Step::Again, _) => denied(Denial::Missing),

            (step, _) => step,
        };
        self.excuse();
    }

    /// Answers [`Need::List`]: whether the directory could be read. Out of turn it changes nothing.
    pub fn listed(&mut self, read: bool) {
        self.step = match self.step {
            Step::List { .. } if !read => denied(Denial::Unlistable),
            Step::List { barred: true } => denied(Denial::Missing),
            Step::List { barred: false } => Step::Listing,
            step => step,
        };
        self.excuse();
    }

    /// A 404 to a person has the site's own page, if there is one.
    fn excuse(&mut self) {
        let Step::Done(Answer::Page(denial)) = self.step else { return };
        let site = self.site;
        if let Some(page) = &site.not_found
            && denial.status() == 404
            && navigates(&self.head)
        {
            self.path.clear();
            self.path.extend_from_slice(page.as_bytes());
            self.step = Step::OwnPage(denial);
        }
    }

    /// A file is open: it is the one to send, unless a side file of it is.
    fn file(&mut self, stat: &Stat) -> Step<'a> {
        self.file = self.path.len();
        if self.site.precompressed && self.head.field("accept-encoding").is_some() {
            let is_coded = self.site.types.guess(self.path).encoding.is_some();
            let members = self.head.list("accept-encoding");
            self.codings = if is_coded { Codings::default() } else { encoding::preferred(members) };
        }
        self.side(stat)
    }

    /// Tries the next side file; behind the last the file itself is chosen.
    fn side(&mut self, stat: &Stat) -> Step<'a> {
        self.path.truncate(self.file);
        let Some(coding) = self.codings.next() else {
            return self.chosen(stat, None);
        };
        self.path.extend_from_slice(coding.suffix().as_bytes());
        Step::Side(coding, *stat)
    }

    /// The file that is open is the one to send; `coding` is what a side file is in.
    fn chosen(&mut self, stat: &Stat, coding: Option<Coding>) -> Step<'a> {
        let mut media_type = self.site.types.guess(&self.path[..self.file]);
        let negotiated = self.site.precompressed && media_type.encoding.is_none();
        let vary = match (self.fallback, negotiated) {
            (false, false) => "",
            (false, true) => "Accept-Encoding",
            (true, false) => "Accept",
            (true, true) => "Accept, Accept-Encoding",
        };
        media_type.encoding = coding.map(Coding::name).or(media_type.encoding);
        let current = Validators::of(stat, self.now);
        // Of a side file, the name that was asked for.
        let suffix = coding.map_or(0, |coding| coding.suffix().len());
        let name = &self.path[..self.path.len() - suffix];
        let file = Representation {
            media_type,
            size: stat.size,
            modified: stat.modified.min(self.now),
            etag: current.etag,
            cache_control: self.site.cache(name),
            vary,
        };
        match conditional::check(&self.head, &current, self.now) {
            Verdict::Failed => return denied(Denial::Changed),
            Verdict::NotModified => return Step::Done(Answer::NotModified(file)),
            Verdict::Proceed { range: false } => {}
            Verdict::Proceed { range: true } => {
                self.selection =
                    range::select(self.head.all("range"), stat.size, self.site.range_limit);
            }
        }
        match &self.selection {
            Selection::Unsatisfiable => return Step::Done(Answer::Unsatisfiable(stat.size)),
            // To some clients the coding would be that of the parts and what is between them.
            Selection::Several(_) if media_type.encoding.is_some() => {
                self.selection = Selection::Whole;
            }
            Selection::Several(ranges) => {
                let length = multipart::length(ranges, stat.size, media_type.length());
                if length > stat.size.saturating_add(self.site.range_overhead) {
                    self.selection = Selection::Whole;
                }
            }
            _ => {}
        }
        Step::File(file)
    }

    /// Nothing is there: the site's one page is, for who navigates.
    fn fallback(&mut self) -> Step<'a> {
        let site = self.site;
        match &site.spa {
            Some(page) if navigates(&self.head) && media_type::extension(self.path).is_none() => {
                self.path.clear();
                self.path.extend_from_slice(page.as_bytes());
                self.fallback = true;
                Step::Fallback
            }
            _ => denied(Denial::Missing),
        }
    }

    /// Tries index page `n`; behind the last the directory itself is listed.
    fn index(&mut self, n: usize) -> Step<'a> {
        let Some(name) = self.site.index.get(n) else {
            return self.list(false);
        };
        self.path.truncate(self.target);
        if self.target > 0 {
            self.path.push(b'/');
        }
        self.path.extend_from_slice(name.as_bytes());
        Step::Index(n)
    }

    fn list(&mut self, barred: bool) -> Step<'a> {
        if !self.site.listing {
            return denied(Denial::Unlisted);
        }
        self.path.truncate(self.target);
        Step::List { barred }
    }
}

/// Whether a person goes there: scripts, styles and pictures are asked for by other Accepts, and
/// must not get a page in their place.
fn navigates(head: &Head<'_>) -> bool {
    head.list("accept").any(|member| {
        let essence = member.split(|&b| b == b';').next().unwrap_or_default();
        essence.trim_ascii().eq_ignore_ascii_case(b"text/html")
    })
}

fn denied(denial: Denial) -> Step<'static> {
    Step::Done(Answer::Page(denial))
}

#[cfg(test)]
#[path = "lookup_tests.rs"]
mod tests;
