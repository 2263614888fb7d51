//! The application that the tests over sockets talk to, and what they know about it.
//!
//! What it does on which path is a [`Step`] after the other, the same for every driver; a driver's
//! handler only carries them out ([`blocking`]). The paths of the wire transcripts are those of
//! `tests/wire/README.md`; below `/test/` are those that a transcript cannot show, because a handler
//! waits, fails or panics there. With a root it serves files instead, and scripts around them when it
//! is told how to run those.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use doorstep::blocking::CgiSettings;
use doorstep::blocking::{Cgi, Files, Observer, Record, Response, ShutdownReport};
use doorstep::core::http1::{Head, Version};
use doorstep::core::site::Site;
use doorstep::driver::cgi::ProcessLimit;

/// What becomes of one request, step by step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// 501, as nobody handles the method.
    Unsupported,
    /// Receives the body.
    Read,
    /// Receives two bytes of it.
    ReadTwo,
    /// Sends 103.
    Hint,
    /// Begins an answer that ends so.
    Answer(u16, Ending),
    /// Sends a part of the body.
    Send(&'static [u8]),
    /// Sends that many bytes.
    SendMany(usize),
    Flush,
    End(&'static [(&'static str, &'static [u8])]),
    /// Tries to split the head; nothing of that may be sent.
    Split,
    /// Speaks `echo` from here on, if the client asked for it.
    Switch,
    /// Waits for the test.
    Wait,
    Fail,
    Panic,
}

/// How an answer goes on behind its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ending {
    /// `text/plain`.
    Text(Vec<u8>),
    /// What was received.
    Received,
    /// As `Text`, and the connection closes.
    Last(&'static str),
    /// No body, and perhaps a field.
    Bare(Option<(&'static str, &'static str)>),
    Page,
    Sized(u64),
    Stream,
}

/// What this application does about a request.
pub(crate) fn script(head: &Head<'_>) -> Vec<Step> {
    use Step::{
        Answer, End, Fail, Flush, Hint, Panic, Read, ReadTwo, Send, SendMany, Split, Switch, Wait,
    };
    const METHODS: [&[u8]; 8] =
        [b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"TRACE", b"PATCH"];
    let greeting = || text([head.method(), b" ", head.path(), b"\n"].concat());
    if head.method() == b"CONNECT" {
        return vec![Answer(501, Ending::Page)];
    }
    if !METHODS.contains(&head.method()) {
        return vec![Step::Unsupported];
    }
    let asks = head.query() == Some(b"trailer") && head.version() == Version::Http11;
    let trailers: &[(&str, &[u8])] = if asks { &[("X-Sum", b"42")] } else { &[] };
    let stream = Answer(200, Ending::Stream);
    match head.path() {
        b"/echo" => vec![Read, Answer(200, Ending::Received)],
        b"/switch" => vec![Read, Switch, greeting()],
        b"/early" => vec![text("early\n")],
        b"/stream" => vec![stream, Send(b"one\n"), Read, Send(b"two\n"), End(trailers)],
        b"/sized" => {
            vec![Answer(200, Ending::Sized(12)), Send(b"hello "), Read, Send(b"world\n")]
        }
        b"/close" => vec![Answer(200, Ending::Last("bye\n"))],
        b"/nothing" => vec![Answer(204, Ending::Bare(None))],
        b"/reset" => vec![Answer(205, Ending::Bare(None))],
        b"/same" => vec![Answer(304, Ending::Bare(Some(("ETag", "\"1\""))))],
        b"/hints" => vec![Hint, text("hinted\n")],
        b"/long" => vec![text("0123456789".repeat(10_000))],
        b"/misuse" => vec![Split, Answer(500, Ending::Page)],
        b"/test/wait" => vec![Wait, text("waited\n")],
        b"/test/pause" => vec![ReadTwo, Wait, Read, Answer(200, Ending::Received)],
        b"/test/large" => vec![Answer(200, Ending::Sized(LARGE as u64)), SendMany(LARGE)],
        b"/test/large-text" => vec![text(vec![b'x'; LARGE])],
        b"/test/silent" => vec![],
        b"/test/fail" => vec![Fail],
        b"/test/panic" => vec![Panic],
        b"/test/short" => vec![Answer(200, Ending::Sized(10)), Send(b"half\n")],
        b"/test/stuck" => vec![Answer(200, Ending::Sized(10)), Send(b"half\n"), Flush, Wait],
        b"/test/stuck-stream" => vec![stream, Send(b"half\n"), Flush, Wait],
        b"/test/slow" => {
            vec![Answer(200, Ending::Sized(12)), Send(b"hello "), Flush, Wait, Send(b"world\n")]
        }
        b"/test/fail-late" => vec![Answer(200, Ending::Sized(10)), Send(b"half\n"), Fail],
        b"/test/panic-late" => vec![stream, Send(b"half\n"), Flush, Panic],
        b"/test/late" => vec![text("early\n"), Read],
        b"/test/twice" => vec![text("once\n"), text("twice\n")],
        b"/test/too-much" => vec![Answer(200, Ending::Sized(3)), Send(b"four")],
        path => match status(path) {
            Some(code) => vec![Answer(code, Ending::Page)],
            None => vec![greeting()],
        },
    }
}

/// More than the buffers of two sockets hold, in bytes.
pub(crate) const LARGE: usize = 32 << 20;

/// Where a client that expects 100 is told 417 instead.
pub(crate) const REFUSED: &[u8] = b"/test/refused";

#[allow(clippy::panic, reason = "that is what is tested")]
fn panic_as_asked() -> ! {
    panic!("as asked")
}

fn text(body: impl Into<Vec<u8>>) -> Step {
    Step::Answer(200, Ending::Text(body.into()))
}

/// The code in `/status/NNN`, when an answer may end with it.
fn status(path: &[u8]) -> Option<u16> {
    let code = str::from_utf8(path.strip_prefix(b"/status/")?).ok()?.parse().ok()?;
    (200..=999).contains(&code).then_some(code)
}

impl Ending {
    /// Ends `response`, in either driver.
    pub(crate) fn end(&self, response: Response<'_>, received: &[u8]) -> io::Result<()> {
        let plain = ("Content-Type", "text/plain");
        match self {
            Self::Text(body) => response.header(plain.0, plain.1).body(body),
            Self::Received => {
                response.header("Content-Type", "application/octet-stream").body(received)
            }
            Self::Last(body) => {
                response.header("Connection", "close").header(plain.0, plain.1).body(body)
            }
            Self::Bare(None) => response.body(b""),
            Self::Bare(Some((name, value))) => response.header(name, value).body(b""),
            Self::Page => response.error_page(""),
            Self::Sized(n) => response.header(plain.0, plain.1).sized_body(*n),
            Self::Stream => response.header(plain.0, plain.1).streamed_body(),
        }
    }
}

/// What a test and its application share.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) root: Option<PathBuf>,
    site: Site,
    scripts: Option<CgiSettings>,
    seen: Mutex<Seen>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Seen {
    entries: Vec<Entry>,
    notes: Vec<String>,
    /// Requests that came to [`Step::Wait`], ever.
    waited: usize,
    /// How many connections a stop cut, once it is over.
    cut: Option<usize>,
    /// How many more of them may go on.
    permits: usize,
}

/// A [`Record`] that stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) line: String,
    pub(crate) status: u16,
    pub(crate) bytes: Option<u64>,
    pub(crate) cut: bool,
    pub(crate) error: Option<String>,
}

