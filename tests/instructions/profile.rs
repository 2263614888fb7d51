//! Profiles by callgrind: instructions by function, and calls of the allocator.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The allocator's functions that return new memory.
const ALLOCATE: [&str; 5] = ["malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc"];

/// What a process executed, or a part of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Profile {
    /// Instructions in the program's own functions, by name. The standard library is among them.
    pub(crate) functions: BTreeMap<String, f64>,
    /// Instructions in shared libraries.
    pub(crate) libraries: f64,
    /// Calls that allocate.
    pub(crate) allocations: f64,
}

impl Profile {
    /// Reads the profile of one thread of `program`, as callgrind writes it with
    /// `--compress-strings=no --compress-pos=no`.
    ///
    /// A line is `key=value`, or a position and the instructions there. `ob=` and `fn=` set the object
    /// and the function of what follows. After `calls=` stands one line with the instructions of the
    /// function that was called, which are counted where they are executed.
    pub(crate) fn read(path: &Path, program: &Path) -> Self {
        let text = fs::read_to_string(path).expect("callgrind writes its profile");
        let program = program.to_string_lossy();
        let mut profile = Self::default();
        let (mut object, mut function, mut callee, mut after_call) = ("", "", "", false);
        for line in text.lines() {
            let first = line.split('=').next().unwrap_or_default();
            let value = line.get(first.len() + 1..).unwrap_or_default();
            match first {
                "ob" => object = value,
                "fn" => function = value,
                "cfn" => callee = value.split('\'').next().unwrap_or_default(),
                "calls" => {
                    after_call = true;
                    let count = value.split(' ').next().and_then(|count| count.parse().ok());
                    if ALLOCATE.contains(&callee) {
                        profile.allocations += count.unwrap_or(0.0);
                    }
                }
                _ if line.starts_with(|first: char| first.is_ascii_digit()) => {
                    let cost = line.split(' ').nth(1).and_then(|cost| cost.parse().ok());
                    let cost: f64 = if after_call { 0.0 } else { cost.unwrap_or(0.0) };
                    after_call = false;
                    if object == program {
                        *profile.functions.entry(name(function)).or_default() += cost;
                    } else {
                        profile.libraries += cost;
                    }
                }
                _ => {}
            }
        }
        profile
    }

    /// Instructions in the program's own functions.
    pub(crate) fn instructions(&self) -> f64 {
        self.functions.values().sum()
    }

    /// What this run did more than `base`, for each of `count`.
    pub(crate) fn more_than(&self, base: &Self, count: f64) -> Self {
        let each = |more: f64, base: f64| (more - base) / count;
        let mut functions = self.functions.clone();
        for (name, cost) in &mut functions {
            *cost = each(*cost, base.functions.get(name).copied().unwrap_or(0.0));
        }
        Self {
            functions,
            libraries: each(self.libraries, base.libraries),
            allocations: each(self.allocations, base.allocations),
        }
    }

    /// The functions with the most instructions first.
    pub(crate) fn by_cost(&self) -> Vec<(&str, f64)> {
        let mut functions: Vec<_> =
            self.functions.iter().map(|(name, cost)| (name.as_str(), *cost)).collect();
        functions.sort_by(|a, b| b.1.total_cmp(&a.1));
        functions
    }
}

/// The name without the compiler's hash and callgrind's mark of a recursion.
fn name(function: &str) -> String {
    let name = function.split('\'').next().unwrap_or_default();
    match name.rsplit_once("::h") {
        Some((name, hash)) if hash.len() == 16 => name.to_owned(),
        _ => name.to_owned(),
    }
}
