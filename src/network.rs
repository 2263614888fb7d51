//! A slow or broken network on purpose, to test clients: `--rate`, `--latency`, `--cut`.
//!
//! A [`SlowNetwork`] relays every accepted connection, whatever the runtime. Responses are cut by the
//! server, which knows where their bodies are ([`Cuts`]); what it has sent before, the relay delivers.
//! docs/network.md says what is simulated.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;

use doorstep_async_smol::{Relaying, SlowNetwork};
use doorstep_driver::net::{Cuts, Listener, NetworkSettings, Stream};
use doorstep_driver::os;

use crate::arguments::NetworkOptions;
use crate::config::CommandConfig;
use crate::failure::Failure;
use crate::logs::Logs;

/// Descriptors of a relayed connection.
const DESCRIPTORS: usize = 3;
/// The default of `--max-connections`, on the runtime that has the larger one.
const DEFAULT_MAX_CONNECTIONS: usize = doorstep_async_smol::Server::DEFAULT_MAX_CONNECTIONS.get();

/// The network of the options.
#[derive(Debug)]
pub(crate) struct Network {
    settings: NetworkSettings,
    cuts: Option<Arc<Cuts>>,
    slow: SlowNetwork,
}

impl Network {
    /// `None` if the options ask for nothing.
    pub(crate) fn from_options(options: &NetworkOptions) -> Option<Self> {
        let (settings, cut) = (options.settings(), options.cut());
        if settings.is_none() && cut.is_none() {
            return None;
        }
        let random_seed = || RandomState::new().hash_one(()) & u64::from(u32::MAX); // short to type
        let cuts = cut.and_then(|(percent, seed)| {
            Cuts::new(percent, seed.unwrap_or_else(random_seed)).map(Arc::new)
        });
        let settings = settings.unwrap_or_default();
        Some(Self { settings, cuts, slow: SlowNetwork::new(settings) })
    }

    /// The listener behind this network.
    pub(crate) fn listener(&self, listener: Listener) -> Listener {
        let listener = listener.with_relay(self.slow.relay());
        match &self.cuts {
            Some(cuts) => listener.with_cuts(cuts.clone()),
            None => listener,
        }
    }

    /// The connection whose bytes this network relays, before anything else is done to it.
    pub(crate) fn relay(&self, stream: Stream) -> io::Result<Stream> {
        self.slow.relay().relay(stream)
    }

    /// The connection whose responses this network cuts, after everything else was done to it.
    pub(crate) fn cut(&self, stream: Stream) -> Stream {
        match &self.cuts {
            Some(cuts) => Stream::with_cuts(stream, cuts.clone()),
            None => stream,
        }
    }

    /// Starts the thread that relays, and says so in the log.
    pub(crate) fn start(&self, config: &CommandConfig, logs: &Logs) -> Result<Relaying, Failure> {
        logs.warn(&self.to_string());
        let connections = config.max_connections.map_or(DEFAULT_MAX_CONNECTIONS, NonZeroUsize::get);
        let descriptors = connections.saturating_mul(DESCRIPTORS);
        os::raise_descriptor_limit(NonZeroUsize::new(descriptors).unwrap_or(NonZeroUsize::MIN));
        self.slow.start().map_err(Failure::Serve)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if let Some(rate) = self.settings.rate() {
            let rate = match rate {
                rate if rate.is_multiple_of(1 << 20) => format!("{}M", rate >> 20),
                rate if rate.is_multiple_of(1 << 10) => format!("{}K", rate >> 10),
                rate => rate.to_string(),
            };
            parts.push(format!("{rate} bytes/s in each direction for all clients together"));
        }
        if !self.settings.latency().is_zero() {
            let latency = humantime::format_duration(self.settings.latency());
            parts.push(format!("{latency} added to each round trip"));
        }
        if let Some(cuts) = &self.cuts {
            let (percent, seed) = (cuts.percent(), cuts.seed());
            parts.push(format!("{percent}% of responses cut, the same ones with --seed {seed}"));
        }
        write!(f, "the network is slow or broken on purpose: {}", parts.join("; "))
    }
}
