//! The beginning of an upload: what can be refused before the body is received, and what is responded
//! to other methods where uploads are allowed.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use doorstep_core::form_data::{FormData, FormLimits};
use doorstep_core::site::preconditions::{Validators, allow_write};
use doorstep_core::site::upload::request::{self, ContentRange, Target};
use doorstep_core::site::upload::{Refusal, name};
use doorstep_core::site::{Site, Stat, cors};

use super::Uploads;
use super::form::Form;
use super::interrupted::Owner;
use super::job::{Receiver, UploadJob};
use super::put::{ClaimedDigests, Put};
use super::respond;
use super::writer::{Failure, FileWriter, Place, Preconditions};
use crate::exchange::ExchangeState;
use crate::os::{self, Root};

/// The methods of a file, and of a directory, where uploads are allowed.
const FILE_METHODS: &str = "GET, HEAD, PUT, OPTIONS";
const DIRECTORY_METHODS: &str = "GET, HEAD, POST, OPTIONS";
/// The methods of other places.
const OTHER_METHODS: &str = "GET, HEAD, OPTIONS";
/// The header with the number of bytes of an interrupted upload that have come: a client continues
/// there. The name is that of a draft of the IETF (Resumable Uploads for HTTP).
const UPLOAD_OFFSET: &str = "Upload-Offset";

/// How the response to a request begins where uploads are allowed.
pub(crate) enum UploadStart {
    /// It is not about uploads.
    Other,
    /// It was responded to.
    Responded,
    Upload(Box<UploadJob>),
}

impl Uploads {
    /// Begins to respond to a request, unless it is not about uploads.
    pub(crate) fn begin(
        self: &Arc<Self>,
        root: &Root,
        site: &Site,
        exchange: &mut ExchangeState<'_>,
    ) -> io::Result<UploadStart> {
        let head = exchange.head();
        let method = head.method();
        if !matches!(method, b"PUT" | b"POST" | b"HEAD" | b"OPTIONS" | b"DELETE" | b"PATCH") {
            return Ok(UploadStart::Other);
        }
        let stores = matches!(method, b"PUT" | b"POST");
        let target = match Target::from_head(&head) {
            Ok(target) => target,
            Err(error) if stores => return refuse(exchange, &Refusal::from(error).into()),
            Err(_) => return Ok(UploadStart::Other),
        };
        if !request::is_beneath(&self.settings().directory, &target.path) {
            if !stores {
                return Ok(UploadStart::Other);
            }
            let mut explain = "Files are stored in ".to_owned();
            let directory = respond::location(exchange, &self.settings.directory, "/");
            explain += &String::from_utf8_lossy(&directory);
            explain += " and below it, and nowhere else.";
            respond::respond_not_allowed(exchange, OTHER_METHODS, &explain)?;
            return Ok(UploadStart::Responded);
        }
        let is_directory = target.is_directory;
        let methods = if is_directory { DIRECTORY_METHODS } else { FILE_METHODS };
        let scripts = &site.unlisted_directories;
        let is_allowed = self.allows(&target.path, scripts) && !target.is_hidden();
        match method {
            b"HEAD" => {
                self.add_offset(exchange, &target)?;
                Ok(UploadStart::Other)
            }
            b"OPTIONS" if cors::is_preflight(&head) || head.path() == b"*" || !is_allowed => {
                Ok(UploadStart::Other)
            }
            b"OPTIONS" => {
                self.add_offset(exchange, &target)?;
                exchange.respond(204).header("Allow", methods).body("")?;
                Ok(UploadStart::Responded)
            }
            b"DELETE" | b"PATCH" if !is_allowed => Ok(UploadStart::Other),
            b"DELETE" | b"PATCH" => {
                let explain =
                    "Files are stored by PUT or by a form, and neither changed nor deleted.";
                respond::respond_not_allowed(exchange, methods, explain)?;
                Ok(UploadStart::Responded)
            }
            b"PUT" if is_directory => {
                let explain = "This is the address of a directory: add the name of the file.";
                respond::respond_not_allowed(exchange, methods, explain)?;
                Ok(UploadStart::Responded)
            }
            b"POST" if !is_directory => {
                let explain =
                    "Forms are sent to the address of a directory, which ends in a slash.";
                respond::respond_not_allowed(exchange, methods, explain)?;
                Ok(UploadStart::Responded)
            }
            _ => match self.upload(root, site, exchange, target) {
                Ok(job) => Ok(UploadStart::Upload(Box::new(job))),
                Err(failure) => refuse(exchange, &failure),
            },
        }
    }

    /// Adds the number of bytes that have come of an interrupted upload.
    fn add_offset(&self, exchange: &mut ExchangeState<'_>, target: &Target) -> io::Result<()> {
        let owner = Owner::of(exchange);
        match self.interrupted.size(&target.path, &owner, Instant::now()) {
            Some(size) => exchange.add_header(UPLOAD_OFFSET, size.to_string()),
            None => Ok(()),
        }
    }

