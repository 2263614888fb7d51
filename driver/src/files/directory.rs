//! A directory's answers, but for the waiting: what both drivers' `Files` have in common.
//!
//! What to answer is [`Resolver`]'s, what the system says is [`os`]'s; here they are brought
//! together, up to the bytes of the body, which each driver sends in its own way ([`Rest`]).

use std::cell::RefCell;
use std::fmt;
use std::io::{self, ErrorKind};
use std::path::Path;

use doorstep_core::http1::date;
use doorstep_core::site::listing::View;
use doorstep_core::site::multipart::Multipart;
use doorstep_core::site::range::{ByteRange, Selection};
use doorstep_core::site::{
    Action, NotServed, Representation, Resolver, ResponsePlan, Site, Stat, cors,
};

use super::listings::{Listed, Listings, NotListed};
use super::pending_digest::{Digested, Undigested};
use super::{Content, Digests, Store};
use crate::cgi::{Dismissal, Queue, Scripts};
use crate::exchange::Turn;
use crate::exchange::response::Response;
use crate::net::{Departure, Vigil};
use crate::os::{self, Opened, Root, Symlinks};
use crate::semaphore::Place;

/// What is below a directory, as answers.
#[derive(Debug)]
pub struct Directory {
    store: Store,
    digests: Digests,
    listings: Listings,
    site: Site,
}

/// What is left to do after the head of an answer.
#[derive(Debug)]
pub enum Rest {
    /// Nothing.
    Nothing,
    /// Send these bytes of it; as much was promised.
    Range(Content, ByteRange),
    /// Send its pieces, one after the other; as much was promised.
    Parts(Content, Multipart),
    /// Nothing was answered yet: read this directory ([`Directory::list`]), which may take long, and
    /// then [`Directory::show`] it.
    List(Vec<u8>, View),
    /// Nothing was answered yet, for want of descriptors or memory. Evict a connection and answer
    /// again; if that does not help, [`Directory::refuse`].
    Exhausted(io::Error),
    /// Nothing was answered yet: compute the digests of this ([`Directory::digest`]), which may take
    /// long, and then [`Directory::finish`] it.
    Digest(Box<Undigested>),
}

