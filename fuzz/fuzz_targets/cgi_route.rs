//! Any bytes as the path of a request, and any files on it: a script is below its directory, and the
//! result equals that of a simple second implementation.
#![no_main]

use doorstep_core::cgi::route::{Found, Route, RouteError, ScriptDirectories};
use doorstep_core::path::{MAX_PATH_LEN, PathError};
use libfuzzer_sys::fuzz_target;

/// Script directories, by name.
const SITES: [&[&[&str]]; 4] = [
    &[&["cgi-bin"], &["htbin"]],
    &[&["sub", "dir", "cgi-bin"], &["sub"]],
    &[&[]],
    &[&[".a"], &["a", "b"]],
];

fuzz_target!(|input: &[u8]| {
    let [settings, answers, raw @ ..] = input else { return };
    let hidden = settings & 1 == 1;
    let site = SITES[usize::from(settings >> 1 & 3)];
    let directories =
        ScriptDirectories::new(site.iter().map(|names| names.join("/"))).expect("names");

    let (took, asked) = take(&directories, hidden, *answers, raw);
    if !raw.starts_with(b"/") {
        return assert_eq!(took, Ok(None));
    }
    let decoded = decode(raw);
    match &took {
        Err(RouteError::Path(PathError::Nul)) => return assert!(decoded.contains(&0)),
        Err(RouteError::Path(PathError::TooLong)) => return assert!(decoded.len() > MAX_PATH_LEN),
        Err(RouteError::Path(PathError::InvalidName)) => return assert!(cfg!(windows)),
        _ => assert!(!decoded.contains(&0)),
    }
    assert_eq!(took, naive(site, hidden, *answers, &decoded));

    for (number, path) in asked.iter().enumerate() {
        assert!(path.len() <= MAX_PATH_LEN);
        let names: Vec<_> = path.split(|&b| b == b'/').collect();
        assert!(names.iter().all(|&name| !matches!(name, b"" | b"." | b"..")));
        let below = |directory: &&[&str]| {
            directory.len() < names.len()
                && directory.iter().zip(&names).all(|(one, other)| one.as_bytes() == *other)
        };
        assert!(site.iter().any(below), "only what is below a directory is looked at");
        assert!(number == 0 || path.starts_with(&asked[number - 1]));
    }
});

/// SCRIPT_NAME and PATH_INFO.
type Script = (Vec<u8>, Vec<u8>);

/// What is found at the path of this number.
fn answer(answers: u8, number: usize) -> Found {
    match answers >> (number % 4 * 2) & 3 {
        0 => Found::File { executable: true },
        1 if answers & 64 == 0 => Found::File { executable: false },
        1 if answers & 128 == 0 => Found::Nothing,
        1 => Found::Other,
        _ => Found::Directory,
    }
}

/// Follows the route to its end. Returns the result and the paths looked at.
fn take(
    directories: &ScriptDirectories,
    hidden: bool,
    answers: u8,
    raw: &[u8],
) -> (Result<Option<Script>, RouteError>, Vec<Vec<u8>>) {
    let mut asked = Vec::new();
    let mut route = match Route::new(directories, hidden, raw) {
        Ok(Some(route)) => route,
        Ok(None) => return (Ok(None), asked),
        Err(error) => return (Err(said(error)), asked),
    };
    loop {
        asked.push(route.path().to_vec());
        match route.found(answer(answers, asked.len() - 1)) {
            Ok(None) => {}
            Err(error) => return (Err(said(error)), asked),
            Ok(Some(script)) => {
                assert_eq!(Some(script.file()), asked.last().map(Vec::as_slice));
                assert_eq!(script.name(), [b"/", script.file()].concat());
                let last = script.file().split(|&b| b == b'/').next_back();
                assert_eq!(script.is_nph(), last.is_some_and(|name| name.starts_with(b"nph-")));
                let found = (script.name().to_vec(), script.path_info().to_vec());
                return (Ok(Some(found)), asked);
            }
        }
    }
}

/// An error, whose reason phrase can be sent.
fn said(error: RouteError) -> RouteError {
    assert!([400, 403, 404].contains(&error.status()));
    let reason = error.reason();
    assert!(!reason.is_empty() && reason.len() < 1_000);
    assert!(reason.iter().all(|b| (b' '..=b'~').contains(b)));
    error
}

/// A list of names, followed from its start.
fn naive(
    site: &[&[&str]],
    hidden: bool,
    answers: u8,
    decoded: &[u8],
) -> Result<Option<Script>, RouteError> {
    let mut names: Vec<&[u8]> = Vec::new();
    let mut slash = true;
    for component in decoded.split(|&b| b == b'/') {
        slash = matches!(component, b"" | b"." | b"..");
        match component {
            b"" | b"." => {}
            b".." => _ = names.pop().ok_or(RouteError::AboveRoot)?,
            name => names.push(name),
        }
    }
    let text = |names: &[&[u8]]| [b"/", names.join(&b'/').as_slice()].concat();
    let mut whole = text(&names);
    if slash && !names.is_empty() {
        whole.push(b'/');
    }

    let begins = |directory: &[&str]| {
        names.len() + usize::from(slash) > directory.len()
            && names.len() >= directory.len()
            && directory.iter().zip(&names).all(|(one, other)| one.as_bytes() == *other)
    };
    let Some(depth) = (0..=names.len()).find(|&n| site.iter().any(|d| d.len() == n && begins(d)))
    else {
        return Ok(None);
    };
    for (number, last) in (depth..names.len()).enumerate() {
        let name = text(&names[..=last]);
        if names[last].starts_with(b".") && !hidden {
            return Err(RouteError::NotFound(name));
        }
        return match answer(answers, number) {
            Found::Directory => continue,
            Found::Nothing => Err(RouteError::NotFound(name)),
            Found::Other => Err(RouteError::NotRegularFile(name)),
            Found::File { executable: false } => Err(RouteError::NotExecutable(name)),
            Found::File { executable: true } => {
                let info = whole[name.len()..].to_vec();
                Ok(Some((name, info)))
            }
        };
    }
    Err(RouteError::NotRegularFile(whole))
}

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
