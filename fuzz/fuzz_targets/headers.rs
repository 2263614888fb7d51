//! Any bytes as the headers of a request for a file or a listing: ranges, codings, digests, formats and
//! preconditions. The result equals that of a simple second implementation, written from the RFCs;
//! nothing is selected that is not in the file or not acceptable.
#![no_main]

use doorstep_core::http1::{Connection, Event, Head, Limits, date};
use doorstep_core::site::Stat;
use doorstep_core::site::digest::{WantedDigests, is_sha_256_wanted};
use doorstep_core::site::etag::{Comparison, EntityTag, matches_any};
use doorstep_core::site::listing::{Column, Format, View};
use doorstep_core::site::precompressed::{Coding, preferred_codings};
use doorstep_core::site::preconditions::{Evaluation, Validators, evaluate};
use doorstep_core::site::range::{ByteRange, Selection, select};
use libfuzzer_sys::fuzz_target;
use std::time::UNIX_EPOCH;

/// The headers that a line of the input may be the value of, chosen by its first byte, and words that
/// occur in them. The empty word is the file's tag.
const FIELDS: [(&str, &[&[u8]]); 11] = [
    ("Range", &[b"bytes=", b"0-", b"-1", b"-0", b"-", LONG, b", ", b"18446744073709551615"]),
    ("If-Match", TAGS),
    ("If-None-Match", TAGS),
    ("If-Modified-Since", TIMES),
    ("If-Unmodified-Since", TIMES),
    ("If-Range", &[b"", b"W/", b"\"a\"", TIMES[0], TIMES[1], TIMES[2]]),
    ("Accept-Encoding", CODINGS),
    ("Accept", TYPES),
    ("Want-Repr-Digest", DIGESTS),
    ("Want-Content-Digest", DIGESTS),
    (
        "the query",
        &[
            b"sort=name",
            b"sort=size",
            b"sort=date",
            b"order=asc",
            b"order=desc",
            b"&",
            b"dirs=first",
        ],
    ),
];
/// The maximum number of ranges.
const MOST: usize = 64;
const LONG: &[u8] = b"7-,7-,7-,7-,7-,7-,7-,7-,7-,7-,7-,7-,7-,7-,7-,7-,";
const TAGS: &[&[u8]] = &[b"", b"W/", b"\"a,b\"", b"\"a b\"", b"\"", b"*", b"*,", b", ", b" "];
const TIMES: &[&[u8]] = &[
    b"Sun, 06 Nov 1994 08:49:36 GMT",
    b"Sun, 06 Nov 1994 08:49:37 GMT",
    b"Sunday, 06-Nov-94 08:49:37 GMT",
    b"Sun Nov  6 08:49:38 1994",
];
const CODINGS: &[&[u8]] = &[
    b"gzip",
    b"x-gzip",
    b"br",
    b"zstd",
    b"identity",
    b"*",
    b", ",
    b";q=0",
    b" ; Q=1",
    b".5",
    b".75",
];
const TYPES: &[&[u8]] = &[
    b"application/json",
    b"application/*",
    b"text/html",
    b"text/*",
    b"*/*",
    b", ",
    b";q=0",
    b".5",
    b".75",
];
const DIGESTS: &[&[u8]] =
    &[b"sha-256=0", b"sha-256=1", b"sha-256", b"sha-512=3", b"=1", b"0", b"1", b", ", b";a"];

/// Sun, 06 Nov 1994 08:49:37 GMT, and dates around it.
const AT: i64 = 784_111_777;
const DATES: [i64; 7] = [AT - 1, AT, AT + 1, -1, 0, i64::MAX, i64::MIN];