thread_local! {
    /// The path under judgement; one buffer for each thread, so a request allocates none.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The methods that files have, for Allow (B-170).
const ALLOWED: &str = "GET, HEAD, OPTIONS";

impl Directory {
    /// Serves `directory`: what stands under that name when it is asked for; links below it go as
    /// far as `symlinks` says.
    ///
    /// # Errors
    /// When there is no such directory now.
    pub fn new(directory: impl AsRef<Path>, symlinks: Symlinks) -> io::Result<Self> {
        let root = Root::new(directory.as_ref(), symlinks)?;
        let (store, digests, site) = (Store::new(root), Digests::default(), Site::default());
        Ok(Self { store, digests, listings: Listings::new(&site), site })
    }

    /// Serves files beside `scripts`: listings leave out their directories, and a root that is
    /// missing is logged once for both.
    pub fn beside(&mut self, scripts: &mut Scripts) {
        self.site.unlisted_directories.extend(scripts.settings().directories.paths());
        scripts.share(self.store.root());
    }

    /// Answers a request of any method.
    ///
    /// # Errors
    /// [`doorstep_core::http1::Misuse`], when it was answered before.
    pub fn answer(&self, turn: &mut Turn<'_>) -> io::Result<Rest> {
        match turn.head().method() {
            b"GET" | b"HEAD" => {
                let mut scratch = SCRATCH.take();
                let rest = self.look_up(turn, &mut scratch);
                SCRATCH.set(scratch);
                return rest;
            }
            b"OPTIONS" => {
                let asks = self.site.cors && cors::is_preflight(&turn.head());
                let mut response = turn.respond(204).header("Allow", ALLOWED);
                for (name, value) in cors::PREFLIGHT_HEADERS.into_iter().filter(|_| asks) {
                    response = response.header(name, value);
                }
                response.body("")?;
            }
            b"POST" | b"PUT" | b"PATCH" | b"DELETE" => {
                turn.respond(405).header("Allow", ALLOWED).page("")?;
            }
            _ => turn.unsupported()?,
        }
        Ok(Rest::Nothing)
    }

    /// Serves it as `site` says.
    pub fn set_site(&mut self, site: Site) {
        self.listings = Listings::new(&site);
        self.site = site;
    }

    /// The listing of the directory at `path`. [`NotListed::Large`]: it needs a permit, from
    /// [`Directory::queue`]. It ends early when `departure` says that the client has left, which it
    /// is asked now and then.
    ///
    /// # Errors
    /// Why there is none.
    pub fn list(
        &self,
        path: &[u8],
        view: View,
        permit: Option<Place>,
        departure: impl FnMut() -> Option<Departure>,
    ) -> Result<Listed, NotListed> {
        self.listings.make((&self.store, &self.site), (path, view), permit, departure)
    }

    /// Watches whether the client of a listing or a digest has disconnected.
    #[must_use]
    pub fn vigil(&self) -> Vigil {
        Vigil::new(self.site.half_close_timeout)
    }

    /// A place in the queue for a large listing's permit.
    ///
    /// # Errors
    /// Why there is none.
    pub fn queue(&self) -> Result<Queue, Dismissal> {
        self.listings.queue(&self.site)
    }

    /// Answers with what [`Directory::list`] gave; what is to be sent of it, if anything is.
    ///
    /// # Errors
    /// As of [`Directory::answer`].
    pub fn show(
        &self,
        turn: &mut Turn<'_>,
        view: View,
        listed: Result<Listed, NotListed>,
    ) -> io::Result<Option<Listed>> {
        match listed {
            Ok(listed) => {
                turn.respond(200)
                    .header("Content-Type", view.content_type())
                    .header("Vary", "Accept")
                    .sized(listed.length())?;
                Ok(Some(listed))
            }
            Err(why) => {
                turn.note(noted(turn, &why));
                match why.denial() {
                    Some(denial) => deny(turn, denial)?,
                    None => unavailable(turn)?,
                }
                Ok(None)
            }
        }
    }

    /// Answers 503: descriptors or memory are used up, or the file system fails.
    ///
    /// # Errors
    /// As for [`Directory::answer`].
    pub fn refuse(&self, turn: &mut Turn<'_>, error: &io::Error) -> io::Result<()> {
        turn.note(noted(turn, error));
        unavailable(turn)
    }

    /// The digests that `file` is to be answered with. One that cannot be computed is left out: what
    /// is wrong with the file is found when it is sent. So is one whose client has left, as
    /// `departure` says.
    #[must_use]
    pub fn digest(
        &self,
        file: &Undigested,
        mut departure: impl FnMut() -> Option<Departure>,
    ) -> Digested {
        file.digest(&self.digests, || departure().is_none())
    }

    /// Answers with `file` and what [`Directory::digest`] gave.
    ///
    /// # Errors
    /// As of [`Directory::answer`].
    pub fn finish(
        &self,
        turn: &mut Turn<'_>,
        file: &Undigested,
        digests: &Digested,
    ) -> io::Result<Rest> {
        send_file(turn, &file.about(), &file.selection, Some(file.content.clone()), digests)
    }

    fn look_up(&self, turn: &mut Turn<'_>, scratch: &mut Vec<u8>) -> io::Result<Rest> {
        let head = turn.head();
        let mut lookup = Resolver::new(&self.site, &head, os::now(), scratch);
        let (mut tree, mut file) = (None, None);
        loop {
            match lookup.action() {
                Action::Open(path) => {
                    let opened = self.store.get(path, &mut tree);
                    lookup.opened(opened.found());
                    match opened {
                        Opened::File(content, stat) => file = Some((content, stat)),
                        Opened::Refused(error) => turn.note(noted(turn, &error)),
                        Opened::Exhausted(error) => return Ok(Rest::Exhausted(error)),
                        Opened::Failed(error) => {
                            self.refuse(turn, &error)?;
                            return Ok(Rest::Nothing);
                        }
                        _ => {}
                    }
                }
                // Whether it can be read is found when it is: that may take long.
                Action::List(_) => lookup.listed(true),
                Action::Respond(answer) => return send(turn, answer, file),
            }
        }
    }
}

fn send(
    turn: &mut Turn<'_>,
    answer: ResponsePlan<'_>,
    file: Option<(Content, Stat)>,
) -> io::Result<Rest> {
    match answer {
        ResponsePlan::ErrorPage(denial) => deny(turn, denial)?,
        ResponsePlan::CustomErrorPage(denial, media_type, size) => {
            let mut content_type = Vec::new();
            media_type.write(&mut content_type);
            begin(turn, denial).error().header("Content-Type", content_type).sized(size)?;
            if let Some((file, _)) = file.filter(|_| size > 0) {
                return Ok(Rest::Range(file, ByteRange { first: 0, last: size - 1 }));
            }
        }
        ResponsePlan::NotModified(about) => with_validators(turn.respond(304), &about).body("")?,
        ResponsePlan::RangeNotSatisfiable(size) => turn
            .respond(416)
            .header("Accept-Ranges", "bytes")
            .header("Content-Range", format!("bytes */{size}"))
            .page("")?,
        ResponsePlan::Listing(path, view) => return Ok(Rest::List(path.to_vec(), view)),
        ResponsePlan::Redirect(location) => {
            let mut target = Vec::new();
            location.write(&mut target);
            turn.respond(301).header("Location", target).body("")?;
        }
        ResponsePlan::File(about, selection) => {
            let undigested = file
                .as_ref()
                .and_then(|file| Undigested::new(&turn.head(), &about, selection, file));
            if let Some(undigested) = undigested {
                return Ok(Rest::Digest(Box::new(undigested)));
            }
            let file = file.map(|(content, _)| content);
            return send_file(turn, &about, selection, file, &Digested::default());
        }
    }
    Ok(Rest::Nothing)
}

/// 200 or 206 and the fields of a file; the body is still to be sent.
fn send_file(
    turn: &mut Turn<'_>,
    about: &Representation<'_>,
    selection: &Selection,
    file: Option<Content>,
    digests: &Digested,
) -> io::Result<Rest> {
    let mut content_type = Vec::with_capacity(64);
    about.media_type.write(&mut content_type);
    let parts = match selection {
        Selection::Several(ranges) => {
            let parts = Multipart::new(ranges, about.size, &content_type, &about.etag);
            content_type = parts.content_type();
            Some(parts)
        }
        _ => None,
    };
    let length = match (selection, &parts) {
        (Selection::One(range), _) => range.len(),
        (_, Some(parts)) => parts.length(),
        _ => about.size,
    };

    let status = if *selection == Selection::Whole { 200 } else { 206 };
    let mut response = turn.respond(status).header("Content-Type", content_type);
    if let Some(encoding) = about.media_type.encoding {
        response = response.header("Content-Encoding", encoding);
    }
    response = response.length(length).header("Last-Modified", date::format(about.modified));
    response = with_validators(response, about).header("Accept-Ranges", "bytes");
    if let Selection::One(range) = selection {
        let mut value = Vec::with_capacity(64);
        range.write_content_range(about.size, &mut value);
        response = response.header("Content-Range", value);
    }
    for (name, value) in
        [("Repr-Digest", &digests.representation), ("Content-Digest", &digests.content)]
    {
        if let Some(value) = value {
            response = response.header(name, value.field());
        }
    }
    response.sized(length)?;

    Ok(match (file, parts, selection) {
        (None, ..) => Rest::Nothing,
        (Some(file), Some(parts), _) => Rest::Parts(file, parts),
        (Some(file), None, Selection::One(range)) => Rest::Range(file, *range),
        (Some(_), ..) if length == 0 => Rest::Nothing,
        (Some(file), ..) => Rest::Range(file, ByteRange { first: 0, last: length - 1 }),
    })
}

/// The fields that a 304 has too (RFC 9110 §15.4.5).
fn with_validators<'a>(mut response: Response<'a>, about: &Representation<'_>) -> Response<'a> {
    response = response.header("ETag", about.etag);
    if !about.cache_control.is_empty() {
        response = response.header("Cache-Control", about.cache_control);
    }
    if !about.vary.is_empty() {
        response = response.header("Vary", about.vary);
    }
    response
}

/// So much of a content that is in memory.
///
/// # Errors
/// [`ErrorKind::UnexpectedEof`] when it has less.
pub fn part(bytes: &[u8], range: ByteRange) -> io::Result<&[u8]> {
    let [first, end] = [range.first, range.last.saturating_add(1)]
        .map(|n| usize::try_from(n).unwrap_or(usize::MAX));
    bytes.get(first..end).ok_or_else(|| ErrorKind::UnexpectedEof.into())
}

fn deny(turn: &mut Turn<'_>, denial: NotServed) -> io::Result<()> {
    begin(turn, denial).page("")
}

/// The status, and why for the log.
fn begin<'a>(turn: &'a mut Turn<'_>, denial: NotServed) -> Response<'a> {
    if let Some(why) = denial.log_message() {
        turn.note(noted(turn, &why));
    }
    turn.respond(denial.status()).reason(denial.reason())
}

/// 503: descriptors or memory are used up, or the file system fails; a later request may succeed.
fn unavailable(turn: &mut Turn<'_>) -> io::Result<()> {
    turn.respond(503).header("Retry-After", "1").page("")
}

/// An error with its path, for the log.
fn noted(turn: &Turn<'_>, error: &dyn fmt::Display) -> String {
    format!("{}: {error}", String::from_utf8_lossy(turn.head().path()))
}

#[cfg(test)]
#[path = "directory_tests.rs"]
mod tests;
