//! Sockets: listening, accepting, sending, and whether the peer is still there.

mod acceptor;
mod addresses;
mod listen;
mod peer_state;
mod send;

pub use acceptor::Acceptor;
pub use addresses::{url, urls};
pub use listen::bind;
pub use peer_state::{Departure, Presence, Vigil};
pub use send::{FAIR_SHARE, close_by_reset, finish, reset, send, send_file, send_now};
