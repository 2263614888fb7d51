//! Sockets: listening, accepting, reading and sending, and detecting that a client has disconnected.
//!
//! Nothing here waits for a peer, but for [`Acceptor::accept`] and [`Acceptor::wait_readable`],
//! which wait for new connections.

mod acceptor;
mod addresses;
mod listen;
mod listener;
mod memory;
mod peer_state;
mod send;
mod stream;
#[cfg(feature = "tls")]
pub mod tls;

pub use acceptor::Acceptor;
pub use addresses::{url, urls};
pub use listen::{DEFAULT_BACKLOG, bind, bind_with_backlog};
pub use listener::{Listener, ListenerAddr};
pub use memory::MemoryStream;
pub use peer_state::{Disconnect, DisconnectDetector, PeerState};
pub use stream::{Stream, UNIX_PEER};
#[cfg(feature = "tls")]
pub use tls::{TlsError, TlsSettings};
