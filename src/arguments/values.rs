//! The values of options: numbers, sizes and times. Every error says what is expected.

use std::net::Ipv6Addr;
use std::num::{IntErrorKind, ParseIntError};
use std::str::FromStr;
use std::time::Duration;

/// A TCP port.
pub(super) fn port(word: &str) -> Result<u16, &'static str> {
    word.parse().map_err(|_| "must be a number from 0 to 65535")
}

/// An address or a host name, without a port.
pub(super) fn address(word: &str) -> Result<String, String> {
    let is_ipv6 = |word: &str| word.parse::<Ipv6Addr>().is_ok();
    if !is_ipv6(word)
        && let Some((host, port)) = word.rsplit_once(':')
        && let Ok(port) = self::port(port)
    {
        let bracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let host = bracketed.unwrap_or(host);
        let bind = match host {
            "" => String::new(),
            host => format!(" --bind {}", quote(host)),
        };
        if !host.contains(':') || is_ipv6(host) {
            return Err(format!("give the port separately: doorstep {port}{bind}"));
        }
    }
    Ok(word.into())
}

/// The path of a request, as it is sent.
pub(super) fn request_path(word: &str) -> Result<String, &'static str> {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#');
    match word.starts_with('/') && word.len() > 1 && word.bytes().all(is_plain) {
        true => Ok(word.into()),
        false => Err("must be a path as it is requested, such as /healthz"),
    }
}

/// `text` as one word of a command line in a message: quoted and escaped if it is not plain.
pub(super) fn quote(text: &str) -> String {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.:/,=+%".contains(&b);
    match !text.is_empty() && text.bytes().all(is_plain) {
        true => text.into(),
        false => format!("{text:?}"),
    }
}

/// A whole number.
pub(super) fn number(word: &str) -> Result<usize, &'static str> {
    word.parse().map_err(|error: ParseIntError| match error.kind() {
        IntErrorKind::PosOverflow => "is too large",
        _ => "must be a whole number",
    })
}

/// A whole number of a type without zero, such as `NonZeroUsize`.
pub(super) fn at_least_one<T: FromStr<Err = ParseIntError>>(word: &str) -> Result<T, &'static str> {
    word.parse().map_err(|error: ParseIntError| match error.kind() {
        IntErrorKind::Zero => "must be at least 1",
        IntErrorKind::PosOverflow => "is too large",
        _ => "must be a whole number, at least 1",
    })
}

/// A number of bytes: `4096`, `64K`, `10M`, `1G`, in steps of 1024. `64KB` and `64KiB` are the same as
/// `64K`, small letters as well; `1.5G` is rounded down to whole bytes.
pub(super) fn size(word: &str) -> Result<u64, &'static str> {
    let size = parse_size::Config::new().with_binary().parse_size(word);
    size.map_err(|_| "must be a number of bytes such as 4096, 64K, 10M or 1G")
}

/// A time: `90` or `90s`, `500ms`, `5m`, `2h`, `1h 30m`; `none` for no limit.
pub(super) fn duration_or_zero(word: &str) -> Result<Duration, &'static str> {
    let seconds = || word.parse().map(Duration::from_secs);
    match word {
        "none" => Ok(Duration::MAX),
        _ => seconds()
            .or_else(|_| humantime::parse_duration(word))
            .map_err(|_| "must be a time such as 90s, 5m or 2h; \"none\" means no limit"),
    }
}

/// A time other than zero.
pub(super) fn duration(word: &str) -> Result<Duration, &'static str> {
    match duration_or_zero(word)? {
        Duration::ZERO => Err("must be longer than 0; \"none\" means no limit"),
        time => Ok(time),
    }
}

/// `time` in seconds, rounded up; `None` for no limit.
pub(super) fn whole_seconds(time: Duration) -> Option<u64> {
    let rounded = time.as_secs().checked_add(u64::from(time.subsec_nanos() > 0));
    rounded.filter(|_| time != Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::{NonZeroU32, NonZeroUsize};

    #[test]
    fn b_256_a_size_is_in_bytes_or_in_steps_of_1024() {
        for (word, bytes) in [("0", 0), ("4096", 4096), ("64K", 1 << 16), ("10m", 10 << 20)] {
            assert_eq!(size(word), Ok(bytes), "{word}");
        }
        assert_eq!(size("1G"), Ok(1 << 30));
        for word in ["64k", "64KB", "64kb", "64KiB", "64 K", "65536B", "65_536"] {
            assert_eq!(size(word), Ok(1 << 16), "{word}");
        }
        assert_eq!((size("1.5K"), size("1T")), (Ok(1536), Ok(1 << 40)));
        for word in ["", "K", "-1", "1X", "20000000000G"] {
            assert!(size(word).is_err(), "{word}");
        }
    }

    #[test]
    fn b_276_a_port_after_the_address_is_an_error() {
        for (word, expected) in [
            ("127.0.0.1:8000", "doorstep 8000 --bind 127.0.0.1"),
            ("localhost:80", "doorstep 80 --bind localhost"),
            ("[::1]:8000", "doorstep 8000 --bind ::1"),
            ("1:2:3:4:5:6:7:8:90", "doorstep 90 --bind 1:2:3:4:5:6:7:8"),
            (":8000", "doorstep 8000"),
            ("\u{202e}:8000", "doorstep 8000 --bind \"\\u{202e}\""),
        ] {
            let expected = format!("give the port separately: {expected}");
            assert_eq!(address(word), Err(expected), "{word}");
        }
        for word in
            ["::", "::1", "::1:8000", "fe80::1%2", "127.0.0.1", "host", "a:99999", "a:b", ""]
        {
            assert_eq!(address(word), Ok(word.into()), "{word}");
        }
    }

    #[test]
    fn a_path_is_one_that_can_be_requested() {
        assert_eq!(request_path("/a/b%20c"), Ok("/a/b%20c".into()));
        for word in ["", "/", "healthz", "/a b", "/a?b", "/a#b", "/\u{e9}"] {
            assert!(request_path(word).is_err(), "{word}");
        }
    }

    #[test]
    fn b_286_errors_of_numbers_say_what_is_expected() {
        assert_eq!(at_least_one::<NonZeroUsize>("0"), Err("must be at least 1"));
        assert_eq!(at_least_one::<NonZeroU32>("99999999999"), Err("is too large"));
        for word in ["", "-1", "1.5", "many"] {
            assert_eq!(
                at_least_one::<NonZeroUsize>(word),
                Err("must be a whole number, at least 1"),
                "{word}"
            );
            assert_eq!(number(word), Err("must be a whole number"), "{word}");
        }
        assert_eq!((number("0"), number("12")), (Ok(0), Ok(12)));
        assert_eq!(port("65536"), Err("must be a number from 0 to 65535"));
    }
}
