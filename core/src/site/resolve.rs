//! The questions that lead from a request to a response.
//!
//! A [`Resolver`] names its next [`action`](Resolver::action): open a path, list a directory, or respond. The caller
//! does it and tells what was found; a file that was opened stays with the caller, and the last one
//! that was a file is the one an [`ResponsePlan::File`] is about, so its size and date cannot be another's
//! (B-184). The questions are few: the path, its index pages, and where a site has compressed files
//! beside its files, those that the client can read and none that is older than what it stands for.
//!
//! It promises that every path it asks for is clean ([`crate::path`]) and not hidden. That the path
//! stays below the root through symbolic links is the opener's duty. It judges GET and HEAD; other
//! methods do not come here. The one buffer is the caller's: with a used one nothing is allocated.
//!
//! ```
//! use doorstep_core::http1::{Connection, Event, Limits};
//! use doorstep_core::site::{ResponsePlan, Found, Resolver, Action, Site, Stat};
//!
//! let mut connection = Connection::new(Limits::default());
//! let bytes = b"GET /docs/ HTTP/1.1\r\nHost: here\r\n\r\n";
//! let Ok((_, Event::Request(head))) = connection.advance(bytes) else { panic!() };
//!
//! let site = Site::default();
//! let mut scratch = Vec::new();
//! let mut resolver = Resolver::new(&site, &head, 1_700_000_000, &mut scratch);
//! let plan = loop {
//!     match resolver.action() {
//!         Action::Open(b"docs") => resolver.opened(Found::Directory(Stat::default())),
//!         Action::Open(b"docs/index.html") => {
//!             resolver.opened(Found::File(Stat { size: 5, ..Stat::default() }));
//!         }
//!         Action::Open(_) => resolver.opened(Found::Nothing),
//!         Action::List(_) => resolver.listed(true),
//!         Action::Respond(plan) => break plan,
//!     }
//! };
//! assert!(matches!(plan, ResponsePlan::File(file, _) if file.size == 5));
//! ```

use super::Site;
use super::accept::Preference;
use super::listing::View;
use super::media_type;
use super::multipart;
use super::precompressed::{self, Coding, Codings};
use super::preconditions::{self, Evaluation, Validators};
use super::range::{self, Selection};
use super::response_plan::{Location, NotServed, Representation, ResponsePlan};
use crate::http1::Head;
use crate::path::{self, Ending};

