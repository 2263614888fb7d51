//! The wire transcripts over a socket: the same bytes go out as from the bare machine.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use doorstep::driver::net::MemoryStream;

use crate::runtimes::Runtime;
use crate::service::State;
use crate::transcript::{self, End, Round, Transcript};

on_every_runtime! {
    fn every_transcript_is_played_in_memory(runtime: Runtime) {
        let (mut played, mut wrong) = (0, Vec::new());
        for (name, transcript) in transcripts() {
            let end = transcript.end();
            let Transcript { title, line, rounds } = transcript;
            if end == End::Open && rounds.last().is_some_and(|round| round.response.is_empty()) {
                continue; // in memory, the input ends there
            }
            let request: Vec<u8> = rounds.iter().flat_map(|round| round.request.clone()).collect();
            let mut expected: Vec<u8> = rounds.iter().flat_map(|round| round.response.clone()).collect();
            if rounds.iter().any(|round| round.events.iter().any(|event| event == b"switched")) {
                let found = expected.windows(UPGRADED.len()).position(|part| part == UPGRADED);
                expected.truncate(found.map_or(0, |at| at + UPGRADED.len())); // no socket for it
            }
            let mut response = runtime.serve_in_memory(&State::app(), &MemoryStream::new(request));
            set_dates(&mut response);
            if response != expected {
                let difference = difference(&expected, &response);
                wrong.push(format!("{name}:{line}: {title}\n{difference}"));
            }
            played += 1;
        }
        assert!(played >= 310, "{played}");
        assert!(wrong.is_empty(), "{} of {played} differ\n\n{}", wrong.len(), wrong.join("\n"));
    }

    fn every_transcript_is_played_whole_and_in_pieces(runtime: Runtime) {
        let server = runtime.start(State::app());
        let (mut played, mut wrong) = (0, Vec::new());
        for (name, transcript) in transcripts() {
            for pieces in [Pieces::Whole, Pieces::Halves, Pieces::Of(7), Pieces::Of(1)] {
                if let Err(difference) = play(&mut connect(server.address), &transcript, pieces) {
                    let (line, title) = (transcript.line, &transcript.title);
                    wrong.push(format!("{name}:{line}: {title}, {pieces:?}\n{difference}"));
                }
                played += 1;
            }
        }
        assert!(played >= 4 * 130, "{played}");
        assert!(wrong.is_empty(), "{} of {played} differ\n\n{}", wrong.len(), wrong.join("\n"));
    }
}

/// The end of the head of a response to an upgrade.
const UPGRADED: &[u8] = b"Upgrade: echo\r\n\r\n";

/// Every transcript, with the name of its file.
pub(crate) fn transcripts() -> Vec<(String, Transcript)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire");
    let mut all = Vec::new();
    for file in transcript::files(&dir) {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let text = std::fs::read_to_string(&file).expect("it is text");
        let transcripts = transcript::parse(&text).expect("another test checks the format");
        all.extend(transcripts.into_iter().map(|transcript| (name.to_string(), transcript)));
    }
    all
}

fn difference(expected: &[u8], actual: &[u8]) -> String {
    let (expected, actual) =
        (transcript::show_response(expected), transcript::show_response(actual));
    format!("--- expected\n{expected}--- actual\n{actual}---")
}

/// How many writes the peer makes of a request; they follow one another at once.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pieces {
    Whole,
    Halves,
    Of(usize),
}

/// The client's end of a connection.
pub(crate) trait Peer: Read + Write {
    fn close_write(&mut self);
    fn set_nonblocking(&self, enabled: bool);
}

impl Peer for TcpStream {
    fn close_write(&mut self) {
        let _ = self.shutdown(Shutdown::Write);
    }

    fn set_nonblocking(&self, enabled: bool) {
        self.set_nonblocking(enabled).expect("a socket can do that");
    }
}

/// A connection to a server, whose calls wait at most 10 s.
pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the server listens");
    stream.set_nodelay(true).expect("TCP can do that");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("10 s is a timeout");
    stream
}

/// Plays a transcript on a connection.
pub(crate) fn play(
    stream: &mut impl Peer,
    transcript: &Transcript,
    pieces: Pieces,
) -> Result<(), String> {
    for (at, round) in transcript.rounds.iter().enumerate() {
        send(stream, round, pieces);
        let mut response = vec![0; round.response.len()];
        let mut got = 0;
        while got < response.len() {
            match stream.read(&mut response[got..]) {
                Ok(0) => break,
                Ok(n) => got += n,
                Err(error) => return Err(format!("round {}, after {got} bytes: {error}", at + 1)),
            }
        }
        response.truncate(got);
        set_dates(&mut response);
        if response != round.response {
            return Err(format!("round {}\n{}", at + 1, difference(&round.response, &response)));
        }
    }
    ends_as(stream, transcript.end())
}

/// A server that has seen enough does not wait for the rest, so that writing may fail.
fn send(stream: &mut impl Peer, round: &Round, pieces: Pieces) {
    let request = &round.request;
    let size = match pieces {
        Pieces::Whole => request.len(),
        Pieces::Halves => request.len().div_ceil(2),
        // Limits are long; a system call for each of their bytes shows nothing new.
        Pieces::Of(size) if request.len() <= 4096 => size,
        Pieces::Of(size) => size * 1021,
    };
    let _ = request.chunks(size.max(1)).try_for_each(|piece| stream.write_all(piece));
    if round.eof {
        stream.close_write();
    }
}

/// Whether the connection ends so, or stays open without another word.
fn ends_as(stream: &mut impl Peer, end: End) -> Result<(), String> {
    stream.set_nonblocking(end == End::Open);
    let mut more = [0; 200];
    match (stream.read(&mut more), end) {
        (Ok(0), End::Closed | End::Lingering) => Ok(()),
        (Err(error), End::Open) if error.kind() == ErrorKind::WouldBlock => Ok(()),
        (Err(error), End::Closed) if error.kind() == ErrorKind::ConnectionReset => Ok(()),
        (Ok(n), _) if n > 0 => Err(format!("then came {}", more[..n].escape_ascii())),
        (found, _) => Err(format!("expected: {end:?}, found {found:?}")),
    }
}

/// Sets every Date header to that of the transcripts.
fn set_dates(response: &mut [u8]) {
    const NAME: &[u8] = b"\r\nDate: ";
    const DATE: &[u8] = b"Sun, 06 Nov 1994 08:49:37 GMT";
    for at in 0..response.len().saturating_sub(NAME.len() + DATE.len()) {
        if response[at..].starts_with(NAME) {
            response[at + NAME.len()..][..DATE.len()].copy_from_slice(DATE);
        }
    }
}
