//! The table: every state of a connection, and everything that changes one.
//!
//! A connection is two small machines side by side. [`RecvState`] is the peer's half: where we are in
//! what it sends. [`SendState`] is ours: where we are in what we owe. Two kinds of rule move them:
//!
//! 1. **Events.** Something was heard or said; [`RecvState::on`] and [`SendState::on`] are the table. A pair
//!    that is not in the table is illegal and yields `None`: a fault of the peer on the first
//!    table, a misuse by the caller on the second.
//! 2. **Joint states.** Some pairs do not last: when both halves are done the connection recycles
//!    itself or closes. [`States::apply_joint_rules`] applies these rules until none fits.
//!
//! Nothing outside this file changes a state, and this file knows no bytes.
//!
//! ```
//! use doorstep_core::http1::state::{Conditions, RecvState, SendState, States};
//!
//! let done = States { recv: RecvState::Done, send: SendState::Done };
//! let conditions = Conditions { keep_alive: true, may_drain: false };
//! assert_eq!(done.apply_joint_rules(conditions), States::IDLE, "the machine recycles itself");
//! ```

/// The peer's half: what we are reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecvState {
    /// Between requests, or in the middle of a head.
    Idle,
    /// A head was read and its body is on the way.
    Body,
    /// The whole request is here.
    Done,
    /// The peer sends nothing more.
    Closed,
    /// The peer broke the rules; nothing it sends can be trusted.
    Error,
    /// Another protocol owns the bytes.
    SwitchedProtocol,
}

/// Our half: what we are writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SendState {
    /// Nothing was asked.
    Idle,
    /// A request waits for its answer.
    ResponseDue,
    /// The answer's head went out, its body did not yet.
    Body,
    /// The whole answer went out.
    Done,
    /// We send nothing more.
    Closed,
    /// Another protocol owns the bytes.
    SwitchedProtocol,
}

/// What can be heard from the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecvEvent {
    /// A whole head that announces no body.
    Head,
    /// A whole head that announces a body.
    HeadWithBody,
    /// A part of the body.
    Data,
    /// The body's end, trailers included.
    End,
    /// The end of input.
    Eof,
    /// Anything that breaks a rule.
    Fault,
}

/// What can be said by us, or asked of us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SendEvent {
    /// A request was read: an answer is owed.
    Request,
    /// The peer broke the rules: one error answer is allowed.
    Fault,
    /// An interim (1xx) answer.
    Interim,
    /// A final answer without a body.
    Response,
    /// A final answer whose body follows.
    ResponseWithBody,
    /// 101, or 2xx to CONNECT.
    SwitchProtocol,
    /// A part of the body.
    Data,
    /// The body's end.
    End,
    /// A write failed, or the caller gave up.
    Abort,
}

impl RecvState {
    /// Every state, in the order of the table in the docs.
    pub const ALL: [Self; 6] =
        [Self::Idle, Self::Body, Self::Done, Self::Closed, Self::Error, Self::SwitchedProtocol];

    /// The peer's table. `None` means that this cannot be heard in this state.
    #[must_use]
    pub const fn on(self, event: RecvEvent) -> Option<Self> {
        Some(match (self, event) {
            (Self::Idle, RecvEvent::Head) => Self::Done,
            (Self::Idle, RecvEvent::HeadWithBody) => Self::Body,
            (Self::Idle, RecvEvent::Eof) => Self::Closed,
            (Self::Body, RecvEvent::Data) => Self::Body,
            (Self::Body, RecvEvent::End) => Self::Done,
            (Self::Body, RecvEvent::Eof) => Self::Error,
            (Self::Done, RecvEvent::Eof) => Self::Closed, // half-close: we still answer
            (Self::Idle | Self::Body | Self::Done, RecvEvent::Fault) => Self::Error,
            _ => return None,
        })
    }
}

impl SendState {
    /// Every state, in the order of the table in the docs.
    pub const ALL: [Self; 6] = [
        Self::Idle,
        Self::ResponseDue,
        Self::Body,
        Self::Done,
        Self::Closed,
        Self::SwitchedProtocol,
    ];

