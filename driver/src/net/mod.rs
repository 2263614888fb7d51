//! Sockets: listening, accepting, sending, and detecting that a client has disconnected.
//!
//! Nothing here waits for a peer, but for [`Acceptor::accept`] and [`Acceptor::wait_readable`],
//! which wait for new connections.

mod acceptor;
mod addresses;
mod listen;
mod peer_state;
mod send;

pub use acceptor::Acceptor;
pub use addresses::{url, urls};
pub use listen::{DEFAULT_BACKLOG, bind, bind_with_backlog};
pub use peer_state::{Disconnect, DisconnectDetector, PeerState};
pub use send::{reset, send, send_file, send_nonblocking, set_reset_on_close, shutdown_write};
