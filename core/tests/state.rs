//! The table, walked: every pair of states, every event, every joint rule.
//!
//! The tables in `docs/architecture.md` are printed from here; `UPDATE=1` rewrites them.

#![allow(clippy::disallowed_methods, reason = "a test may be told to rewrite a file")]

use std::collections::BTreeSet;
use std::fmt::{Debug, Write as _};
use std::path::Path;

use doorstep_core::http1::state::{Facts, Heard, Recv, Said, Send, States};

#[test]
fn every_transition_leads_somewhere_and_final_states_have_none() {
    let heard: usize = count(Recv::ALL.map(|recv| legal(&Heard::ALL.map(|heard| recv.on(heard)))));
    let said: usize = count(Send::ALL.map(|send| legal(&Said::ALL.map(|said| send.on(said)))));
    assert_eq!(
        (heard, said),
        (10, 15),
        "a transition was added or lost: is the table in the docs?"
    );
    for recv in [Recv::Closed, Recv::Broken, Recv::Switched] {
        assert!(Heard::ALL.into_iter().all(|heard| recv.on(heard).is_none()), "{recv:?}");
    }
    for send in [Send::Closed, Send::Switched] {
        assert!(Said::ALL.into_iter().all(|said| send.on(said).is_none()), "{send:?}");
    }
}

#[test]
fn one_answer_for_each_request_and_none_without() {
    for said in [Said::Answer, Said::AnswerWithBody, Said::Switch, Said::Interim] {
        let from = Send::ALL.into_iter().filter(|send| send.on(said).is_some());
        assert_eq!(from.collect::<Vec<_>>(), [Send::Owed], "{said:?}");
    }
    let asked = Send::ALL.into_iter().filter(|send| send.on(Said::Asked).is_some());
    assert_eq!(asked.collect::<Vec<_>>(), [Send::Idle]);
}

#[test]
fn settling_twice_is_settling_once() {
    for states in pairs() {
        for facts in all_facts() {
            let settled = states.settle(facts);
            assert_eq!(settled.settle(facts), settled, "{states:?} {facts:?}");
            assert!(settled == states || settled.can_rest(), "{states:?} moves to {settled:?}");
        }
    }
}

#[test]
fn what_can_rest_is_what_can_be_reached() {
    let expected: BTreeSet<_> = pairs().filter(|states| states.can_rest()).map(name).collect();
    let reached: BTreeSet<_> = reachable().into_iter().map(name).collect();
    assert_eq!(reached, expected);
}

#[test]
fn a_fault_gets_at_most_one_answer_and_ends_the_connection() {
    for states in reachable() {
        for facts in all_facts() {
            let faulty = step(states, &[Said::Fault], &[Heard::Fault], facts);
            let answered = step(faulty, &[Said::Answer], &[], facts);
            let cut = step(answered, &[Said::Lost], &[], facts);
            assert!([States::CLOSED, States::SWITCHED].contains(&cut), "{states:?} {cut:?}");
        }
    }
}

#[test]
fn the_tables_in_the_docs_are_these() {
    const OPEN: &str = "<!-- table -->\n";
    const CLOSE: &str = "<!-- /table -->";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/architecture.md");
    let text = std::fs::read_to_string(&path).expect("the architecture is described");
    let (before, rest) = text.split_once(OPEN).expect("the mark before the tables");
    let (block, after) = rest.split_once(CLOSE).expect("the mark behind the tables");
    if std::env::var_os("UPDATE").is_some() {
        let text = format!("{before}{OPEN}{}{CLOSE}{after}", tables());
        return std::fs::write(&path, text).expect("the tree is writable");
    }
    assert_eq!(block, tables(), "UPDATE=1 cargo test -p doorstep-core --test state rewrites it");
}

fn pairs() -> impl Iterator<Item = States> {
    Recv::ALL.into_iter().flat_map(|recv| Send::ALL.map(|send| States { recv, send }))
}

fn all_facts() -> impl Iterator<Item = Facts> {
    [(false, false), (false, true), (true, false), (true, true)]
        .into_iter()
        .map(|(keep_alive, may_drain)| Facts { keep_alive, may_drain })
}

/// What a connection does when these things are said and heard at once: parts that are not in the
/// table change nothing, and the joint rules apply behind each.
fn step(mut states: States, said: &[Said], heard: &[Heard], facts: Facts) -> States {
    for &said in said {
        states.send = states.send.on(said).unwrap_or(states.send);
        states = states.settle(facts);
    }
    for &heard in heard {
        states.recv = states.recv.on(heard).unwrap_or(states.recv);
        states = states.settle(facts);
    }
    states
}

/// Every pair in which a connection rests, from its beginning, whatever happens.
fn reachable() -> Vec<States> {
    let mut found = vec![States::IDLE];
    let mut next = 0;
    while let Some(&states) = found.get(next) {
        next += 1;
        for facts in all_facts() {
            let mut after = vec![step(states, &[Said::Fault], &[Heard::Fault], facts)];
            if states == States::IDLE {
                after.push(step(states, &[Said::Asked], &[Heard::Head], facts));
                after.push(step(states, &[Said::Asked], &[Heard::HeadWithBody], facts));
            }
            for heard in [Heard::Data, Heard::End, Heard::Finished] {
                after.push(step(states, &[], &[heard], facts));
            }
            let of_a_head = [Said::Asked, Said::Fault];
            for said in Said::ALL.into_iter().filter(|said| !of_a_head.contains(said)) {
                after.push(step(states, &[said], &[], facts));
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
    let mut out = String::from("\nWhat the peer sends (`recv`), by what is heard:\n\n");
    table(&mut out, "recv", &Recv::ALL, &Heard::ALL, |recv, heard| recv.on(heard).map(name));
    out.push_str("\nWhat we send (`send`), by what is said:\n\n");
    table(&mut out, "send", &Send::ALL, &Said::ALL, |send, said| send.on(said).map(name));
    out.push_str(
        "\nBoth together: in which pairs a connection rests, and where the others move. A pair \
         with two targets\ndepends on whether the connection is kept, or on whether the rest of \
         the body may be swallowed;\nan empty one does not happen.\n\n",
    );
    table(&mut out, "recv \\ send", &Recv::ALL, &Send::ALL, |recv, send| {
        let states = States { recv, send };
        let goals: BTreeSet<_> = all_facts()
            .map(|facts| states.settle(facts))
            .filter(|settled| settled.can_rest())
            .map(|settled| if settled == states { "rests".into() } else { name(settled.recv) })
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
