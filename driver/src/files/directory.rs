//! A directory's answers, but for the waiting: what both drivers' `Files` have in common.
//!
//! What to answer is [`Resolver`]'s, what the system says is [`os`]'s; here they are brought
//! together, up to the bytes of the body, which each driver sends in its own way ([`BodyPlan`]).

use std::cell::RefCell;
use std::fmt;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;

use doorstep_core::http1::date;
use doorstep_core::site::listing::View;
use doorstep_core::site::multipart::Multipart;
use doorstep_core::site::range::{ByteRange, Selection};
use doorstep_core::site::{
    Action, NotServed, Representation, Resolver, ResponsePlan, Site, Stat, cors,
};

use super::listings::{Listing, ListingError, ListingPermits};
use super::pending_digest::{Digests, PendingDigest};
use super::{CacheLimits, Content, DigestCache, FileCache};
use crate::cgi::ScriptDirectory;
use crate::config::Config;
use crate::exchange::ExchangeState;
use crate::exchange::response::Response;
use crate::net::{Disconnect, DisconnectDetector};
use crate::os::{self, Opened, Root, Symlinks};
use crate::permit_wait::{PermitTimeouts, PermitWait};
use crate::semaphore::Permit;

/// What is below a directory, as answers.
#[derive(Debug)]
pub struct Directory {
    cache: FileCache,
    digest_cache: DigestCache,
    listings: ListingPermits,
    site: Site,
    cache_limits: CacheLimits,
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

/// The methods that files have, for Allow (B-170).
const ALLOWED_METHODS: &str = "GET, HEAD, OPTIONS";

/// A clone has the same root and site, and caches and limits of its own.
impl Clone for Directory {
    fn clone(&self) -> Self {
        Self::from_parts(self.cache.root().clone(), self.site.clone(), self.cache_limits)
    }
}

impl Directory {
    /// Serves `directory`: what stands under that name when it is asked for; links below it go as
    /// far as `symlinks` says.
    ///
    /// # Errors
    /// When there is no such directory now.
    pub fn new(directory: impl AsRef<Path>, symlinks: Symlinks) -> io::Result<Self> {
        let root = Arc::new(Root::new(directory.as_ref(), symlinks)?);
        Ok(Self::from_parts(root, Site::default(), CacheLimits::default()))
    }

    fn from_parts(root: Arc<Root>, site: Site, cache_limits: CacheLimits) -> Self {
        Self {
            cache: FileCache::with_limits(root, &cache_limits),
            digest_cache: DigestCache::new(&cache_limits),
            listings: ListingPermits::new(&site),
            site,
            cache_limits,
        }
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
        match exchange.head().method() {
            b"GET" | b"HEAD" => {
                let mut scratch = SCRATCH.take();
                let plan = self.resolve(exchange, &mut scratch);
                SCRATCH.set(scratch);
                return plan;
            }
            b"OPTIONS" => {
                let asks = self.site.cors && cors::is_preflight(&exchange.head());
                let mut response = exchange.respond(204).header("Allow", ALLOWED_METHODS);
                for (name, value) in cors::PREFLIGHT_HEADERS.into_iter().filter(|_| asks) {
                    response = response.header(name, value);
                }
                response.body("")?;
            }
            b"POST" | b"PUT" | b"PATCH" | b"DELETE" => {
                exchange.respond(405).header("Allow", ALLOWED_METHODS).error_page("")?;
            }
            _ => exchange.unsupported()?,
        }
        Ok(BodyPlan::Done)
    }

    /// Serves it as `site` says.
    pub fn set_site(&mut self, site: Site) {
        self.listings = ListingPermits::new(&site);
        self.site = site;
    }

    /// Replaces the caches by empty ones within `limits`.
    pub fn set_cache_limits(&mut self, limits: CacheLimits) {
        self.cache = FileCache::with_limits(self.cache.root().clone(), &limits);
        self.digest_cache = DigestCache::new(&limits);
        self.cache_limits = limits;
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

    /// Detects whether the client of a listing or of a digest has disconnected.
    #[must_use]
    pub fn disconnect_detector(&self, config: &Config) -> DisconnectDetector {
        DisconnectDetector::new(self.site.half_close_timeout, config.disconnect_check_interval)
    }

    /// Waits for the permit of a large listing.
    #[must_use]
    pub fn queue_for_permit(&self, config: &Config) -> PermitWait {
        self.listings.queue(PermitTimeouts {
            timeout: self.site.listing_queue_timeout,
            half_close_timeout: self.site.half_close_timeout,
            check_interval: config.disconnect_check_interval,
        })
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
        send_file_head(
            exchange,
            &file.representation(),
            &file.selection,
            Some(file.content.clone()),
            digests,
        )
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
                Action::Respond(plan) => return self.send_head(exchange, plan, file),
            }
        }
    }

