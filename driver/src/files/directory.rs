//! A directory's answers, but for the waiting: what both drivers' `Files` have in common.
//!
//! What to answer is [`Resolver`]'s, what the system says is [`os`]'s; here they are brought
//! together, up to the bytes of the body, which each driver sends in its own way ([`Rest`]).

use std::cell::RefCell;
use std::fmt;
use std::io::{self, ErrorKind};
use std::path::Path;

use doorstep_core::site::listing::View;
use doorstep_core::site::multipart::Multipart;
use doorstep_core::site::range::ByteRange;
use doorstep_core::site::{
    Action, DigestHeaders, MethodPlan, NotServed, Resolver, ResponseBody, ResponseHeader,
    ResponsePlan, Site, Stat,
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
        let plan = MethodPlan::new(&self.site, &turn.head());
        match plan {
            MethodPlan::Resolve => {
                let mut scratch = SCRATCH.take();
                let rest = self.look_up(turn, &mut scratch);
                SCRATCH.set(scratch);
                return rest;
            }
            MethodPlan::Options { .. } => {
                plan.fold_headers(turn.respond(204), add_header).body("")?;
            }
            MethodPlan::MethodNotAllowed => {
                plan.fold_headers(turn.respond(405), add_header).page("")?;
            }
            MethodPlan::NotImplemented => turn.unsupported()?,
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
        let plan = ResponsePlan::File(file.about(), &file.selection);
        send(turn, &plan, Some(file.content.clone()), digests)
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
                Action::Respond(plan) => return respond(turn, &plan, file),
            }
        }
    }
}

/// Responds as planned, unless digests or a listing have to be made first.
fn respond(
    turn: &mut Turn<'_>,
    plan: &ResponsePlan<'_>,
    file: Option<(Content, Stat)>,
) -> io::Result<Rest> {
    match (plan, &file) {
        (ResponsePlan::Listing(path, view), _) => return Ok(Rest::List(path.to_vec(), *view)),
        (ResponsePlan::ErrorPage(denial), _) => {
            deny(turn, *denial)?;
            return Ok(Rest::Nothing);
        }
        (ResponsePlan::File(about, selection), Some(file)) => {
            if let Some(pending) = Undigested::new(&turn.head(), about, selection, file) {
                return Ok(Rest::Digest(Box::new(pending)));
            }
        }
        _ => {}
    }
    send(turn, plan, file.map(|(content, _)| content), &Digested::default())
}

/// Sends the head of a planned response, and its body if it is in no file; returns what is left.
fn send(
    turn: &mut Turn<'_>,
    plan: &ResponsePlan<'_>,
    file: Option<Content>,
    digests: &Digested,
) -> io::Result<Rest> {
    let response = match plan {
        ResponsePlan::CustomErrorPage(denial, ..) => begin(turn, *denial).error(),
        _ => turn.respond(plan.status()),
    };
    let [representation, content] =
        [digests.representation, digests.content].map(|digest| digest.map(|d| d.field()));
    let digests =
        DigestHeaders { representation: representation.as_deref(), content: content.as_deref() };
    let response = plan.fold_headers(&digests, response, add_header);
    let body = plan.body();
    match (plan.content_length(), &body) {
        (Some(length), _) => response.sized(length)?,
        (None, ResponseBody::ErrorPage) => response.page("")?,
        (None, _) => response.body("")?,
    }
    Ok(match (body, file) {
        (ResponseBody::Range(range), Some(file)) => Rest::Range(file, range),
        (ResponseBody::Multipart(parts), Some(file)) => Rest::Parts(file, parts),
        _ => Rest::Nothing,
    })
}

fn add_header<'a>(response: Response<'a>, header: ResponseHeader<'_>) -> Response<'a> {
    match header {
        ResponseHeader::ContentLength(n) => response.length(n),
        ResponseHeader::Other(name, value) => response.header(name, value),
    }
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
