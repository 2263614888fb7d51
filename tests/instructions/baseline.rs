//! The file of the baseline: rows, and the functions that they consist of.
//!
//! ```text
//! compiler rustc 1.95.0 (59807616e 2026-04-14)
//! processor x86_64 with avx2
//!
//! [core, 46 bytes]
//! instructions 1021
//! allocations 0.00
//!     512 doorstep_core::http1::head::parse
//! ```

use std::fmt;
use std::fs;
use std::process::Command;

use crate::profile::Profile;

/// How many functions of a row are written or printed.
const FUNCTIONS: usize = 15;

/// What is written above the file.
const HEADER: &str = "\
# Instructions and allocations for each request, and the functions that most of them are in.
# Written by: UPDATE_BASELINE=1 cargo test --test instructions -- --ignored
# tests/instructions.rs says what is counted, and what to do when a row has become worse.
";

/// The baseline, and what it was made with.
pub(crate) struct Baseline {
    pub(crate) compiler: String,
    pub(crate) processor: String,
    pub(crate) rows: Vec<Row>,
}

/// The cost of one request.
#[derive(Debug, Default)]
pub(crate) struct Row {
    pub(crate) name: String,
    /// In the program and the standard library.
    pub(crate) instructions: f64,
    pub(crate) allocations: f64,
    /// In shared libraries. Not in the file.
    libraries: f64,
    /// Most instructions first. The file has the first [`FUNCTIONS`].
    functions: Vec<(String, f64)>,
}

impl Baseline {
    pub(crate) fn parse(text: &str) -> Self {
        let mut baseline =
            Self { compiler: String::new(), processor: String::new(), rows: Vec::new() };
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (word, rest) = line.trim().split_once(' ').unwrap_or_default();
            let number = || rest.parse().expect("a number");
            if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                baseline.rows.push(Row { name: name.to_owned(), ..Row::default() });
            } else if word == "compiler" {
                rest.clone_into(&mut baseline.compiler);
            } else if word == "processor" {
                rest.clone_into(&mut baseline.processor);
            } else if let (Some(row), false) = (baseline.rows.last_mut(), word.is_empty()) {
                match word {
                    "instructions" => row.instructions = number(),
                    "allocations" => row.allocations = number(),
                    cost => row.functions.push((rest.to_owned(), cost.parse().expect("a number"))),
                }
            }
        }
        baseline
    }

    pub(crate) fn row(&self, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.name == name)
    }
}

impl fmt::Display for Baseline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{HEADER}compiler {}\nprocessor {}\n", self.compiler, self.processor)?;
        for row in &self.rows {
            write!(f, "\n[{}]\ninstructions {:.0}\n", row.name, row.instructions)?;
            writeln!(f, "allocations {:.2}", row.allocations)?;
            for (name, cost) in row.functions.iter().take(FUNCTIONS) {
                writeln!(f, "{cost:8.0} {name}")?;
            }
        }
        Ok(())
    }
}

impl Row {
    pub(crate) fn new(name: String, profile: &Profile) -> Self {
        let functions = profile.by_cost().into_iter();
        Self {
            name,
            instructions: profile.instructions(),
            allocations: profile.allocations.max(0.0),
            libraries: profile.libraries,
            functions: functions.map(|(name, cost)| (name.to_owned(), cost)).collect(),
        }
    }

    /// A line to print.
    pub(crate) fn summary(&self) -> String {
        format!(
            "{:24} {:8.0} instructions, {:6.0} in libraries, {:5.2} allocations",
            self.name, self.instructions, self.libraries, self.allocations
        )
    }

    /// How much more it costs than `base`.
    pub(crate) fn change(&self, base: &Self) -> String {
        let (now, before) = (self.instructions, base.instructions);
        let percent = (now / before - 1.0) * 100.0;
        format!("{}: {before:.0} -> {now:.0} instructions, {percent:+.1} %", self.name)
    }

    /// The same, and in which functions.
    pub(crate) fn growth(&self, base: &Self) -> String {
        let least = base.functions.last().map_or(0.0, |(_, cost)| *cost);
        let change = |(name, now): &(String, f64)| {
            let before = base.functions.iter().find(|(other, _)| other == name);
            let before = before.map(|(_, cost)| *cost);
            // One that is not in the file had no more than the last one that is.
            (name.clone(), before, *now, now - before.unwrap_or(least))
        };
        let mut grown: Vec<_> = self.functions.iter().map(change).collect();
        grown.retain(|(.., more)| *more >= 1.0);
        grown.sort_by(|(.., a), (.., b)| b.total_cmp(a));
        let mut text = self.change(base) + "\n    before      now  function";
        for (name, before, now, _) in grown.iter().take(FUNCTIONS) {
            let before =
                before.map_or_else(|| format!("<={least:.0}"), |cost| format!("{cost:.0}"));
            text += &format!("\n  {before:>8} {now:>8.0}  {name}");
        }
        text + "\n"
    }
}

/// The compiler's version.
pub(crate) fn compiler() -> String {
    let output = Command::new("rustc").arg("--version").output().expect("rustc built this test");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// The kind of processor: what decides which code is executed.
pub(crate) fn processor() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let avx2 = info.split_ascii_whitespace().any(|flag| flag == "avx2");
    format!("{} {} avx2", std::env::consts::ARCH, if avx2 { "with" } else { "without" })
}
