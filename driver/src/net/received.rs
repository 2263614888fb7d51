//! How much the peer of a connection has received, which the system knows even while a call that sends
//! has not returned.
//!
//! TCP counts acknowledged bytes. A Unix socket tells how many bytes wait in it to be read.

use std::os::fd::AsFd;

use crate::os;

/// The most bytes that one call sends to a Unix socket. A blocking one takes all bytes of a call before it
/// returns; and what its peer reads shows when it has read all bytes of a call.
pub(super) const MAX_UNIX_SEND: usize = 32 << 10;
/// The same for the socket of a relay, whose client may be as slow as [`Timeouts::min_rate`] allows.
///
/// [`Timeouts::min_rate`]: doorstep_core::http1::Timeouts::min_rate
pub(super) const MAX_RELAYED_SEND: usize = 8 << 10;

/// How much a peer has received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Received {
    /// So many bytes in all.
    InAll(u64),
    /// All bytes that were sent, except for so many. The system adds what it needs to keep them.
    AllBut(u64),
}

impl Received {
    /// What the peer of a TCP socket has acknowledged; `None` if the system does not report it.
    pub(super) fn over_tcp(socket: impl AsFd) -> Option<Self> {
        os::bytes_acked(socket).map(Self::InAll)
    }

    /// What the peer of a Unix socket has read; `None` if the system does not report it.
    pub(super) fn over_unix(socket: impl AsFd) -> Option<Self> {
        os::bytes_unread(socket).map(Self::AllBut)
    }

    /// The number of bytes that were received since `before`, while `sent` bytes were sent.
    pub(crate) fn since(self, before: Self, sent: u64) -> u64 {
        match (before, self) {
            (Self::InAll(before), Self::InAll(now)) => now.saturating_sub(before),
            (Self::AllBut(before), Self::AllBut(now)) => {
                before.saturating_add(sent).saturating_sub(now)
            }
            _ => sent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_count_once_they_are_received() {
        use Received::{AllBut, InAll};
        for (before, now, sent, expected) in [
            (InAll(5), InAll(5), 9, 0),
            (InAll(5), InAll(12), 0, 7),
            (AllBut(0), AllBut(10), 10, 0),
            (AllBut(0), AllBut(12), 10, 0), // the system's own
            (AllBut(12), AllBut(4), 0, 8),
            (AllBut(12), AllBut(12), 7, 7),
        ] {
            assert_eq!(now.since(before, sent), expected, "{before:?}, {now:?}");
        }
    }

    #[test]
    #[cfg(all(target_os = "linux", not(feature = "portable")))]
    fn a_unix_socket_shows_what_its_peer_reads() {
        use std::io::{Read, Write};
        use std::os::unix::net::UnixStream;

        let (mut ours, mut peers) = UnixStream::pair().unwrap();
        let empty = Received::over_unix(&ours).unwrap();
        ours.write_all(&[0; 10_000]).unwrap();
        let full = Received::over_unix(&ours).unwrap();
        assert_eq!(full.since(empty, 10_000), 0);
        peers.read_exact(&mut [0; 10_000]).unwrap();
        let read = Received::over_unix(&ours).unwrap();
        assert!(read.since(full, 0) >= 10_000);
        assert_eq!(read, empty);
    }
}
