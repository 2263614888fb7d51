//! The wire, by transcript: `tests/wire/*.md` against the bare machine.
//!
//! Each transcript is played whole, at every split into two, and byte by byte; events and responses
//! must be the file's each time. `UPDATE=1` rewrites events and responses with what the machine
//! does now (read the difference before you believe it). The drivers play the same files over
//! sockets: see [`transcript::Transcript`].

#[path = "support/app.rs"]
mod app;
#[path = "support/transcript.rs"]
mod transcript;

use std::path::{Path, PathBuf};

use app::App;
use doorstep_core::http1::{
    Connection, Event, GrowableBuffer, Head, Inbox, Limits, Outbox, Reject, Version,
};
use transcript::{CLOCK, End, Round, Transcript};

#[test]
fn every_transcript_gives_the_same_events_however_it_is_split() {
    let mut wrong = Vec::new();
    for file in transcript::files(&directory()) {
        for transcript in read(&file) {
            let longest = transcript.rounds.iter().map(|round| round.request.len()).max();
            let mut modes = vec![Pieces::Whole, Pieces::Of(1)];
            modes.extend(splits(longest.unwrap_or(0)).map(Pieces::SplitAt));
            if let Err(message) = modes.into_iter().try_for_each(|mode| check(&transcript, mode)) {
                let name = file.file_name().unwrap_or_default().to_string_lossy();
                wrong.push(format!("{name}:{}: {}\n{message}", transcript.line, transcript.title));
            }
        }
    }
    assert!(wrong.is_empty(), "{} transcripts differ\n\n{}", wrong.len(), wrong.join("\n\n"));
}

#[test]
fn there_are_enough_transcripts_and_their_titles_are_unique() {
    let files = transcript::files(&directory());
    let mut titles: Vec<String> =
        files.iter().flat_map(|file| read(file)).map(|transcript| transcript.title).collect();
    assert!(titles.len() >= 130, "{} transcripts", titles.len());
    titles.sort();
    let twice: Vec<_> = titles.windows(2).filter(|pair| pair[0] == pair[1]).collect();
    assert!(twice.is_empty(), "{twice:?}");
}

#[test]
#[ignore = "UPDATE=1 rewrites the files; `cargo test --test wire -- --ignored`"]
fn update() {
    assert!(std::env::var_os("UPDATE").is_some(), "set UPDATE=1");
    for file in transcript::files(&directory()) {
        let rounds: Vec<Round> =
            read(&file).iter().flat_map(|transcript| play(transcript, Pieces::Whole)).collect();
        let text = std::fs::read_to_string(&file).expect("it was read before");
        std::fs::write(&file, transcript::rewrite(&text, &rounds)).expect("the tree is writable");
    }
}

