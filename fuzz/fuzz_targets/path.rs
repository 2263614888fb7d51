//! Any bytes as a target's path: normalization never leaves the root, never panics, and equals a simple
//! second implementation; the link to a path leads to that path.
#![no_main]

use doorstep_core::path::{self, Ending, MAX_PATH_LEN, PathError};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|raw: &[u8]| {
    let mut clean = b"left over".to_vec();
    let resolved = path::normalize(raw, &mut clean);
    assert!(clean.len() <= MAX_PATH_LEN + 1);
    let _ = path::is_hidden(&clean);

    let decoded = decode(raw);
    match resolved {
        Err(PathError::Nul) => return assert!(decoded.contains(&0)),
        Err(PathError::TooLong) => return assert!(decoded.len() > MAX_PATH_LEN),
        Err(PathError::InvalidName) => return assert!(cfg!(windows)),
        Ok(ending) => {
            assert!(!decoded.contains(&0));
            assert_eq!((clean.clone(), ending), naive(&decoded));
        }
    }
    for component in clean.split(|&b| b == b'/') {
        assert!(clean.is_empty() || !component.is_empty());
        assert!(component != b"." && component != b"..");
    }

    let (mut link, mut again) = (b"/".to_vec(), Vec::new());
    path::encode(&mut link, &clean);
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"_.-~/%".contains(b);
    assert!(link.iter().all(plain));
    let ending = if clean.is_empty() { Ending::Slash } else { Ending::Name };
    assert_eq!(path::normalize(&link, &mut again), Ok(ending));
    assert_eq!(clean, again);
});

/// Percent-decoding, once; malformed escapes are kept.
fn decode(raw: &[u8]) -> Vec<u8> {
    let hex = |b: &u8| (*b as char).to_digit(16).map(|digit| digit as u8);
    let mut out = Vec::new();
    let mut rest = raw;
    while let [first, behind @ ..] = rest {
        rest = behind;
        out.push(*first);
        if let (b'%', [high, low, behind @ ..]) = (*first, behind)
            && let (Some(high), Some(low)) = (hex(high), hex(low))
        {
            *out.last_mut().expect("just pushed") = high << 4 | low;
            rest = behind;
        }
    }
    out
}

/// A stack of names.
fn naive(decoded: &[u8]) -> (Vec<u8>, Ending) {
    let mut stack = Vec::new();
    let mut ending = Ending::Slash;
    for component in decoded.split(|&b| b == b'/') {
        ending = match component {
            b"" => Ending::Slash,
            b"." => Ending::Dot,
            b".." => {
                stack.pop();
                Ending::Dot
            }
            name => {
                stack.push(name);
                Ending::Name
            }
        };
    }
    (stack.join(&b'/'), ending)
}
