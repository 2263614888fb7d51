//! Transfers seen live: a thread that draws a line for each that takes longer than a second.
//!
//! It sleeps as long as no transfer is in progress. The rate is that of the last 15 seconds or so: the time
//! left follows a client that becomes faster or slower, and does not jump otherwise. The system takes bytes
//! in bursts, up to some megabytes at once, so the rate is measured from the end of one to the end of
//! another.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use doorstep_core::log;
use doorstep_driver::event_listener::Listener;
use doorstep_driver::net::UNIX_PEER;
use doorstep_driver::{Transfer, Transfers};

use super::line::{self, Row, Style};
use super::screen::{self, Screen};

/// The time between two looks at the transfers.
const TICK: Duration = Duration::from_millis(250);
/// Between two looks that are further apart, the process was suspended: that time does not count.
const MAX_TICK: Duration = Duration::from_secs(2);
/// How long a transfer takes before it is shown.
const MIN_AGE: Duration = Duration::from_secs(1);
/// The time, in seconds, after which what was transferred counts 1/e in the rate.
const MEMORY: f64 = 15.0;
/// How long nothing is transferred before that counts in the rate: a burst may be due.
const PAUSE: Duration = Duration::from_secs(3);
/// How long nothing is transferred before it is called stalled.
const STALLED: Duration = Duration::from_secs(10);

/// Starts the thread.
pub(super) fn start(transfers: Transfers, screen: Screen, style: Style) -> io::Result<()> {
    let run = move || {
        let mut meters = Meters::default();
        loop {
            let begins = transfers.listen();
            let list = transfers.list();
            meters.update(&list, Instant::now());
            let (columns, rows) = screen::size();
            let lines = lines(&list, &meters, columns, rows, style);
            screen.draw(&lines);
            match list.is_empty() {
                true => begins.wait(),
                false => thread::sleep(TICK),
            }
        }
    };
    thread::Builder::new().name("progress".into()).spawn(run).map(drop)
}

/// The lines for a terminal of this size: at most half of it, so that the log remains visible.
fn lines(
    transfers: &[Arc<Transfer>],
    meters: &Meters,
    columns: usize,
    rows: usize,
    style: Style,
) -> Vec<String> {
    let shown: Vec<_> = transfers.iter().filter(|it| meters.age(it) >= MIN_AGE).collect();
    let room = (rows / 2).max(1);
    let whole = if shown.len() > room { room - 1 } else { shown.len() };
    let all: Vec<Row> = shown.iter().take(whole).map(|it| row(it, meters)).collect();
    line::lines(&all, shown.len() - whole, columns, style)
}

fn row(transfer: &Transfer, meters: &Meters) -> Row {
    Row {
        direction: transfer.direction(),
        name: name(transfer.path()),
        client: match transfer.client() {
            UNIX_PEER => "Unix socket".into(),
            client => client.ip().to_canonical().to_string(),
        },
        bytes: transfer.bytes(),
        total: transfer.total(),
        rate: meters.rate(transfer),
        quiet: meters.quiet(transfer),
    }
}

/// The last name in a path, decoded, without control characters.
fn name(path: &[u8]) -> String {
    let trimmed = path.strip_suffix(b"/").unwrap_or(path);
    let last = trimmed.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    if last.is_empty() {
        return "/".into();
    }
    let mut decoded = Vec::with_capacity(last.len());
    let mut rest = last;
    while let Some((&first, behind)) = rest.split_first() {
        let digits = behind.get(..2).filter(|_| first == b'%');
        let digits = digits.filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let byte = digits.and_then(|digits| str::from_utf8(digits).ok());
        match byte.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                decoded.push(byte);
                rest = &behind[2..];
            }
            None => {
                decoded.push(first);
                rest = behind;
            }
        }
    }
    let mut escaped = Vec::with_capacity(decoded.len());
    log::escape_controls(&mut escaped, &decoded);
    let slash = if trimmed.len() < path.len() { "/" } else { "" };
    String::from_utf8_lossy(&escaped).into_owned() + slash
}

/// The rates of transfers.
#[derive(Default)]
struct Meters {
    by_number: HashMap<u64, Meter>,
    at: Option<Instant>,
}

struct Meter {
    /// The bytes at the last look.
    bytes: u64,
    /// How long it was seen, without the time in which the process was suspended.
    age: Duration,
    /// The time since bytes were last seen.
    quiet: Duration,
    /// Bytes and seconds up to when bytes were last seen, the older the less.
    recent: (f64, f64),
}

impl Meters {
    /// Looks at the transfers. What was transferred before the first look does not count in the rate: it
    /// may be in the buffers of the system.
    fn update(&mut self, transfers: &[Arc<Transfer>], now: Instant) {
        let passed = self.at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        let step = if passed > MAX_TICK { Duration::ZERO } else { passed };
        self.at = (!transfers.is_empty()).then_some(now);
        let mut before = std::mem::take(&mut self.by_number);
        for transfer in transfers {
            let bytes = transfer.bytes();
            let age = now.saturating_duration_since(transfer.started()).min(TICK);
            let meter = match before.remove(&transfer.number()) {
                None => Meter { bytes, age, quiet: Duration::ZERO, recent: (0.0, 0.0) },
                Some(mut meter) => {
                    meter.advance(bytes, step);
                    meter
                }
            };
            self.by_number.insert(transfer.number(), meter);
        }
    }

