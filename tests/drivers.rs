//! The drivers over real sockets: one definition of each test, run on every one of them.
//!
//! The tests are in `tests/drivers/`, by subject. Each is written once, inside
//! [`on_every_driver!`](drivers); `nothing_is_tested_on_one_driver_only` sees to it. Nothing here
//! measures time: deadlines are short and what is looked at is what happens, in which order.

mod support;

#[macro_use]
#[path = "support/drivers.rs"]
mod drivers;
#[path = "support/service.rs"]
mod service;
#[allow(dead_code, reason = "transcripts are only read here")]
#[path = "support/transcript.rs"]
mod transcript;

#[path = "drivers/capacity.rs"]
mod capacity;
#[path = "drivers/digest.rs"]
mod digest;
#[path = "drivers/files.rs"]
mod files;
#[path = "drivers/handlers.rs"]
mod handlers;
#[path = "drivers/limits.rs"]
mod limits;
#[path = "drivers/listing.rs"]
mod listing;
#[path = "drivers/ranges.rs"]
mod ranges;
#[path = "drivers/root.rs"]
mod root;
#[path = "drivers/stop.rs"]
mod stop;
#[path = "drivers/wire.rs"]
mod wire;

use std::fs;
use std::path::Path;

#[test]
fn nothing_is_tested_on_one_driver_only() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/drivers");
    let mut files = 0;
    for entry in fs::read_dir(dir).expect("the tests are there") {
        let file = entry.expect("it can be read").path();
        let text = fs::read_to_string(&file).expect("it is text");
        assert!(!text.contains("#[test]"), "{}: use on_every_driver!", file.display());
        assert_eq!(text.matches("on_every_driver! {").count(), 1, "{}", file.display());
        files += 1;
    }
    assert_eq!(files, 10);
}