/// The lines of a request, by the name of their header.
struct Lines(Vec<(&'static str, Vec<u8>)>);

impl Lines {
    fn all(&self, name: &str) -> Vec<&[u8]> {
        self.0.iter().filter(|(of, _)| *of == name).map(|(_, value)| &value[..]).collect()
    }

    /// All members, split at commas.
    fn members(&self, name: &str) -> Vec<&[u8]> {
        let split = |line| <[u8]>::split(line, |&b| b == b',');
        let members = self.all(name).into_iter().flat_map(split).map(trim_ows);
        members.filter(|member| !member.is_empty()).collect()
    }
}

/// A file's tag: its text in quotes, and whether it is weak.
struct Tag<'a> {
    quoted: &'a [u8],
    weak: bool,
}

fuzz_target!(|input: &[u8]| {
    let [count, shift, modified, changed, now, method, lines @ ..] = input else { return };
    let size = match shift {
        ..0xc0 => u64::from(*count),
        shift => (u64::from(*count) << (shift & 63)).wrapping_sub(1), // also the largest number
    };
    let modified = DATES[usize::from(*modified) % DATES.len()];
    let near = |other: &u8| modified.saturating_add(i64::from(other.cast_signed()));
    let mut stat = Stat::new(size, modified);
    stat.changed = (near(changed), 0);
    let current = Validators::from_stat(&stat, near(now));
    let tag = tag(&current.etag, &stat, near(now));

    let line = |line: &[u8]| {
        let (first, rest) = line.split_first()?;
        let (name, words) = FIELDS[usize::from(*first) % FIELDS.len()];
        Some((name, rest.iter().flat_map(|&b| spelt(b, name, words, &tag)).collect()))
    };
    let mut lines = Lines(lines.split(|&b| b == b'\n').filter_map(line).take(64).collect());

    for (_, value) in &lines.0 {
        for comparison in [Comparison::Strong, Comparison::Weak] {
            assert_eq!(current.etag.matches(value, comparison), tag.is(value, comparison));
        }
        if let Some(at) = date::parse(value, near(now)) {
            assert_eq!(date::parse(&date::format(at), near(now)), Some(at));
        }
        // httpdate parses the same, apart from white space around it and the century of two digits.
        let text = std::str::from_utf8(value).unwrap_or_default().trim();
        if let Ok(theirs) = httpdate::parse_http_date(text)
            && !text.contains('-')
        {
            let since = theirs.duration_since(UNIX_EPOCH).expect("it begins there");
            let unix = since.as_secs().cast_signed();
            assert_eq!(date::parse(text.as_bytes(), near(now)), Some(unix));
        }
    }
    range(&lines.all("Range"), size);
    for name in ["If-Match", "If-None-Match"] {
        for comparison in [Comparison::Strong, Comparison::Weak] {
            let listed = matches_any(&current.etag, lines.all(name), comparison);
            assert_eq!(listed, tag.listed(&lines.all(name), comparison));
        }
    }
    encoding(&lines.members("Accept-Encoding"));
    listing(&lines);
    for name in ["Want-Repr-Digest", "Want-Content-Digest"] {
        let wanted = naive_digest(&lines.all(name)).unwrap_or(false);
        assert_eq!(is_sha_256_wanted(lines.all(name)), wanted);
    }

    // Values that are possible in a request also pass through the state machine.
    let sent = |b: &u8| matches!(b, b'\t' | b' '..=b'~' | 0x80..);
    lines.0.retain(|(name, value)| *name != "the query" && value.iter().all(sent));
    lines.0.iter_mut().for_each(|(_, value)| *value = trim_ows(value).to_vec());
    let method = if method & 1 == 0 { "GET" } else { "HEAD" };
    request(method, &lines, |head| {
        let naive = naive_check(method, &lines, &tag, modified, near(now));
        assert_eq!(evaluate(head, &current, near(now)), naive);
        assert_eq!(
            WantedDigests::from_head(head),
            WantedDigests {
                representation: is_sha_256_wanted(lines.all("Want-Repr-Digest")),
                content: is_sha_256_wanted(lines.all("Want-Content-Digest")),
            }
        );
        for name in ["Accept-Encoding", "Accept"] {
            assert!(head.header_list(name).eq(lines.members(name)));
        }
    });
});

/// Most bytes are themselves; those above ASCII are a word or, in Range, a range.
fn spelt(b: u8, name: &str, words: &[&[u8]], tag: &Tag<'_>) -> Vec<u8> {
    match b {
        ..0x80 | 0xf0.. => vec![b],
        0xa0.. if name == "Range" => {
            let first = 3 * (b - 0xa0);
            format!("{first}-{},", first + b % 4).into_bytes() // some touch the next, some overlap
        }
        _ => match words[usize::from(b) % words.len()] {
            b"" => tag.quoted.to_vec(),
            word => word.to_vec(),
        },
    }
}

/// Calls `with` with the head of a request with these lines.
fn request(method: &str, lines: &Lines, with: impl FnOnce(&Head<'_>)) {
    let mut bytes = format!("{method} / HTTP/1.1\r\nHost: a\r\n").into_bytes();
    for (name, value) in &lines.0 {
        bytes.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
    }
    bytes.extend(b"\r\n");
    let mut limits = Limits::default();
    (limits.header_line, limits.head) = (1 << 20, 1 << 20);
    let mut connection = Connection::new(limits);
    match connection.advance(&bytes) {
        Ok((_, Event::Request(head))) => with(&head),
        other => panic!("no request: {other:?}"),
    }
}

/// A tag has digits only, and is weak until its times are unambiguous (RFC 9110 §8.8.2.2).
fn tag<'a>(etag: &'a EntityTag, stat: &Stat, now: i64) -> Tag<'a> {
    let age = i128::from(now) - i128::from(stat.modified.max(stat.changed.0));
    assert_eq!(etag.is_weak(), age <= 2);
    let text = etag.as_ref();
    let quoted = if etag.is_weak() { text.strip_prefix(b"W/").expect("weak") } else { text };
    assert!(quoted.len() == 18 && quoted.starts_with(b"\"") && quoted.ends_with(b"\""));
    assert!(quoted[1..17].iter().all(u8::is_ascii_hexdigit));
    Tag { quoted, weak: etag.is_weak() }
}

