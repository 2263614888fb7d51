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

use async_io::Timer;
use doorstep_core::site::Site;
use doorstep_core::site::listing::View;
use doorstep_core::site::multipart::Piece;
use doorstep_core::site::range::ByteRange;
use doorstep_driver::cgi::{NoPermit, PermitPoll, ScriptDirectory};
use doorstep_driver::files::Content;
use doorstep_driver::files::{Directory, Listed, NotListed, Rest, part};
use doorstep_driver::net::Departure;
use doorstep_driver::os::Symlinks;
use doorstep_driver::semaphore::Permit;
use smol::future;

use crate::exchange::Exchange;
use crate::handler::Handler;

/// Serves what is below a directory.
#[derive(Debug)]
pub struct Files {
    directory: Arc<Directory>,
}

impl Files {
    /// Serves `directory`: what stands under that name when it is asked for. So it can be replaced,
    /// built again or mounted over; while nothing is there, all is 404. A relative name is of the
    /// working directory at this moment.
    ///
    /// # Errors
    /// When there is no such directory now.
    pub fn new(directory: impl AsRef<Path>) -> io::Result<Self> {
        Self::with_symlinks(directory, Symlinks::default())
    }

    /// As [`Files::new`]; symbolic links go as far as `symlinks` says.
    ///
    /// # Errors
    /// As for [`Files::new`].
    pub fn with_symlinks(directory: impl AsRef<Path>, symlinks: Symlinks) -> io::Result<Self> {
        Ok(Self { directory: Arc::new(Directory::new(directory, symlinks)?) })
    }

    /// Serves it as `site` says.
    #[must_use]
    pub fn with_site(mut self, site: Site) -> Self {
        if let Some(directory) = Arc::get_mut(&mut self.directory) {
            directory.set_site(site); // nobody else has it: no request runs before `serve`
        }
        self
    }

    pub(crate) fn beside(mut self, scripts: &mut ScriptDirectory) -> Self {
        if let Some(directory) = Arc::get_mut(&mut self.directory) {
            directory.beside(scripts); // as above
        }
        self
    }

    async fn answer(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        let mut rest = self.directory.answer(exchange)?;
        if matches!(rest, Rest::Exhausted(_)) {
            exchange.evict_for_descriptor().await;
            rest = self.directory.answer(exchange)?;
        }
        loop {
            match rest {
                Rest::Nothing => return Ok(()),
                Rest::Exhausted(error) => return self.directory.refuse(exchange, &error),
                Rest::Range(content, range) => return send(exchange, &content, range).await,
                Rest::Parts(content, multipart) => {
                    for piece in multipart.pieces() {
                        match piece {
                            Piece::Text(text) => exchange.send(text).await?,
                            Piece::Range(range) => send(exchange, &content, range).await?,
                        }
                    }
                    return Ok(());
                }
                // On the heap: most requests are for files, and do not need the room for it.
                Rest::List(path, view) => return Box::pin(self.list(exchange, path, view)).await,
                Rest::Digest(file) => {
                    let (directory, look) = (self.directory.clone(), self.look(exchange));
                    let (file, digests) = exchange
                        .unblock(move || {
                            let digests = directory.digest(&file, look);
                            (file, digests)
                        })
                        .await;
                    rest = self.directory.finish(exchange, &file, &digests)?;
                }
            }
        }
    }

    async fn list(&self, exchange: &mut Exchange<'_>, path: Vec<u8>, view: View) -> io::Result<()> {
        let mut listed = self.make(exchange, &path, view, None).await;
        if listed.as_ref().is_err_and(NotListed::is_exhausted) {
            exchange.evict_for_descriptor().await;
            listed = self.make(exchange, &path, view, None).await;
        }
        if matches!(listed, Err(NotListed::Large)) {
            listed = match self.enter(exchange).await? {
                Ok(permit) => self.make(exchange, &path, view, Some(permit)).await,
                Err(why) => Err(NotListed::Dismissed(why)),
            };
        }
        let Some(listed) = self.directory.show(exchange, view, listed)? else { return Ok(()) };
        for piece in listed.pieces() {
            exchange.send(piece).await?;
        }
        Ok(())
    }

    async fn make(
        &self,
        exchange: &Exchange<'_>,
        path: &[u8],
        view: View,
        permit: Option<Permit>,
    ) -> Result<Listed, NotListed> {
        let (directory, path, look) = (self.directory.clone(), path.to_vec(), self.look(exchange));
        exchange.unblock(move || directory.list(&path, view, permit, look)).await
    }

    /// Looks from elsewhere whether the client has left.
    fn look(&self, exchange: &Exchange<'_>) -> impl FnMut() -> Option<Departure> + Send + 'static {
        let (connection, mut vigil) = (exchange.shared_connection(), self.directory.vigil());
        move || match Arc::strong_count(&connection) {
            1 => Some(Departure::Certain), // this is all that is left of the connection
            _ => vigil.look(connection.presence()),
        }
    }

    /// A permit for a large listing, waited for.
    async fn enter(&self, exchange: &mut Exchange<'_>) -> io::Result<Result<Permit, NoPermit>> {
        exchange.flush().await?; // earlier answers do not wait with it
        let mut queue = match self.directory.queue() {
            Ok(queue) => queue,
            Err(full) => return Ok(Err(full)),
        };
        loop {
            let turn = queue.listen();
            match queue.poll(exchange.parts().1) {
                Ok(PermitPoll::Granted(permit)) => return Ok(Ok(permit)),
                Ok(PermitPoll::Wait(most)) => {
                    let late = async { _ = Timer::after(most).await };
                    future::or(turn, late).await;
                }
                Err(why) => return Ok(Err(why)),
            }
        }
    }
}

impl Handler for Files {
    async fn get(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        self.answer(exchange).await
    }
    async fn post(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        self.answer(exchange).await
    }
    async fn put(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        self.answer(exchange).await
    }
    async fn delete(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        self.answer(exchange).await
    }
    async fn options(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        self.answer(exchange).await
    }
    async fn patch(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        self.answer(exchange).await
    }
}

async fn send(exchange: &mut Exchange<'_>, content: &Content, range: ByteRange) -> io::Result<()> {
    match content {
        Content::Bytes(bytes) => exchange.send(part(bytes, range)?).await,
        Content::File(file) => exchange.send_file(file, range.first, range.len()).await,
    }
}
