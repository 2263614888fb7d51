//! The whole state table: every pair of states, every event, every joint rule.
//!
//! The tables in `docs/architecture.md` are printed from here; `UPDATE=1` rewrites them.

#![allow(clippy::disallowed_methods, reason = "with UPDATE=1, a test rewrites a file")]

use std::collections::BTreeSet;
use std::fmt::{Debug, Write as _};
use std::path::Path;

use doorstep_core::http1::state::{Conditions, RecvEvent, RecvState, SendEvent, SendState, States};

#[test]
fn every_transition_leads_somewhere_and_final_states_have_none() {
    let received: usize =
        count(RecvState::ALL.map(|recv| legal(&RecvEvent::ALL.map(|received| recv.on(received)))));
    let sent: usize =
        count(SendState::ALL.map(|send| legal(&SendEvent::ALL.map(|sent| send.on(sent)))));
    assert_eq!(
        (received, sent),
        (10, 15),
        "a transition was added or lost: is the table in the docs?"
    );
    for recv in [RecvState::Closed, RecvState::Error, RecvState::SwitchedProtocol] {
        assert!(RecvEvent::ALL.into_iter().all(|received| recv.on(received).is_none()), "{recv:?}");
    }
    for send in [SendState::Closed, SendState::SwitchedProtocol] {
        assert!(SendEvent::ALL.into_iter().all(|sent| send.on(sent).is_none()), "{send:?}");
    }
}

#[test]
fn one_response_for_each_request_and_none_without() {
    for sent in [
        SendEvent::Response,
        SendEvent::ResponseWithBody,
        SendEvent::SwitchProtocol,
        SendEvent::Interim,
    ] {
        let from = SendState::ALL.into_iter().filter(|send| send.on(sent).is_some());
        assert_eq!(from.collect::<Vec<_>>(), [SendState::ResponseDue], "{sent:?}");
    }
    let requested = SendState::ALL.into_iter().filter(|send| send.on(SendEvent::Request).is_some());
    assert_eq!(requested.collect::<Vec<_>>(), [SendState::Idle]);
}

#[test]
fn joint_rules_are_idempotent() {
    for states in pairs() {
        for conditions in all_conditions() {
            let settled = states.apply_joint_rules(conditions);
            assert_eq!(settled.apply_joint_rules(conditions), settled, "{states:?} {conditions:?}");
            assert!(settled == states || settled.is_stable(), "{states:?} moves to {settled:?}");
        }
    }
}

#[test]
fn stable_states_are_the_reachable_ones() {
    let expected: BTreeSet<_> = pairs().filter(|states| states.is_stable()).map(name).collect();
    let reached: BTreeSet<_> = reachable().into_iter().map(name).collect();
    assert_eq!(reached, expected);
}

#[test]
fn a_fault_gets_at_most_one_response_and_ends_the_connection() {
    for states in reachable() {
        for conditions in all_conditions() {
            let faulty = step(states, &[SendEvent::Fault], &[RecvEvent::Fault], conditions);
            let answered = step(faulty, &[SendEvent::Response], &[], conditions);
            let cut = step(answered, &[SendEvent::Abort], &[], conditions);
            assert!(
                [States::CLOSED, States::SWITCHED_PROTOCOL].contains(&cut),
                "{states:?} {cut:?}"
            );
        }
    }
}

#[test]
fn the_tables_in_the_docs_are_these() {
    const OPEN: &str = "<!-- table -->\n";
    const CLOSE: &str = "<!-- /table -->";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/architecture.md");
    let text = match std::fs::read_to_string(&path) {
        // The package has no docs. In the repository, tests/docs_map.rs checks that they exist.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
        text => text.expect("the architecture can be read"),
    };
    let (before, rest) = text.split_once(OPEN).expect("the mark before the tables");
    let (block, after) = rest.split_once(CLOSE).expect("the mark behind the tables");
    if std::env::var_os("UPDATE").is_some() {
        let text = format!("{before}{OPEN}{}{CLOSE}{after}", tables());
        return std::fs::write(&path, text).expect("the tree is writable");
    }
    assert_eq!(block, tables(), "UPDATE=1 cargo test -p doorstep-core --test state rewrites it");
}

fn pairs() -> impl Iterator<Item = States> {
    RecvState::ALL.into_iter().flat_map(|recv| SendState::ALL.map(|send| States { recv, send }))
}

