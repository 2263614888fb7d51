//! The recipes of docs/cookbook.md, run as they are written.
//!
//! A recipe is a section with a numbered heading. Its blocks are run in order, in a temporary directory, in
//! which `doorstep` starts the server in the background, on 127.0.0.1, and returns when it serves. The
//! ports 8000, 8080 and 8443 are replaced by free ones. Comments, which readers do not see, say how:
//!
//! - `<!-- run by tests/cookbook.rs -->` above a block for a shell: it is run and must succeed. A block
//!   of text below it is what it prints, in which `…` is anything.
//! - `<!-- file: NAME -->` above a block: a file with this content.
//! - `<!-- setup … -->`, `<!-- check … -->`, `<!-- cleanup … -->`: commands that are run in this place and
//!   must succeed, or in the end in any case. `$SERVER_OUT`, `$SERVER_ERR` and `$SERVER_EXIT` are files with
//!   what the server has written, and its exit code once it has ended.
//! - `<!-- needs: PROGRAM --OPTION -->`: programs, and options of doorstep.
//!
//! They need those programs and are ignored by default: `cargo test --test cookbook -- --ignored`, after
//! `apt-get install` of what `.ci/run` names. Recipes in Rust are doctests of `src/lib.rs`.
#![cfg(all(target_os = "linux", feature = "cli"))]

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use regex::Regex;
use tempfile::TempDir;

/// The ports of the recipes.
const PORTS: [&str; 3] = ["8000", "8080", "8443"];

/// In place of the command: starts it, and returns when it serves.
const WRAPPER: &str = r#"#!/bin/sh
case "$1" in check | completions | man | -h | --help | --limits | --version) exec "$DOORSTEP" "$@" ;; esac
port=$PORT bind='--bind 127.0.0.1'
for word; do
  case $word in
    "$PORT" | "$PORT_TLS" | --inetd | unix:*) port= ;;
  esac
  case $word in -b | --bind) bind= ;; esac
done
case " $* " in *" unix:"* | *" --inetd "*) port= bind= ;; esac
(
  "$DOORSTEP" "$@" $port $bind > "$SERVER_OUT" 2> "$SERVER_ERR" < /dev/null &
  echo $! >> "$SERVER_PIDS"
  wait $!
  echo $? > "$SERVER_EXIT"
) > /dev/null 2>&1 &
for _ in $(seq 500); do
  grep -q '^Serving HTTP' "$SERVER_OUT" 2>/dev/null && exit 0
  [ -s "$SERVER_EXIT" ] && { cat "$SERVER_ERR" >&2; exit 1; }
  sleep 0.02
done
echo "the server does not serve" >&2
exit 1
"#;

/// A numbered section.
#[derive(Debug, Default)]
struct Recipe {
    title: String,
    needs: Vec<String>,
    steps: Vec<Step>,
    /// Whether there are examples in Rust.
    is_rust: bool,
}

#[derive(Debug)]
enum Step {
    File(String, String),
    Run { script: String, prints: Option<String> },
    Cleanup(String),
}

macro_rules! recipes {
    ($($name:ident $number:literal)*) => {
        $(
            #[test]
            #[ignore = "needs the programs of the recipe: cargo test --test cookbook -- --ignored"]
            fn $name() {
                run_recipe($number);
            }
        )*

        /// The numbers of the recipes that are run here.
        const TESTED: &[usize] = &[$($number),*];
    };
}

recipes! {
    recipe_01 1
    recipe_02 2
    recipe_03 3
    recipe_04 4
    recipe_05 5
    recipe_06 6
    recipe_07 7
    recipe_08 8
    recipe_09 9
    recipe_10 10
    recipe_11 11
    recipe_12 12
    recipe_13 13
    recipe_14 14
    recipe_15 15
    recipe_16 16
    recipe_17 17
    recipe_18 18
    recipe_19 19
    recipe_20 20
    recipe_21 21
    recipe_22 22
    recipe_23 23
}

