//! The corpus of CGI scripts on its way to a server: a document root that holds it, the settings to
//! run it with, and what its tests ask about the processes behind it.
//!
//! The scripts are in `tests/cgi/cgi-bin`, each with a word on what it is for; what cannot be kept
//! there (a compiled program, a FIFO) is made here. They are copied by `cp`: a process that writes
//! a program itself may find it busy when it starts it, as others are started meanwhile.

use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use doorstep::blocking::CgiSettings;
use doorstep::blocking::{self, Config};
use tempfile::TempDir;

use crate::runtimes::{Runtime, TestServer, config, eventually, with};
use crate::service::State;
use crate::support::client::{Client, Response};

/// What no response may ever show: it is in a comment of every script.
pub(crate) const SOURCE: &str = "(corpus)";

/// The default settings, changed.
pub(crate) fn settings(change: impl FnOnce(&mut CgiSettings)) -> CgiSettings {
    with(CgiSettings::default(), change)
}

/// A server of the corpus, and the root of it.
pub(crate) struct ScriptServer {
    pub(crate) server: TestServer,
    pub(crate) root: TempDir,
}

impl ScriptServer {
    /// Runs them with the default settings.
    pub(crate) fn start(runtime: Runtime) -> Self {
        Self::start_with(runtime, CgiSettings::default())
    }

    pub(crate) fn start_with(runtime: Runtime, settings: CgiSettings) -> Self {
        Self::configured(runtime, settings, config())
    }

    pub(crate) fn configured(runtime: Runtime, settings: CgiSettings, config: Config) -> Self {
        let root = corpus();
        let server = runtime.start_with(State::scripts(root.path(), settings), config);
        Self { server, root }
    }

    pub(crate) fn client(&self) -> Client {
        self.server.client()
    }

    /// One request on a connection of its own.
    pub(crate) fn get(&self, target: &str) -> Response {
        self.client().request("GET", target, &[])
    }

    /// Waits until an error with this text was logged.
    pub(crate) fn wait_for_error(&self, text: &str) {
        let errors = || self.server.state.errors();
        let seen = (0..1000).any(|_| {
            thread::sleep(Duration::from_millis(10));
            errors().iter().any(|error| error.contains(text))
        });
        assert!(seen, "never logged: {text:?}, but {:?}", errors());
    }

    /// Waits until no process of a script is left.
    pub(crate) fn wait_until_ended(&self) {
        eventually("no process is left", || self.processes().is_empty());
    }

    /// The processes that were started for these scripts, by id: theirs is the folder they are in.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let is_ours = |id: &u32| {
            let cwd = fs::read_link(format!("/proc/{id}/cwd"));
            cwd.is_ok_and(|cwd| cwd.starts_with(self.root.path()))
        };
        processes().filter(is_ours).collect()
    }
}

/// A server of scripts and nothing else: [`blocking::Cgi`] is a handler itself.
pub(crate) fn serve_scripts_only(runtime: Runtime, root: &Path) -> TestServer {
    let cgi = blocking::Cgi::new(root, CgiSettings::default()).expect("the scripts can be run");
    runtime.start_handler(cgi.clone(), cgi.clone(), cgi, State::app(), config())
}

/// A document root with the corpus in `cgi-bin`, a file and a folder, for everybody to read.
pub(crate) fn corpus() -> TempDir {
    let root = tempfile::tempdir().expect("a temporary directory can be made");
    let scripts = root.path().join("cgi-bin");
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cgi/cgi-bin");
    run(Command::new("cp").arg("-R").arg(corpus).arg(&scripts));
    run(Command::new("cp").arg(compiled()).arg(scripts.join("myself")));
    run(Command::new("mkfifo").arg(scripts.join("fifo")));
    symlink("document.sh", scripts.join("link.sh")).expect("a link can be made");
    symlink("/bin/true", scripts.join("outside")).expect("a link can be made");
    fs::create_dir(root.path().join("folder")).expect("it can be made");
    for name in ["a.txt", "folder/b.txt"] {
        fs::write(root.path().join(name), "hello\n").expect("it can be written");
    }
    // A temporary directory is accessible to its owner only, and scripts may run as another user.
    run(Command::new("chmod").args(["-R", "u+w,a+rX"]).arg(root.path()));
    root
}

/// `tests/cgi/environment_self.rs`, compiled.
fn compiled() -> &'static Path {
    static COMPILED: OnceLock<PathBuf> = OnceLock::new();
    COMPILED.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cgi/environment_self.rs");
        let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cgi-myself");
        let modified = |file: &Path| fs::metadata(file).and_then(|found| found.modified()).ok();
        if modified(&program) < modified(&source) {
            // Others may do the same at this moment.
            let ours = program.with_extension(std::process::id().to_string());
            let rustc = env::var_os("RUSTC").unwrap_or("rustc".into());
            run(Command::new(rustc).args(["--edition=2024", "-o"]).arg(&ours).arg(source));
            fs::rename(ours, &program).expect("it takes the other's place");
        }
        program
    })
}

fn run(command: &mut Command) {
    let status = command.status().expect("it is installed");
    assert!(status.success(), "{command:?}");
}

/// Every process of this system, by id.
fn processes() -> impl Iterator<Item = u32> {
    let all = fs::read_dir("/proc").expect("this is Linux").flatten();
    all.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// The children of this process, by id, zombies included.
pub(crate) fn children() -> Vec<u32> {
    let ours = std::process::id().to_string();
    let is_ours = |id: &u32| {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        let fields = stat.rsplit(") ").next().unwrap_or_default();
        fields.split(' ').nth(1) == Some(&ours)
    };
    processes().filter(is_ours).collect()
}

/// Kills a process that has outlived its script.
pub(crate) fn end(id: u32) {
    run(Command::new("kill").args(["-s", "KILL", &id.to_string()]));
}

/// All bytes of the response to a request for a script, on a connection that may be reset.
pub(crate) fn incomplete_response(scripts: &ScriptServer, script: &str) -> String {
    let mut client = scripts.client();
    client.send(format!("GET /cgi-bin/{script} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
    String::from_utf8_lossy(&client.read_to_end_or_reset()).into_owned()
}

/// The body as text.
pub(crate) fn text(response: &Response) -> &str {
    str::from_utf8(&response.body).expect("it is text")
}

/// A client that has requested a hostile script.
pub(crate) fn request_script(scripts: &ScriptServer, script: &str) -> Client {
    let mut client = scripts.client();
    client.send(format!("GET /cgi-bin/hostile/{script} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
    client
}
