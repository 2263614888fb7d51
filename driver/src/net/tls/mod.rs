//! TLS (HTTPS), by rustls with the provider *ring*: TLS 1.2 and 1.3, ALPN `http/1.1`.
//!
//! [`TlsSettings`] are the certificate and its key. A [`Listener`](super::Listener) that has them
//! ([`Listener::with_tls`](super::Listener::with_tls)) makes encrypted streams of its connections. An
//! encrypted [`Stream`] has the same calls as any other, and waits only where the socket would: the
//! handshake is part of the first read, so that a client that stalls delays nobody. Its deadline is
//! [`Config::handshake_timeout`](crate::Config::handshake_timeout).
//!
//! Files are read and encrypted in place of `sendfile`. A client that speaks plain HTTP gets a 400
//! that says so. A connection that ends as it should ends with close_notify, so a client sees whether a
//! response is complete. A missing close_notify of the client is the end of input, as it is without
//! TLS: the framing of a request shows whether it is complete.
//!
//! There are no client certificates, no early data (0-RTT), and no renegotiation. An encrypted
//! connection has no socket that a handler could take over for another protocol.
//!
//! ```
//! use std::sync::Arc;
//! use doorstep_driver::net::{self, Listener, TlsSettings};
//!
//! let tls = Arc::new(TlsSettings::self_signed(["localhost"])?);
//! let listeners = net::bind(Some("127.0.0.1"), 0)?.into_iter();
//! let listeners: Vec<_> =
//!     listeners.map(|listener| Listener::from(listener).with_tls(tls.clone())).collect();
//! assert_eq!(tls.fingerprint().len(), 32 * 3 - 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod certificate;
mod session;
mod settings;
mod stream;

pub use certificate::TlsError;
pub(crate) use session::MAX_MEMORY;
pub use settings::TlsSettings;
pub(in crate::net) use stream::TlsStream;

/// The TLS implementation, for [`TlsSettings::from_config`].
pub use rustls;