    /// Begins a PUT, or a POST to a directory.
    fn upload(
        self: &Arc<Self>,
        root: &Root,
        site: &Site,
        exchange: &mut ExchangeState<'_>,
        target: Target,
    ) -> Result<UploadJob, Failure> {
        let head = exchange.head();
        let (parent, file_name) = match target.is_directory {
            true => (&*target.path, &b""[..]),
            false => target.split(),
        };
        let refusal = match () {
            () if request::is_from_other_site(&head) => Some(Refusal::OtherSite),
            () if target.is_hidden() => Some(Refusal::Hidden),
            () if !self.allows(&target.path, &site.unlisted_directories) => Some(Refusal::Scripts),
            () if !target.is_directory && !target.is_written_as(head.path()) => Some(Refusal::Path),
            () if request::is_coded(&head) => Some(Refusal::Coded),
            () if !head.has_body() => Some(Refusal::NoLength),
            () => None,
        };
        if let Some(refusal) = refusal {
            return Err(refusal.into());
        }
        if !target.is_directory {
            name::check(file_name, self.settings.max_name).map_err(Refusal::Name)?;
        }
        let permit = self.permits.try_acquire().ok_or(Refusal::Busy)?;
        let directory = root.open_dir().map_err(io::Error::from)?.open_upload_dir(parent)?;
        if !directory.is_writable() {
            return Err(Refusal::NotWritable.into());
        }
        let directory =
            Place { directory, path: parent.into(), has_precompressed: site.precompressed };
        let receiver = match target.is_directory {
            true => self.form(exchange, directory)?,
            false => self.put(exchange, &directory, &target)?,
        };
        let buffer = self.settings.buffer_size();
        let length = exchange.body_len().and_then(|length| usize::try_from(length).ok());
        // One byte more: the end of the body is found by reading into what is left.
        let size = length.map_or(buffer, |length| buffer.min(length.saturating_add(1)));
        Ok(UploadJob::new(receiver, target.path, size, permit))
    }

    fn put(
        self: &Arc<Self>,
        exchange: &mut ExchangeState<'_>,
        directory: &Place,
        target: &Target,
    ) -> Result<Receiver, Failure> {
        const CONDITIONS: [&str; 3] = ["If-Match", "If-None-Match", "If-Unmodified-Since"];
        let (head, now) = (exchange.head(), os::now());
        let range = ContentRange::from_head(&head).map_err(|_| Refusal::ContentRange)?;
        let allow = |current: Option<&Stat>| {
            let validators = current.map(|stat| Validators::from_stat(stat, now));
            allow_write(&head, validators.as_ref(), now)
        };
        let is_conditional = CONDITIONS.iter().any(|name| head.header(name).is_some());
        let allow = is_conditional.then_some(&allow as &Preconditions<'_>);
        let name = str::from_utf8(target.split().1).unwrap_or_default(); // it was checked
        let mut writer = FileWriter::new(self, directory, name, allow)?;
        let owner = Owner::of(exchange);
        let (first, total) = match range {
            Some(range) => (range.first, Some(range.total)),
            None => (0, exchange.body_len()),
        };
        // Before the part is taken, so that it can be continued once there is space.
        let (upload, rest) =
            ((&*target.path, &owner), total.unwrap_or_default().saturating_sub(first));
        self.check_space(&directory.directory, rest, Some(upload).filter(|_| first > 0))?;
        if let Some(total) = total
            && first > 0
        {
            let part = self.interrupted.take(upload, (first, total), Instant::now());
            let part = part.inspect_err(|refusal| {
                if let Refusal::OtherOffset(size) = refusal {
                    // The response has not begun, so this cannot fail.
                    let _ = exchange.add_header(UPLOAD_OFFSET, size.to_string());
                }
            })?;
            writer.resume(part.file, part.size)?;
        }
        let digests = ClaimedDigests::from_head(&head);
        Ok(Receiver::Put(Box::new(Put::new(self, writer, owner, total, digests))))
    }

    fn form(
        self: &Arc<Self>,
        exchange: &ExchangeState<'_>,
        directory: Place,
    ) -> Result<Receiver, Failure> {
        let mut limits = FormLimits::default();
        (limits.header, limits.parts) =
            (self.settings.max_part_header, self.settings.max_form_parts);
        let content_type = exchange.head().single_header("Content-Type").unwrap_or_default();
        let form = FormData::new(content_type, limits).map_err(Refusal::Form)?;
        self.check_space(&directory.directory, exchange.body_len().unwrap_or_default(), None)?;
        Ok(Receiver::Form(Box::new(Form::new(self, directory, form))))
    }
}

/// Refuses an upload, and logs why.
fn refuse(exchange: &mut ExchangeState<'_>, failure: &Failure) -> io::Result<UploadStart> {
    respond::log_failure(exchange, "", failure);
    respond::respond_refused(exchange, failure.refusal)?;
    Ok(UploadStart::Responded)
}
