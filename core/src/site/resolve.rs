//! The resolver: from a request to a response plan, by questions about the file system.
//!
//! A [`Resolver`] names its next [`action`](Resolver::action): open a path, list a directory, or
//! respond. The caller does it and reports what it found. Opened files stay with the caller; the
//! last one that was a file is the subject of a [`ResponsePlan::File`], so that size and date are
//! those of the open file (B-184). The questions are few: the path, its index pages, and, if the
//! site has precompressed files, those that the client accepts.
//!
//! Every path in a question is clean ([`crate::path`]) and not hidden. Whether it stays below the
//! root, through symbolic links, must be checked when it is opened. Only GET and HEAD requests are
//! resolved; see [`MethodPlan`](super::MethodPlan) for other methods. The path buffer is the
//! caller's: with one that has been used before, nothing is allocated.
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
//!             resolver.opened(Found::File(Stat::new(5, 784_111_777)));
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
use super::archive::ArchiveFormat;
use super::listing::View;
use super::media_type;
use super::multipart;
use super::precompressed::{self, Coding, Codings};
use super::preconditions::{self, Evaluation, Validators};
use super::range::{self, Selection};
use super::response_plan::{Choice, Location, NotServed, Representation, ResponsePlan, Variant};
use crate::http1::{Head, KnownHeader};
use crate::path::{self, Ending};

/// What the resolver needs next, or its result. Paths are relative to the root, which is the empty
/// path.
///
/// ```
/// use doorstep_core::http1::{Connection, Event, Limits};
/// use doorstep_core::site::{Action, Found, Resolver, ResponsePlan, Site};
///
/// let mut connection = Connection::new(Limits::default());
/// let Ok((_, Event::Request(head))) = connection.advance(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
/// else { panic!() };
/// let (site, mut scratch) = (Site::default(), Vec::new());
/// let mut resolver = Resolver::new(&site, &head, 0, &mut scratch);
/// assert_eq!(resolver.action(), Action::Open(b"a"));
/// resolver.opened(Found::Nothing);
/// assert!(matches!(resolver.action(), Action::Respond(ResponsePlan::ErrorPage(..))));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action<'a> {
    /// Open this path and report what it is to [`Resolver::opened`].
    Open(&'a [u8]),
    /// Read this directory and report whether that succeeded to [`Resolver::listed`].
    List(&'a [u8]),
    /// Send this response. Further calls return the same result.
    Respond(ResponsePlan<'a>),
}

/// What the caller found at a path.
///
/// ```
/// use doorstep_core::site::{Found, Stat};
///
/// let file = Found::File(Stat::new(5, 784_111_777));
/// assert_ne!(file, Found::Inaccessible);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Nothing is there.
    Nothing,
    /// Something that cannot be opened: permission denied, or a link out of the root. For the
    /// client it does not exist (B-171); the caller logs the reason.
    Inaccessible,
    /// A regular file, now open.
    File(Stat),
    /// A directory.
    Directory(Stat),
    /// A device, a FIFO or a socket, which must not be opened for reading (B-175).
    Other,
}

/// The metadata of an open file or directory, from its descriptor (B-184).
///
/// Set as many fields as the system reports: entity tags are made of all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Stat {
    /// Size in bytes.
    pub size: u64,
    /// Time of the last change of its content (mtime), in seconds since 1970.
    pub modified: i64,
    /// The nanoseconds of `modified`.
    pub modified_nanos: u32,
    /// The device that it is on. Device and inode identify a file.
    pub device: u64,
    /// Its inode number.
    pub inode: u64,
    /// Time of the last change of its metadata (ctime), in seconds since 1970 and nanoseconds.
    pub changed: (i64, u32),
}

impl Stat {
    /// A size in bytes, and when the content was last changed, in seconds since 1970. All other
    /// fields are zero.
    #[must_use]
    pub fn new(size: u64, modified: i64) -> Self {
        Self { size, modified, ..Self::default() }
    }
}

/// The resolution of one request.
///
/// ```
/// use doorstep_core::http1::{Connection, Event, Limits};
/// use doorstep_core::site::{Action, Choice, NotServed, Resolver, ResponsePlan, Site};
///
/// let mut connection = Connection::new(Limits::default());
/// let Ok((_, Event::Request(head))) = connection.advance(b"GET /.git HTTP/1.1\r\nHost: a\r\n\r\n")
/// else { panic!() };
/// let (site, mut scratch) = (Site::default(), Vec::new());
/// let resolver = Resolver::new(&site, &head, 0, &mut scratch);
/// assert_eq!(resolver.action(), Action::Respond(ResponsePlan::ErrorPage(NotServed::Hidden, Choice::ByAccept)));
/// ```
#[derive(Debug)]
pub struct Resolver<'a> {
    site: &'a Site,
    head: Head<'a>,
    now: i64,
    ending: Ending,
    /// The clean path of the target; then, while they are tried, the name of an index page and the
    /// suffix of a precompressed file.
    path: &'a mut Vec<u8>,
    /// The end of the target in `path`.
    target_len: usize,
    /// The end of the file in `path`, once there is one.
    file_len: usize,
    /// The precompressed files that are still to be looked for.
    codings: Codings,
    selection: Selection,
    /// Whether the page of the single-page application is sent in place of a path that does not
    /// exist.
    is_spa_fallback: bool,
    state: State<'a>,
}