/// What the resolver wants to know, or its response. Paths are relative; the empty one is the root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action<'a> {
    /// Open this and tell with [`Resolver::opened`] what it is.
    Open(&'a [u8]),
    /// Read this directory and tell with [`Resolver::listed`] whether that went well.
    List(&'a [u8]),
    /// Send this. It stays the response however often one asks.
    Respond(ResponsePlan<'a>),
}

/// What the caller found at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Nothing is there.
    Nothing,
    /// Something is there and it cannot be had: no permission, a link out of the root.
    /// To the client it is as nothing (B-171); the caller logs why.
    Inaccessible,
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

/// One request's way to its response.
#[derive(Debug)]
pub struct Resolver<'a> {
    site: &'a Site,
    head: Head<'a>,
    now: i64,
    ending: Ending,
    /// The clean path of the target, behind it the index page that is being tried, and behind that
    /// the ending of a side file.
    path: &'a mut Vec<u8>,
    /// Where in `path` the target ends.
    target_len: usize,
    /// Where in `path` the file ends, once there is one.
    file_len: usize,
    /// Which side files are still to be looked for.
    codings: Codings,
    selection: Selection,
    /// Whether the site's one page stands in for what is not there.
    is_spa_fallback: bool,
    state: State<'a>,
}

#[derive(Debug, Clone, Copy)]
enum State<'a> {
    Target,
    /// Nothing is at the target: trying the site's one page.
    SpaFallback,
    /// Trying the index page of this number.
    Index(usize),
    /// Listing. Barred when an index page is there and cannot be had: the files that it stands for
    /// are not shown instead.
    List {
        index_unreadable: bool,
    },
    Listed,
    /// Trying the side file of this coding, for a file of this state.
    Precompressed(Coding, Stat),
    /// Back to the file itself, after a side file that will not do.
    ReopenFile,
    File(Representation<'a>),
    /// Nothing to send: trying the site's page that says so.
    CustomErrorPage(NotServed),
    Done(ResponsePlan<'a>),
}

impl<'a> Resolver<'a> {
    /// Starts on a GET or HEAD request. `now` is in seconds since 1970; `scratch` is overwritten.
    #[must_use]
    pub fn new(site: &'a Site, head: &Head<'a>, now: i64, scratch: &'a mut Vec<u8>) -> Self {
        let (ending, state) = match path::normalize(head.path(), scratch) {
            Err(error) => {
                (Ending::Name, State::Done(ResponsePlan::ErrorPage(NotServed::Path(error))))
            }
            Ok(ending) if path::is_hidden(scratch) && !site.hidden => {
                (ending, State::Done(ResponsePlan::ErrorPage(NotServed::Hidden)))
            }
            Ok(ending) => (ending, State::Target),
        };
        let mut resolver = Self {
            site,
            head: *head,
            now,
            ending,
            target_len: scratch.len(),
            file_len: 0,
            path: scratch,
            codings: Codings::default(),
            selection: Selection::Whole,
            is_spa_fallback: false,
            state,
        };
        resolver.try_custom_404();
        resolver
    }

    /// What it wants to know next, or the response.
    #[must_use]
    pub fn action(&self) -> Action<'_> {
        match self.state {
            State::Target | State::SpaFallback | State::Index(_) => Action::Open(self.path),
            State::Precompressed(..) | State::ReopenFile | State::CustomErrorPage(_) => {
                Action::Open(self.path)
            }
            State::List { .. } => Action::List(self.path),
            State::Listed => {
                Action::Respond(ResponsePlan::Listing(self.path, View::from_head(&self.head)))
            }
            State::File(file) => Action::Respond(ResponsePlan::File(file, &self.selection)),
            State::Done(plan) => Action::Respond(plan),
        }
    }

    /// Answers [`Action::Open`]. Out of turn it changes nothing.
    pub fn opened(&mut self, found: Found) {
        if let State::CustomErrorPage(error) = self.state {
            self.state = State::Done(match found {
                Found::File(stat) => {
                    let media_type = self.site.media_types.guess(self.path);
                    ResponsePlan::CustomErrorPage(error, media_type, stat.size)
                }
                _ => ResponsePlan::ErrorPage(error),
            });
            return;
        }
        self.state = match (self.state, found) {
            (State::Target, Found::File(stat)) if self.ending == Ending::Name => {
                self.negotiate_coding(&stat)
            }
            (State::Target, Found::File(_)) => error_page(NotServed::NotADirectory),
            (State::Target, Found::Directory(_)) if self.ending == Ending::Slash => {
                self.try_index(0)
            }
            (State::Target, Found::Directory(_)) => {
                let location = Location {
                    path: self.head.path(),
                    query_and_fragment: self.head.query_and_fragment(),
                };
                State::Done(ResponsePlan::Redirect(location))
            }
            (State::Target, Found::Other) => error_page(NotServed::SpecialFile),
            (State::Target, Found::Nothing) => self.try_spa_fallback(),
            (State::Target, Found::Inaccessible) => error_page(NotServed::NotFound),

            (State::SpaFallback, Found::File(stat)) => self.negotiate_coding(&stat),
            (State::SpaFallback, _) => error_page(NotServed::NotFound),

            (State::Index(_), Found::File(stat)) => self.negotiate_coding(&stat),
            (State::Index(_), Found::Inaccessible) => self.list_directory(true),
            (State::Index(n), _) => self.try_index(n + 1), // B-145: regular files only

            // One that is older is not of this state of the file. Tools set whole seconds.
            (State::Precompressed(coding, file), Found::File(precompressed))
                if precompressed.modified >= file.modified =>
            {
                self.select_representation(&precompressed, Some(coding))
            }
            (State::Precompressed(..), Found::File(_)) => {
                self.path.truncate(self.file_len);
                State::ReopenFile
            }
            (State::Precompressed(_, file), _) => self.try_precompressed(&file),
            (State::ReopenFile, Found::File(stat)) => self.select_representation(&stat, None),
            (State::ReopenFile, _) => error_page(NotServed::NotFound),

            (state, _) => state,
        };
        self.try_custom_404();
    }

    /// Answers [`Action::List`]: whether the directory could be read. Out of turn it changes nothing.
    pub fn listed(&mut self, read: bool) {
        self.state = match self.state {
            State::List { .. } if !read => error_page(NotServed::UnreadableDirectory),
            State::List { index_unreadable: true } => error_page(NotServed::NotFound),
            State::List { index_unreadable: false } => State::Listed,
            state => state,
        };
        self.try_custom_404();
    }

    /// A 404 to a person has the site's own page, if there is one.
    fn try_custom_404(&mut self) {
        let State::Done(ResponsePlan::ErrorPage(error)) = self.state else { return };
        let site = self.site;
        if let Some(page) = &site.not_found_page
            && error.status() == 404
            && wants_html(&self.head)
        {
            self.path.clear();
            self.path.extend_from_slice(page.as_bytes());
            self.state = State::CustomErrorPage(error);
        }
    }

    /// A file is open: it is the one to send, unless a side file of it is.
    fn negotiate_coding(&mut self, stat: &Stat) -> State<'a> {
        self.file_len = self.path.len();
        if self.site.precompressed && self.head.header("accept-encoding").is_some() {
            let is_coded = self.site.media_types.guess(self.path).encoding.is_some();
            let members = self.head.header_list("accept-encoding");
            self.codings = if is_coded {
                Codings::default()
            } else {
                precompressed::preferred_codings(members)
            };
        }
        self.try_precompressed(stat)
    }

    /// Tries the next side file; behind the last the file itself is chosen.
    fn try_precompressed(&mut self, stat: &Stat) -> State<'a> {
        self.path.truncate(self.file_len);
        let Some(coding) = self.codings.next() else {
            return self.select_representation(stat, None);
        };
        self.path.extend_from_slice(coding.suffix().as_bytes());
        State::Precompressed(coding, *stat)
    }

    /// The file that is open is the one to send; `coding` is what a side file is in.
    fn select_representation(&mut self, stat: &Stat, coding: Option<Coding>) -> State<'a> {
        let mut media_type = self.site.media_types.guess(&self.path[..self.file_len]);
        let negotiated = self.site.precompressed && media_type.encoding.is_none();
        let vary = match (self.is_spa_fallback, negotiated) {
            (false, false) => "",
            (false, true) => "Accept-Encoding",
            (true, false) => "Accept",
            (true, true) => "Accept, Accept-Encoding",
        };
        media_type.encoding = coding.map(Coding::name).or(media_type.encoding);
        let current = Validators::from_stat(stat, self.now);
        // Of a side file, the name that was asked for.
        let suffix = coding.map_or(0, |coding| coding.suffix().len());
        let name = &self.path[..self.path.len() - suffix];
        let file = Representation {
            media_type,
            size: stat.size,
            modified: stat.modified.min(self.now),
            etag: current.etag,
            cache_control: self.site.cache_control_for(name),
            vary,
        };
        match preconditions::evaluate(&self.head, &current, self.now) {
            Evaluation::PreconditionFailed => return error_page(NotServed::PreconditionFailed),
            Evaluation::NotModified => return State::Done(ResponsePlan::NotModified(file)),
            Evaluation::Proceed { range: false } => {}
            Evaluation::Proceed { range: true } => {
                self.selection = range::select(
                    self.head.header_values("range"),
                    stat.size,
                    self.site.max_ranges,
                );
            }
        }
        match &self.selection {
            Selection::Unsatisfiable => {
                return State::Done(ResponsePlan::RangeNotSatisfiable(stat.size));
            }
            // To some clients the coding would be that of the parts and what is between them.
            Selection::Several(_) if media_type.encoding.is_some() => {
                self.selection = Selection::Whole;
            }
            Selection::Several(ranges) => {
                let length = multipart::length(ranges, stat.size, media_type.length());
                if length > stat.size.saturating_add(self.site.max_multipart_overhead) {
                    self.selection = Selection::Whole;
                }
            }
            _ => {}
        }
        State::File(file)
    }

    /// Nothing is there: the site's one page is, for who navigates.
    fn try_spa_fallback(&mut self) -> State<'a> {
        let site = self.site;
        match &site.spa {
            Some(page) if wants_html(&self.head) && media_type::extension(self.path).is_none() => {
                self.path.clear();
                self.path.extend_from_slice(page.as_bytes());
                self.is_spa_fallback = true;
                State::SpaFallback
            }
            _ => error_page(NotServed::NotFound),
        }
    }

    /// Tries index page `n`; behind the last the directory itself is listed.
    fn try_index(&mut self, n: usize) -> State<'a> {
        let Some(name) = self.site.index.get(n) else {
            return self.list_directory(false);
        };
        self.path.truncate(self.target_len);
        if self.target_len > 0 {
            self.path.push(b'/');
        }
        self.path.extend_from_slice(name.as_bytes());
        State::Index(n)
    }

    fn list_directory(&mut self, index_unreadable: bool) -> State<'a> {
        if !self.site.listing {
            return error_page(NotServed::ListingDisabled);
        }
        self.path.truncate(self.target_len);
        State::List { index_unreadable }
    }
}

/// Whether Accept names `text/html` with a weight above 0, as browsers do when they navigate. For
/// scripts, styles and images they send other headers, and must not get a page in their place; a
/// client that accepts anything (`*/*`) is a program.
fn wants_html(head: &Head<'_>) -> bool {
    let html = Preference::new("text/html", head.header_list("accept"));
    html.is_named() && html.is_acceptable()
}

fn error_page(error: NotServed) -> State<'static> {
    State::Done(ResponsePlan::ErrorPage(error))
}

#[cfg(test)]
#[path = "resolve_tests.rs"]
mod tests;
