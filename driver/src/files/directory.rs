//! The responses of a directory, up to their bodies.
//!
//! [`Resolver`] decides what to respond, and asks for the files that it needs; [`os`] opens them.
//! [`BodyPlan`] is what is left to do after the head: to send part of a file, or work that may
//! block (listings, digests). [`FilesJob`](super::FilesJob) does it.

use std::cell::RefCell;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;

use doorstep_core::http1::Head;
#[cfg(feature = "archive")]
use doorstep_core::site::archive::ArchiveFormat;
use doorstep_core::site::listing::{Filter, View};
use doorstep_core::site::multipart::Multipart;
use doorstep_core::site::range::ByteRange;
use doorstep_core::site::{
    Action, MethodPlan, PreparedResponse, Resolver, ResponsePlan, Site, Stat, Variant,
};

use super::file_cache::{CachedFile, FoundFile};
use super::listings::{Listing, ListingError, ListingPermits, ListingRequest};
use super::pending_digest::{Digests, PendingDigest};
use super::respond::{
    respond_to_method, respond_unlisted, send, send_error_page, send_prepared, with_path,
};
use super::single_file::SingleFile;
use super::{CacheLimits, Content, DigestCache, FileCache};
use crate::cgi::ScriptDirectory;
use crate::config::Config;
use crate::exchange::ExchangeState;
use crate::job::JobStep;
use crate::net::{Disconnect, DisconnectDetector};
use crate::os::{self, Opened, Root, Symlinks};
use crate::permit_wait::{PermitTimeouts, PermitWait};
use crate::semaphore::Permit;
#[cfg(feature = "archive")]
use crate::semaphore::Semaphore;
use crate::upload::{UploadSettings, UploadStart, Uploads};

/// A directory that is served: its root, its settings and its caches.
#[derive(Debug)]
pub struct Directory {
    cache: FileCache,
    digest_cache: DigestCache,
    listings: ListingPermits,
    #[cfg(feature = "archive")]
    archives: Arc<Semaphore>,
    site: Site,
    cache_limits: CacheLimits,
    /// What clients may store.
    uploads: Option<Arc<Uploads>>,
    /// The only file that is served, if it is one.
    single_file: Option<Box<SingleFile>>,
}

/// What is left to do for a response.
#[derive(Debug)]
pub enum BodyPlan {
    /// Nothing: the response is complete.
    Done,
    /// The head is done: send this range of the content.
    Range(Content, ByteRange),
    /// The head is done: send the parts of this multipart body, one after the other.
    Multipart(Box<(Content, Multipart)>),
    /// The response has not begun: list this directory ([`Directory::list`]), which may block, and
    /// then call [`Directory::respond_listing`].
    List(Vec<u8>, View, Option<Filter>),
    /// The response has not begun: send the directory at this path as an archive.
    #[cfg(feature = "archive")]
    Archive(Vec<u8>, ArchiveFormat),
    /// The response has not begun, since descriptors (`EMFILE`) or memory are used up: evict a
    /// connection and call [`Directory::respond`] again, and if that fails too,
    /// [`Directory::respond_unavailable`].
    Exhausted(io::Error),
    /// The response has not begun: compute the digests of this file
    /// ([`Directory::compute_digests`]), which may block, and then call
    /// [`Directory::respond_with_digests`].
    Digest(Box<PendingDigest>),
}

/// The length in bytes for which there is room in the buffer for a path.
const USUAL_PATH: usize = 128;

