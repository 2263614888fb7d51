//! What the server has done, for the last line: requests, bytes, clients, and how long it took.
//!
//! Clients are distinguished by their addresses, of which up to [`MAX_CLIENTS`] are remembered; if there are
//! more, the line says so.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use doorstep_driver::Record;

use super::format;

/// The number of clients that are counted exactly.
const MAX_CLIENTS: usize = 4096;

/// The counts of all responses. Clones are the same ones.
#[derive(Debug, Clone)]
pub(crate) struct Tally {
    counts: Arc<Mutex<Counts>>,
    since: Instant,
}

#[derive(Debug, Default)]
struct Counts {
    requests: u64,
    /// The bytes of bodies of responses.
    sent: u64,
    /// Those of bodies of requests.
    received: u64,
    clients: HashSet<IpAddr>,
    /// There were more of them.
    has_more_clients: bool,
}

impl Tally {
    /// No requests yet.
    pub(super) fn new() -> Self {
        Self { counts: Arc::default(), since: Instant::now() }
    }

    /// Counts a response.
    pub(crate) fn log(&self, record: &Record<'_>) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let client = record.remote_addr.ip().to_canonical();
        counts.add(client, record.body_bytes_sent.unwrap_or(0), record.body_bytes_received);
    }

    /// The last line.
    pub(super) fn line(&self) -> String {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.line(self.since.elapsed())
    }
}

impl Counts {
    fn add(&mut self, client: IpAddr, sent: u64, received: u64) {
        self.requests += 1;
        self.sent += sent;
        self.received += received;
        if self.clients.len() < MAX_CLIENTS {
            self.clients.insert(client);
        } else if !self.has_more_clients {
            self.has_more_clients = !self.clients.contains(&client);
        }
    }

    fn line(&self, time: Duration) -> String {
        let clients = match (self.clients.len(), self.has_more_clients) {
            (0, _) => String::new(),
            (n, false) => format!(" from {}", format::count(n as u64, "client")),
            (n, true) => format!(" from more than {n} clients"),
        };
        let requests = format::count(self.requests, "request");
        let bytes = |bytes: u64| format::bytes(bytes as f64);
        let received = match self.received {
            0 => String::new(),
            received => format!(", {} received", bytes(received)),
        };
        let (sent, time) = (bytes(self.sent), format::time(time));
        format!("{requests}{clients}, {sent} sent{received} in {time}.\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn the_line_counts_requests_bytes_and_clients() {
        let mut counts = Counts::default();
        let line = |counts: &Counts| counts.line(Duration::from_secs(250));
        assert_eq!(line(&counts), "0 requests, 0 B sent in 4m 10s.\n");
        counts.add([192, 0, 2, 1].into(), 1 << 20, 0);
        assert_eq!(line(&counts), "1 request from 1 client, 1.00 MiB sent in 4m 10s.\n");
        counts.add([192, 0, 2, 1].into(), 1 << 20, 0);
        counts.add([192, 0, 2, 2].into(), 0, 0);
        assert_eq!(line(&counts), "3 requests from 2 clients, 2.00 MiB sent in 4m 10s.\n");
        counts.add([192, 0, 2, 2].into(), 0, 5 << 20);
        assert_eq!(
            line(&counts),
            "4 requests from 2 clients, 2.00 MiB sent, 5.00 MiB received in 4m 10s.\n"
        );
    }

    #[test]
    fn the_clients_that_are_remembered_are_bounded() {
        let mut counts = Counts::default();
        for n in 0..MAX_CLIENTS as u32 {
            counts.add(Ipv4Addr::from(n).into(), 0, 0);
        }
        counts.add(Ipv4Addr::from(7).into(), 0, 0);
        assert!(counts.line(Duration::ZERO).contains("4097 requests from 4096 clients"));
        counts.add(Ipv4Addr::BROADCAST.into(), 0, 0);
        counts.add(Ipv4Addr::LOCALHOST.into(), 0, 0);
        assert!(counts.line(Duration::ZERO).contains("from more than 4096 clients"));
        assert_eq!(counts.clients.len(), MAX_CLIENTS);
    }
}
