//! Scripts as a handler: CGI/1.1 (RFC 3875) below a directory.
//!
//! The same as the blocking driver's but for the waiting. What may take the system long is done on
//! the server's thread pool: starting a process, and writing a large body to disk.
//!
//! ```no_run
//! use doorstep_async_smol::scripts::Settings;
//! use doorstep_async_smol::{Cgi, Files, Server};
//!
//! let scripts = Cgi::new(".", Settings::default())?.around(Files::new(".")?);
//! smol::block_on(Server::bind("127.0.0.1:8000")?.serve(scripts))
//! # ;Ok::<(), std::io::Error>(())
//! ```

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_io::Timer;
use doorstep_core::cgi::local_redirect;
use doorstep_core::cgi::route::Script;
use doorstep_driver::Stopped;
use doorstep_driver::cgi::{
    Admission, Came, MOST_AGAIN, Meaning, Next, Scripts, Settings, Upload, is_for_scripts,
    refuse_again, refuse_elsewhere, spans, turn_away,
};
use doorstep_driver::os::{Stopwatch, Woken};
use doorstep_driver::semaphore::{Place, Places};
use smol::future;
use smol::io::AsyncReadExt;

use crate::exchange::Exchange;
use crate::files::Files;
use crate::handler::Handler;
use crate::watch::Watch;

/// How long the end of scripts that were killed is waited for.
const KILL: Duration = Duration::from_millis(500);

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
    pub async fn serve(&self, x: &mut Exchange<'_>) -> io::Result<bool> {
        let mut head = match self.run(x).await? {
            Came::Elsewhere => return Ok(false),
            Came::Answered => return Ok(true),
            Came::Again(head) => head,
        };
        for _ in 0..MOST_AGAIN {
            let Some(spans) = spans(&head) else { break };
            let mut instead = x.instead(spans.view(&head));
            let came = match self.run(&mut instead).await {
                Ok(Came::Elsewhere) => self.elsewhere(&mut instead).await.map(|()| Came::Answered),
                came => came,
            };
            x.told = instead.into_turn().told;
            match came? {
                Came::Again(next) => head = next,
                _ => return Ok(true),
            }
        }
        refuse_again(x).map(|()| true)
    }

    async fn answer(&self, x: &mut Exchange<'_>) -> io::Result<()> {
        if self.serve(x).await? { Ok(()) } else { self.elsewhere(x).await }
    }

    /// Answers what is for no script.
    async fn elsewhere(&self, x: &mut Exchange<'_>) -> io::Result<()> {
        match &self.files {
            Some(files) if !is_for_scripts(x) => files.handle(x).await,
            _ => refuse_elsewhere(x),
        }
    }

    /// One request: the script it is for, from its body to its end.
    async fn run(&self, x: &mut Exchange<'_>) -> io::Result<Came> {
        let script = match self.scripts.find(x)? {
            Meaning::Elsewhere => return Ok(Came::Elsewhere),
            Meaning::Answered => return Ok(Came::Answered),
            Meaning::Script(script) => script,
        };
        let body = self.receive(x).await?;
        let Some(place) = self.enter(x, &script).await? else { return Ok(Came::Answered) };
        let launch = self.scripts.launch(x, &script, x.local()?, body);
        let started = x.unblock(move || launch.start(place)).await;
        let Some(mut run) = self.scripts.listen(x, &script, started)? else {
            return Ok(Came::Answered);
        };
        let mut watch = Watch::new(&run.process)?;
        let mut woken = Woken::default();
        loop {
            let (turn, seat) = x.parts();
            match run.step(turn, woken, seat)? {
                Next::Flush => x.flush().await?,
                Next::Wait(most) => woken = watch.wait(&mut run.process, most).await?,
                Next::Again(target) => {
                    return Ok(Came::Again(local_redirect::request_head(&x.head(), &target)));
                }
                Next::Over => return Ok(Came::Answered),
            }
        }
    }

    /// The request's whole body.
    async fn receive(&self, x: &mut Exchange<'_>) -> io::Result<Option<Upload>> {
        let Some(mut body) = Upload::of(&x.head(), self.scripts.settings().memory) else {
            return Ok(None);
        };
        loop {
            match x.body().read(body.space()).await? {
                0 => return Ok(Some(body)),
                n if body.filled(n) => {
                    body = x.unblock(move || body.spill()).await;
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
    async fn enter(&self, x: &mut Exchange<'_>, script: &Script) -> io::Result<Option<Place>> {
        if let Some(place) = self.scripts.places().take() {
            return Ok(Some(place));
        }
        x.flush().await?; // earlier answers do not wait with it
        let why = match self.scripts.queue() {
            Err(full) => full,
            Ok(mut queue) => loop {
                let turn = queue.listen();
                match queue.look(x.parts().1) {
                    Ok(Admission::In(place)) => return Ok(Some(place)),
                    Ok(Admission::Wait(most)) => {
                        let late = async { _ = Timer::after(most).await };
                        future::or(turn, late).await;
                    }
                    Err(why) => break why,
                }
            },
        };
        turn_away(x, script, why).map(|()| None)
    }
}

impl Handler for Cgi {
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
    async fn other(&self, x: &mut Exchange<'_>) -> io::Result<()> {
        self.answer(x).await
    }
    fn hurry(&self) {
        self.scripts.places().close();
    }
    async fn stopped(&self, how: &Stopped) {
        let places = self.scripts.places();
        places.close();
        future::or(places.empty(), running_time(how.left)).await;
        places.kill_all(); // whoever is left
        future::or(places.empty(), running_time(KILL)).await;
    }
}

/// Waits for so long, without time in which the process stands still.
async fn running_time(most: Duration) {
    let mut waited = Stopwatch::default();
    while let Some(step) = waited.next_step(most) {
        Timer::after(step).await;
    }
}
