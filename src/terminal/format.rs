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
        assert_eq!([count(0, "client"), count(1, "client")], ["0 clients", "1 client"]);
    }
}