thread_local! {
    /// A buffer for the path of a request; one for each thread, so that a request allocates none.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A clone has the same root and site, and caches and limits of its own.
impl Clone for Directory {
    fn clone(&self) -> Self {
        let root = self.cache.root().clone();
        let mut clone = Self::from_parts(root, self.site.clone(), self.cache_limits);
        clone.uploads.clone_from(&self.uploads);
        clone.single_file.clone_from(&self.single_file);
        clone
    }
}

impl Directory {
    /// Serves the directory that has the name `directory` at the time of each request. `symlinks`
    /// decides which symbolic links beneath it are followed.
    ///
    /// # Errors
    /// Returns an error if there is no such directory now. It names the directory.
    pub fn new(directory: impl AsRef<Path>, symlinks: Symlinks) -> io::Result<Self> {
        let directory = directory.as_ref();
        let root = Root::new(directory, symlinks);
        let root = root.map_err(|error| os::with_path("directory", directory, error))?;
        let root = Arc::new(root);
        Ok(Self::from_parts(root, Site::default(), CacheLimits::default()))
    }

    /// Serves one file at the path `/` and its name, and nothing else beside it; `/` redirects to it. It
    /// is looked up by its name at each request, so it can be replaced. If it is a symbolic link, it is
    /// followed, wherever it leads. It may be hidden: its name begins with a dot.
    ///
    /// # Errors
    /// Returns an error if there is no such file now, if it cannot be read, or
    /// [`ErrorKind::InvalidInput`] if it is not a regular file. It names the file.
    pub fn file(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        let found = SingleFile::find(path);
        let (root, file) = found.map_err(|error| os::with_path("file", path, error))?;
        let mut directory =
            Self::from_parts(Arc::new(root), Site::default(), CacheLimits::default());
        directory.single_file = Some(Box::new(file));
        directory.set_site(Site::default());
        Ok(directory)
    }

    /// The path of the URL to begin with: `/`, or that of the only file, percent-encoded.
    #[must_use]
    pub fn start_path(&self) -> &str {
        self.single_file.as_ref().map_or("/", |file| file.location())
    }

    fn from_parts(root: Arc<Root>, site: Site, cache_limits: CacheLimits) -> Self {
        Self {
            cache: FileCache::with_limits(root, &cache_limits),
            digest_cache: DigestCache::new(&cache_limits),
            listings: ListingPermits::new(&site),
            #[cfg(feature = "archive")]
            archives: Semaphore::new(site.max_archives, usize::MAX),
            site,
            cache_limits,
            uploads: None,
            single_file: None,
        }
    }

    /// Lets clients store files.
    pub fn set_uploads(&mut self, settings: UploadSettings) {
        self.uploads = Some(Uploads::new(settings));
    }

    /// Whether this is a request to store the files of a form.
    pub(crate) fn takes_form(&self, head: &Head<'_>) -> bool {
        let uploads = self.uploads.as_ref();
        uploads.is_some_and(|it| it.takes_form(head, &self.site.unlisted_directories))
    }

    /// Whether clients may store files.
    pub(crate) fn has_uploads(&self) -> bool {
        self.uploads.is_some()
    }

    /// Begins to respond to a request that may be an upload.
    pub(crate) fn begin_upload(&self, exchange: &mut ExchangeState<'_>) -> io::Result<UploadStart> {
        match &self.uploads {
            Some(it) => it.begin(self.cache.root(), &self.site, exchange),
            None => Ok(UploadStart::Other),
        }
    }

    /// The work that gives up interrupted uploads, if this request finds any that are over.
    pub(crate) fn expire_uploads(&self, head: &Head<'_>) -> Option<JobStep> {
        self.uploads.as_ref()?.expire(head)
    }

    /// Leaves the directories of `scripts` out of listings, and shares the root with them, so that
    /// a missing root is logged once for both.
    pub(crate) fn attach_scripts(&mut self, scripts: &mut ScriptDirectory) {
        self.site.unlisted_directories.extend(scripts.settings().directories.paths());
        scripts.share(self.cache.root());
    }

    /// Responds to a request of any method.
    ///
    /// # Errors
    /// Returns [`doorstep_core::http1::Misuse`] if the response has begun already.
    pub fn respond(&self, exchange: &mut ExchangeState<'_>) -> io::Result<BodyPlan> {
        let plan = MethodPlan::new(&self.site, exchange.head_ref());
        match plan {
            MethodPlan::Resolve => {
                if let Some(file) = &self.single_file
                    && !file.respond_elsewhere(exchange)?
                {
                    return Ok(BodyPlan::Done);
                }
                let now = os::now();
                if let Some(sent) = self.respond_recent(exchange, now) {
                    return sent;
                }
                let mut scratch = SCRATCH.take();
                scratch.reserve(USUAL_PATH); // here: the first allocation needs much of the stack
                let resolved = self.resolve(exchange, now, &mut scratch);
                SCRATCH.set(scratch);
                match resolved? {
                    Resolved::Plan(plan) => Ok(plan),
                    Resolved::Cached(file, variant, response) => {
                        self.respond_cached(exchange, &file, variant, response, now)
                    }
                }
            }
            other => respond_to_method(exchange, &other).map(|()| BodyPlan::Done),
        }
    }

    /// Replaces the settings. The file cache is empty then, since headers are cached with the files.
    pub fn set_site(&mut self, mut site: Site) {
        if self.single_file.is_some() {
            SingleFile::restrict(&mut site);
        }
        #[cfg(not(feature = "archive"))]
        {
            site.archive = false;
        }
        self.listings = ListingPermits::new(&site);
        #[cfg(feature = "archive")]
        {
            self.archives = Semaphore::new(site.max_archives, usize::MAX);
        }
        self.cache = FileCache::with_limits(self.cache.root().clone(), &self.cache_limits);
        self.site = site;
    }

    /// Replaces the caches by empty ones within `limits`.
    pub fn set_cache_limits(&mut self, limits: CacheLimits) {
        self.cache = FileCache::with_limits(self.cache.root().clone(), &limits);
        self.digest_cache = DigestCache::new(&limits);
        self.cache_limits = limits;
    }

    /// Lists the directory at `path`: all entries, or those that `filter` matches. Blocks for as long as the disk takes. `disconnect` is called
    /// now and then, and ends the listing if the client has disconnected.
    ///
    /// # Errors
    /// Returns [`ListingError::NeedsPermit`] if the listing is large and needs a permit from
    /// [`Directory::queue_for_permit`], or another error if the directory cannot be listed.
    pub fn list(
        &self,
        path: &[u8],
        view: View,
        filter: Option<Filter>,
        permit: Option<Permit>,
        disconnect: impl FnMut() -> Option<Disconnect>,
    ) -> Result<Listing, ListingError> {
        let scripts = &self.site.unlisted_directories;
        let takes_uploads = self.uploads.as_ref().is_some_and(|it| it.allows(path, scripts));
        let request = ListingRequest { path, view, filter, permit, takes_uploads };
        self.listings.build(&self.cache, &self.site, request, disconnect)
    }

    /// Detects whether the client of a listing or of a digest has disconnected.
    #[must_use]
    pub fn disconnect_detector(&self, config: &Config) -> DisconnectDetector {
        DisconnectDetector::new(self.site.half_close_timeout, config.disconnect_check_interval)
    }

    /// Waits for the permit of a large listing.
    #[must_use]
    pub fn queue_for_permit(&self, config: &Config) -> PermitWait {
        self.listings.queue(self.permit_timeouts(config))
    }

    /// Waits for the permit of an archive.
    #[cfg(feature = "archive")]
    pub(super) fn queue_for_archive(&self, config: &Config) -> PermitWait {
        PermitWait::new(&self.archives, self.permit_timeouts(config))
    }

    fn permit_timeouts(&self, config: &Config) -> PermitTimeouts {
        PermitTimeouts {
            timeout: self.site.listing_queue_timeout,
            half_close_timeout: self.site.half_close_timeout,
            check_interval: config.disconnect_check_interval,
        }
    }

    #[cfg(feature = "archive")]
    pub(super) fn root(&self) -> &Root {
        self.cache.root()
    }

    #[cfg(feature = "archive")]
    pub(super) fn site(&self) -> &Site {
        &self.site
    }

    /// Begins the response with the result of [`Directory::list`]. Returns the listing if its bytes
    /// are to be sent.
    ///
    /// # Errors
    /// Returns the same errors as [`Directory::respond`].
    pub fn respond_listing(
        &self,
        exchange: &mut ExchangeState<'_>,
        view: View,
        listed: Result<Listing, ListingError>,
    ) -> io::Result<Option<Listing>> {
        match listed {
            Ok(listed) => {
                let (headers, mut response) = (view.headers(), exchange.respond(200));
                if headers.iter().any(|(name, _)| *name == "Content-Security-Policy") {
                    // It is stricter, and another one, such as `sandbox`, could disable its forms.
                    response = response.without_default_policy();
                }
                headers
                    .iter()
                    .fold(response, |response, (name, value)| {
                        response.header(name, value.as_bytes())
                    })
                    .sized_body(listed.length())?;
                Ok(Some(listed))
            }
            Err(why) => respond_unlisted(exchange, &why).map(|()| None),
        }
    }

    /// Responds 503, since descriptors or memory are used up, or the file system fails.
    ///
    /// # Errors
    /// Returns the same errors as [`Directory::respond`].
    pub fn respond_unavailable(
        &self,
        exchange: &mut ExchangeState<'_>,
        error: &io::Error,
    ) -> io::Result<()> {
        exchange.log_error(with_path(exchange, &os::describe_error(error)));
        exchange.respond_503()
    }

    /// Computes the digests of `file` that the request wants. Blocks for as long as reading takes.
    /// A digest that cannot be computed is omitted, and the error is found when the file is sent.
    /// It is omitted, too, if the client has disconnected, as `disconnect` returns.
    #[must_use]
    pub fn compute_digests(
        &self,
        file: &PendingDigest,
        mut disconnect: impl FnMut() -> Option<Disconnect>,
    ) -> Digests {
        file.compute(&self.digest_cache, || disconnect().is_none())
    }

    /// Begins the response with `file` and the result of [`Directory::compute_digests`].
    ///
    /// # Errors
    /// Returns the same errors as [`Directory::respond`].
    pub fn respond_with_digests(
        &self,
        exchange: &mut ExchangeState<'_>,
        file: &PendingDigest,
        digests: &Digests,
    ) -> io::Result<BodyPlan> {
        let plan = ResponsePlan::File(file.representation(), &file.selection);
        send(exchange, &plan, Some(file.content.clone()), digests)
    }

    /// Responds with a small file that this thread has sent before, if its target is `/` and the clean
    /// path of the file.
    #[inline(never)] // its local variables are not needed below `resolve`
    fn respond_recent(
        &self,
        exchange: &mut ExchangeState<'_>,
        now: i64,
    ) -> Option<io::Result<BodyPlan>> {
        let head = exchange.head();
        self.cache.with_recent(head.path().get(1..)?, |file| {
            let prepared = file.prepared(&self.site, Variant::default())?;
            let response = prepared.respond_to_target(&self.site, &head, now)?;
            Some(send_prepared(exchange, prepared, response, file.content(), now))
        })
    }

    #[inline(never)] // its local variables are not needed for a recent file
    fn resolve(
        &self,
        exchange: &mut ExchangeState<'_>,
        now: i64,
        scratch: &mut Vec<u8>,
    ) -> io::Result<Resolved> {
        let mut resolver = new_resolver(&self.site, exchange, now, scratch);
        let (mut root_dir, mut file) = (None, None);
        loop {
            match next_lookup(&resolver) {
                Lookup::Open(path) => {
                    let opened = self.cache.find(path, &mut root_dir);
                    if let Opened::File(FoundFile::Cached(cached), stat) = &opened
                        && let Some(variant) = resolver.variant_of(stat)
                        && let Some(response) = self.prepared(exchange, cached, variant, now)
                    {
                        return Ok(Resolved::Cached(cached.clone(), variant, response));
                    }
                    if let Some(plan) = self.opened(exchange, &mut resolver, opened, &mut file)? {
                        return Ok(Resolved::Plan(plan));
                    }
                }
                // Whether it can be read is found when it is listed, which may block.
                Lookup::List => resolver.listed(true),
                Lookup::None => {
                    return self.carry_out(exchange, &resolver, file).map(Resolved::Plan);
                }
            }
        }
    }

    /// Passes on to `resolver` what was found, and puts a file into `file`. Returns a plan if the search
    /// is over.
    #[inline(never)] // its local variables are not needed for a cached file
    fn opened(
        &self,
        exchange: &mut ExchangeState<'_>,
        resolver: &mut Resolver<'_>,
        opened: Opened<FoundFile>,
        file: &mut Option<(Content, Stat)>,
    ) -> io::Result<Option<BodyPlan>> {
        resolver.opened(opened.to_found());
        match opened {
            Opened::File(found, stat) => *file = Some((found.into_content(), stat)),
            Opened::Denied(error) => {
                exchange.log_error(with_path(exchange, &os::describe_error(&error)));
            }
            Opened::Exhausted(error) => return Ok(Some(BodyPlan::Exhausted(error))),
            Opened::Failed(error) => {
                self.respond_unavailable(exchange, &error)?;
                return Ok(Some(BodyPlan::Done));
            }
            _ => {}
        }
        Ok(None)
    }

    fn prepared(
        &self,
        exchange: &ExchangeState<'_>,
        file: &CachedFile,
        variant: Variant,
        now: i64,
    ) -> Option<PreparedResponse> {
        file.prepared(&self.site, variant)?.respond(&self.site, exchange.head_ref(), now)
    }

    /// Responds with a cached file that has prepared headers for `variant`.
    fn respond_cached(
        &self,
        exchange: &mut ExchangeState<'_>,
        file: &Arc<CachedFile>,
        variant: Variant,
        response: PreparedResponse,
        now: i64,
    ) -> io::Result<BodyPlan> {
        if variant == Variant::default() && exchange.head_ref().path().get(1..) == Some(file.path())
        {
            self.cache.remember(file);
        }
        let prepared = file.prepared(&self.site, variant).ok_or(ErrorKind::NotFound)?;
        send_prepared(exchange, prepared, response, file.content(), now)
    }

    /// Responds as planned, unless digests or a listing have to be made first.
    #[inline(never)] // not needed for a cached file
    fn carry_out(
        &self,
        exchange: &mut ExchangeState<'_>,
        resolver: &Resolver<'_>,
        file: Option<(Content, Stat)>,
    ) -> io::Result<BodyPlan> {
        let Action::Respond(plan) = &resolver.action() else { return Ok(BodyPlan::Done) };
        match (plan, &file) {
            (ResponsePlan::Listing(path, view), _) => {
                let filter = Filter::from_head(&exchange.head());
                return Ok(BodyPlan::List(path.to_vec(), *view, filter));
            }
            #[cfg(feature = "archive")]
            (ResponsePlan::Archive(path, format), _) => {
                return Ok(BodyPlan::Archive(path.to_vec(), *format));
            }
            (ResponsePlan::ErrorPage(error, choice), _) => {
                send_error_page(exchange, *error, *choice)?;
                return Ok(BodyPlan::Done);
            }
            (ResponsePlan::File(representation, selection), Some(file)) => {
                let max_size = self.cache_limits.max_digest_file_size;
                let head = exchange.head();
                let pending = PendingDigest::new(&head, representation, selection, file, max_size);
                if let Some(pending) = pending {
                    return Ok(BodyPlan::Digest(Box::new(pending)));
                }
            }
            _ => {}
        }
        send(exchange, plan, file.map(|(content, _)| content), &Digests::default())
    }
}

#[inline(never)] // inlined, it would stand on the stack twice
fn new_resolver<'r>(
    site: &'r Site,
    exchange: &ExchangeState<'r>,
    now: i64,
    scratch: &'r mut Vec<u8>,
) -> Resolver<'r> {
    Resolver::new(site, exchange.head_ref(), now, scratch)
}

/// What a request is for.
enum Resolved {
    /// A cached file, which has prepared headers for this variant.
    Cached(Arc<CachedFile>, Variant, PreparedResponse),
    /// Something else; what is left to do for it.
    Plan(BodyPlan),
}

/// [`Action`] without the response plan.
enum Lookup<'a> {
    Open(&'a [u8]),
    List,
    None,
}

#[inline(never)] // a response plan is large, and not needed below the search for a file
fn next_lookup<'r>(resolver: &'r Resolver<'_>) -> Lookup<'r> {
    match resolver.action() {
        Action::Open(path) => Lookup::Open(path),
        Action::List(_) => Lookup::List,
        Action::Respond(_) => Lookup::None,
    }
}

#[cfg(test)]
#[path = "directory_tests.rs"]
mod tests;
