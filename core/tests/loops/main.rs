//! The loops of `examples/`: those with sockets by real clients and the same checks for all, the
//! simulator by its report.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "the clients are not core code"
)]
#![allow(clippy::duplicate_mod, reason = "each example has the application")]

mod checks;
mod client;
mod server;

#[cfg(target_os = "linux")]
#[path = "../../examples/epoll/server.rs"]
mod epoll_loop;
#[cfg(target_os = "linux")]
#[path = "../../examples/io_uring/server.rs"]
mod io_uring_loop;
#[allow(unreachable_pub, reason = "an example has public items")]
#[path = "../../examples/mio.rs"]
mod mio_loop;
#[allow(unreachable_pub, reason = "an example has public items")]
#[path = "../../examples/rustls.rs"]
mod rustls_loop;
#[allow(unreachable_pub, reason = "an example has public items")]
#[path = "../../examples/simulator/main.rs"]
mod simulator;
#[allow(unreachable_pub, reason = "an example has public items")]
#[path = "../../examples/tokio.rs"]
mod tokio_loop;

use std::time::Duration;

use doorstep_core::http1::Timeouts;

/// Makes a test of each check and each loop.
macro_rules! on_every_loop {
    ($($check:ident)*) => {
        #[cfg(target_os = "linux")]
        mod epoll { $(#[test] fn $check() { crate::checks::$check(crate::server::epoll); })* }
        #[cfg(target_os = "linux")]
        mod io_uring { $(#[test] fn $check() { crate::checks::$check(crate::server::io_uring); })* }
        mod mio { $(#[test] fn $check() { crate::checks::$check(crate::server::mio); })* }
        mod rustls { $(#[test] fn $check() { crate::checks::$check(crate::server::rustls); })* }
        mod tokio { $(#[test] fn $check() { crate::checks::$check(crate::server::tokio); })* }
    };
}

on_every_loop! {
    it_keeps_connections_alive_until_the_client_closes
    it_responds_to_a_pipelined_batch_in_order
    it_receives_bodies_and_the_requests_behind_them
    it_sends_100_continue_before_it_reads_a_body
    it_refuses_a_malformed_request_and_the_refusal_arrives
    it_serves_many_clients_some_of_which_disconnect
    it_receives_no_faster_than_the_client_does
    b_049_a_slow_request_yields_408
    b_049_an_idle_connection_is_closed_without_a_response
    b_049_a_client_that_does_not_receive_is_disconnected
    b_049_a_client_that_does_not_close_is_disconnected
    an_incomplete_response_does_not_look_complete
}

#[test]
fn each_loop_has_at_most_60_lines() {
    let loops = [
        ("epoll", include_str!("../../examples/epoll/server.rs")),
        ("io_uring", include_str!("../../examples/io_uring/server.rs")),
        ("mio", include_str!("../../examples/mio.rs")),
        ("simulator", include_str!("../../examples/simulator/main.rs")),
        ("tokio", include_str!("../../examples/tokio.rs")),
    ];
    for (name, source) in loops {
        let lines = source.lines().skip_while(|line| *line != "// loop begin").skip(1);
        let lines = lines.take_while(|line| *line != "// loop end").filter(|line| !line.is_empty());
        let count = lines.count();
        assert!((1..=60).contains(&count), "{name} has {count} lines");
    }
}

#[test]
fn b_049_the_simulator_keeps_every_deadline_to_the_microsecond() {
    let report = simulator::run(7, 300);
    let Timeouts { idle, head, .. } = Timeouts::default();
    assert!(report.requests > 4_000, "{report:?}");
    assert_eq!(report.idle, [idle; 270]);
    assert_eq!(report.slow, [head; 30]);
    assert!(report.time > Duration::from_secs(4 * 3600), "in virtual time: {:?}", report.time);
}

#[test]
fn the_simulator_repeats_itself() {
    assert_eq!(simulator::run(7, 50), simulator::run(7, 50));
    assert_ne!(simulator::run(7, 50), simulator::run(8, 50));
}