/// What is waited for comes at once or, if there is a fault, never.
const NEVER: Duration = Duration::from_secs(10);

impl State {
    pub(crate) fn files(root: impl Into<PathBuf>) -> Arc<Self> {
        Self::site(root, Site::default())
    }

    pub(crate) fn site(root: impl Into<PathBuf>, site: Site) -> Arc<Self> {
        Arc::new(Self { root: Some(root.into()), site, ..Self::default() })
    }

    #[allow(dead_code, reason = "scripts have a test binary of their own")]
    pub(crate) fn scripts(root: impl Into<PathBuf>, scripts: CgiSettings) -> Arc<Self> {
        Arc::new(Self { root: Some(root.into()), scripts: Some(scripts), ..Self::default() })
    }

    pub(crate) fn app() -> Arc<Self> {
        Arc::default()
    }

    /// [`Step::Wait`]: until the test says [`State::let_go`].
    pub(crate) fn wait(&self) {
        let mut seen = self.seen();
        seen.waited += 1;
        self.changed.notify_all();
        let seen = self.changed.wait_while(seen, |seen| seen.permits == 0);
        let mut seen = seen.unwrap_or_else(PoisonError::into_inner);
        seen.permits -= 1;
    }

    /// Lets `n` of those who wait, or will, go on.
    pub(crate) fn let_go(&self, n: usize) {
        let mut seen = self.seen();
        seen.permits = seen.permits.saturating_add(n);
        self.changed.notify_all();
    }