#[derive(Debug, Clone, Copy)]
enum State<'a> {
    Target,
    /// Nothing exists at the target: opens the page of the single-page application.
    SpaFallback,
    /// Opens the index page with this number.
    Index(usize),
    /// Listing. If an index page exists but cannot be opened, the directory is not listed instead
    /// of it.
    List {
        index_unreadable: bool,
    },
    Listed,
    /// The directory, as an archive.
    Archive(ArchiveFormat),
    /// Opens the precompressed file in this coding, for a file with this metadata.
    Precompressed(Coding, Stat),
    /// Opens the file itself again, after an unsuitable precompressed file.
    ReopenFile,
    File(Representation<'a>),
    /// Nothing to send: opens the site's own error page.
    CustomErrorPage(NotServed),
    Done(ResponsePlan<'a>),
}

impl<'a> Resolver<'a> {
    /// Begins with a GET or HEAD request. `now` is in seconds since 1970; `scratch` is overwritten.
    #[must_use]
    pub fn new(site: &'a Site, head: &Head<'a>, now: i64, scratch: &'a mut Vec<u8>) -> Self {
        let (ending, error) = match path::normalize(head.path(), scratch) {
            Err(error) => (Ending::Name, Some(NotServed::Path(error))),
            Ok(ending) if path::is_hidden(scratch) && !site.hidden => {
                (ending, Some(NotServed::Hidden))
            }
            Ok(ending) => (ending, None),
        };
        let target_len = scratch.len();
        let state =
            error.map_or(State::Target, |error| refused(site, head, error, Choice::None, scratch));
        Self {
            site,
            head: *head,
            now,
            ending,
            target_len,
            file_len: 0,
            path: scratch,
            codings: Codings::default(),
            selection: Selection::Whole,
            is_spa_fallback: false,
            state,
        }
    }

    /// What is needed next, or the result.
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
            State::Archive(format) => Action::Respond(ResponsePlan::Archive(self.path, format)),
            State::File(file) => Action::Respond(ResponsePlan::File(file, &self.selection)),
            State::Done(plan) => Action::Respond(plan),
        }
    }

    /// Takes the result of [`Action::Open`]. Ignored if that is not the current action.
    pub fn opened(&mut self, found: Found) {
        if let State::CustomErrorPage(error) = self.state {
            self.state = State::Done(match found {
                Found::File(stat) => {
                    let media_type = self.site.media_types.guess(self.path);
                    ResponsePlan::CustomErrorPage(error, media_type, stat.size)
                }
                _ => ResponsePlan::ErrorPage(error, Choice::ByAccept),
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
                    prefix: self.head.prefix(),
                    path: self.head.path(),
                    query_and_fragment: self.head.query_and_fragment(),
                };
                State::Done(ResponsePlan::Redirect(location))
            }
            (State::Target, Found::Other) => error_page(NotServed::SpecialFile),
            (State::Target, Found::Nothing) => self.try_spa_fallback(),
            (State::Target, Found::Inaccessible) => error_page(NotServed::NotFound),

            (State::SpaFallback, Found::File(stat)) => self.negotiate_coding(&stat),
            (State::SpaFallback, _) => chosen_page(NotServed::NotFound, Choice::ByAccept),

            (State::Index(_), Found::File(stat)) => self.negotiate_coding(&stat),
            (State::Index(_), Found::Inaccessible) => self.list_directory(true),
            (State::Index(n), _) => self.try_index(n + 1), // B-145: regular files only

            // An older one belongs to another state of the file. Tools set whole seconds.
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

    /// Takes the result of [`Action::List`]: whether the directory could be read. Ignored if that
    /// is not the current action.
    pub fn listed(&mut self, read: bool) {
        self.state = match self.state {
            State::List { .. } if !read => error_page(NotServed::UnreadableDirectory),
            State::List { index_unreadable: true } => error_page(NotServed::NotFound),
            State::List { index_unreadable: false } => self.select_view(),
            state => state,
        };
        self.try_custom_404();
    }

    /// A directory that can be listed is sent as its listing, or as an archive.
    fn select_view(&self) -> State<'a> {
        let format = ArchiveFormat::from_query(self.head.query()).filter(|_| self.site.archive);
        match format {
            None => State::Listed,
            Some(Ok(format)) => State::Archive(format),
            Some(Err(_)) => error_page(NotServed::UnknownArchive),
        }
    }

    /// See [`refused`].
    fn try_custom_404(&mut self) {
        if let State::Done(ResponsePlan::ErrorPage(error, choice)) = self.state {
            self.state = refused(self.site, &self.head, error, choice, self.path);
        }
    }

    /// What the file that `stat` is of would be sent as, if it is at the path of [`Action::Open`] and
    /// would be sent without a further question; otherwise `None`. With [`PreparedFile`], the response
    /// can be made by this alone.
    ///
    /// [`PreparedFile`]: super::PreparedFile
    #[must_use]
    pub fn variant_of(&self, stat: &Stat) -> Option<Variant> {
        let coding = match self.state {
            State::Target if self.ending != Ending::Name => return None,
            State::Target | State::Index(_) | State::SpaFallback if self.negotiates() => {
                return None;
            }
            State::Target | State::Index(_) | State::SpaFallback | State::ReopenFile => None,
            State::Precompressed(coding, file) if stat.modified >= file.modified => Some(coding),
            _ => return None,
        };
        Some(Variant { coding, is_spa_fallback: self.is_spa_fallback })
    }

    /// Whether a precompressed file may be sent.
    fn negotiates(&self) -> bool {
        self.site.negotiates_coding(&self.head)
    }

    /// A file is open: it is sent, unless there is a suitable precompressed one.
    fn negotiate_coding(&mut self, stat: &Stat) -> State<'a> {
        self.file_len = self.path.len();
        if self.negotiates() {
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

    /// Tries the next precompressed file. After the last one, the file itself is selected.
    fn try_precompressed(&mut self, stat: &Stat) -> State<'a> {
        self.path.truncate(self.file_len);
        let Some(coding) = self.codings.next() else {
            return self.select_representation(stat, None);
        };
        self.path.extend_from_slice(coding.suffix().as_bytes());
        State::Precompressed(coding, *stat)
    }

    /// The open file is sent; `coding` is that of a precompressed file.
    fn select_representation(&mut self, stat: &Stat, coding: Option<Coding>) -> State<'a> {
        let variant = Variant { coding, is_spa_fallback: self.is_spa_fallback };
        let file = Representation::of_file(self.site, self.path, stat, variant, self.now);
        let media_type = file.media_type;
        let current = Validators { etag: file.etag, modified: stat.modified };
        match preconditions::evaluate(&self.head, &current, self.now) {
            Evaluation::PreconditionFailed => return error_page(NotServed::PreconditionFailed),
            Evaluation::NotModified => return State::Done(ResponsePlan::NotModified(file)),
            Evaluation::Proceed { range: false } => {}
            Evaluation::Proceed { range: true } => {
                self.selection = range::select(
                    self.head.known_values(KnownHeader::Range),
                    stat.size,
                    self.site.max_ranges,
                );
            }
        }
        match &self.selection {
            Selection::Unsatisfiable => {
                return State::Done(ResponsePlan::RangeNotSatisfiable(stat.size));
            }
            // Some clients take the coding as that of the parts and of the text between them.
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

    /// Nothing exists at the path: sends the page of the single-page application, if the client
    /// navigates.
    fn try_spa_fallback(&mut self) -> State<'a> {
        let site = self.site;
        match &site.spa {
            Some(page) if media_type::extension(self.path).is_none() => {
                if !wants_html(&self.head) {
                    return chosen_page(NotServed::NotFound, Choice::ByAccept);
                }
                self.path.clear();
                self.path.extend_from_slice(page.as_bytes());
                self.is_spa_fallback = true;
                State::SpaFallback
            }
            _ => error_page(NotServed::NotFound),
        }
    }

    /// Tries index page `n`. After the last one, the directory itself is listed.
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

/// The state after an error. `choice` says how its page was chosen before. A 404 gets the site's own page,
/// if there is one and the client wants HTML: that is put into `path`.
fn refused<'a>(
    site: &Site,
    head: &Head<'_>,
    error: NotServed,
    choice: Choice,
    path: &mut Vec<u8>,
) -> State<'a> {
    match &site.not_found_page {
        Some(page) if error.status() == 404 => {
            if !wants_html(head) {
                return chosen_page(error, Choice::ByAccept);
            }
            path.clear();
            path.extend_from_slice(page.as_bytes());
            State::CustomErrorPage(error)
        }
        _ => chosen_page(error, choice),
    }
}

fn error_page(error: NotServed) -> State<'static> {
    chosen_page(error, Choice::None)
}

fn chosen_page(error: NotServed, choice: Choice) -> State<'static> {
    State::Done(ResponsePlan::ErrorPage(error, choice))
}

#[cfg(test)]
#[path = "resolve_tests.rs"]
mod tests;
