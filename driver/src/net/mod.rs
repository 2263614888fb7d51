//! Sockets: listening, accepting, reading and sending, and detecting that a client has disconnected.
//!
//! Nothing here waits for a peer, but for [`Acceptor::accept`] and [`Acceptor::wait_readable`],
//! which wait for new connections.

mod acceptor;
mod addresses;
mod cut_stream;
mod cuts;
mod deferral;
mod inherited;
mod listen;
mod listener;
mod memory;
mod peer_state;
mod proxied;
mod received;
mod relayed;
mod reuse_port;
mod send;
mod shaping;
mod stream;
#[cfg(feature = "tls")]
pub mod tls;
mod trusted_proxies;
mod unix;

pub use acceptor::Acceptor;
pub use addresses::{reachable, url, urls};
pub(crate) use cut_stream::CutStream;
pub use cuts::{Cut, Cuts};
pub use inherited::{InheritedListener, inherited_listeners, stderr_is_connection, stdin_stream};
pub use listen::{
    BindError, BindOptions, DEFAULT_BACKLOG, bind, bind_addresses, bind_all, bind_all_with,
    bind_with, bind_with_backlog,
};
pub use listener::{Listener, ListenerAddr};
pub use memory::MemoryStream;
pub use peer_state::{Disconnect, DisconnectDetector, PeerState};
pub(crate) use received::Received;
pub use relayed::{Relay, RelayEnding, RelaySockets, set_reset_on_close};
pub use shaping::{ClosedBy, DelayQueue, NetworkSettings, RateLimiter};
pub use stream::{Stream, UNIX_PEER};
#[cfg(feature = "tls")]
pub use tls::{TlsError, TlsSettings};
pub use trusted_proxies::{ParseTrustedProxiesError, TrustedProxies};
pub use unix::{DEFAULT_UNIX_MODE, MAX_UNIX_PATH, bind_unix, bind_unix_abstract};
