//! The table: every state of a connection, and everything that changes one.
//!
//! A connection is two small machines side by side. [`Recv`] is the peer's half: where we are in
//! what it sends. [`Send`] is ours: where we are in what we owe. Two kinds of rule move them:
//!
//! 1. **Events.** Something was heard or said; [`Recv::on`] and [`Send::on`] are the table. A pair
//!    that is not in the table is illegal and yields `None`: a fault of the peer on the first
//!    table, a misuse by the caller on the second.
//! 2. **Joint states.** Some pairs do not last: when both halves are done the connection recycles
//!    itself or closes. [`States::settle`] applies these rules until none fits.
//!
//! Nothing outside this file changes a state, and this file knows no bytes.
//!
//! ```
//! use doorstep_core::http1::state::{Facts, Recv, Send, States};
//!
//! let done = States { recv: Recv::Done, send: Send::Done };
//! let facts = Facts { keep_alive: true, may_drain: false };
//! assert_eq!(done.settle(facts), States::IDLE, "the machine recycles itself");
//! ```

/// The peer's half: what we are reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Recv {
    /// Between requests, or in the middle of a head.
    Idle,
    /// A head was read and its body is on the way.
    Body,
    /// The whole request is here.
    Done,
    /// The peer sends nothing more.
    Closed,
    /// The peer broke the rules; nothing it sends can be trusted.
    Broken,
    /// Another protocol owns the bytes.
    Switched,
}

/// Our half: what we are writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Send {
    /// Nothing was asked.
    Idle,
    /// A request waits for its answer.
    Owed,
    /// The answer's head went out, its body did not yet.
    Body,
    /// The whole answer went out.
    Done,
    /// We send nothing more.
    Closed,
    /// Another protocol owns the bytes.
    Switched,
}

/// What can be heard from the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Heard {
    /// A whole head that announces no body.
    Head,
    /// A whole head that announces a body.
    HeadWithBody,
    /// A part of the body.
    Data,
    /// The body's end, trailers included.
    End,
    /// The end of input.
    Finished,
    /// Anything that breaks a rule.
    Fault,
}

/// What can be said by us, or asked of us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Said {
    /// A request was read: an answer is owed.
    Asked,
    /// The peer broke the rules: one error answer is allowed.
    Fault,
    /// An interim (1xx) answer.
    Interim,
    /// A final answer without a body.
    Answer,
    /// A final answer whose body follows.
    AnswerWithBody,
    /// 101, or 2xx to CONNECT.
    Switch,
    /// A part of the body.
    Data,
    /// The body's end.
    End,
    /// A write failed, or the caller gave up.
    Lost,
}

impl Recv {
    /// Every state, in the order of the table in the docs.
    pub const ALL: [Self; 6] =
        [Self::Idle, Self::Body, Self::Done, Self::Closed, Self::Broken, Self::Switched];

    /// The peer's table. `None` means that this cannot be heard in this state.
    #[must_use]
    pub const fn on(self, heard: Heard) -> Option<Self> {
        Some(match (self, heard) {
            (Self::Idle, Heard::Head) => Self::Done,
            (Self::Idle, Heard::HeadWithBody) => Self::Body,
            (Self::Idle, Heard::Finished) => Self::Closed,
            (Self::Body, Heard::Data) => Self::Body,
            (Self::Body, Heard::End) => Self::Done,
            (Self::Body, Heard::Finished) => Self::Broken,
            (Self::Done, Heard::Finished) => Self::Closed, // half-close: we still answer
            (Self::Idle | Self::Body | Self::Done, Heard::Fault) => Self::Broken,
            _ => return None,
        })
    }
}

impl Send {
    /// Every state, in the order of the table in the docs.
    pub const ALL: [Self; 6] =
        [Self::Idle, Self::Owed, Self::Body, Self::Done, Self::Closed, Self::Switched];

    /// Our table. `None` means that this may not be said in this state.
    #[must_use]
    pub const fn on(self, said: Said) -> Option<Self> {
        Some(match (self, said) {
            (Self::Idle, Said::Asked | Said::Fault) => Self::Owed,
            (Self::Owed, Said::Fault | Said::Interim) => Self::Owed,
            (Self::Owed, Said::Answer) => Self::Done,
            (Self::Owed, Said::AnswerWithBody) => Self::Body,
            (Self::Owed, Said::Switch) => Self::Switched,
            (Self::Body, Said::Data | Said::Fault) => Self::Body,
            (Self::Body, Said::End) => Self::Done,
            (Self::Done, Said::Fault) => Self::Done,
            (Self::Idle | Self::Owed | Self::Body | Self::Done, Said::Lost) => Self::Closed,
            _ => return None,
        })
    }
}

impl Heard {
    /// Every event of the peer's table.
    pub const ALL: [Self; 6] =
        [Self::Head, Self::HeadWithBody, Self::Data, Self::End, Self::Finished, Self::Fault];
}

impl Said {
    /// Every event of our table.
    pub const ALL: [Self; 9] = [
        Self::Asked,
        Self::Fault,
        Self::Interim,
        Self::Answer,
        Self::AnswerWithBody,
        Self::Switch,
        Self::Data,
        Self::End,
        Self::Lost,
    ];
}

/// What the joint rules need to know beside the two states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// Both sides want another exchange on this connection.
    pub keep_alive: bool,
    /// What is left of an unwanted request body is small enough to swallow.
    pub may_drain: bool,
}

/// Both halves together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct States {
    /// The peer's half.
    pub recv: Recv,
    /// Our half.
    pub send: Send,
}

impl States {
    /// Where a connection begins, and where it returns after each kept-alive exchange.
    pub const IDLE: Self = Self { recv: Recv::Idle, send: Send::Idle };
    /// Where every other connection ends.
    pub const CLOSED: Self = Self { recv: Recv::Closed, send: Send::Closed };
    /// Where a hand-over to another protocol ends.
    pub const SWITCHED: Self = Self { recv: Recv::Switched, send: Send::Switched };

    /// Applies the joint rules, first match first, until none moves.
    #[must_use]
    pub const fn settle(self, facts: Facts) -> Self {
        match (self.recv, self.send) {
            (_, Send::Switched) => Self::SWITCHED,
            (_, Send::Closed) => Self::CLOSED,
            (Recv::Done, Send::Done) if facts.keep_alive => Self::IDLE,
            (Recv::Done, Send::Done) => Self::CLOSED,
            (Recv::Body, Send::Done) if facts.may_drain => self, // swallow what is left
            (Recv::Body, Send::Done) => Self::CLOSED,
            (Recv::Broken | Recv::Closed, Send::Done | Send::Idle) => Self::CLOSED,
            _ => self, // every rule above leads to a pair that no rule moves
        }
    }

    /// Whether a connection can ever rest in this pair; the tests walk all thirty-six.
    #[must_use]
    pub const fn can_rest(self) -> bool {
        matches!(
            (self.recv, self.send),
            (Recv::Idle, Send::Idle)
                | (Recv::Body, Send::Owed | Send::Body | Send::Done)
                | (Recv::Done, Send::Owed | Send::Body)
                | (Recv::Closed, Send::Owed | Send::Body | Send::Closed)
                | (Recv::Broken, Send::Owed | Send::Body)
                | (Recv::Switched, Send::Switched)
        )
    }
}