    fn send_head(
        &self,
        exchange: &mut ExchangeState<'_>,
        plan: ResponsePlan<'_>,
        file: Option<(Content, Stat)>,
    ) -> io::Result<BodyPlan> {
        match plan {
            ResponsePlan::ErrorPage(denial) => send_error_page(exchange, denial)?,
            ResponsePlan::CustomErrorPage(denial, media_type, size) => {
                let mut content_type = Vec::new();
                media_type.write(&mut content_type);
                error_response(exchange, denial)
                    .log_as_error()
                    .header("Content-Type", content_type)
                    .sized_body(size)?;
                if let Some((file, _)) = file.filter(|_| size > 0) {
                    return Ok(BodyPlan::Range(file, ByteRange { first: 0, last: size - 1 }));
                }
            }
            ResponsePlan::NotModified(about) => {
                with_validators(exchange.respond(304), &about).body("")?;
            }
            ResponsePlan::RangeNotSatisfiable(size) => exchange
                .respond(416)
                .header("Accept-Ranges", "bytes")
                .header("Content-Range", format!("bytes */{size}"))
                .error_page("")?,
            ResponsePlan::Listing(path, view) => return Ok(BodyPlan::List(path.to_vec(), view)),
            ResponsePlan::Redirect(location) => {
                let mut target = Vec::new();
                location.write(&mut target);
                exchange.respond(301).header("Location", target).body("")?;
            }
            ResponsePlan::File(representation, selection) => {
                let pending = file.as_ref().and_then(|file| {
                    let most = self.cache_limits.max_digest_file_size;
                    PendingDigest::new(&exchange.head(), &representation, selection, file, most)
                });
                if let Some(pending) = pending {
                    return Ok(BodyPlan::Digest(Box::new(pending)));
                }
                let file = file.map(|(content, _)| content);
                return send_file_head(
                    exchange,
                    &representation,
                    selection,
                    file,
                    &Digests::default(),
                );
            }
        }
        Ok(BodyPlan::Done)
    }
}

/// 200 or 206 and the fields of a file; the body is still to be sent.
fn send_file_head(
    exchange: &mut ExchangeState<'_>,
    representation: &Representation<'_>,
    selection: &Selection,
    file: Option<Content>,
    digests: &Digests,
) -> io::Result<BodyPlan> {
    let mut content_type = Vec::with_capacity(64);
    representation.media_type.write(&mut content_type);
    let parts = match selection {
        Selection::Several(ranges) => {
            let parts =
                Multipart::new(ranges, representation.size, &content_type, &representation.etag);
            content_type = parts.content_type();
            Some(parts)
        }
        _ => None,
    };
    let length = match (selection, &parts) {
        (Selection::One(range), _) => range.len(),
        (_, Some(parts)) => parts.length(),
        _ => representation.size,
    };

    let status = if *selection == Selection::Whole { 200 } else { 206 };
    let mut response = exchange.respond(status).header("Content-Type", content_type);
    if let Some(encoding) = representation.media_type.encoding {
        response = response.header("Content-Encoding", encoding);
    }
    response = response
        .content_length(length)
        .header("Last-Modified", date::format(representation.modified));
    response = with_validators(response, representation).header("Accept-Ranges", "bytes");
    if let Selection::One(range) = selection {
        let mut value = Vec::with_capacity(64);
        range.write_content_range(representation.size, &mut value);
        response = response.header("Content-Range", value);
    }
    for (name, value) in
        [("Repr-Digest", &digests.representation), ("Content-Digest", &digests.content)]
    {
        if let Some(value) = value {
            response = response.header(name, value.header_value());
        }
    }
    response.sized_body(length)?;

    Ok(match (file, parts, selection) {
        (None, ..) => BodyPlan::Done,
        (Some(file), Some(parts), _) => BodyPlan::Multipart(file, parts),
        (Some(file), None, Selection::One(range)) => BodyPlan::Range(file, *range),
        (Some(_), ..) if length == 0 => BodyPlan::Done,
        (Some(file), ..) => BodyPlan::Range(file, ByteRange { first: 0, last: length - 1 }),
    })
}

/// The fields that a 304 has too (RFC 9110 §15.4.5).
fn with_validators<'a>(
    mut response: Response<'a>,
    representation: &Representation<'_>,
) -> Response<'a> {
    response = response.header("ETag", representation.etag);
    if !representation.cache_control.is_empty() {
        response = response.header("Cache-Control", representation.cache_control);
    }
    if !representation.vary.is_empty() {
        response = response.header("Vary", representation.vary);
    }
    response
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
