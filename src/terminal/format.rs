//! Sizes and times for people.

use std::time::Duration;

/// `bytes` with three digits and a unit in steps of 1024, such as `12.3 MiB`.
pub(super) fn bytes(bytes: f64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1000.0 {
        return format!("{bytes:.0} B");
    }
    let mut value = bytes / 1024.0;
    let mut unit = UNITS[0];
    for next in &UNITS[1..] {
        if value < 999.5 {
            break;
        }
        (value, unit) = (value / 1024.0, next);
    }
    let digits = if value < 9.995 { 2 } else { usize::from(value < 99.95) };
    format!("{value:.digits$} {unit}")
}

/// A time in its two largest units, such as `2m 10s`.
pub(super) fn time(time: Duration) -> String {
    let seconds = time.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, _, _) => format!("{hours}h {}m", minutes % 60),
        (_, _, _) => format!("{days}d {}h", hours % 24),
    }
}

/// A time in words, in the largest unit without a fraction, such as `90 seconds` or `2 minutes`.
pub(super) fn words(time: Duration) -> String {
    if time.subsec_nanos() != 0 {
        return format!("{} seconds", time.as_secs_f64());
    }
    let seconds = time.as_secs();
    match (seconds % 86400, seconds % 3600, seconds % 60) {
        _ if seconds == 0 => count(0, "second"),
        (0, _, _) => count(seconds / 86400, "day"),
        (_, 0, _) => count(seconds / 3600, "hour"),
        (_, _, 0) => count(seconds / 60, "minute"),
        _ => count(seconds, "second"),
    }
}

/// A number with the word for one or for several.
pub(super) fn count(n: u64, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_three_digits() {
        for (n, text) in [
            (0.0, "0 B"),
            (999.0, "999 B"),
            (1000.0, "0.98 KiB"),
            (1536.0, "1.50 KiB"),
            (12.34 * 1024.0 * 1024.0, "12.3 MiB"),
            (345.6 * 1024.0, "346 KiB"),
            (999.9 * 1024.0, "0.98 MiB"),
            (5e12, "4.55 TiB"),
            (1.8e19, "15.6 EiB"),
        ] {
            assert_eq!(bytes(n), text);
        }
    }

    #[test]
    fn times_have_their_two_largest_units() {
        for (seconds, text) in
            [(0, "0s"), (59, "59s"), (130, "2m 10s"), (3_900, "1h 5m"), (200_000, "2d 7h")]
        {
            assert_eq!(time(Duration::from_secs(seconds)), text);
        }
        for (seconds, text) in [
            (0, "0 seconds"),
            (1, "1 second"),
            (90, "90 seconds"),
            (7200, "2 hours"),
            (86400, "1 day"),
        ] {
            assert_eq!(words(Duration::from_secs(seconds)), text);
        }
        assert_eq!(words(Duration::from_millis(1500)), "1.5 seconds");
        assert_eq!([count(0, "client"), count(1, "client")], ["0 clients", "1 client"]);
    }
}
