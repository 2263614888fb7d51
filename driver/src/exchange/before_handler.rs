//! What is done with a request before its handler is called, as far as it is configured: its client is
//! found ([`Config::trusted_proxies`]), a request that is not encrypted is redirected
//! ([`Config::https_redirect`]), and the prefix is taken off its path ([`Config::prefix`]).
//!
//! A request that the handler does not get is responded to here: 400 if a trusted proxy reports the
//! client in a form that is not valid, a redirect to HTTPS, 301 from the prefix to its directory, and
//! 404 outside of it.

use doorstep_core::forwarded;
use doorstep_core::http1::{Head, HeadOffsets, Inbox, Outbox, Reject, Storage};

use super::Session;
use crate::config::Config;
use crate::net::UNIX_PEER;
use crate::observer::notify_observer;

/// Whether any of this is to be done.
pub(super) fn is_configured(config: &Config) -> bool {
    !config.trusted_proxies.is_empty()
        || !config.prefix.is_empty()
        || config.https_redirect.is_some()
}

/// A request that is not for the handler.
enum Refusal {
    BadForwarded,
    /// To this port of HTTPS.
    NotEncrypted(u16),
    /// To the prefix with a slash.
    Redirect,
    OutsidePrefix,
}

impl Session<'_> {
    /// The head of the request for its handler; `None` if the request was responded to.
    #[inline(never)] // with it, `step` would need 2 KB of the stack, for every connection
    pub(super) fn admit<S: Storage>(
        &mut self,
        head: HeadOffsets,
        inbox: &mut Inbox<S>,
        outbox: &mut Outbox,
    ) -> Option<HeadOffsets> {
        let end = inbox.buffered().len() - inbox.unread().len();
        let bytes = inbox.buffered().get(end.saturating_sub(head.size())..end);
        let view = head.view(bytes.unwrap_or_default());
        let admitted = self.find_client(&view).and_then(|()| self.check_encryption());
        let admitted = admitted.and_then(|()| self.below_prefix(view));
        let refusal = match admitted {
            Ok(head) => return Some(head.offsets()),
            Err(refusal) => refusal,
        };
        let mut state = self.exchange(head, inbox, outbox);
        let outcome = match refusal {
            Refusal::BadForwarded => {
                state.view.reject = Some(Reject::BadForwarded);
                Ok(())
            }
            Refusal::NotEncrypted(port) => state.redirect_to_https(port),
            Refusal::OutsidePrefix => state.respond(404).error_page(""),
            Refusal::Redirect => {
                let head = state.head();
                let location = [head.path(), b"/", head.query_and_fragment()].concat();
                state.respond(301).header("Location", location).body("")
            }
        };
        let end = state.finish(Ok(outcome));
        inbox.rejoin(end);
        None
    }

    /// Finds the client of the request, if its peer is a trusted proxy.
    fn find_client(&mut self, head: &Head<'_>) -> Result<(), Refusal> {
        let trusted = &self.context.config.trusted_proxies;
        let peer = self.context.connection.peer();
        if trusted.is_empty() {
            return Ok(());
        }
        if trusted.contains(peer.ip()) {
            let found = forwarded::client(head, peer, |ip| trusted.contains(ip));
            self.client = Some(found.map_err(|_| Refusal::BadForwarded)?);
        } else if forwarded::is_forwarded(head) {
            let message = "Forwarded or X-Forwarded headers ignored: not from a trusted proxy";
            notify_observer(|| self.context.observer.on_error(peer.ip(), message));
        }
        Ok(())
    }

    /// Whether the request came as it has to. One of a Unix socket comes from this machine, and need
    /// not be encrypted.
    fn check_encryption(&self) -> Result<(), Refusal> {
        let Some(port) = self.context.config.https_redirect else { return Ok(()) };
        let stream = self.context.connection.stream();
        let reported = self.client.and_then(|client| client.is_https);
        let is_https = reported.unwrap_or_else(|| stream.is_https());
        match is_https || stream.peer_addr() == UNIX_PEER {
            true => Ok(()),
            false => Err(Refusal::NotEncrypted(port)),
        }
    }

    /// The head without the prefix.
    fn below_prefix<'b>(&self, head: Head<'b>) -> Result<Head<'b>, Refusal> {
        let prefix = self.context.config.prefix.as_bytes();
        match head.without_prefix(prefix) {
            _ if prefix.is_empty() || !head.path().starts_with(b"/") => Ok(head), // CONNECT, OPTIONS *
            Some(below) => Ok(below),
            None if head.path() == prefix => Err(Refusal::Redirect),
            None => Err(Refusal::OutsidePrefix),
        }
    }
}