    /// Our table. `None` means that this may not be said in this state.
    #[must_use]
    pub const fn on(self, event: SendEvent) -> Option<Self> {
        Some(match (self, event) {
            (Self::Idle, SendEvent::Request | SendEvent::Fault) => Self::ResponseDue,
            (Self::ResponseDue, SendEvent::Fault | SendEvent::Interim) => Self::ResponseDue,
            (Self::ResponseDue, SendEvent::Response) => Self::Done,
            (Self::ResponseDue, SendEvent::ResponseWithBody) => Self::Body,
            (Self::ResponseDue, SendEvent::SwitchProtocol) => Self::SwitchedProtocol,
            (Self::Body, SendEvent::Data | SendEvent::Fault) => Self::Body,
            (Self::Body, SendEvent::End) => Self::Done,
            (Self::Done, SendEvent::Fault) => Self::Done,
            (Self::Idle | Self::ResponseDue | Self::Body | Self::Done, SendEvent::Abort) => {
                Self::Closed
            }
            _ => return None,
        })
    }
}

impl RecvEvent {
    /// Every event of the peer's table.
    pub const ALL: [Self; 6] =
        [Self::Head, Self::HeadWithBody, Self::Data, Self::End, Self::Eof, Self::Fault];
}

impl SendEvent {
    /// Every event of our table.
    pub const ALL: [Self; 9] = [
        Self::Request,
        Self::Fault,
        Self::Interim,
        Self::Response,
        Self::ResponseWithBody,
        Self::SwitchProtocol,
        Self::Data,
        Self::End,
        Self::Abort,
    ];
}

/// What the joint rules need to know beside the two states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conditions {
    /// Both sides want another exchange on this connection.
    pub keep_alive: bool,
    /// What is left of an unwanted request body is small enough to swallow.
    pub may_drain: bool,
}

/// Both halves together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct States {
    /// The peer's half.
    pub recv: RecvState,
    /// Our half.
    pub send: SendState,
}

impl States {
    /// Where a connection begins, and where it returns after each kept-alive exchange.
    pub const IDLE: Self = Self { recv: RecvState::Idle, send: SendState::Idle };
    /// Where every other connection ends.
    pub const CLOSED: Self = Self { recv: RecvState::Closed, send: SendState::Closed };
    /// Where a hand-over to another protocol ends.
    pub const SWITCHED_PROTOCOL: Self =
        Self { recv: RecvState::SwitchedProtocol, send: SendState::SwitchedProtocol };

    /// Applies the joint rules, first match first, until none moves.
    #[must_use]
    pub const fn apply_joint_rules(self, conditions: Conditions) -> Self {
        match (self.recv, self.send) {
            (_, SendState::SwitchedProtocol) => Self::SWITCHED_PROTOCOL,
            (_, SendState::Closed) => Self::CLOSED,
            (RecvState::Done, SendState::Done) if conditions.keep_alive => Self::IDLE,
            (RecvState::Done, SendState::Done) => Self::CLOSED,
            (RecvState::Body, SendState::Done) if conditions.may_drain => self, // swallow what is left
            (RecvState::Body, SendState::Done) => Self::CLOSED,
            (RecvState::Error | RecvState::Closed, SendState::Done | SendState::Idle) => {
                Self::CLOSED
            }
            _ => self, // every rule above leads to a pair that no rule moves
        }
    }

    /// Whether a connection can ever rest in this pair; the tests walk all thirty-six.
    #[must_use]
    pub const fn is_stable(self) -> bool {
        matches!(
            (self.recv, self.send),
            (RecvState::Idle, SendState::Idle)
                | (RecvState::Body, SendState::ResponseDue | SendState::Body | SendState::Done)
                | (RecvState::Done, SendState::ResponseDue | SendState::Body)
                | (RecvState::Closed, SendState::ResponseDue | SendState::Body | SendState::Closed)
                | (RecvState::Error, SendState::ResponseDue | SendState::Body)
                | (RecvState::SwitchedProtocol, SendState::SwitchedProtocol)
        )
    }
}