impl Tag<'_> {
    /// RFC 9110 §8.8.3.2.
    fn is(&self, text: &[u8], comparison: Comparison) -> bool {
        match comparison {
            Comparison::Strong => !self.weak && text == self.quoted,
            Comparison::Weak => text.strip_prefix(b"W/").unwrap_or(text) == self.quoted,
        }
    }

    /// RFC 9110 §13.1.1: `*`, or tags separated by commas outside of quotes.
    fn listed(&self, lines: &[&[u8]], comparison: Comparison) -> Option<bool> {
        let (text, mut quoted) = (lines.join(&b", "[..]), false);
        let apart = |&b: &u8| {
            quoted ^= b == b'"';
            b == b',' && !quoted
        };
        let members: Vec<_> = text.split(apart).map(blanks_off).filter(|m| !m.is_empty()).collect();
        if members == [b"*"] {
            return Some(true);
        }
        let is_tag = |member: &&[u8]| {
            let quoted = member.strip_prefix(b"W/").unwrap_or(member);
            let opaque = quoted.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
            opaque.is_some_and(|opaque| {
                opaque.iter().all(|b| matches!(b, b'!' | b'#'..=b'~' | 0x80..))
            })
        };
        let fits = !members.is_empty() && members.iter().all(is_tag);
        fits.then(|| members.iter().any(|member| self.is(member, comparison)))
    }
}

