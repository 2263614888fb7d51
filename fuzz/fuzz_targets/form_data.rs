//! Any bytes as a form: the parts do not depend on how they are split, every byte of a file is data of
//! its part, what is held back is bounded, and a name that is cleaned can be stored.
#![no_main]

use doorstep_core::form_data::{Event, FormData, FormError, FormLimits, PartHead};
use doorstep_core::site::upload::name;
use libfuzzer_sys::fuzz_target;

/// Each part: its head, and its content if it was complete.
type Parts = Vec<(PartHead, Vec<u8>, bool)>;

fuzz_target!(|input: &[u8]| {
    let Some((&[header, parts, first, second, third], body)) = input.split_first_chunk() else { return };
    let sizes = [first, second, third];
    let mut limits = FormLimits::default();
    (limits.header, limits.parts) = (usize::from(header), parts.into());
    let form = FormData::new(b"multipart/form-data; boundary=b", limits).expect("it is a boundary");

    let whole = read(form.clone(), body, &[usize::MAX]);
    assert_eq!(whole, read(form.clone(), body, &[1]));
    assert_eq!(whole, read(form, body, &sizes.map(|size| usize::from(size) + 1)));
    for (head, content, _) in &whole.0 {
        assert!(body.windows(content.len().max(1)).any(|window| content.is_empty() || window == content));
        if let Some(Ok(name)) = head.filename.as_deref().map(|filename| name::clean(filename, 255)) {
            assert_eq!(name::check(name.as_bytes(), 255), Ok(&*name));
        }
    }
    let _ = FormData::new(body, limits);
});

fn read(mut form: FormData, body: &[u8], sizes: &[usize]) -> (Parts, Result<(), FormError>) {
    let (mut parts, mut start, mut end, mut turn) = (Parts::new(), 0, 0, 0);
    loop {
        let (used, event) = match form.advance(&body[start..end]) {
            Ok(next) => next,
            Err(error) => return (without_open(parts), Err(error)),
        };
        start += used;
        match event {
            Event::NeedData if end == body.len() => return (without_open(parts), form.finish()),
            Event::NeedData => {
                assert!(end - start <= form.max_held());
                end = end.saturating_add(sizes[turn % sizes.len()]).min(body.len());
                turn += 1;
            }
            Event::Part(head) => parts.push((head, Vec::new(), false)),
            Event::Data(data) => {
                let part = parts.last_mut().expect("a part has begun");
                assert!(!data.is_empty() && !part.2);
                part.1.extend_from_slice(data);
            }
            Event::PartEnd => parts.last_mut().expect("a part has begun").2 = true,
            Event::End => return (parts, form.finish()),
        }
    }
}

/// A part that was not complete at an error: how much of it came before depends on the split.
fn without_open(mut parts: Parts) -> Parts {
    if let Some((_, content, false)) = parts.last_mut() {
        content.clear();
    }
    parts
}
