//! A directory's answers, but for the waiting: what both drivers' `Files` have in common.
//!
//! What to answer is [`Resolver`]'s, what the system says is [`os`]'s; here they are brought
//! together, up to the bytes of the body, which each driver sends in its own way ([`BodyPlan`]).

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

use super::listings::{Listing, ListingError, ListingPermits};
use super::pending_digest::{Digests, PendingDigest};
use super::{Content, DigestCache, FileCache};
use crate::cgi::ScriptDirectory;
use crate::exchange::ExchangeState;
use crate::exchange::response::Response;
use crate::net::{Disconnect, DisconnectDetector};
use crate::os::{self, Opened, Root, Symlinks};
use crate::permit_wait::PermitWait;
use crate::semaphore::Permit;

/// What is below a directory, as answers.
#[derive(Debug)]
pub struct Directory {
    cache: FileCache,
    digest_cache: DigestCache,
    listings: ListingPermits,
    site: Site,
}

/// What is left to do after the head of an answer.
#[derive(Debug)]
pub enum BodyPlan {
    /// Nothing.
    Done,
    /// Send these bytes of it; as much was promised.
    Range(Content, ByteRange),
    /// Send its pieces, one after the other; as much was promised.
    Multipart(Content, Multipart),
    /// Nothing was answered yet: read this directory ([`Directory::list`]), which may take long, and
    /// then [`Directory::respond_listing`] it.
    List(Vec<u8>, View),
    /// Nothing was answered yet, for want of descriptors or memory. Evict a connection and answer
    /// again; if that does not help, [`Directory::respond_unavailable`].
    Exhausted(io::Error),
    /// Nothing was answered yet: compute the digests of this ([`Directory::compute_digests`]), which may take
    /// long, and then [`Directory::respond_with_digests`] it.
    Digest(Box<PendingDigest>),
}