#[test]
fn a_malformed_transcript_is_an_error() {
    for bad in [
        "```request\n```\n",
        "## a\n",
        "## a\n```request\nGET\n```\n",
        "## a\n```events\n```\n",
        "## a\n```request\n{nonsense}\n```\n```events\n```\n```response\n```\n",
        "## a\n```request\n\\q\n```\n```events\n```\n```response\n```\n",
    ] {
        assert!(transcript::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn blocks_are_read_and_written() {
    let text = "## a\n```request\nA: {repeat 3 xy}\nb\\r\\\nc\\n\\\n\\\\\n{eof}\n```\n\
        ```events\nbody 2 \\r\\n\nclosed\n```\n```response\n```\n";
    let transcripts = transcript::parse(text).expect("well formed");
    let round = &transcripts[0].rounds[0];
    assert_eq!(round.request, b"A: xyxyxy\r\nb\rc\n\\\r\n");
    assert_eq!(round.events, [&b"body 2 \r\n"[..], b"closed"]);
    assert!(round.eof && transcripts[0].end() == End::Closed);
    assert_eq!(transcript::rewrite(text, &transcripts[0].rounds), text);
}

/// How the peer's bytes arrive.
#[derive(Debug, Clone, Copy)]
enum Pieces {
    Whole,
    Of(usize),
    SplitAt(usize),
}

/// Where to split inputs of up to `longest` bytes: everywhere, but in a long one only near its
/// ends, near the limits, and at every 97th byte.
fn splits(longest: usize) -> impl Iterator<Item = usize> {
    const SHORT: usize = 2048; // bytes
    let near = |at: usize, place: usize| at.abs_diff(place) <= 40;
    (1..longest).filter(move |&at| {
        let sparse = longest.div_ceil(SHORT) * 97;
        longest <= SHORT
            || [0, 65_536, 131_072, longest].iter().any(|&p| near(at, p))
            || at % sparse == 0
    })
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire")
}

fn read(file: &Path) -> Vec<Transcript> {
    let text = std::fs::read_to_string(file).expect("the file is readable text");
    let parsed = transcript::parse(&text);
    parsed.unwrap_or_else(|wrong| unreachable!("{}:{wrong}", file.display()))
}

fn check(expected: &Transcript, mode: Pieces) -> Result<(), String> {
    for (at, (actual, expected)) in play(expected, mode).iter().zip(&expected.rounds).enumerate() {
        if actual.events == expected.events && actual.response == expected.response {
            continue;
        }
        let events = |round: &Round| -> String {
            round.events.iter().map(|event| transcript::show(event, false) + "\n").collect()
        };
        return Err(format!(
            "round {}, {mode:?}\n--- expected events\n{}--- actual events\n{}\
             --- expected response\n{}--- actual response\n{}---",
            at + 1,
            events(expected),
            events(actual),
            transcript::show_response(&expected.response),
            transcript::show_response(&actual.response),
        ));
    }
    Ok(())
}

/// What becomes of a transcript's requests.
fn play(transcript: &Transcript, mode: Pieces) -> Vec<Round> {
    let mut player = Player::new(transcript, mode);
    transcript.rounds.iter().map(|round| player.round(round, mode)).collect()
}

/// One connection with its application: the event loop of an embedder.
struct Player {
    connection: Connection,
    inbox: Inbox<GrowableBuffer>,
    outbox: Outbox,
    app: App,
    events: Vec<Vec<u8>>,
    /// The bytes of the last body event, until another event follows.
    body: Vec<u8>,
    over: bool,
    shows_headers: bool,
    shows_host: bool,
}

impl Player {
    fn new(transcript: &Transcript, mode: Pieces) -> Self {
        const MOST: usize = 1 << 20; // bytes, more than any limit
        let room = if matches!(mode, Pieces::Of(_)) { 64 } else { MOST };
        let mut events = transcript.rounds.iter().flat_map(|round| &round.events);
        let mut outbox = Outbox::new("doorstep");
        outbox.set_date(CLOCK);
        Self {
            connection: Connection::new(Limits::default()),
            inbox: Inbox::new(GrowableBuffer::new(room, MOST)),
            outbox,
            app: App::default(),
            events: Vec::new(),
            body: Vec::new(),
            over: false,
            shows_headers: events.clone().any(|event| event.starts_with(b"header ")),
            shows_host: events.any(|event| event.starts_with(b"host ")),
        }
    }

    fn round(&mut self, round: &Round, mode: Pieces) -> Round {
        let request = &round.request;
        let (first, second) = match mode {
            Pieces::SplitAt(at) => request.split_at(at.min(request.len())),
            _ => (&request[..], &b""[..]),
        };
        let size = if let Pieces::Of(size) = mode { size } else { usize::MAX };
        for piece in first.chunks(size).chain(second.chunks(size)) {
            self.feed(piece);
        }
        if round.eof && !self.over {
            self.inbox.filled(0);
            self.advance();
        }
        self.flush_body();
        if !self.over && !self.events.iter().any(|event| event == b"switched") {
            self.record(b"need-data".to_vec());
        }
        let events = std::mem::take(&mut self.events);
        let response = self.outbox.unsent().to_vec();
        self.outbox.sent(response.len());
        Round { request: request.clone(), eof: round.eof, events, response }
    }

    fn feed(&mut self, mut piece: &[u8]) {
        while !piece.is_empty() && !self.over {
            let space = self.inbox.space();
            let n = space.len().min(piece.len());
            assert!(n > 0, "the machine refuses what does not fit");
            space[..n].copy_from_slice(&piece[..n]);
            self.inbox.filled(n);
            piece = &piece[n..];
            self.advance();
        }
    }

    /// Everything that can be done with the bytes that are here.
    fn advance(&mut self) {
        while !self.over {
            match self.connection.next(&mut self.inbox) {
                Ok(Event::Request(head)) => {
                    let lines = describe(&head, self.shows_host, self.shows_headers);
                    self.app.request(&head, &mut self.connection, &mut self.outbox);
                    lines.into_iter().for_each(|line| self.record(line));
                }
                Ok(Event::Body(data)) => {
                    self.app.body(data);
                    self.body.extend_from_slice(data);
                }
                Ok(Event::End(trailers)) => {
                    let lines: Vec<_> = trailers
                        .iter()
                        .map(|(name, value)| [b"trailer ", name, b": ", value].concat())
                        .collect();
                    lines.into_iter().for_each(|line| self.record(line));
                    self.record(b"end".to_vec());
                }
                Ok(Event::ResponseDue(owed)) => {
                    self.app.owed(owed, &mut self.connection, &mut self.outbox);
                    self.record(format!("response-due {owed:?}").to_lowercase().into_bytes());
                }
                Ok(Event::SwitchedProtocol) => {
                    if self.events.last().is_none_or(|event| event != b"switched") {
                        self.record(b"switched".to_vec());
                    }
                    let first = self.inbox.unread();
                    self.app.switched(first, &mut self.outbox);
                    self.inbox.consume(first.len());
                    return;
                }
                Ok(Event::NeedData) => return,
                Ok(Event::Closed) => {
                    let lingers = if self.connection.should_linger() { " lingering" } else { "" };
                    self.record(format!("closed{lingers}").into_bytes());
                    self.over = true;
                }
                Err(reject) => self.refuse(reject),
            }
        }
    }

    fn refuse(&mut self, reject: Reject) {
        self.record(format!("reject {} {reject:?}", reject.status()).into_bytes());
        self.connection.refuse(reject, self.inbox.unread(), &mut self.outbox);
    }

    fn record(&mut self, event: Vec<u8>) {
        self.flush_body();
        self.events.push(event);
    }

    fn flush_body(&mut self) {
        if !self.body.is_empty() {
            let event = format!("body {} ", self.body.len()).into_bytes();
            self.events.push([event, std::mem::take(&mut self.body)].concat());
        }
    }
}

fn describe(head: &Head<'_>, shows_host: bool, shows_headers: bool) -> Vec<Vec<u8>> {
    let version: &[u8] = match head.version() {
        Version::Http09 => b"HTTP/0.9",
        Version::Http10 => b"HTTP/1.0",
        Version::Http11 => b"HTTP/1.1",
    };
    let (path, suffix) = head.origin_form();
    let mut lines = vec![[b"request ", head.method(), b" ", path, suffix, b" ", version].concat()];
    if shows_host {
        lines.push([b"host ", head.host().unwrap_or(b"(none)")].concat());
    }
    if shows_headers {
        lines.extend(head.headers().map(|(name, value)| [b"header ", name, b": ", value].concat()));
    }
    lines
}