/// Spaces and tabs are allowed around a member, and nothing else.
fn blanks_off(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// RFC 9110 §13.2.2: each precondition alone, `None` if it does not apply, then their order.
fn naive_check(method: &str, lines: &Lines, tag: &Tag<'_>, modified: i64, now: i64) -> Evaluation {
    let first = |name| lines.all(name).first().copied();
    let single = |name| first(name).filter(|_| lines.all(name).len() == 1);
    let date = |name| single(name).and_then(|text| date::parse(text, now));

    let if_match = tag.listed(&lines.all("If-Match"), Comparison::Strong);
    let if_unmodified_since = date("If-Unmodified-Since").map(|since| modified <= since);
    let if_none_match = first("If-None-Match").map(|_| {
        tag.listed(&lines.all("If-None-Match"), Comparison::Weak).is_none_or(|listed| !listed)
    });
    let if_modified_since = date("If-Modified-Since").map(|since| modified > since);
    let if_range = first("If-Range").map(|_| {
        single("If-Range").is_some_and(|of| {
            let is_date = !tag.weak && date::parse(of, now) == Some(modified);
            is_date || tag.is(of, Comparison::Strong)
        })
    });
    let range = method == "GET" && first("Range").is_some() && if_range != Some(false);

    match (if_match.or(if_unmodified_since), if_none_match.or(if_modified_since)) {
        (Some(false), _) => Evaluation::PreconditionFailed,
        (_, Some(false)) => Evaluation::NotModified,
        _ => Evaluation::Proceed { range },
    }
}

/// The selection is within the file, each byte once, in at most the maximum number of ranges.
fn range(lines: &[&[u8]], size: u64) {
    let selection = select(lines.iter().copied(), size, MOST);
    let ranges = match &selection {
        Selection::Whole | Selection::Unsatisfiable => &[][..],
        Selection::One(range) => std::slice::from_ref(range),
        Selection::Several(ranges) => ranges,
    };
    assert!(matches!(selection, Selection::Several(_)) == (ranges.len() > 1));
    assert!(ranges.len() <= MOST);
    for (n, range) in ranges.iter().enumerate() {
        let ByteRange { first, last } = *range;
        assert!(first <= last && last < size);
        assert_eq!(u128::from(range.len()), u128::from(last) - u128::from(first) + 1);
        let others = &ranges[..n];
        assert!(others.iter().all(|other| last + 1 < other.first || other.last + 1 < first));
        let mut text = Vec::new();
        range.write_content_range(size, &mut text);
        assert_eq!(text, format!("bytes {first}-{last}/{size}").as_bytes());
    }
    let joined = lines.join(&b", "[..]);
    assert_eq!(selection, naive_range(&joined, size).unwrap_or_default());
}

/// RFC 9110 §14.1.2 and §14.2; `None` if the header is ignored.
fn naive_range(field: &[u8], size: u64) -> Option<Selection> {
    let equals = field.iter().position(|&b| b == b'=')?;
    if !field[..equals].eq_ignore_ascii_case(b"bytes") {
        return None;
    }
    let (mut asked, mut read) = (Vec::new(), 0);
    for spec in field[equals + 1..].split(|&b| b == b',').map(trim_ows) {
        let (first, last) = match spec.split(|&b| b == b'-').collect::<Vec<_>>()[..] {
            [b""] => continue,
            [b"", suffix] => match number(suffix)? {
                0 => (size, size), // no byte: like a range beyond the end
                _ if size == 0 => return None,
                length => (size.saturating_sub(length), u64::MAX),
            },
            [first, b""] => (number(first)?, u64::MAX),
            [first, last] => (number(first)?, number(last)?),
            _ => return None,
        };
        read += 1;
        if first > last || read > MOST {
            return None;
        }
        if first < size {
            asked.push(ByteRange { first, last: last.min(size - 1) });
        }
    }
    match (read, &merged(&asked)[..]) {
        (0, _) => None,
        (_, []) => Some(Selection::Unsatisfiable),
        (_, [one]) => Some(Selection::One(*one)),
        (_, several) => Some(Selection::Several(several.to_vec())),
    }
}

/// Sorted, merged with the next one, and put at the place of its first part.
fn merged(asked: &[ByteRange]) -> Vec<ByteRange> {
    let mut sorted: Vec<_> = asked.iter().copied().enumerate().collect();
    sorted.sort_by_key(|(_, range)| range.first);
    let mut joined: Vec<(usize, ByteRange)> = Vec::new();
    for (place, range) in sorted {
        match joined.last_mut() {
            Some((first, before)) if range.first <= before.last + 1 => {
                *first = place.min(*first);
                before.last = range.last.max(before.last);
            }
            _ => joined.push((place, range)),
        }
    }
    joined.sort_by_key(|(place, _)| *place);
    joined.into_iter().map(|(_, range)| range).collect()
}

/// A number of any length, clamped to 64 bits.
fn number(digits: &[u8]) -> Option<u64> {
    let fits = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(digits).ok().filter(|_| fits)?;
    Some(text.parse().unwrap_or(u64::MAX))
}

/// RFC 9110 §12.5.3: the codings with at least the weight of the uncompressed file, best first.
fn encoding(members: &[&[u8]]) {
    let weigh = |member: &&[u8]| {
        let mut parts = member.split(|&b| b == b';').map(trim_ows);
        let name = parts.next()?.to_ascii_lowercase();
        let weight = parts.next().map_or(Some(1_000), weight).filter(|_| parts.next().is_none())?;
        Some((name, weight))
    };
    let weighed: Vec<_> = members.iter().filter_map(weigh).collect();
    let most = |names: &[&[u8]]| {
        let named = weighed.iter().filter(|(name, _)| names.contains(&&name[..]));
        named.map(|(_, weight)| *weight).max()
    };
    let weight_of = |coding: Coding| {
        let own = match coding {
            Coding::Gzip => most(&[b"gzip", b"x-gzip"]),
            other => most(&[other.name().as_bytes()]),
        };
        own.or(most(&[b"*"])).unwrap_or(0)
    };
    let mut expected = vec![Coding::Brotli, Coding::Zstandard, Coding::Gzip];
    expected.retain(|&coding| {
        weight_of(coding) > 0
            && most(&[b"identity"]).is_none_or(|identity| identity <= weight_of(coding))
    });
    expected.sort_by_key(|&coding| 1_000 - weight_of(coding));

    let codings: Vec<_> = preferred_codings(members).collect();
    assert_eq!(codings, expected);
    assert!(preferred_codings(members.iter().rev()).eq(expected), "in any order");
    for coding in codings {
        let mut names = members.iter().filter_map(|member| member.split(|&b| b == b';').next());
        let is = |name: &[u8], known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        let about = |name: &[u8]| {
            let name = trim_ows(name);
            name == b"*" || is(name, coding.name()) || coding == Coding::Gzip && is(name, "x-gzip")
        };
        assert!(names.any(about), "not in the list");
    }
}

/// `q=` and a quality value (RFC 9110 §12.4.2), in thousandths.
fn weight(part: &[u8]) -> Option<u16> {
    let text = std::str::from_utf8(part).ok()?.to_ascii_lowercase();
    let text = text.strip_prefix("q=")?;
    let digit = |b: u8| b.is_ascii_digit();
    let fits = match text.as_bytes() {
        [b'0' | b'1'] => true,
        [b'0' | b'1', b'.', decimals @ ..] => {
            decimals.len() <= 3 && decimals.iter().copied().all(digit)
        }
        _ => false,
    };
    let value: f64 = text.parse().ok().filter(|_| fits)?;
    (value <= 1.0).then_some((value * 1_000.0).round() as u16)
}

/// The order of a listing is that of the last known words; its format follows RFC 9110 §12.5.1.
fn listing(lines: &Lines) {
    let query = lines.all("the query").last().copied();
    let accept = lines.members("Accept");
    let view = View::from_query(query, &accept);

    let words: Vec<_> = query.unwrap_or_default().split(|&b| b == b'&').collect();
    let last = |known: &[&[u8]]| words.iter().copied().rfind(|word| known.contains(word));
    let column = match last(&[b"sort=name", b"sort=size", b"sort=date"]) {
        Some(b"sort=size") => Column::Size,
        Some(b"sort=date") => Column::Date,
        _ => Column::Name,
    };
    assert_eq!(view.column, column);
    assert_eq!(view.descending, last(&[b"order=asc", b"order=desc"]) == Some(b"order=desc"));
    assert_eq!(view.directories_first, words.contains(&&b"dirs=first"[..]));

    let [page, json] =
        [["text/html", "text/*", "*/*"], ["application/json", "application/*", "*/*"]]
            .map(|ranges| weight_of(&accept, ranges));
    let format = if json > page && json.0 > 0 { Format::Json } else { Format::Html };
    assert_eq!(view.format, format);
    assert_eq!(view.content_type().starts_with("application/json"), format == Format::Json);
}

/// The optional white space of RFC 9110 §5.6.3.
fn trim_ows(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|b| !b" \t".contains(b)).map_or(0, |last| last + 1);
    &text[text.iter().position(|b| !b" \t".contains(b)).unwrap_or(end)..end]
}

