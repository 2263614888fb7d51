//! CGI over real sockets: every script of the corpus in `tests/cgi/cgi-bin`, on every runtime.
//!
//! The tests are in `tests/cgi/`, by subject, each written once inside
//! [`on_every_runtime!`](runtimes). Nothing here measures time: limits are short, and what is looked
//! at is what happens, in which order, and that nothing is left when it is over.
#![cfg(all(unix, feature = "cli"))]

mod support;

#[allow(dead_code, reason = "there are more ways to serve than are used here")]
#[macro_use]
#[path = "support/runtimes.rs"]
mod runtimes;
#[path = "support/cgi.rs"]
mod scripts;
#[allow(dead_code, reason = "scripts are served here, and nothing of the application")]
#[path = "support/service.rs"]
mod service;

#[path = "cgi/bodies.rs"]
mod bodies;
#[path = "cgi/cleanup.rs"]
mod cleanup;
#[path = "cgi/environment.rs"]
mod environment;
#[path = "cgi/headers.rs"]
mod headers;
#[path = "cgi/limits.rs"]
mod limits;
#[path = "cgi/paths.rs"]
mod paths;
#[path = "cgi/proxies.rs"]
mod proxies;
#[path = "cgi/queue.rs"]
mod queue;
#[path = "cgi/responses.rs"]
mod responses;

use std::fs;
use std::path::Path;

#[test]
fn every_test_runs_on_every_runtime() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cgi");
    for entry in fs::read_dir(dir).expect("the tests are there") {
        let file = entry.expect("it can be read").path();
        if file.is_dir() || file.ends_with("environment_self.rs") {
            continue;
        }
        let text = fs::read_to_string(&file).expect("it is text");
        assert!(!text.contains("#[test]"), "{}: use on_every_runtime!", file.display());
        assert_eq!(text.matches("on_every_runtime! {").count(), 1, "{}", file.display());
    }
}
