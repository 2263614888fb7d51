//! Files over HTTP: the responses of a directory, directory listings, the file cache, and digests.
//!
//! [`Files`] makes a [`FilesJob`] for each request. Nothing outside of the root is sent, no cached
//! file is stale, and a response whose file has changed meanwhile is visibly aborted.

#[cfg(feature = "archive")]
pub(crate) mod archive;
mod cache_limits;
mod change_guard;
mod digest;
mod directory;
mod file_cache;
mod file_transfer;
mod generations;
mod handler;
mod job;
mod listings;
mod pending_digest;
mod readme;
mod recent_files;
mod respond;
mod single_file;

pub use cache_limits::CacheLimits;
pub use change_guard::ChangeGuard;
pub use digest::{Digest, DigestCache};
pub use directory::{BodyPlan, Directory};
pub use file_cache::{Content, FileCache};
pub use file_transfer::FileTransfer;
pub use handler::Files;
pub use job::FilesJob;
pub use listings::{Listing, ListingError};
pub use pending_digest::{Digests, PendingDigest};
pub use respond::slice_range;