    fn age(&self, transfer: &Transfer) -> Duration {
        self.by_number.get(&transfer.number()).map_or(Duration::ZERO, |meter| meter.age)
    }

    fn quiet(&self, transfer: &Transfer) -> Duration {
        self.by_number.get(&transfer.number()).map_or(Duration::ZERO, |meter| meter.quiet)
    }

    fn rate(&self, transfer: &Transfer) -> Option<f64> {
        self.by_number.get(&transfer.number())?.rate()
    }
}

impl Meter {
    /// Bytes per second; 0 if it is stalled. `None` if nothing was seen yet: a client that reads slowly
    /// leaves much in the buffers of the system.
    fn rate(&self) -> Option<f64> {
        let (bytes, time) = self.recent;
        let time = time + self.quiet.saturating_sub(PAUSE).as_secs_f64();
        match self.quiet >= STALLED {
            true => Some(0.0),
            false => (bytes > 0.0 && time > 0.0).then(|| bytes / time),
        }
    }

    fn advance(&mut self, bytes: u64, step: Duration) {
        let moved = bytes.saturating_sub(self.bytes);
        self.bytes = bytes;
        if step.is_zero() {
            return;
        }
        self.age += step;
        self.quiet += step;
        if moved > 0 {
            let seconds = std::mem::take(&mut self.quiet).as_secs_f64();
            let kept = (-seconds / MEMORY).exp();
            self.recent = (self.recent.0 * kept + moved as f64, self.recent.1 * kept + seconds);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_the_last_one_of_the_path_as_people_write_it() {
        for (path, expected) in [
            ("/", "/"),
            ("/a/b%20c.txt", "b c.txt"),
            ("/a/dir/", "dir/"),
            ("/%e6%97%a5.iso", "日.iso"),
            ("/50%", "50%"),
            ("/%zz%4", "%zz%4"),
            ("/x%1b%5b31m", "x\\x1b[31m"),
            ("*", "*"),
        ] {
            assert_eq!(name(path.as_bytes()), expected, "{path}");
        }
    }

    fn meter(bytes: u64, recent: (f64, f64)) -> Meter {
        Meter { bytes, age: TICK, quiet: Duration::ZERO, recent }
    }

    /// The rate after so many bytes in each step.
    fn rate(steps: impl IntoIterator<Item = (u64, Duration)>) -> Option<f64> {
        let mut meter = meter(1 << 30, (0.0, 0.0));
        for (moved, step) in steps {
            meter.advance(meter.bytes + moved, step);
        }
        meter.rate()
    }

    #[test]
    fn the_rate_is_that_of_the_last_seconds() {
        let steady = rate((0..40).map(|_| (250, TICK))).unwrap();
        assert!((steady - 1000.0).abs() < 1e-6);
        let first = rate([(0, TICK), (250, TICK), (250, TICK)]).unwrap();
        assert!((first - 667.0).abs() < 5.0, "it is known within the first second");
        let slower = (0..600).map(|n| (if n < 360 { 25_000 } else { 250 }, TICK));
        assert!(rate(slower).unwrap() < 5_000.0, "a minute later");
        let stalled = (0..400).map(|n| (if n < 200 { 250 } else { 0 }, TICK));
        assert_eq!(rate(stalled), Some(0.0));
        assert_eq!(rate((0..8).map(|_| (0, TICK))), None, "it may be in buffers");
    }

    #[test]
    fn the_rate_does_not_jump_if_the_system_takes_bytes_in_bursts() {
        let mut meter = meter(4 << 20, (0.0, 0.0));
        for n in 1..=400_u64 {
            // 1 MB every second: 4 ticks.
            meter.advance(meter.bytes + if n % 4 == 0 { 1_000_000 } else { 0 }, TICK);
            if n >= 4 {
                assert!((meter.rate().unwrap() - 1e6).abs() < 1.0, "{n}: {:?}", meter.rate());
            }
        }
        for _ in 0..32 {
            meter.advance(meter.bytes, TICK);
        }
        assert!(meter.rate().unwrap() < 0.8e6, "a pause counts in the end");
    }

    #[test]
    fn time_in_which_the_process_was_suspended_does_not_count() {
        let mut meters = Meters { at: Some(Instant::now()), ..Meters::default() };
        let begin = Instant::now();
        meters.by_number.insert(0, meter(0, (250.0, 0.25)));
        meters.update(&[], begin + Duration::from_secs(3600));
        assert!(meters.by_number.is_empty() && meters.at.is_none());
        let mut meter = meter(0, (250.0, 0.25));
        meter.advance(1 << 20, Duration::ZERO);
        assert_eq!((meter.bytes, meter.age, meter.recent), (1 << 20, TICK, (250.0, 0.25)));
    }
}
