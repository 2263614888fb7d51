//! The questions that lead from a request to an answer.
//!
//! A [`Lookup`] says what it [`need`](Lookup::need)s: a path opened, a directory listed. The caller
//! does it and tells what was found; a file that was opened stays with the caller, and the one
//! opened last is the one an [`Answer::File`] is about, so its size and date cannot be another's
//! (B-184). Each `Need::Open` is asked once; there are at most as many as index pages, and one.
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
//! assert!(matches!(answer, Answer::File { size: 5, .. }));
//! ```

use super::Site;
use super::conditional::{self, Conditions, Validators, Verdict};
use super::media_type::MediaType;
use crate::http1::{Head, status};
use crate::path::{self, Ending, Refusal};

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
    /// Something is there and it cannot be had: no permission, a link out of the root, an error.
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

/// What to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer<'a> {
    /// An error page.
    Page(Denial),
    /// 301 with this `Location` and no body (B-140).
    Redirect(Location<'a>),
    /// 304 (B-177).
    NotModified,
    /// 200 and the file opened last.
    File {
        /// For `Content-Type`, and `Content-Encoding` if it has one.
        media_type: MediaType<'a>,
        /// How many bytes are promised, at open (B-172, B-174).
        size: u64,
        /// For `Last-Modified`, in seconds since 1970 and not in the future (B-183).
        modified: i64,
    },
    /// 200 and the listing of the directory at this path (B-147).
    Listing(&'a [u8]),
}

impl Answer<'_> {
    /// The status to send.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Page(denial) => denial.status(),
            Self::Redirect(_) => 301,
            Self::NotModified => 304,
            Self::File { .. } | Self::Listing(_) => 200,
        }
    }
}

/// Why there is an error page. The client sees status and reason, [`Denial::note`] is for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial {
    /// Nothing can stand at such a path: 400 for a NUL (B-091), else 404 (B-126, B-171).
    Path(Refusal),
    /// A component starts with a dot: 404 (B-131).
    Hidden,
    /// Nothing is there, or it cannot be had: 404 (B-171).
    Missing,
    /// A file, and the path says that it is a directory: 404 (B-128, B-129).
    NotADirectory,
    /// Neither a file nor a directory: 404 (B-175).
    Special,
    /// A directory that cannot be read: 404 (B-147).
    Unlistable,
}

impl Denial {
    /// 400 or 404.
    #[must_use]
    pub fn status(self) -> u16 {
        if self == Self::Path(Refusal::Nul) { 400 } else { 404 }
    }

    /// The reason phrase, which says no more than a client may know.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Path(Refusal::Nul) => status::reason(400),
            Self::Unlistable => "No permission to list directory",
            _ => "File not found",
        }
    }

    /// What the server's own log may add, if there is anything to add.
    #[must_use]
    pub fn note(self) -> Option<&'static str> {
        match self {
            Self::Path(Refusal::Nul) => Some("the path holds a NUL"),
            Self::Path(Refusal::TooLong) => Some("the path is too long"),
            Self::Path(Refusal::NotAName) => Some("the path holds what is no name here"),
            Self::Hidden => Some("hidden: a name starts with a dot"),
            Self::NotADirectory => Some("a file, asked for as a directory"),
            Self::Special => Some("neither a file nor a directory"),
            Self::Missing | Self::Unlistable => None, // the caller saw the error itself
        }
    }
}

/// Where a directory without its trailing slash is: a relative reference (B-141).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Location<'a> {
    path: &'a [u8],
    suffix: &'a [u8],
}

impl Location<'_> {
    /// Appends the value of `Location`: the path as it came, so that nothing which was escaped
    /// comes out bare (B-143), a slash, and query and fragment unless the query is empty (B-142).
    pub fn write(&self, out: &mut Vec<u8>) {
        let suffix = match self.suffix {
            [b'?'] => b"",
            [b'?', fragment @ ..] if fragment.starts_with(b"#") => fragment,
            suffix => suffix,
        };
        out.extend_from_slice(self.path);
        out.push(b'/');
        out.extend_from_slice(suffix);
    }
}

/// One request's way to its answer.
#[derive(Debug)]
pub struct Lookup<'a> {
    site: &'a Site,
    conditions: Conditions<'a>,
    location: Location<'a>,
    now: i64,
    ending: Ending,
    /// The clean path of the target, and behind it the index page that is being tried.
    path: &'a mut Vec<u8>,
    /// Where in `path` the target ends.
    target: usize,
    step: Step<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Step<'a> {
    Target,
    /// Trying the index page of this number.
    Index(usize),
    /// Listing. Barred when an index page is there and cannot be had: the files that it stands for
    /// are not shown instead.
    List {
        barred: bool,
    },
    Listing,
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
        Self {
            site,
            conditions: Conditions::of(head),
            location: Location { path: head.path(), suffix: head.suffix() },
            now,
            ending,
            target: scratch.len(),
            path: scratch,
            step,
        }
    }

    /// What it wants to know next, or the answer.
    #[must_use]
    pub fn need(&self) -> Need<'_> {
        match self.step {
            Step::Target | Step::Index(_) => Need::Open(self.path),
            Step::List { .. } => Need::List(self.path),
            Step::Listing => Need::Answer(Answer::Listing(self.path)),
            Step::Done(answer) => Need::Answer(answer),
        }
    }

    /// Answers [`Need::Open`]. Out of turn it changes nothing.
    pub fn opened(&mut self, found: Found) {
        self.step = match (self.step, found) {
            (Step::Target, Found::File(stat)) if self.ending == Ending::Name => self.file(&stat),
            (Step::Target, Found::File(_)) => denied(Denial::NotADirectory),
            (Step::Target, Found::Directory(_)) if self.ending == Ending::Slash => self.index(0),
            (Step::Target, Found::Directory(_)) => Step::Done(Answer::Redirect(self.location)),
            (Step::Target, Found::Other) => denied(Denial::Special),
            (Step::Target, Found::Nothing | Found::Refused) => denied(Denial::Missing),

            (Step::Index(_), Found::File(stat)) => self.file(&stat),
            (Step::Index(_), Found::Refused) => self.list(true),
            (Step::Index(n), _) => self.index(n + 1), // B-145: regular files only

            (step, _) => step,
        };
    }

    /// Answers [`Need::List`]: whether the directory could be read. Out of turn it changes nothing.
    pub fn listed(&mut self, read: bool) {
        self.step = match self.step {
            Step::List { .. } if !read => denied(Denial::Unlistable),
            Step::List { barred: true } => denied(Denial::Missing),
            Step::List { barred: false } => Step::Listing,
            step => step,
        };
    }

    /// The file that is open is the one to send.
    fn file(&self, stat: &Stat) -> Step<'a> {
        let validators = Validators { modified: stat.modified };
        Step::Done(match conditional::check(&self.conditions, &validators) {
            Verdict::NotModified => Answer::NotModified,
            Verdict::Proceed => Answer::File {
                media_type: self.site.types.guess(self.path),
                size: stat.size,
                modified: stat.modified.min(self.now),
            },
        })
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
        self.path.truncate(self.target);
        Step::List { barred }
    }
}

fn denied(denial: Denial) -> Step<'static> {
    Step::Done(Answer::Page(denial))
}

#[cfg(test)]
#[path = "lookup_tests.rs"]
mod tests;
