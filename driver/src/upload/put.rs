//! A file that is sent by PUT, whole or from where it was interrupted.

use std::sync::Arc;
use std::time::Instant;

use doorstep_core::http1::Head;
use doorstep_core::site::digest::sha_256;
use doorstep_core::site::range::ByteRange;
use doorstep_core::site::upload::Refusal;

use super::Uploads;
use super::interrupted::{GivenUp, Owner};
use super::writer::{Failure, FileWriter, StoredFile};
use crate::files::{Content, Digest};

/// A file that is sent by PUT.
#[derive(Debug)]
pub(super) struct Put {
    uploads: Arc<Uploads>,
    writer: FileWriter,
    owner: Owner,
    /// Where the body begins in the file.
    first: u64,
    /// The size of the whole file, if it is known.
    total: Option<u64>,
    digests: ClaimedDigests,
}

/// The digests that the request has, in Base64.
#[derive(Debug)]
pub(super) struct ClaimedDigests {
    /// Of the whole file.
    representation: Option<Vec<u8>>,
    /// Of the body.
    content: Option<Vec<u8>>,
}

impl ClaimedDigests {
    pub(super) fn from_head(head: &Head<'_>) -> Self {
        let claimed = |name| sha_256(head.header_values(name)).map(Into::into);
        Self { representation: claimed("Repr-Digest"), content: claimed("Content-Digest") }
    }
}

impl Put {
    /// The file of `writer`. Of a part that is continued, the body is the rest, from the size of `writer` to
    /// `total`.
    pub(super) fn new(
        uploads: &Arc<Uploads>,
        writer: FileWriter,
        owner: Owner,
        total: Option<u64>,
        digests: ClaimedDigests,
    ) -> Self {
        let (uploads, first) = (uploads.clone(), writer.size);
        Self { uploads, writer, owner, first, total, digests }
    }

    /// Writes a part of the body.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.writer.write(bytes)
    }

    /// Names the file, now that all of it has come.
    pub(super) fn finish(mut self) -> Result<StoredFile, Failure> {
        if self.total.is_some_and(|total| total != self.writer.size) {
            return Err(Refusal::ContentRange.into()); // a chunked body
        }
        self.check_digest(self.digests.representation.clone(), 0)?;
        self.check_digest(self.digests.content.clone(), self.first)?;
        self.writer.publish()
    }

    fn check_digest(&mut self, claimed: Option<Vec<u8>>, first: u64) -> Result<(), Failure> {
        let Some(claimed) = claimed else { return Ok(()) };
        let digest = match self.writer.size.checked_sub(1) {
            Some(last) if first <= last => {
                let content = Content::File(self.writer.file()?);
                Digest::of(&content, ByteRange { first, last }, || true)?
            }
            _ => Digest::of_empty(),
        };
        let value = digest.header_value();
        let value = value.strip_prefix("sha-256=:").and_then(|value| value.strip_suffix(':'));
        match value.is_some_and(|value| value.as_bytes() == claimed) {
            true => Ok(()),
            false => Err(Refusal::Digest.into()),
        }
    }

    /// Keeps what has come, now that no more will come, so that the client can continue. Returns the
    /// number of bytes, and what was given up for it.
    pub(super) fn interrupt(self, now: Instant) -> (u64, GivenUp) {
        let Some(total) = self.total else { return (0, Vec::new()) };
        let Some(part) = self.writer.into_part(self.owner, total) else { return (0, Vec::new()) };
        let kept = if self.uploads.settings.max_interrupted > 0 { part.size } else { 0 };
        (kept, self.uploads.interrupted.keep(part, now))
    }
}
