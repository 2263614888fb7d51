//! A directory as a handler: GET and HEAD of what is in it.
//!
//! It can be wrapped or extended like any handler: call its methods for the paths that are files.
//!
//! ```no_run
//! use doorstep_async_smol::{Files, Server};
//!
//! smol::block_on(Server::bind("127.0.0.1:8000")?.serve(Files::new(".")?))
//! # ;Ok::<(), std::io::Error>(())
//! ```

use std::io;
use std::path::Path;
use std::sync::Arc;

use doorstep_blocking::directory::{Directory, Rest, part};
use doorstep_blocking::host::{Content, Symlinks};
use doorstep_core::site::Site;
use doorstep_core::site::multipart::Piece;
use doorstep_core::site::range::ByteRange;

use crate::exchange::Exchange;
use crate::handler::Handler;

/// Serves what is below a directory.
#[derive(Debug)]
pub struct Files {
    directory: Arc<Directory>,
}

impl Files {
    /// Serves `directory`, which is opened now and stays the root whatever becomes of its name.
    ///
    /// # Errors
    /// Those of opening it.
    pub fn new(directory: impl AsRef<Path>) -> io::Result<Self> {
        Self::linked(directory, Symlinks::default())
    }

    /// As [`Files::new`]; symbolic links go as far as `symlinks` says.
    ///
    /// # Errors
    /// Those of opening it.
    pub fn linked(directory: impl AsRef<Path>, symlinks: Symlinks) -> io::Result<Self> {
        Ok(Self { directory: Arc::new(Directory::new(directory, symlinks)?) })
    }

    /// Serves it as `site` says.
    #[must_use]
    pub fn with(mut self, site: Site) -> Self {
        if let Some(directory) = Arc::get_mut(&mut self.directory) {
            directory.site = site; // nobody else has it: no request runs before `serve`
        }
        self
    }

    async fn answer(&self, x: &mut Exchange<'_>) -> io::Result<()> {
        let mut rest = self.directory.answer(x)?;
        loop {
            match rest {
                Rest::Nothing => return Ok(()),
                Rest::Range(content, range) => return send(x, &content, range).await,
                Rest::Parts(content, multipart) => {
                    for piece in multipart.pieces() {
                        match piece {
                            Piece::Text(text) => x.send(text).await?,
                            Piece::Range(range) => send(x, &content, range).await?,
                        }
                    }
                    return Ok(());
                }
                Rest::List(path, view) => {
                    let directory = self.directory.clone();
                    let listing = x.unblock(move || directory.list(&path, view)).await;
                    return self.directory.show(x, view, listing);
                }
                Rest::Digest(file) => {
                    let directory = self.directory.clone();
                    let (file, digests) = x
                        .unblock(move || {
                            let digests = directory.digest(&file);
                            (file, digests)
                        })
                        .await;
                    rest = self.directory.finish(x, &file, &digests)?;
                }
            }
        }
    }
}

impl Handler for Files {
    async fn get(&self, x: &mut Exchange<'_>) -> io::Result<()> {
        self.answer(x).await
    }
    async fn post(&self, x: &mut Exchange<'_>) -> io::Result<()> {
        self.answer(x).await
    }
    async fn put(&self, x: &mut Exchange<'_>) -> io::Result<()> {
        self.answer(x).await
    }
    async fn delete(&self, x: &mut Exchange<'_>) -> io::Result<()> {
        self.answer(x).await
    }
    async fn options(&self, x: &mut Exchange<'_>) -> io::Result<()> {
        self.answer(x).await
    }
    async fn patch(&self, x: &mut Exchange<'_>) -> io::Result<()> {
        self.answer(x).await
    }
}

async fn send(x: &mut Exchange<'_>, content: &Content, range: ByteRange) -> io::Result<()> {
    match content {
        Content::Bytes(bytes) => x.send(part(bytes, range)?).await,
        Content::File(file) => x.send_file(file, range.first, range.len()).await,
    }
}
