//! The lines of transfers on a terminal: a pure function of the transfers and the width.
//!
//! A line has the direction, the name, the client, how much was transferred, the rate and the time left. In
//! a narrow terminal, the less important parts are left out in all lines alike, so that columns stand
//! below each other; the name is shortened last. No line is as wide as the terminal, whose cursor would
//! then be on the next one.

use std::time::Duration;

use doorstep_driver::Direction;
use unicode_width::UnicodeWidthStr;

use super::format;

/// What a line shows.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) direction: Direction,
    /// The name, without control characters.
    pub(super) name: String,
    pub(super) client: String,
    pub(super) bytes: u64,
    pub(super) total: Option<u64>,
    /// Bytes per second, once that is known.
    pub(super) rate: Option<f64>,
    /// The time since bytes were last seen, which has passed of the time left.
    pub(super) quiet: Duration,
}

/// How lines are written.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Style {
    pub(super) colors: bool,
    /// Whether the terminal shows characters other than those of ASCII.
    pub(super) unicode: bool,
}

/// A part of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Client,
    Bar,
    Percent,
    Amount,
    Rate,
    /// The time left, and the word for it.
    Left,
    LeftShort,
}

/// The parts from left to right, behind the name.
const PARTS: [Part; 6] =
    [Part::Client, Part::Bar, Part::Percent, Part::Amount, Part::Rate, Part::Left];
/// The parts in the order in which they are left out if there is no room for the names.
const LEAST_IMPORTANT: [Part; 7] =
    [Part::Bar, Part::Amount, Part::Client, Part::Rate, Part::Left, Part::Percent, Part::LeftShort];
/// The columns of a bar.
const BAR: usize = 20;
/// The columns that the longest name should have, if it needs them.
const NAME: usize = 20;
/// The same in a terminal with at most [`NARROW`] columns.
const SHORT_NAME: usize = 12;
const NARROW: usize = 50;
/// The columns before the name.
const MARGIN: usize = 4;
/// The columns between two parts.
const GAP: usize = 2;

/// The lines for `rows`, each narrower than `width` columns, and one that `more` transfers are not shown.
pub(super) fn lines(rows: &[Row], more: usize, width: usize, style: Style) -> Vec<String> {
    let needed = if width <= NARROW { SHORT_NAME } else { NAME };
    let width = width.saturating_sub(1);
    let longest = rows.iter().map(|row| row.name.width()).max().unwrap_or(0);
    let mut parts = PARTS.to_vec();
    let width_of = |part: Part| {
        rows.iter().map(|row| row.part(part, style).width()).max().filter(|width| *width > 0)
    };
    let fixed = |parts: &[Part]| {
        let parts = parts.iter().filter_map(|part| width_of(*part));
        MARGIN + parts.map(|width| width + GAP).sum::<usize>()
    };
    for part in LEAST_IMPORTANT {
        if fixed(&parts) + longest.min(needed) <= width {
            break;
        }
        match part {
            Part::Left => parts.iter_mut().for_each(|it| {
                if *it == Part::Left {
                    *it = Part::LeftShort;
                }
            }),
            _ => parts.retain(|it| *it != part),
        }
    }
    let name_width = width.saturating_sub(fixed(&parts)).min(longest);
    let mut lines: Vec<String> = rows
        .iter()
        .map(|row| {
            let name = shorten(&row.name, name_width, style);
            let mut line = format!("  {} {}", row.arrow(style), pad(&name, name_width, false));
            for part in &parts {
                let Some(part_width) = width_of(*part) else { continue };
                let text = row.part(*part, style);
                let right = !matches!(part, Part::Client | Part::Bar);
                line.push_str("  ");
                let padded = pad(&text, part_width, right);
                match (part, style.colors) {
                    (Part::Bar, true) => line.push_str(&format!("\x1b[36m{padded}\x1b[0m")),
                    _ => line.push_str(&padded),
                }
            }
            line.trim_end().to_owned()
        })
        .collect();
    if more > 0 {
        let text = match rows.is_empty() {
            true => format!("  {}", format::count(more as u64, "transfer")),
            false => format!("    and {more} more"),
        };
        lines.push(shorten(&text, width, style));
    }
    lines
}

impl Row {
    fn arrow(&self, style: Style) -> String {
        let (arrow, color) = match (self.direction, style.unicode) {
            (Direction::Download, true) => ("↓", 32),
            (Direction::Download, false) => ("v", 32),
            (Direction::Upload, true) => ("↑", 35),
            (Direction::Upload, false) => ("^", 35),
        };
        if style.colors { format!("\x1b[1;{color}m{arrow}\x1b[0m") } else { arrow.into() }
    }

    /// The text of a part; empty if it is not known.
    fn part(&self, part: Part, style: Style) -> String {
        let total = self.total.filter(|total| *total > 0);
        let share = total.map(|total| (self.bytes as f64 / total as f64).min(1.0));
        match part {
            Part::Client => self.client.clone(),
            Part::Bar => share.map_or_else(String::new, |share| bar(share, style)),
            // 100 % is what is complete.
            Part::Percent => match share {
                Some(share) => format!("{:.0}%", (share * 100.0).floor()),
                None => format::bytes(self.bytes as f64),
            },
            Part::Amount => total.map_or_else(String::new, |total| {
                format!("{} of {}", format::bytes(self.bytes as f64), format::bytes(total as f64))
            }),
            Part::Rate => match self.rate {
                Some(rate) if rate < 1.0 => "stalled".into(),
                Some(rate) => format!("{}/s", format::bytes(rate)),
                None => String::new(),
            },
            Part::Left => match self.left() {
                Some(left) => format!("{left} left"),
                None => String::new(),
            },
            Part::LeftShort => self.left().unwrap_or_default(),
        }
    }

