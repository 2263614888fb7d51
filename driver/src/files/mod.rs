//! Files over HTTP: a directory's responses, the file cache, digests.

mod change_guard;
mod digest;
mod directory;
mod file_cache;
mod file_transfer;
mod handler;
mod job;
mod listings;
mod pending_digest;

pub use change_guard::{Transfer, Watch};
pub use digest::{Digest, Digests};
pub use directory::{Directory, Rest, part};
pub use file_cache::{Content, SMALL, Store};
pub use file_transfer::FileTransfer;
pub use handler::Files;
pub use job::FilesJob;
pub use listings::{Listed, NotListed};
pub use pending_digest::{Digested, MOST as MOST_DIGESTED, Undigested};