thread_local! {
    /// The path under judgement; one buffer for each thread, so a request allocates none.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A clone has the same root and site, and caches and limits of its own.
impl Clone for Directory {
    fn clone(&self) -> Self {
        let site = self.site.clone();
        Self {
            cache: FileCache::new(self.cache.root().clone()),
            digest_cache: DigestCache::default(),
            listings: ListingPermits::new(&site),
            site,
        }
    }
}

impl Directory {
    /// Serves `directory`: what stands under that name when it is asked for; links below it go as
    /// far as `symlinks` says.
    ///
    /// # Errors
    /// When there is no such directory now.
    pub fn new(directory: impl AsRef<Path>, symlinks: Symlinks) -> io::Result<Self> {
        let root = Root::new(directory.as_ref(), symlinks)?;
        let (cache, digest_cache, site) =
            (FileCache::new(root), DigestCache::default(), Site::default());
        Ok(Self { cache, digest_cache, listings: ListingPermits::new(&site), site })
    }

    /// Serves files attach_scripts `scripts`: listings leave out their directories, and a root that is
    /// missing is logged once for both.
    pub(crate) fn attach_scripts(&mut self, scripts: &mut ScriptDirectory) {
        self.site.unlisted_directories.extend(scripts.settings().directories.paths());
        scripts.share(self.cache.root());
    }

    /// Answers a request of any method.
    ///
    /// # Errors
    /// [`doorstep_core::http1::Misuse`], when it was answered before.
    pub fn respond(&self, exchange: &mut ExchangeState<'_>) -> io::Result<BodyPlan> {
        let plan = MethodPlan::new(&self.site, &exchange.head());
        match plan {
            MethodPlan::Resolve => {
                let mut scratch = SCRATCH.take();
                let plan = self.resolve(exchange, &mut scratch);
                SCRATCH.set(scratch);
                return plan;
            }
            MethodPlan::Options { .. } => {
                plan.fold_headers(exchange.respond(204), add_header).body("")?;
            }
            MethodPlan::MethodNotAllowed => {
                plan.fold_headers(exchange.respond(405), add_header).error_page("")?;
            }
            MethodPlan::NotImplemented => exchange.unsupported()?,
        }
        Ok(BodyPlan::Done)
    }

    /// Serves it as `site` says.
    pub fn set_site(&mut self, site: Site) {
        self.listings = ListingPermits::new(&site);
        self.site = site;
    }

    /// The listing of the directory at `path`. [`ListingError::NeedsPermit`]: it needs a permit, from
    /// [`Directory::queue_for_permit`]. It ends early when `disconnect` says that the client has left, which it
    /// is asked now and then.
    ///
    /// # Errors
    /// Why there is none.
    pub fn list(
        &self,
        path: &[u8],
        view: View,
        permit: Option<Permit>,
        disconnect: impl FnMut() -> Option<Disconnect>,
    ) -> Result<Listing, ListingError> {
        self.listings.build((&self.cache, &self.site), (path, view), permit, disconnect)
    }

    /// Watches whether the client of a listing or a digest has disconnected.
    #[must_use]
    pub fn disconnect_detector(&self) -> DisconnectDetector {
        DisconnectDetector::new(self.site.half_close_timeout)
    }

    /// Waits for the permit of a large listing.
    #[must_use]
    pub fn queue_for_permit(&self) -> PermitWait {
        self.listings.queue(&self.site)
    }

    /// Answers with what [`Directory::list`] gave; what is to be sent of it, if anything is.
    ///
    /// # Errors
    /// As of [`Directory::respond`].
    pub fn respond_listing(
        &self,
        exchange: &mut ExchangeState<'_>,
        view: View,
        listed: Result<Listing, ListingError>,
    ) -> io::Result<Option<Listing>> {
        match listed {
            Ok(listed) => {
                exchange
                    .respond(200)
                    .header("Content-Type", view.content_type())
                    .header("Vary", "Accept")
                    .sized_body(listed.length())?;
                Ok(Some(listed))
            }
            Err(why) => {
                exchange.log_error(with_path(exchange, &why));
                match why.not_served() {
                    Some(denial) => send_error_page(exchange, denial)?,
                    None => respond_503(exchange)?,
                }
                Ok(None)
            }
        }
    }

    /// Answers 503: descriptors or memory are used up, or the file system fails.
    ///
    /// # Errors
    /// As for [`Directory::respond`].
    pub fn respond_unavailable(
        &self,
        exchange: &mut ExchangeState<'_>,
        error: &io::Error,
    ) -> io::Result<()> {
        exchange.log_error(with_path(exchange, error));
        respond_503(exchange)
    }

    /// The digests that `file` is to be answered with. One that cannot be computed is left out: what
    /// is wrong with the file is found when it is sent. So is one whose client has left, as
    /// `disconnect` says.
    #[must_use]
    pub fn compute_digests(
        &self,
        file: &PendingDigest,
        mut disconnect: impl FnMut() -> Option<Disconnect>,
    ) -> Digests {
        file.compute(&self.digest_cache, || disconnect().is_none())
    }

    /// Answers with `file` and what [`Directory::compute_digests`] gave.
    ///
    /// # Errors
    /// As of [`Directory::respond`].
    pub fn respond_with_digests(
        &self,
        exchange: &mut ExchangeState<'_>,
        file: &PendingDigest,
        digests: &Digests,
    ) -> io::Result<BodyPlan> {
        let plan = ResponsePlan::File(file.representation(), &file.selection);
        send(exchange, &plan, Some(file.content.clone()), digests)
    }

    fn resolve(
        &self,
        exchange: &mut ExchangeState<'_>,
        scratch: &mut Vec<u8>,
    ) -> io::Result<BodyPlan> {
        let head = exchange.head();
        let mut resolver = Resolver::new(&self.site, &head, os::now(), scratch);
        let (mut root_dir, mut file) = (None, None);
        loop {
            match resolver.action() {
                Action::Open(path) => {
                    let opened = self.cache.get(path, &mut root_dir);
                    resolver.opened(opened.to_found());
                    match opened {
                        Opened::File(content, stat) => file = Some((content, stat)),
                        Opened::Denied(error) => exchange.log_error(with_path(exchange, &error)),
                        Opened::Exhausted(error) => return Ok(BodyPlan::Exhausted(error)),
                        Opened::Failed(error) => {
                            self.respond_unavailable(exchange, &error)?;
                            return Ok(BodyPlan::Done);
                        }
                        _ => {}
                    }
                }
                // Whether it can be read is found when it is: that may take long.
                Action::List(_) => resolver.listed(true),
                Action::Respond(plan) => return respond(exchange, &plan, file),
            }
        }
    }
}

/// Responds as planned, unless digests or a listing have to be made first.
fn respond(
    exchange: &mut ExchangeState<'_>,
    plan: &ResponsePlan<'_>,
    file: Option<(Content, Stat)>,
) -> io::Result<BodyPlan> {
    match (plan, &file) {
        (ResponsePlan::Listing(path, view), _) => return Ok(BodyPlan::List(path.to_vec(), *view)),
        (ResponsePlan::ErrorPage(denial), _) => {
            send_error_page(exchange, *denial)?;
            return Ok(BodyPlan::Done);
        }
        (ResponsePlan::File(representation, selection), Some(file)) => {
            if let Some(pending) =
                PendingDigest::new(&exchange.head(), representation, selection, file)
            {
                return Ok(BodyPlan::Digest(Box::new(pending)));
            }
        }
        _ => {}
    }
    send(exchange, plan, file.map(|(content, _)| content), &Digests::default())
}

/// Sends the head of a planned response, and its body if it is in no file; returns what is left.
fn send(
    exchange: &mut ExchangeState<'_>,
    plan: &ResponsePlan<'_>,
    file: Option<Content>,
    digests: &Digests,
) -> io::Result<BodyPlan> {
    let response = match plan {
        ResponsePlan::CustomErrorPage(denial, ..) => {
            error_response(exchange, *denial).log_as_error()
        }
        _ => exchange.respond(plan.status()),
    };
    let [representation, content] =
        [digests.representation, digests.content].map(|digest| digest.map(|d| d.header_value()));
    let digests =
        DigestHeaders { representation: representation.as_deref(), content: content.as_deref() };
    let response = plan.fold_headers(&digests, response, add_header);
    let body = plan.body();
    match (plan.content_length(), &body) {
        (Some(length), _) => response.sized_body(length)?,
        (None, ResponseBody::ErrorPage) => response.error_page("")?,
        (None, _) => response.body("")?,
    }
    Ok(match (body, file) {
        (ResponseBody::Range(range), Some(file)) => BodyPlan::Range(file, range),
        (ResponseBody::Multipart(parts), Some(file)) => BodyPlan::Multipart(file, parts),
        _ => BodyPlan::Done,
    })
}

fn add_header<'a>(response: Response<'a>, header: ResponseHeader<'_>) -> Response<'a> {
    match header {
        ResponseHeader::ContentLength(n) => response.content_length(n),
        ResponseHeader::Other(name, value) => response.header(name, value),
    }
}

/// So much of a content that is in memory.
///
/// # Errors
/// [`ErrorKind::UnexpectedEof`] when it has less.
pub fn slice_range(bytes: &[u8], range: ByteRange) -> io::Result<&[u8]> {
    let [first, end] = [range.first, range.last.saturating_add(1)]
        .map(|n| usize::try_from(n).unwrap_or(usize::MAX));
    bytes.get(first..end).ok_or_else(|| ErrorKind::UnexpectedEof.into())
}

fn send_error_page(exchange: &mut ExchangeState<'_>, denial: NotServed) -> io::Result<()> {
    error_response(exchange, denial).error_page("")
}

/// The status, and why for the log.
fn error_response<'a>(exchange: &'a mut ExchangeState<'_>, denial: NotServed) -> Response<'a> {
    if let Some(why) = denial.log_message() {
        exchange.log_error(with_path(exchange, &why));
    }
    exchange.respond(denial.status()).reason(denial.reason())
}

/// 503: descriptors or memory are used up, or the file system fails; a later request may succeed.
fn respond_503(exchange: &mut ExchangeState<'_>) -> io::Result<()> {
    exchange.respond(503).header("Retry-After", "1").error_page("")
}

/// An error with its path, for the log.
fn with_path(exchange: &ExchangeState<'_>, error: &dyn fmt::Display) -> String {
    format!("{}: {error}", String::from_utf8_lossy(exchange.head().path()))
}

#[cfg(test)]
#[path = "directory_tests.rs"]
mod tests;
