//! Any bytes as the headers of a request and as the trailers of a chunked body: the verdicts and values
//! are those of httparse.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../core/tests/fields/compare.rs"]
mod compare;

fuzz_target!(|section: &[u8]| {
    compare::head(section);
    compare::trailers(section);
});