/// The weight of a type, and how exact the range is that decides: the first of `ranges` that is listed.
fn weight_of(accept: &[&[u8]], ranges: [&str; 3]) -> (u16, usize) {
    for (exactness, range) in (1..=3).rev().zip(ranges) {
        let weights = accept.iter().filter_map(|member| {
            let mut parts = member.split(|&b| b == b';').map(trim_ows);
            parts.next().filter(|name| name.eq_ignore_ascii_case(range.as_bytes()))?;
            let key = |part: &&[u8]| part.split(|&b| b == b'=').next().map(trim_ows) == Some(b"q");
            let lower = parts.map(<[u8]>::to_ascii_lowercase).collect::<Vec<_>>();
            let mut of_weight = lower.iter().map(Vec::as_slice).filter(key);
            of_weight.next().map_or(Some(1_000), weight)
        });
        if let Some(most) = weights.max() {
            return (most, exactness);
        }
    }
    (0, 0)
}

/// RFC 9530 §4: a dictionary of integers from 0 to 10; `None` if it is malformed.
fn naive_digest(lines: &[&[u8]]) -> Option<bool> {
    let text: Vec<_> = lines.iter().map(|l| trim_ows(l)).filter(|l| !l.is_empty()).collect();
    let mut wanted = None;
    for member in text.join(&b',').split(|&b| b == b',').filter(|_| !text.is_empty()) {
        let member = std::str::from_utf8(member.split(|&b| b == b';').next()?).ok()?;
        let (key, value) = member.trim_matches([' ', '\t']).split_once('=')?;
        let known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-.*".contains(c);
        let is_key = key.starts_with(|c: char| c.is_ascii_lowercase() || c == '*');
        let is_number = value.len() <= 15 && value.chars().all(|c| c.is_ascii_digit());
        let preference: u64 = value.parse().ok()?;
        if !is_key || !key.chars().all(known) || !is_number || preference > 10 {
            return None;
        }
        if key == "sha-256" {
            wanted = Some(preference > 0);
        }
    }
    wanted
}
