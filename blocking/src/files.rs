//! A directory as a handler: GET and HEAD of what is in it.
//!
//! What to answer is [`Lookup`]'s, what the system says is [`host`]'s; here they are brought
//! together. It can be wrapped or extended like any handler: call its methods for the paths that
//! are files.
//!
//! ```no_run
//! use doorstep_blocking::{Files, Server};
//!
//! Server::bind("127.0.0.1:8000")?.serve(Files::new(".")?)
//! # ;Ok::<(), std::io::Error>(())
//! ```

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::path::Path;

use doorstep_core::http1::date;
use doorstep_core::site::{Answer, Denial, Lookup, Need, Site, listing};

use crate::exchange::Exchange;
use crate::handler::Handler;
use crate::host::{self, Opened, Root, Symlinks};

/// Serves what is below a directory.
#[derive(Debug)]
pub struct Files {
    root: Root,
    site: Site,
}

thread_local! {
    /// The path under judgement; one buffer for each thread, so a request allocates nothing.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Files {
    /// Serves `directory`, which is opened now and stays the root whatever becomes of its name.
    ///
    /// # Errors
    /// Those of opening it.
    pub fn new(directory: impl AsRef<Path>) -> io::Result<Self> {
        Ok(Self { root: Root::new(directory.as_ref(), Symlinks::Beneath)?, site: Site::default() })
    }

    /// The methods that files have, for Allow (B-170).
    const ALLOWED: &'static str = "GET, HEAD, OPTIONS";

    /// Serves it as `site` says.
    #[must_use]
    pub fn with(mut self, site: Site) -> Self {
        self.site = site;
        self
    }

    fn answer(&self, x: &mut Exchange<'_>) -> io::Result<()> {
        let mut scratch = SCRATCH.take();
        let done = self.look_up(x, &mut scratch);
        SCRATCH.set(scratch);
        done
    }

    fn look_up(&self, x: &mut Exchange<'_>, scratch: &mut Vec<u8>) -> io::Result<()> {
        let head = x.head();
        let mut lookup = Lookup::new(&self.site, &head, host::now(), scratch);
        let mut file: Option<File> = None;
        let mut entries = Vec::new();
        loop {
            match lookup.need() {
                Need::Open(path) => {
                    let opened = self.root.open(path);
                    lookup.opened(opened.found());
                    file = match opened {
                        Opened::File(file, _) => Some(file),
                        Opened::Refused(error) => {
                            x.note(error.to_string());
                            None
                        }
                        Opened::Exhausted(error) => return Self::exhausted(x, &error),
                        _ => None,
                    };
                }
                Need::List(path) => match self.root.list(path) {
                    Ok(read) => {
                        entries = read;
                        lookup.listed(true);
                    }
                    Err(error) => {
                        x.note(error.to_string());
                        lookup.listed(false);
                    }
                },
                Need::Answer(answer) => return self.send(x, answer, file.as_ref(), entries),
            }
        }
    }

    fn send(
        &self,
        x: &mut Exchange<'_>,
        answer: Answer<'_>,
        file: Option<&File>,
        mut entries: Vec<listing::Entry>,
    ) -> io::Result<()> {
        match answer {
            Answer::Page(denial) => Self::deny(x, denial),
            Answer::NotModified => x.respond(304).body(""),
            Answer::Redirect(location) => {
                let mut target = Vec::new();
                location.write(&mut target);
                x.respond(301).header("Location", target).body("")
            }
            Answer::Listing(path) => {
                entries.retain(|entry| self.site.lists(path, &entry.name));
                listing::sort(&mut entries);
                let mut page = Vec::new();
                listing::render(&mut page, path, &entries);
                x.respond(200).header("Content-Type", listing::CONTENT_TYPE).body(page)
            }
            Answer::File { media_type, size, modified } => {
                let mut content_type = Vec::with_capacity(64);
                media_type.write(&mut content_type);
                let mut response = x.respond(200).header("Content-Type", content_type);
                if let Some(encoding) = media_type.encoding {
                    response = response.header("Content-Encoding", encoding);
                }
                response
                    .length(size)
                    .header("Last-Modified", date::format(modified))
                    .sized(size)?;
                match file {
                    Some(file) => x.send_file(file, 0, size),
                    None => Ok(()),
                }
            }
        }
    }

    fn deny(x: &mut Exchange<'_>, denial: Denial) -> io::Result<()> {
        if let Some(why) = denial.note() {
            x.note(why.to_owned());
        }
        x.respond(denial.status()).reason(denial.reason()).page("")
    }

    /// Later it may be there: no descriptors are left.
    fn exhausted(x: &mut Exchange<'_>, error: &io::Error) -> io::Result<()> {
        x.note(error.to_string());
        x.respond(503).header("Retry-After", "1").page("")
    }

    /// B-170: a file is only read.
    fn read_only(x: &mut Exchange<'_>) -> io::Result<()> {
        x.respond(405).header("Allow", Self::ALLOWED).page("")
    }
}

impl Handler for Files {
    fn get(&self, x: &mut Exchange<'_>) -> io::Result<()> {
        self.answer(x)
    }
    fn post(&self, x: &mut Exchange<'_>) -> io::Result<()> {
        Self::read_only(x)
    }
    fn put(&self, x: &mut Exchange<'_>) -> io::Result<()> {
        Self::read_only(x)
    }
    fn patch(&self, x: &mut Exchange<'_>) -> io::Result<()> {
        Self::read_only(x)
    }
    fn delete(&self, x: &mut Exchange<'_>) -> io::Result<()> {
        Self::read_only(x)
    }
    fn options(&self, x: &mut Exchange<'_>) -> io::Result<()> {
        x.respond(204).header("Allow", Self::ALLOWED).body("")
    }
}
