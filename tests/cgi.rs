//! CGI over real sockets: every script of the corpus in `tests/cgi/cgi-bin`, on every driver.
//!
//! The tests are in `tests/cgi/`, by subject, each written once inside
//! [`on_every_driver!`](drivers). Nothing here measures time: limits are short, and what is looked
//! at is what happens, in which order, and that nothing is left when it is over.
#![cfg(unix)]

mod support;

#[allow(dead_code, reason = "there are more ways to serve than are used here")]
#[macro_use]
#[path = "support/drivers.rs"]
mod drivers;
#[path = "support/cgi.rs"]
mod scripts;
#[allow(dead_code, reason = "scripts are served here, and nothing of the application")]
#[path = "support/service.rs"]
mod service;

#[path = "cgi/answers.rs"]
mod answers;
#[path = "cgi/bodies.rs"]
mod bodies;
#[path = "cgi/bounds.rs"]
mod bounds;
#[path = "cgi/environment.rs"]
mod environment;
#[path = "cgi/headers.rs"]
mod headers;
#[path = "cgi/paths.rs"]
mod paths;
#[path = "cgi/queue.rs"]
mod queue;
#[path = "cgi/remains.rs"]
mod remains;

use std::fs;
use std::path::Path;

#[test]
fn nothing_is_tested_on_one_driver_only() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cgi");
    for entry in fs::read_dir(dir).expect("the tests are there") {
        let file = entry.expect("it can be read").path();
        if file.is_dir() || file.ends_with("myself.rs") {
            continue;
        }
        let text = fs::read_to_string(&file).expect("it is text");
        assert!(!text.contains("#[test]"), "{}: use on_every_driver!", file.display());
        assert_eq!(text.matches("on_every_driver! {").count(), 1, "{}", file.display());
    }
}
