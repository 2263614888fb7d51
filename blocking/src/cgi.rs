//! Scripts as a handler: CGI/1.1 (RFC 3875) below a directory.
//!
//! Alone it answers 404 to all that is no script; around [`Files`] it is `http.server`'s
//! CGIHTTPRequestHandler. In a handler of one's own, [`Cgi::serve`] says whether a request was its.
//!
//! ```no_run
//! use doorstep_driver::cgi::Settings;
//! use doorstep_blocking::{Cgi, Files, Server};
//!
//! let scripts = Cgi::new(".", Settings::default())?.around(Files::new(".")?);
//! Server::bind("127.0.0.1:8000")?.serve(scripts)
//! # ;Ok::<(), std::io::Error>(())
//! ```

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;

use doorstep_core::cgi::local_redirect;
use doorstep_core::cgi::route::Script;
use event_listener::Listener;

use crate::exchange::Exchange;
use crate::files::Files;
use crate::handler::Handler;
use doorstep_driver::cgi::{
    Admission, Came, MOST_AGAIN, Meaning, Next, Scripts, Settings, Upload, is_for_scripts,
    refuse_again, refuse_elsewhere, spans, turn_away,
};
use doorstep_driver::os::Woken;
use doorstep_driver::semaphore::{Place, Places};
use doorstep_driver::shutdown::Stopped;

/// Runs the scripts below a directory.
#[derive(Debug)]
pub struct Cgi {
    scripts: Scripts,
    files: Option<Files>,
}

impl Cgi {
    /// Runs the scripts below `root` as `settings` say.
    ///
    /// # Errors
    /// When there is no directory `root` now; `NotFound` and `PermissionDenied` when the user that
    /// the settings name cannot be had.
    pub fn new(root: impl AsRef<Path>, settings: Settings) -> io::Result<Self> {
        Ok(Self { scripts: Scripts::new(root.as_ref(), settings)?, files: None })
    }

    /// Serves `files` where no scripts are; their listings do not lead to the scripts. A POST there
    /// is 501 (B-232).
    #[must_use]
    pub fn around(mut self, files: Files) -> Self {
        self.files = Some(files.beside(&mut self.scripts));
        self
    }

    /// Who is running: for a program that wants to end without waiting for them.
    #[must_use]
    pub fn places(&self) -> Arc<Places> {
        self.scripts.places().clone()
    }

    /// Answers a request for a script; whether it was one.
    ///
    /// # Errors
    /// As of any handler.
    pub fn serve(&self, x: &mut Exchange<'_>) -> io::Result<bool> {
        let mut head = match self.run(x)? {
            Came::Elsewhere => return Ok(false),
            Came::Answered => return Ok(true),
            Came::Again(head) => head,
        };
        for _ in 0..MOST_AGAIN {
            let Some(spans) = spans(&head) else { break };
            let mut instead = x.instead(spans.view(&head));
            let came = self.run(&mut instead).and_then(|came| match came {
                Came::Elsewhere => self.elsewhere(&mut instead).map(|()| Came::Answered),
                came => Ok(came),
            });
            x.told = instead.into_turn().told;
            match came? {
                Came::Again(next) => head = next,
                _ => return Ok(true),
            }
        }
        refuse_again(x).map(|()| true)
    }

    fn answer(&self, x: &mut Exchange<'_>) -> io::Result<()> {
        if self.serve(x)? { Ok(()) } else { self.elsewhere(x) }
    }

    /// Answers what is for no script.
    fn elsewhere(&self, x: &mut Exchange<'_>) -> io::Result<()> {
        match &self.files {
            Some(files) if !is_for_scripts(x) => files.handle(x),
            _ => refuse_elsewhere(x),
        }
    }

    /// One request: the script it is for, from its body to its end.
    fn run(&self, x: &mut Exchange<'_>) -> io::Result<Came> {
        let script = match self.scripts.find(x)? {
            Meaning::Elsewhere => return Ok(Came::Elsewhere),
            Meaning::Answered => return Ok(Came::Answered),
            Meaning::Script(script) => script,
        };
        let body = self.receive(x)?;
        let Some(place) = self.enter(x, &script)? else { return Ok(Came::Answered) };
        let started = self.scripts.launch(x, &script, x.local()?, body).start(place);
        let Some(mut run) = self.scripts.listen(x, &script, started)? else {
            return Ok(Came::Answered);
        };
        let mut woken = Woken::default();
        loop {
            let (turn, seat) = x.parts();
            match run.step(turn, woken, seat)? {
                Next::Flush => x.flush()?,
                Next::Wait(most) => {
                    let client = turn.connection.response_due().map(|_| seat.as_fd());
                    woken = run.process.wait(client, most)?;
                }
                Next::Again(target) => {
                    return Ok(Came::Again(local_redirect::request_head(&x.head(), &target)));
                }
                Next::Over => return Ok(Came::Answered),
            }
        }
    }

    /// The request's whole body.
    fn receive(&self, x: &mut Exchange<'_>) -> io::Result<Option<Upload>> {
        let Some(mut body) = Upload::of(&x.head(), self.scripts.settings().memory) else {
            return Ok(None);
        };
        loop {
            match x.body().read(body.space())? {
                0 => return Ok(Some(body)),
                n if body.filled(n) => {
                    body = body.spill();
                    if body.is_lost() {
                        return Ok(Some(body));
                    }
                }
                _ => {}
            }
        }
    }

    /// A place among the running scripts, waited for if need be; `None` when there is none and that
    /// was answered.
    fn enter(&self, x: &mut Exchange<'_>, script: &Script) -> io::Result<Option<Place>> {
        if let Some(place) = self.scripts.places().take() {
            return Ok(Some(place));
        }
        x.flush()?; // earlier answers do not wait with it
        let why = match self.scripts.queue() {
            Err(full) => full,
            Ok(mut queue) => loop {
                let turn = queue.listen();
                match queue.look(x.parts().1) {
                    Ok(Admission::In(place)) => return Ok(Some(place)),
                    Ok(Admission::Wait(most)) => drop(turn.wait_timeout(most)),
                    Err(why) => break why,
                }
            },
        };
        turn_away(x, script, why).map(|()| None)
    }
}

impl Handler for Cgi {
    fn get(&self, x: &mut Exchange<'_>) -> io::Result<()> {
        self.answer(x)
    }
    fn post(&self, x: &mut Exchange<'_>) -> io::Result<()> {
        self.answer(x)
    }
    fn put(&self, x: &mut Exchange<'_>) -> io::Result<()> {
        self.answer(x)
    }
    fn delete(&self, x: &mut Exchange<'_>) -> io::Result<()> {
        self.answer(x)
    }
    fn options(&self, x: &mut Exchange<'_>) -> io::Result<()> {
        self.answer(x)
    }
    fn patch(&self, x: &mut Exchange<'_>) -> io::Result<()> {
        self.answer(x)
    }
    fn other(&self, x: &mut Exchange<'_>) -> io::Result<()> {
        self.answer(x)
    }
    fn hurry(&self) {
        self.scripts.places().close();
    }
    fn stopped(&self, how: &Stopped) {
        self.scripts.places().end(how.left);
    }
}
