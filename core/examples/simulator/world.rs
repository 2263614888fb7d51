//! The environment of the simulation: random numbers, a clock, pipes, and the clients' requests.

use std::collections::VecDeque;
use std::time::Duration;

/// Since the connection began; whole microseconds.
pub(crate) type Time = Duration;

/// Pseudorandom numbers: xorshift.
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

/// One direction: the pieces in transit, and when they arrive.
#[derive(Default)]
pub(crate) struct Pipe {
    pieces: VecDeque<(Time, Vec<u8>)>,
    last: Time,
}

impl Pipe {
    /// Takes as many of `bytes` as it has capacity for.
    pub(crate) fn send(&mut self, bytes: &[u8], now: Time, rng: &mut Rng) -> usize {
        let mut sent = 0;
        while sent < bytes.len() && self.pieces.len() < 8 {
            let end = bytes.len().min(sent + 1 + rng.below(40) as usize);
            let lost = if rng.below(50) == 0 { 1_000_000 } else { 0 };
            let transit = Duration::from_micros(5_000 + rng.below(20_000) + lost);
            self.last = self.last.max(now + transit);
            self.pieces.push_back((self.last, bytes[sent..end].to_vec()));
            sent = end;
        }
        sent
    }

    /// Moves what has arrived into `space`, a piece at most, and returns how many bytes.
    pub(crate) fn receive(&mut self, now: Time, space: &mut [u8]) -> usize {
        let Some((time, piece)) = self.pieces.front_mut() else { return 0 };
        if *time > now {
            return 0;
        }
        let n = piece.len().min(space.len());
        space[..n].copy_from_slice(&piece[..n]);
        piece.drain(..n);
        if piece.is_empty() {
            self.pieces.pop_front();
        }
        n
    }

    pub(crate) fn next(&self) -> Option<Time> {
        self.pieces.front().map(|(time, _)| *time)
    }
}

/// What a client sends: not before its time, and not before it received this many bytes.
pub(crate) struct Message {
    pub(crate) at: Time,
    pub(crate) after: usize,
    pub(crate) text: Vec<u8>,
}

/// Requests of all kinds, one after the other or pipelined, and the expected responses, with
/// [`mask_dates`].
pub(crate) fn requests(rng: &mut Rng) -> (VecDeque<Message>, Vec<u8>) {
    let (mut lines, mut responses, pipelined) = (VecDeque::new(), Vec::new(), rng.below(2) == 0);
    for _ in 0..=rng.below(40) {
        let body = "x".repeat(rng.below(300) as usize);
        let size = |n| format!("{n} bytes\n");
        let (text, response) = match rng.below(3) {
            0 => ("GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_string(), "/".to_string()),
            1 => {
                let head = "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length";
                (format!("{head}: {}\r\n\r\n{body}", body.len()), size(body.len()))
            }
            _ => {
                let head = "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
                (
                    format!("{head}3\r\nabc\r\n{:x}\r\n{body}y\r\n0\r\n\r\n", body.len() + 1),
                    size(body.len() + 4),
                )
            }
        };
        let after = if pipelined { 0 } else { responses.len() };
        lines.push_back(Message { at: Time::ZERO, after, text: text.into() });
        let head = format!("HTTP/1.1 200 OK\r\n{DATE}{}\r\nContent-Length: ", "?".repeat(29));
        responses.extend([head, format!("{}\r\n\r\n{response}", response.len())].concat().bytes());
    }
    (lines, responses)
}

const DATE: &str = "Date: ";

/// Replaces each value of `Date` by question marks.
pub(crate) fn mask_dates(received: &mut [u8]) {
    let dates =
        received.windows(DATE.len()).enumerate().filter(|(_, found)| *found == DATE.as_bytes());
    let starts: Vec<usize> = dates.map(|(start, _)| start + DATE.len()).collect();
    starts.into_iter().for_each(|start| received[start..start + 29].fill(b'?'));
}

/// A head that takes more than a minute and is incomplete even then.
pub(crate) fn slow_head() -> VecDeque<Message> {
    let head = "GET / HTTP/1.1\r\nHost: a\r\nX: ".bytes().chain([b'x'; 60]);
    let second = |(n, byte)| Message { at: Duration::from_secs(n), after: 0, text: vec![byte] };
    (0..).zip(head).map(second).collect()
}
