//! Where a response is cut, on purpose: the place in the body becomes one among the bytes of the
//! connection, as soon as the head of the response is in the outbox.

use doorstep_core::http1::ResponseDue;

use super::ExchangeState;
use crate::net::ClosedBy;

impl ExchangeState<'_> {
    /// Plans the cut of this response, if it is to have one. To be called when bytes are about to be
    /// sent or added to the body.
    #[inline]
    pub(super) fn plan_cut(&mut self) {
        if self.connection().stream().cut_stream().is_some() {
            self.plan_cut_in_body();
        }
    }

    #[cold]
    fn plan_cut_in_body(&mut self) {
        if let Some(stream) = self.connection().stream().cut_stream()
            && !self.view.progress.cut_planned
            && self.view.progress.sent.status > 0
        {
            self.view.progress.cut_planned = true;
            if stream.is_planned() {
                return; // of a response before this one, which is the last one then
            }
            let in_outbox = self.view.progress.sent.body_bytes;
            let length = match self.view.machine.response_due() {
                _ if self.view.head.is_head() => Some(0),
                None => Some(in_outbox),
                Some(ResponseDue::Bytes(owed)) => Some(in_outbox.saturating_add(owed)),
                Some(_) => None,
            };
            if length == Some(0) {
                return;
            }
            let head = &self.view.head;
            let target = [head.path(), head.query_and_fragment()].concat();
            if let Some(cut) = stream.cuts().next(head.method(), &target) {
                let head_end = (self.view.outbox.len() as u64).saturating_sub(in_outbox);
                // The end of input would look like the end of the body.
                let end = if self.view.machine.is_close_delimited() {
                    ClosedBy::Reset
                } else {
                    cut.closed_by
                };
                stream.plan(head_end.saturating_add(cut.offset(length)), end);
            }
        }
    }

    /// Plans the cut at the latest: the response is complete.
    pub(super) fn plan_cut_at_end(&mut self) {
        self.plan_cut();
        if let Some(stream) = self.connection().stream().cut_stream() {
            stream.response_ends(self.view.outbox.len() as u64);
        }
    }
}
