//! The runtimes over real sockets: one definition of each test, run on each of them.
//!
//! The tests are in `tests/runtimes/`, by subject. Each is written once, inside
//! [`on_every_runtime!`](runtimes); `every_test_runs_on_every_runtime` checks that. Nothing here
//! measures time: deadlines are short and what is looked at is what happens, in which order.
#![cfg(feature = "cli")]

mod support;

#[macro_use]
#[path = "support/runtimes.rs"]
mod runtimes;
#[path = "support/service.rs"]
mod service;
#[cfg(feature = "tls")]
#[path = "support/tls_client.rs"]
mod tls_client;
#[allow(dead_code, reason = "transcripts are only read here")]
#[path = "support/transcript.rs"]
mod transcript;

#[path = "runtimes/access_log.rs"]
mod access_log;
#[path = "runtimes/archive.rs"]
mod archive;
#[path = "runtimes/auth.rs"]
mod auth;
#[path = "runtimes/body_limit.rs"]
mod body_limit;
#[path = "runtimes/capacity.rs"]
mod capacity;
#[path = "runtimes/cuts.rs"]
mod cuts;
#[path = "runtimes/digest.rs"]
mod digest;
#[path = "runtimes/files.rs"]
mod files;
#[path = "runtimes/forwarded.rs"]
mod forwarded;
#[path = "runtimes/framing.rs"]
mod framing;
#[path = "runtimes/handlers.rs"]
mod handlers;
#[path = "runtimes/health.rs"]
mod health;
#[path = "runtimes/life.rs"]
mod life;
#[path = "runtimes/limits.rs"]
mod limits;
#[path = "runtimes/listing.rs"]
mod listing;
#[path = "runtimes/memory.rs"]
mod memory;
#[path = "runtimes/prefix.rs"]
mod prefix;
#[path = "runtimes/proxy_protocol.rs"]
mod proxy_protocol;
#[path = "runtimes/ranges.rs"]
mod ranges;
#[path = "runtimes/root.rs"]
mod root;
#[path = "runtimes/shutdown.rs"]
mod shutdown;
#[path = "runtimes/single_file.rs"]
mod single_file;
#[path = "runtimes/stop_conditions.rs"]
mod stop_conditions;
#[cfg(feature = "tls")]
#[path = "runtimes/tls.rs"]
mod tls;
#[path = "runtimes/transfers.rs"]
mod transfers;
#[path = "runtimes/unix_sockets.rs"]
mod unix_sockets;
#[path = "runtimes/upload.rs"]
mod upload;
#[path = "runtimes/upload_form.rs"]
mod upload_form;
#[path = "runtimes/waiting.rs"]
mod waiting;
#[path = "runtimes/wire.rs"]
mod wire;
#[path = "runtimes/wrappers.rs"]
mod wrappers;

use std::fs;
use std::path::Path;

#[test]
fn every_test_runs_on_every_runtime() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/runtimes");
    let mut files = 0;
    for entry in fs::read_dir(dir).expect("the tests are there") {
        let file = entry.expect("it can be read").path();
        let text = fs::read_to_string(&file).expect("it is text");
        assert!(!text.contains("#[test]"), "{}: use on_every_runtime!", file.display());
        assert_eq!(text.matches("on_every_runtime! {").count(), 1, "{}", file.display());
        files += 1;
    }
    assert_eq!(files, 31);
}

#[test]
fn a_front_end_on_the_driver_crate_has_at_most_500_lines() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("driver/examples/tokio");
    let files = fs::read_dir(dir).expect("it is there").map(|entry| {
        let text = fs::read_to_string(entry.expect("it can be read").path());
        text.expect("it is text").lines().count()
    });
    let lines: usize = files.sum();
    assert!((1..=500).contains(&lines), "{lines}");
}
