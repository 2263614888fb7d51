//! The environment of the simulation: random numbers, a clock, pipes, and the clients' requests.

use std::collections::VecDeque;

/// Microseconds since the connection began.
pub(crate) type Time = u64;

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
            self.last = self.last.max(now + 5_000 + rng.below(20_000) + lost);
            self.pieces.push_back((self.last, bytes[sent..end].to_vec()));
            sent = end;
        }
        sent
    }

    pub(crate) fn receive(&mut self, now: Time) -> Option<Vec<u8>> {
        if self.next()? > now { None } else { self.pieces.pop_front().map(|(_, piece)| piece) }
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

/// Requests of all kinds, one after the other or pipelined, and the expected responses.
pub(crate) fn requests(rng: &mut Rng) -> (VecDeque<Message>, Vec<u8>) {
    let (mut lines, mut responses, pipelined) = (VecDeque::new(), Vec::new(), rng.below(2) == 0);
    for _ in 0..=rng.below(40) {
        let body = "x".repeat(rng.below(300) as usize);
        let (text, size) = match rng.below(3) {
            0 => ("GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_string(), 0),
            1 => {
                let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length";
                (format!("{head}: {}\r\n\r\n{body}", body.len()), body.len())
            }
            _ => {
                let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
                (
                    format!("{head}3\r\nabc\r\n{:x}\r\n{body}y\r\n0\r\n\r\n", body.len() + 1),
                    body.len() + 4,
                )
            }
        };
        let after = if pipelined { 0 } else { responses.len() };
        lines.push_back(Message { at: 0, after, text: text.into() });
        let response = format!("{size} bytes\n");
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", response.len());
        responses.extend([head, response].concat().bytes());
    }
    (lines, responses)
}

/// A head that takes more than a minute and is incomplete even then.
pub(crate) fn slow_head() -> VecDeque<Message> {
    let head = "GET / HTTP/1.1\r\nHost: a\r\nX: ".bytes().chain([b'x'; 60]);
    let second = |(n, byte): (Time, u8)| Message { at: n * 1_000_000, after: 0, text: vec![byte] };
    (0..).zip(head).map(second).collect()
}
