//! The state table: every state of a connection, and every transition.
//!
//! A connection is two small state machines side by side: [`RecvState`] for what the peer sends and
//! [`SendState`] for what this side sends. There are two kinds of transition:
//!
//! 1. **Events.** A part of a request was received, or a part of a response was sent.
//!    [`RecvState::on`] and [`SendState::on`] are the table. A pair that is not in the table is
//!    illegal and yields `None`: a fault of the peer in the first table, a misuse by the caller in
//!    the second.
//! 2. **Joint rules.** Some pairs of states do not last: when both sides are done, the connection
//!    becomes idle again (keep-alive) or closes. [`States::apply_joint_rules`] applies these rules
//!    until none matches.
//!
//! No other file changes a state, and this file handles no bytes.
//!
//! ```
//! use doorstep_core::http1::state::{Conditions, RecvState, SendState, States};
//!
//! let done = States { recv: RecvState::Done, send: SendState::Done };
//! let conditions = Conditions { keep_alive: true, may_drain: false };
//! assert_eq!(done.apply_joint_rules(conditions), States::IDLE, "the machine recycles itself");
//! ```

/// The receiving side: what is being read from the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecvState {
    /// Between requests, or in the middle of a head.
    Idle,
    /// A head was read; its body follows.
    Body,
    /// The whole request was read.
    Done,
    /// The peer sends nothing more (end of input).
    Closed,
    /// The peer broke the protocol. Nothing it sends from now on is used.
    Error,
    /// The bytes belong to another protocol.
    SwitchedProtocol,
}

/// The sending side: what is being written to the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SendState {
    /// There is no request.
    Idle,
    /// A request was read, and no final response has begun.
    ResponseDue,
    /// The head of the response was written; its body was not.
    Body,
    /// The whole response was written.
    Done,
    /// Nothing more is sent.
    Closed,
    /// The bytes belong to another protocol.
    SwitchedProtocol,
}

/// An event of the receiving side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecvEvent {
    /// A complete head that announces no body.
    Head,
    /// A complete head that announces a body.
    HeadWithBody,
    /// A part of the body.
    Data,
    /// The end of the body, trailers included.
    End,
    /// The end of input: the peer closed, or half-closed, the connection.
    Eof,
    /// A violation of the protocol.
    Fault,
}

/// An event of the sending side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SendEvent {
    /// A request was read: a response is due.
    Request,
    /// The peer broke the protocol: one error response may be sent.
    Fault,
    /// An interim (1xx) response.
    Interim,
    /// A final response without a body.
    Response,
    /// A final response whose body follows.
    ResponseWithBody,
    /// The switch to another protocol: 101, or 2xx to CONNECT.
    SwitchProtocol,
    /// A part of the body.
    Data,
    /// The end of the body.
    End,
    /// A write failed, or the caller gave up.
    Abort,
}

impl RecvState {
    /// Every state, in the order of the table in the documentation.
    pub const ALL: [Self; 6] =
        [Self::Idle, Self::Body, Self::Done, Self::Closed, Self::Error, Self::SwitchedProtocol];

    /// The table of the receiving side. `None` means that the event is illegal in this state.
    #[must_use]
    pub const fn on(self, event: RecvEvent) -> Option<Self> {
        Some(match (self, event) {
            (Self::Idle, RecvEvent::Head) => Self::Done,
            (Self::Idle, RecvEvent::HeadWithBody) => Self::Body,
            (Self::Idle, RecvEvent::Eof) => Self::Closed,
            (Self::Body, RecvEvent::Data) => Self::Body,
            (Self::Body, RecvEvent::End) => Self::Done,
            (Self::Body, RecvEvent::Eof) => Self::Error,
            (Self::Done, RecvEvent::Eof) => Self::Closed, // half-close: a response is still sent
            (Self::Idle | Self::Body | Self::Done, RecvEvent::Fault) => Self::Error,
            _ => return None,
        })
    }
}

impl SendState {
    /// Every state, in the order of the table in the documentation.
    pub const ALL: [Self; 6] = [
        Self::Idle,
        Self::ResponseDue,
        Self::Body,
        Self::Done,
        Self::Closed,
        Self::SwitchedProtocol,
    ];

    /// The table of the sending side. `None` means that the event is illegal in this state.
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
    /// Every event of the receiving side.
    pub const ALL: [Self; 6] =
        [Self::Head, Self::HeadWithBody, Self::Data, Self::End, Self::Eof, Self::Fault];
}

impl SendEvent {
    /// Every event of the sending side.
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

/// What the joint rules depend on beside the two states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conditions {
    /// Whether both sides want another exchange on this connection.
    pub keep_alive: bool,
    /// Whether the rest of a request body that the application does not read is small enough to be
    /// discarded.
    pub may_drain: bool,
}

/// The states of both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct States {
    /// The receiving side.
    pub recv: RecvState,
    /// The sending side.
    pub send: SendState,
}

impl States {
    /// The first state of a connection, and its state after every exchange with keep-alive.
    pub const IDLE: Self = Self { recv: RecvState::Idle, send: SendState::Idle };
    /// The last state of every other connection.
    pub const CLOSED: Self = Self { recv: RecvState::Closed, send: SendState::Closed };
    /// The last state of a connection that switched to another protocol.
    pub const SWITCHED_PROTOCOL: Self =
        Self { recv: RecvState::SwitchedProtocol, send: SendState::SwitchedProtocol };

    /// Applies the joint rules, the first that matches, until none does.
    #[must_use]
    pub const fn apply_joint_rules(self, conditions: Conditions) -> Self {
        match (self.recv, self.send) {
            (_, SendState::SwitchedProtocol) => Self::SWITCHED_PROTOCOL,
            (_, SendState::Closed) => Self::CLOSED,
            (RecvState::Done, SendState::Done) if conditions.keep_alive => Self::IDLE,
            (RecvState::Done, SendState::Done) => Self::CLOSED,
            (RecvState::Body, SendState::Done) if conditions.may_drain => self, // the rest is discarded
            (RecvState::Body, SendState::Done) => Self::CLOSED,
            (RecvState::Error | RecvState::Closed, SendState::Done | SendState::Idle) => {
                Self::CLOSED
            }
            _ => self, // every rule above leads to a pair that no rule changes
        }
    }

    /// Whether a connection can remain in this pair of states. The tests check all 36 pairs.
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
