//! The application that the tests over sockets talk to, and its state, which they share.
//!
//! For each path there is a list of [`Step`]s, the same for every runtime; each handler carries them
//! out ([`blocking`], [`smol`], [`tokio`]). The paths of the wire transcripts are described in
//! `tests/wire/README.md`; below `/test/` are those that a transcript cannot show, because a handler
//! waits, fails or panics there. With a root it serves files instead, and with settings for scripts
//! those too.

use std::io;
use std::net::{IpAddr, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use doorstep::blocking::{Cgi, Files, Observer, Record, Response, ShutdownReport};
use doorstep::core::http1::{Head, Version};
use doorstep::driver::cgi::ProcessLimit;
use doorstep::driver::net::PeerState;

#[path = "service_state.rs"]
pub(crate) mod state;
pub(crate) use state::State;

/// A step of a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// 501, for a method that is not supported.
    Unsupported,
    /// Receives the body.
    Read,
    /// Receives two bytes of it.
    ReadTwo,
    /// Sends 103.
    Interim,
    /// Begins a response with this status and this end.
    Respond(u16, ResponseEnd),
    /// Sends a part of the body.
    Send(&'static [u8]),
    /// Sends this number of bytes.
    SendMany(usize),
    Flush,
    End(&'static [(&'static str, &'static [u8])]),
    /// Sets a header with a line end, which must be refused.
    SplitHead,
    /// Switches to the protocol `echo`, if the client asked for it.
    Upgrade,
    /// Waits for [`State::release`].
    Wait,
    /// Waits until the client has closed or reset the connection.
    WaitClosed,
    Fail,
    Panic,
}

/// The end of a response's head, and its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ResponseEnd {
    /// A body of `text/plain`.
    Text(Vec<u8>),
    /// The request's body, as far as it was received.
    ReceivedBody,
    /// Like `Text`, with `Connection: close`.
    TextThenClose(&'static str),
    /// No body, and perhaps a header.
    Empty(Option<(&'static str, &'static str)>),
    ErrorPage,
    Sized(u64),
    Stream,
}

/// The steps for a request.
pub(crate) fn steps(head: &Head<'_>) -> Vec<Step> {
    use Step::{
        End, Fail, Flush, Interim, Panic, Read, ReadTwo, Respond, Send, SendMany, SplitHead,
        Upgrade, Wait, WaitClosed,
    };
    const METHODS: [&[u8]; 8] =
        [b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"TRACE", b"PATCH"];
    let greeting = || text([head.method(), b" ", head.path(), b"\n"].concat());
    if head.method() == b"CONNECT" {
        return vec![Respond(501, ResponseEnd::ErrorPage)];
    }
    if !METHODS.contains(&head.method()) {
        return vec![Step::Unsupported];
    }
    let asks = head.query() == Some(b"trailer") && head.version() == Version::Http11;
    let trailers: &[(&str, &[u8])] = if asks { &[("X-Sum", b"42")] } else { &[] };
    let stream = Respond(200, ResponseEnd::Stream);
    match head.path() {
        b"/echo" => vec![Read, Respond(200, ResponseEnd::ReceivedBody)],
        b"/switch" => vec![Read, Upgrade, greeting()],
        b"/early" => vec![text("early\n")],
        b"/stream" => vec![stream, Send(b"one\n"), Read, Send(b"two\n"), End(trailers)],
        b"/sized" => {
            vec![Respond(200, ResponseEnd::Sized(12)), Send(b"hello "), Read, Send(b"world\n")]
        }
        b"/close" => vec![Respond(200, ResponseEnd::TextThenClose("bye\n"))],
        b"/nothing" => vec![Respond(204, ResponseEnd::Empty(None))],
        b"/reset" => vec![Respond(205, ResponseEnd::Empty(None))],
        b"/same" => vec![Respond(304, ResponseEnd::Empty(Some(("ETag", "\"1\""))))],
        b"/hints" => vec![Interim, text("hinted\n")],
        b"/long" => vec![text("0123456789".repeat(10_000))],
        b"/misuse" => vec![SplitHead, Respond(500, ResponseEnd::ErrorPage)],
        b"/test/wait" => vec![Wait, text("waited\n")],
        b"/test/gone" => vec![Wait, WaitClosed, text("gone")],
        b"/test/gone-silent" => vec![Wait, WaitClosed],
        b"/test/gone-short" => vec![Wait, WaitClosed, Respond(200, ResponseEnd::Sized(10))],
        b"/test/gone-endless" => vec![Wait, WaitClosed, stream, Send(b"half\n")],
        b"/test/pause" => vec![ReadTwo, Wait, Read, Respond(200, ResponseEnd::ReceivedBody)],
        b"/test/large" => vec![Respond(200, ResponseEnd::Sized(LARGE as u64)), SendMany(LARGE)],
        b"/test/large-text" => vec![text(vec![b'x'; LARGE])],
        path if path.starts_with(b"/test/silent") => vec![],
        b"/test/fail" => vec![Fail],
        b"/test/panic" => vec![Panic],
        b"/test/short" => vec![Respond(200, ResponseEnd::Sized(10)), Send(b"half\n")],
        b"/test/endless" => vec![stream, Send(b"half\n")],
        b"/test/stuck" => vec![Respond(200, ResponseEnd::Sized(10)), Send(b"half\n"), Flush, Wait],
        b"/test/stuck-stream" => vec![stream, Send(b"half\n"), Flush, Wait],
        b"/test/slow" => {
            vec![
                Respond(200, ResponseEnd::Sized(12)),
                Send(b"hello "),
                Flush,
                Wait,
                Send(b"world\n"),
            ]
        }
        b"/test/fail-late" => vec![Respond(200, ResponseEnd::Sized(10)), Send(b"half\n"), Fail],
        b"/test/panic-late" => vec![stream, Send(b"half\n"), Flush, Panic],
        b"/test/late" => vec![text("early\n"), Read],
        b"/test/twice" => vec![text("once\n"), text("twice\n")],
        b"/test/too-much" => vec![Respond(200, ResponseEnd::Sized(3)), Send(b"four")],
        path => match status(path) {
            Some(code) => vec![Respond(code, ResponseEnd::ErrorPage)],
            None => vec![greeting()],
        },
    }
}

/// More than the buffers of two sockets hold, in bytes.
pub(crate) const LARGE: usize = 32 << 20;

/// A path whose `Expect: 100-continue` is refused with 417.
pub(crate) const REFUSED: &[u8] = b"/test/refused";

#[allow(clippy::panic, reason = "that is what is tested")]
fn panic_as_asked() -> ! {
    panic!("as asked")
}

fn wait_until_closed(peer_state: impl Fn() -> PeerState) {
    let closed = (0..10_000).any(|_| {
        thread::sleep(Duration::from_millis(1));
        peer_state() == PeerState::Closed
    });
    assert!(closed, "the client is still there");
}

fn text(body: impl Into<Vec<u8>>) -> Step {
    Step::Respond(200, ResponseEnd::Text(body.into()))
}

/// The code in `/status/NNN`, if it is a final one.
fn status(path: &[u8]) -> Option<u16> {
    let code = str::from_utf8(path.strip_prefix(b"/status/")?).ok()?.parse().ok()?;
    (200..=999).contains(&code).then_some(code)
}

impl ResponseEnd {
    /// Ends `response`, in either runtime.
    pub(crate) fn end(&self, response: Response<'_>, received: &[u8]) -> io::Result<()> {
        let plain = ("Content-Type", "text/plain");
        match self {
            Self::Text(body) => response.header(plain.0, plain.1).body(body),
            Self::ReceivedBody => {
                response.header("Content-Type", "application/octet-stream").body(received)
            }
            Self::TextThenClose(body) => {
                response.header("Connection", "close").header(plain.0, plain.1).body(body)
            }
            Self::Empty(None) => response.body(b""),
            Self::Empty(Some((name, value))) => response.header(name, value).body(b""),
            Self::ErrorPage => response.error_page(""),
            Self::Sized(n) => response.header(plain.0, plain.1).sized_body(*n),
            Self::Stream => response.header(plain.0, plain.1).streamed_body(),
        }
    }
}

/// Records what the server reports, and runs the scripts' part of a shutdown.
pub(crate) struct TestObserver {
    state: Arc<State>,
    cgi: Option<Cgi>,
}

impl Observer for TestObserver {
    fn log(&self, record: &Record<'_>) {
        self.state.record(record);
    }
    fn on_error(&self, _: IpAddr, message: &str) {
        self.state.record_error(message);
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
fn handlers(state: &Arc<State>) -> (Option<Files>, Option<Cgi>, TestObserver) {
    let open = |root| {
        let files = Files::new(root).expect("the root is there").with_site(state.site.clone());
        match &state.uploads {
            None => files,
            Some(settings) => files.with_upload(settings.clone()),
        }
    };
    let run = |root, settings| Cgi::new(root, settings).expect("the scripts can be run");
    let root = state.root.as_ref();
    let scripts = root.zip(state.scripts.clone());
    let cgi = scripts.map(|(root, settings)| run(root, settings).with_fallback(open(root)));
    (root.map(open), cgi.clone(), TestObserver { state: state.clone(), cgi })
}

/// The application on std threads.
pub(crate) mod blocking {
    use std::io::{self, Read, Write};
    use std::net::TcpStream;
    use std::sync::Arc;

    use doorstep::blocking::{Cgi, Exchange, Files, Handler, Observer};

    use super::{
        REFUSED, ResponseEnd, State, Step, TestObserver, handlers, panic_as_asked, steps,
        wait_until_closed,
    };

    pub(crate) struct Service {
        state: Arc<State>,
        files: Option<Files>,
        cgi: Option<Cgi>,
        observer: TestObserver,
    }

    impl Service {
        pub(crate) fn new(state: Arc<State>) -> Self {
            let (files, cgi, observer) = handlers(&state);
            Self { state, files, cgi, observer }
        }
    }

    impl Handler for Service {
        fn fallback(&self, x: &mut Exchange<'_>) -> io::Result<()> {
            if let Some(cgi) = &self.cgi {
                return cgi.handle(x);
            }
            if let Some(files) = &self.files {
                return files.handle(x);
            }
            let mut received = Vec::new();
            for step in steps(&x.head()) {
                match step {
                    Step::Unsupported => x.unsupported()?,
                    Step::Read => _ = x.body().read_to_end(&mut received)?,
                    Step::ReadTwo => _ = x.body().take(2).read_to_end(&mut received)?,
                    Step::Interim => {
                        x.send_interim(103, &[("Link", b"</style.css>; rel=preload")])?;
                    }
                    Step::Respond(status, ending) => ending.end(x.respond(status), &received)?,
                    Step::Send(data) => x.send(data)?,
                    Step::SendMany(n) => vec![b'x'; n].chunks(4096).try_for_each(|c| x.send(c))?,
                    Step::Flush => x.flush()?,
                    Step::End(trailers) => x.end_with(trailers)?,
                    Step::SplitHead => {
                        let split = x.respond(200).header("X", "a\r\nSet-Cookie: b").body("");
                        assert!(split.is_err(), "nothing of it is sent");
                    }
                    Step::Upgrade => {
                        if x.respond(101).upgrade("echo").is_ok() {
                            let (stream, first) = x.upgraded()?;
                            return echo(stream, &first);
                        }
                    }
                    Step::Wait => self.state.wait(),
                    Step::WaitClosed => wait_until_closed(|| x.peer_state()),
                    Step::Fail => return Err(io::Error::other("as asked")),
                    Step::Panic => panic_as_asked(),
                }
            }
            Ok(())
        }

        fn expect(&self, x: &mut Exchange<'_>) -> io::Result<()> {
            match x.head().path() {
                REFUSED => ResponseEnd::ErrorPage.end(x.respond(417), b""),
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

/// The application on an asynchronous runtime: the same lines but for `.await`.
macro_rules! asynchronous {
    ($runtime:ident, $read:path, $unblock:path, $echo:path) => {
        pub(crate) mod $runtime {
            use std::io;
            use std::sync::Arc;

            use doorstep::blocking::{Cgi, Files, Observer};
            use $read as _;

            use super::{
                REFUSED, ResponseEnd, State, Step, TestObserver, handlers, panic_as_asked, steps,
                wait_until_closed,
            };
            use crate::runtimes::front_end::$runtime::{Exchange, Handler};

            pub(crate) struct Service {
                state: Arc<State>,
                files: Option<Files>,
                cgi: Option<Cgi>,
                observer: TestObserver,
            }

            impl Service {
                pub(crate) fn new(state: Arc<State>) -> Self {
                    let (files, cgi, observer) = handlers(&state);
                    Self { state, files, cgi, observer }
                }
            }

            impl Handler for Service {
                async fn fallback(&self, x: &mut Exchange<'_>) -> io::Result<()> {
                    if let Some(cgi) = &self.cgi {
                        return cgi.handle(x).await;
                    }
                    if let Some(files) = &self.files {
                        return files.handle(x).await;
                    }
                    let mut received = Vec::new();
                    for step in steps(&x.head()) {
                        match step {
                            Step::Unsupported => x.unsupported()?,
                            Step::Read => _ = x.body().read_to_end(&mut received).await?,
                            Step::ReadTwo => {
                                let mut part = [0; 2];
                                while received.len() < 2 {
                                    let n = x.body().read(&mut part[received.len()..]).await?;
                                    received.extend_from_slice(&part[received.len()..][..n]);
                                }
                            }
                            Step::Interim => {
                                let link = ("Link", &b"</style.css>; rel=preload"[..]);
                                x.send_interim(103, &[link]).await?;
                            }
                            Step::Respond(status, ending) => {
                                ending.end(x.respond(status), &received)?;
                            }
                            Step::Send(data) => x.send(data).await?,
                            Step::SendMany(n) => {
                                for part in vec![b'x'; n].chunks(4096) {
                                    x.send(part).await?;
                                }
                            }
                            Step::Flush => x.flush().await?,
                            Step::End(trailers) => x.end_with(trailers)?,
                            Step::SplitHead => {
                                let split =
                                    x.respond(200).header("X", "a\r\nSet-Cookie: b").body("");
                                assert!(split.is_err(), "nothing of it is sent");
                            }
                            Step::Upgrade => {
                                if x.respond(101).upgrade("echo").is_ok() {
                                    let (stream, first) = x.upgraded().await?;
                                    return $echo(stream, &first).await;
                                }
                            }
                            Step::Wait => {
                                let state = self.state.clone();
                                let _ = $unblock(move || state.wait()).await;
                            }
                            Step::WaitClosed => wait_until_closed(|| x.peer_state()),
                            Step::Fail => return Err(io::Error::other("as asked")),
                            Step::Panic => panic_as_asked(),
                        }
                    }
                    Ok(())
                }

                async fn expect(&self, x: &mut Exchange<'_>) -> io::Result<()> {
                    match x.head().path() {
                        REFUSED => ResponseEnd::ErrorPage.end(x.respond(417), b""),
                        _ => Ok(()),
                    }
                }

                fn observer(&self) -> &dyn Observer {
                    &self.observer
                }
            }
        }
    };
}

asynchronous!(smol, ::smol::io::AsyncReadExt, ::smol::unblock, super::echo_on_smol);
asynchronous!(
    tokio,
    crate::runtimes::ReadToEnd,
    ::tokio::task::spawn_blocking,
    super::echo_on_tokio
);

async fn echo_on_smol(stream: ::smol::Async<TcpStream>, first: &[u8]) -> io::Result<()> {
    ::smol::io::AsyncWriteExt::write_all(&mut &stream, first).await?;
    ::smol::io::copy(&stream, &mut &stream).await.map(drop)
}

async fn echo_on_tokio(mut stream: ::tokio::net::TcpStream, first: &[u8]) -> io::Result<()> {
    let (mut reader, mut writer) = stream.split();
    ::tokio::io::AsyncWriteExt::write_all(&mut writer, first).await?;
    ::tokio::io::copy(&mut reader, &mut writer).await.map(drop)
}