#[test]
fn every_recipe_is_tested() {
    let recipes = recipes();
    assert!(recipes.len() >= 25, "{} recipes", recipes.len());
    assert_eq!(
        *recipes.keys().last().expect("there are some"),
        recipes.len(),
        "numbers are missing"
    );
    for (number, Recipe { title, steps, is_rust, .. }) in &recipes {
        let is_run = steps.iter().any(|step| matches!(step, Step::Run { .. }));
        assert!(is_run || *is_rust, "{number}. {title}: nothing is run");
        assert_eq!(is_run, TESTED.contains(number), "{number}. {title}");
    }
    assert!(TESTED.iter().all(|number| recipes.contains_key(number)));
}

#[test]
fn output_is_compared_line_by_line() {
    assert!(matches("a…c\nd", "abbc\nd\n") && matches("…", "x"));
    assert!(
        !matches("a…c", "abd")
            && !matches("a", "a\nb")
            && !matches("a\nb", "a")
            && !matches("a.c", "abc")
    );
}

/// Runs one recipe. What it leaves running is ended.
fn run_recipe(number: usize) {
    let recipe = recipes().remove(&number).expect("there is such a recipe");
    let help = Command::new(env!("CARGO_BIN_EXE_doorstep")).arg("--help").output();
    let help = String::from_utf8_lossy(&help.expect("it starts").stdout).into_owned();
    for need in &recipe.needs {
        if need.starts_with("--") {
            let has_option = help.contains(&format!(" {need}"));
            assert!(has_option, "there is no {need}");
        } else {
            let found = Command::new("sh").args(["-c", "command -v \"$0\"", need]).output();
            assert!(found.expect("there is a shell").status.success(), "{need} is not installed");
        }
    }
    let workspace = Workspace::new();
    for step in recipe.steps {
        match step {
            Step::File(name, text) => {
                fs::write(workspace.home().join(name), workspace.with_ports(&text))
                    .expect("it is ours");
            }
            Step::Run { script, prints } => {
                let output = workspace.run(&script);
                let printed = String::from_utf8_lossy(&output.stdout);
                let errors = String::from_utf8_lossy(&output.stderr);
                let log =
                    fs::read_to_string(workspace.home().join(".server.err")).unwrap_or_default();
                assert!(
                    output.status.success(),
                    "{number}. {}\n{script}\nprints: {printed}\nerrors: {errors}\nserver: {log}",
                    recipe.title
                );
                if let Some(expected) = prints {
                    let expected = workspace.with_ports(&expected);
                    assert!(
                        matches(&expected, &printed),
                        "{script}\nprints: {printed}\nnot: {expected}"
                    );
                }
            }
            Step::Cleanup(script) => workspace.cleanup.borrow_mut().push(script),
        }
    }
}

/// Where a recipe is run.
struct Workspace {
    home: TempDir,
    /// A free port for each of [`PORTS`].
    ports: [String; 3],
    cleanup: RefCell<Vec<String>>,
    /// How many scripts were run.
    runs: Cell<usize>,
}

impl Workspace {
    fn new() -> Self {
        let home = tempfile::tempdir().expect("a temporary directory can be made");
        fs::set_permissions(home.path(), Permissions::from_mode(0o755)).expect("it is ours");
        let wrapper = home.path().join(".bin/doorstep");
        fs::create_dir(home.path().join(".bin")).expect("it can be made");
        fs::write(&wrapper, WRAPPER).expect("it can be written");
        fs::set_permissions(&wrapper, Permissions::from_mode(0o755)).expect("it is ours");
        let listeners =
            PORTS.map(|_| TcpListener::bind("127.0.0.1:0").expect("there is a free port"));
        let ports = listeners
            .map(|listener| listener.local_addr().expect("it is bound").port().to_string());
        Self { home, ports, cleanup: RefCell::default(), runs: Cell::new(0) }
    }

    fn home(&self) -> &Path {
        self.home.path()
    }

    fn with_ports(&self, text: &str) -> String {
        PORTS.iter().zip(&self.ports).fold(text.into(), |text, (old, new)| text.replace(old, new))
    }