    /// The time left; `None` if it is not known, or longer than anybody waits.
    fn left(&self) -> Option<String> {
        let (total, rate) = (self.total?, self.rate.filter(|rate| *rate >= 1.0)?);
        let seconds = total.saturating_sub(self.bytes) as f64 / rate;
        let seconds = (seconds - self.quiet.as_secs_f64()).max(0.0).ceil();
        (seconds < 100.0 * 86400.0).then(|| format::time(Duration::from_secs(seconds as u64)))
    }
}

fn bar(share: f64, style: Style) -> String {
    let full = (share * BAR as f64) as usize;
    let (done, left) = if style.unicode { ("━", "┄") } else { ("#", "-") };
    done.repeat(full.min(BAR)) + &left.repeat(BAR - full.min(BAR))
}

fn pad(text: &str, width: usize, right: bool) -> String {
    let space = " ".repeat(width.saturating_sub(text.width()));
    if right { space + text } else { text.to_owned() + &space }
}

/// `text` in at most `width` columns: without its middle if it is longer, so that the extension of a
/// name remains.
fn shorten(text: &str, width: usize, style: Style) -> String {
    if text.width() <= width {
        return text.into();
    }
    let mark = if style.unicode { "…" } else { "~" };
    let room = width.saturating_sub(mark.len().min(1));
    if width == 0 {
        return String::new();
    }
    let (mut begin, mut end) = (String::new(), String::new());
    let mut used = 0;
    let mut characters = text.chars();
    let mut from_begin = true;
    loop {
        let next = if from_begin { characters.next() } else { characters.next_back() };
        let Some(next) = next else { break };
        let columns = next.to_string().width();
        if used + columns > room {
            break;
        }
        used += columns;
        if from_begin {
            begin.push(next);
        } else {
            end.insert(0, next);
        }
        from_begin = !from_begin;
    }
    begin + mark + &end
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Style = Style { colors: false, unicode: true };

    fn row(name: &str, client: &str, total: Option<u64>, rate: Option<f64>) -> Row {
        let (name, client) = (name.into(), client.into());
        let (bytes, quiet) = (300 << 20, Duration::ZERO);
        Row { direction: Direction::Download, name, client, bytes, total, rate, quiet }
    }

    fn rows() -> Vec<Row> {
        let mib = 1024.0 * 1024.0;
        let mut upload = row("notes.txt", "2001:db8::17", Some(301 << 20), Some(0.2));
        upload.direction = Direction::Upload;
        vec![
            row(
                "holiday in the mountains 2026.mkv",
                "192.168.1.20",
                Some(1 << 30),
                Some(12.3 * mib),
            ),
            row("cgi-bin", "192.168.1.7", None, Some(5000.0)),
            upload,
        ]
    }

    fn without_colors(line: &str) -> String {
        let pattern = regex::Regex::new("\x1b\\[[0-9;]*m").unwrap();
        pattern.replace_all(line, "").into_owned()
    }

    #[test]
    fn a_wide_terminal_shows_everything() {
        assert_eq!(
            lines(&rows(), 0, 130, PLAIN),
            [
                "  ↓ holiday in the mountains 2026.mkv  192.168.1.20  ━━━━━┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄      29%  300 MiB of 1.00 GiB  12.3 MiB/s  59s left",
                "  ↓ cgi-bin                            192.168.1.7                         300 MiB                       4.88 KiB/s",
                "  ↑ notes.txt                          2001:db8::17  ━━━━━━━━━━━━━━━━━━━┄      99%   300 MiB of 301 MiB     stalled",
            ]
        );
    }

    #[test]
    fn a_narrow_terminal_shows_what_matters_below_each_other() {
        assert_eq!(
            lines(&rows(), 0, 80, PLAIN),
            [
                "  ↓ holiday in the …tains 2026.mkv  192.168.1.20      29%  12.3 MiB/s  59s left",
                "  ↓ cgi-bin                         192.168.1.7   300 MiB  4.88 KiB/s",
                "  ↑ notes.txt                       2001:db8::17      99%     stalled",
            ]
        );
        assert_eq!(
            lines(&rows(), 2, 60, PLAIN),
            [
                "  ↓ holiday in t…ns 2026.mkv      29%  12.3 MiB/s  59s left",
                "  ↓ cgi-bin                   300 MiB  4.88 KiB/s",
                "  ↑ notes.txt                     99%     stalled",
                "    and 2 more",
            ]
        );
        assert_eq!(
            lines(&rows(), 0, 40, PLAIN),
            [
                "  ↓ holiday …026.mkv      29%  59s left",
                "  ↓ cgi-bin           300 MiB",
                "  ↑ notes.txt             99%",
            ]
        );
    }

    #[test]
    fn the_time_left_passes_while_nothing_is_seen() {
        let mut row = row("a", "b", Some(400 << 20), Some(10.0 * 1024.0 * 1024.0));
        assert_eq!(row.left().unwrap(), "10s");
        row.quiet = Duration::from_secs(3);
        assert_eq!(row.left().unwrap(), "7s");
    }

    #[test]
    fn no_line_is_as_wide_as_the_terminal() {
        let mut all = rows();
        all.push(row("日本語のとても長いファイル名です.tar.gz", "::1", Some(400 << 20), Some(1e6)));
        for style in [PLAIN, Style::default(), Style { colors: true, unicode: true }] {
            for width in 0..150 {
                for line in lines(&all, 5, width, style) {
                    let seen = without_colors(&line).width();
                    assert!(seen < width.max(7), "{width}: {line:?}");
                }
            }
        }
    }

    #[test]
    fn one_line_has_room_for_a_number_only() {
        assert_eq!(lines(&[], 12, 80, PLAIN), ["  12 transfers"]);
    }
}