fn all_conditions() -> impl Iterator<Item = Conditions> {
    [(false, false), (false, true), (true, false), (true, true)]
        .into_iter()
        .map(|(keep_alive, may_drain)| Conditions { keep_alive, may_drain })
}

/// The transitions of a connection when these events occur together: events that are not in the table
/// change nothing, and the joint rules apply after each.
fn step(
    mut states: States,
    sent: &[SendEvent],
    received: &[RecvEvent],
    conditions: Conditions,
) -> States {
    for &sent in sent {
        states.send = states.send.on(sent).unwrap_or(states.send);
        states = states.apply_joint_rules(conditions);
    }
    for &received in received {
        states.recv = states.recv.on(received).unwrap_or(states.recv);
        states = states.apply_joint_rules(conditions);
    }
    states
}

/// Every stable pair of states that a connection can reach.
fn reachable() -> Vec<States> {
    let mut found = vec![States::IDLE];
    let mut next = 0;
    while let Some(&states) = found.get(next) {
        next += 1;
        for conditions in all_conditions() {
            let mut after =
                vec![step(states, &[SendEvent::Fault], &[RecvEvent::Fault], conditions)];
            if states == States::IDLE {
                after.push(step(states, &[SendEvent::Request], &[RecvEvent::Head], conditions));
                after.push(step(
                    states,
                    &[SendEvent::Request],
                    &[RecvEvent::HeadWithBody],
                    conditions,
                ));
            }
            for received in [RecvEvent::Data, RecvEvent::End, RecvEvent::Eof] {
                after.push(step(states, &[], &[received], conditions));
            }
            let of_a_head = [SendEvent::Request, SendEvent::Fault];
            for sent in SendEvent::ALL.into_iter().filter(|sent| !of_a_head.contains(sent)) {
                after.push(step(states, &[sent], &[], conditions));
            }
            after.retain(|states| !found.contains(states));
            after.dedup();
            for states in after {
                if !found.contains(&states) {
                    found.push(states);
                }
            }
        }
    }
    found
}

/// The three tables, as Markdown.
fn tables() -> String {
    let mut out = String::from("\nWhat the peer sends (`recv`), by what is received:\n\n");
    table(&mut out, "recv", &RecvState::ALL, &RecvEvent::ALL, |recv, received| {
        recv.on(received).map(name)
    });
    out.push_str("\nWhat we send (`send`), by what is sent:\n\n");
    table(&mut out, "send", &SendState::ALL, &SendEvent::ALL, |send, sent| send.on(sent).map(name));
    out.push_str(
        "\nBoth together: in which pairs a connection rests, and where the others move. A pair \
         with two targets\ndepends on whether the connection is kept, or on whether the rest of \
         the body may be swallowed;\nan empty one does not happen.\n\n",
    );
    table(&mut out, "recv \\ send", &RecvState::ALL, &SendState::ALL, |recv, send| {
        let states = States { recv, send };
        let goals: BTreeSet<_> = all_conditions()
            .map(|conditions| states.apply_joint_rules(conditions))
            .filter(|settled| settled.is_stable())
            .map(|settled| if settled == states { "stable".into() } else { name(settled.recv) })
            .collect();
        Some(goals.into_iter().collect::<Vec<_>>().join(" or "))
    });
    out.push('\n');
    out
}

fn table<R: Copy + Debug, C: Copy + Debug>(
    out: &mut String,
    corner: &str,
    rows: &[R],
    columns: &[C],
    cell: impl Fn(R, C) -> Option<String>,
) {
    let names: Vec<String> = columns.iter().map(name).collect();
    let _ = writeln!(out, "| {corner} | {} |", names.join(" | "));
    let _ = writeln!(out, "|---{}|", "|---".repeat(columns.len()));
    for &row in rows {
        let cells: Vec<_> = columns.iter().map(|&to| cell(row, to).unwrap_or_default()).collect();
        let _ = writeln!(out, "| **{row:?}** | {} |", cells.join(" | "));
    }
}

fn name(value: impl Debug) -> String {
    format!("{value:?}")
}

fn legal<T>(cells: &[Option<T>]) -> usize {
    cells.iter().flatten().count()
}

fn count(rows: [usize; 6]) -> usize {
    rows.iter().sum()
}