    fn run(&self, script: &str) -> Output {
        let path = std::env::var("PATH").expect("there is one");
        let mut shell = Command::new("timeout");
        shell.args(["60", "bash", "-euo", "pipefail", "-c", &self.with_ports(script)]);
        shell.current_dir(self.home()).env("HOME", self.home()).env("LC_ALL", "C.UTF-8");
        shell.env("PATH", format!("{}/.bin:{path}:/usr/sbin", self.home().display()));
        shell.env("DOORSTEP", env!("CARGO_BIN_EXE_doorstep"));
        shell.env("PORT", &self.ports[0]).env("PORT_TLS", &self.ports[2]);
        for (name, file) in [("OUT", "out"), ("ERR", "err"), ("EXIT", "exit"), ("PIDS", "pids")] {
            shell.env(format!("SERVER_{name}"), self.home().join(format!(".server.{file}")));
        }
        // Not pipes, which programs that go on in the background would hold open.
        let run = self.runs.replace(self.runs.get() + 1);
        let output = |name| self.home().join(format!(".{name}.{run}"));
        let (stdout, stderr) = (output("stdout"), output("stderr"));
        let file = |path| File::create(path).expect("it is ours");
        shell.stdin(Stdio::null()).stdout(file(&stdout)).stderr(file(&stderr));
        let status = shell.status().expect("there is a shell");
        let read = |path| fs::read(path).expect("it was written");
        Output { status, stdout: read(&stdout), stderr: read(&stderr) }
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        let cleanup = self.cleanup.take();
        cleanup.iter().for_each(|script| drop(self.run(script)));
        self.run(
            "[ ! -e \"$SERVER_PIDS\" ] || xargs -r kill < \"$SERVER_PIDS\" 2> /dev/null || true",
        );
    }
}

/// Whether each line is the expected one, in which `…` is any text.
fn matches(expected: &str, printed: &str) -> bool {
    let line = |line: &str| {
        let parts: Vec<_> = line.split('…').map(regex::escape).collect();
        Regex::new(&format!("^{}$", parts.join(".*"))).expect("it is a pattern")
    };
    let (expected, printed): (Vec<_>, Vec<_>) =
        (expected.lines().collect(), printed.lines().collect());
    expected.len() == printed.len()
        && expected.iter().zip(printed).all(|(expected, printed)| line(expected).is_match(printed))
}

/// The recipes of docs/cookbook.md, by number.
fn recipes() -> BTreeMap<usize, Recipe> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/cookbook.md");
    let text = fs::read_to_string(path).expect("the cookbook can be read");
    let heading = Regex::new(r"^## (\d+)\. (.+)$").expect("it is a pattern");
    let mut recipes = BTreeMap::new();
    let mut recipe = Recipe::default(); // what is above the first one is dropped
    let (mut number, mut mark) = (0, String::new());
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(found) = heading.captures(line) {
            let next = Recipe { title: found[2].into(), ..Recipe::default() };
            recipes.insert(number, std::mem::replace(&mut recipe, next));
            number = found[1].parse().expect("it is a number");
        } else if let Some(comment) = line.strip_prefix("<!-- ") {
            let mut comment = comment.to_owned();
            while !comment.ends_with("-->") {
                comment = comment + "\n" + lines.next().expect("the comment ends");
            }
            let comment = comment.trim_end_matches("-->").trim_end();
            let (key, rest) = comment.split_once([':', '\n', ' ']).unwrap_or((comment, ""));
            let script = rest.trim().to_owned();
            match key {
                "setup" | "check" => recipe.steps.push(Step::Run { script, prints: None }),
                "cleanup" => recipe.steps.push(Step::Cleanup(script)),
                "needs" => recipe.needs.extend(rest.split_whitespace().map(str::to_owned)),
                _ => mark = comment.into(),
            }
        } else if let Some(language) = line.strip_prefix("```") {
            let mut block = String::new();
            for line in lines.by_ref().take_while(|line| *line != "```") {
                block = block + line + "\n";
            }
            match (&*std::mem::take(&mut mark), language, recipe.steps.last_mut()) {
                ("run by tests/cookbook.rs", "sh", _) => {
                    recipe.steps.push(Step::Run { script: block, prints: None });
                }
                ("", "text", Some(Step::Run { prints, .. })) => *prints = Some(block),
                (mark, ..) if mark.starts_with("file: ") => {
                    recipe.steps.push(Step::File(mark["file: ".len()..].into(), block));
                }
                (_, language, _) => recipe.is_rust |= language.starts_with("rust"),
            }
        }
    }
    recipes.insert(number, recipe);
    recipes.remove(&0);
    recipes
}