    /// Returns when `n` requests have come to [`Step::Wait`].
    pub(crate) fn until_waiting(&self, n: usize) {
        drop(self.until(|seen| seen.waited >= n));
    }

    /// The log, when it has `n` entries.
    pub(crate) fn log(&self, n: usize) -> Vec<Entry> {
        self.until(|seen| seen.entries.len() >= n).entries.clone()
    }

    /// The log's only entry.
    pub(crate) fn entry(&self) -> Entry {
        let mut log = self.log(1);
        assert_eq!(log.len(), 1, "{log:?}");
        log.remove(0)
    }

    /// What the handler was told besides.
    pub(crate) fn notes(&self) -> Vec<String> {
        self.seen().notes.clone()
    }

    pub(crate) fn record(&self, record: &Record<'_>) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        self.seen().entries.push(Entry {
            line: text(record.request_line),
            status: record.status,
            bytes: record.body_bytes_sent,
            cut: record.aborted,
            error: record.error_message.map(text),
        });
        self.changed.notify_all();
    }

    pub(crate) fn note(&self, message: &str) {
        self.seen().notes.push(message.into());
        self.changed.notify_all();
    }

    pub(crate) fn stopped(&self, how: &ShutdownReport) {
        let before = self.seen().cut.replace(how.aborted);
        assert_eq!(before, None, "once is enough");
    }

    /// How many connections were cut by the stop.
    #[allow(dead_code, reason = "scripts have a test binary of their own")]
    pub(crate) fn cut(&self) -> usize {
        self.until(|seen| seen.cut.is_some()).cut.unwrap_or(0)
    }

    fn until(&self, done: impl Fn(&Seen) -> bool) -> MutexGuard<'_, Seen> {
        let waited = self.changed.wait_timeout_while(self.seen(), NEVER, |seen| !done(seen));
        let (seen, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(!timeout.timed_out(), "it never came; seen: {seen:?}");
        seen
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Records what the server reports, and runs the scripts' part of a shutdown.
struct Watcher {
    state: Arc<State>,
    cgi: Option<Cgi>,
}

impl Observer for Watcher {
    fn log(&self, record: &Record<'_>) {
        self.state.record(record);
    }
    fn on_error(&self, _: IpAddr, message: &str) {
        self.state.note(message);
    }
    fn on_grace_expired(&self) {
        self.cgi.iter().for_each(Observer::on_grace_expired);
    }
    fn on_stopped(&self, report: &ShutdownReport) {
        self.state.stopped(report);
    }
    fn processes(&self) -> Option<&ProcessLimit> {
        self.cgi.as_ref().and_then(Observer::processes)
    }
}

/// The handlers of an application with this state, and what observes it.
fn handlers(state: &Arc<State>) -> (Option<Files>, Option<Cgi>, Watcher) {
    let open = |root| Files::new(root).expect("the root is there").with_site(state.site.clone());
    let run = |root, settings| Cgi::new(root, settings).expect("it can be had");
    let root = state.root.as_ref();
    let scripts = root.zip(state.scripts.clone());
    let cgi = scripts.map(|(root, settings)| run(root, settings).with_fallback(open(root)));
    (root.map(open), cgi.clone(), Watcher { state: state.clone(), cgi })
}

/// The application on std threads.
pub(crate) mod blocking {
    use std::io::{self, Read, Write};
    use std::net::TcpStream;
    use std::sync::Arc;

    use doorstep::blocking::{Cgi, Exchange, Files, Handler, Observer};

    use super::{Ending, REFUSED, State, Step, Watcher, handlers, panic_as_asked, script};

    pub(crate) struct Service {
        state: Arc<State>,
        files: Option<Files>,
        cgi: Option<Cgi>,
        observer: Watcher,
    }

    impl Service {
        pub(crate) fn new(state: Arc<State>) -> Self {
            let (files, cgi, observer) = handlers(&state);
            Self { state, files, cgi, observer }
        }
    }

    impl Handler for Service {
        fn handle(&self, x: &mut Exchange<'_>) -> io::Result<()> {
            if let Some(cgi) = &self.cgi {
                return cgi.handle(x);
            }
            if let Some(files) = &self.files {
                return files.handle(x);
            }
            let mut received = Vec::new();
            for step in script(&x.head()) {
                match step {
                    Step::Unsupported => x.unsupported()?,
                    Step::Read => _ = x.body().read_to_end(&mut received)?,
                    Step::ReadTwo => _ = x.body().take(2).read_to_end(&mut received)?,
                    Step::Hint => x.send_interim(103, &[("Link", b"</style.css>; rel=preload")])?,
                    Step::Answer(status, ending) => ending.end(x.respond(status), &received)?,
                    Step::Send(data) => x.send(data)?,
                    Step::SendMany(n) => vec![b'x'; n].chunks(4096).try_for_each(|c| x.send(c))?,
                    Step::Flush => x.flush()?,
                    Step::End(trailers) => x.end_with(trailers)?,
                    Step::Split => {
                        let split = x.respond(200).header("X", "a\r\nSet-Cookie: b").body("");
                        assert!(split.is_err(), "nothing of it is sent");
                    }
                    Step::Switch => {
                        if x.respond(101).upgrade("echo").is_ok() {
                            let (stream, first) = x.upgraded()?;
                            return echo(stream, &first);
                        }
                    }
                    Step::Wait => self.state.wait(),
                    Step::Fail => return Err(io::Error::other("as asked")),
                    Step::Panic => panic_as_asked(),
                }
            }
            Ok(())
        }

        fn expect(&self, x: &mut Exchange<'_>) -> io::Result<()> {
            match x.head().path() {
                REFUSED => Ending::Page.end(x.respond(417), b""),
                _ => Ok(()),
            }
        }

        fn observer(&self) -> &dyn Observer {
            &self.observer
        }
    }

    fn echo(mut stream: TcpStream, first: &[u8]) -> io::Result<()> {
        stream.write_all(first)?;
        io::copy(&mut stream.try_clone()?, &mut stream).map(drop)
    }
}

/// The application on smol: the same lines but for `.await`.
pub(crate) mod smol {
    use std::io;
    use std::sync::Arc;

    use doorstep::smol::{Cgi, Exchange, Files, Handler, Observer};
    use smol::io::{AsyncReadExt, AsyncWriteExt};

    use super::{Ending, REFUSED, State, Step, Watcher, handlers, panic_as_asked, script};

    pub(crate) struct Service {
        state: Arc<State>,
        files: Option<Files>,
        cgi: Option<Cgi>,
        observer: Watcher,
    }

    impl Service {
        pub(crate) fn new(state: Arc<State>) -> Self {
            let (files, cgi, observer) = handlers(&state);
            Self { state, files, cgi, observer }
        }
    }

    impl Handler for Service {
        async fn handle(&self, x: &mut Exchange<'_>) -> io::Result<()> {
            if let Some(cgi) = &self.cgi {
                return cgi.handle(x).await;
            }
            if let Some(files) = &self.files {
                return files.handle(x).await;
            }
            let mut received = Vec::new();
            for step in script(&x.head()) {
                match step {
                    Step::Unsupported => x.unsupported()?,
                    Step::Read => _ = x.body().read_to_end(&mut received).await?,
                    Step::ReadTwo => _ = x.body().take(2).read_to_end(&mut received).await?,
                    Step::Hint => {
                        x.send_interim(103, &[("Link", b"</style.css>; rel=preload")]).await?;
                    }
                    Step::Answer(status, ending) => ending.end(x.respond(status), &received)?,
                    Step::Send(data) => x.send(data).await?,
                    Step::SendMany(n) => {
                        for part in vec![b'x'; n].chunks(4096) {
                            x.send(part).await?;
                        }
                    }
                    Step::Flush => x.flush().await?,
                    Step::End(trailers) => x.end_with(trailers)?,
                    Step::Split => {
                        let split = x.respond(200).header("X", "a\r\nSet-Cookie: b").body("");
                        assert!(split.is_err(), "nothing of it is sent");
                    }
                    Step::Switch => {
                        if x.respond(101).upgrade("echo").is_ok() {
                            let (mut stream, first) = x.upgraded().await?;
                            stream.write_all(&first).await?;
                            return smol::io::copy(&stream, &mut &stream).await.map(drop);
                        }
                    }
                    Step::Wait => {
                        let state = self.state.clone();
                        smol::unblock(move || state.wait()).await;
                    }
                    Step::Fail => return Err(io::Error::other("as asked")),
                    Step::Panic => panic_as_asked(),
                }
            }
            Ok(())
        }

        async fn expect(&self, x: &mut Exchange<'_>) -> io::Result<()> {
            match x.head().path() {
                REFUSED => Ending::Page.end(x.respond(417), b""),
                _ => Ok(()),
            }
        }

        fn observer(&self) -> &dyn Observer {
            &self.observer
        }
    }
}
