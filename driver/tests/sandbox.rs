//! What the kernel refuses in a sandbox, tried by a thread that is started inside it.
//!
//! A sandbox cannot be left, and is applied while there is one thread. So this program has no test
//! harness: it starts itself again for each case. Where the kernel does not support a restriction, the
//! calls are expected to succeed.

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
fn main() {
    cases::main();
}

#[cfg(target_os = "linux")]
mod cases {
    use std::fs::{self, File, OpenOptions};
    use std::io::{self, ErrorKind, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
    use std::path::{Path, PathBuf};
    use std::process::Command;
    use std::{env, thread};

    use doorstep_driver::os::{Restriction, Sandbox, SandboxPaths, SandboxReport};
    use rustix::fs::{MemfdFlags, Mode, OFlags, ftruncate, memfd_create, openat};
    use rustix::process::{DumpableBehavior, dumpable_behavior, getppid, test_kill_process};

    /// The variable that names the case in the process that runs it.
    const CASE: &str = "SANDBOX_CASE";

    type Case = (&'static str, fn(&Site));

    const CASES: [Case; 10] = [
        ("by_default_nothing_is_written", nothing_is_written),
        ("by_default_everything_is_read", everything_is_read),
        ("by_default_nothing_is_executed", nothing_is_executed),
        ("by_default_nothing_is_connected", nothing_is_connected),
        ("strict_reads_nothing_outside_of_the_root", nothing_outside_is_read),
        ("strict_fixes_the_root", the_root_is_fixed),
        ("strict_confines_scripts", scripts_are_confined),
        ("directories_can_be_excepted", directories_can_be_excepted),
        ("scripts_keep_their_rights_if_asked_for", scripts_keep_their_rights),
        ("it_is_refused_while_threads_run_or_paths_are_missing", it_can_be_refused),
    ];

    #[allow(clippy::print_stdout, reason = "it is its own harness")]
    pub(super) fn main() {
        let case = env::var(CASE).ok();
        let found = CASES.iter().find(|(name, _)| Some(*name) == case.as_deref());
        if let Some((_, run)) = found {
            let site = env::args_os().nth(1).expect("the directory is given");
            return run(&Site(site.into()));
        }
        let report = Sandbox::default().probe();
        println!("Landlock ABI {} on this kernel", report.landlock_abi());
        for (name, _) in CASES {
            let dir = tempfile::tempdir().expect("a temporary directory can be made");
            let site = Site::make(dir.path());
            let mut again = Command::new(env::current_exe().expect("it runs"));
            again.env(CASE, name).env("TMPDIR", site.path("tmp")).arg(dir.path());
            let output = again.output().expect("it can be started");
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{name}: {stderr}");
            println!("test {name} ... ok");
        }
    }

    /// A directory with a root and what is beside it.
    struct Site(PathBuf);

    impl Site {
        fn make(dir: &Path) -> Self {
            let site = Self(dir.to_owned());
            for directory in ["root", "root/bin", "outside", "logs", "tmp"] {
                fs::create_dir(site.path(directory)).expect("it can be made");
            }
            for file in ["root/a.txt", "outside/secret.txt", "logs/old.log"] {
                fs::write(site.path(file), "hello\n").expect("it can be written");
            }
            symlink(site.path("outside/secret.txt"), site.path("root/link")).expect("it can");
            let script = "#!/bin/sh\ncat \"$1\" && echo more >>\"$2\"\n";
            fs::write(site.path("root/bin/script"), script).expect("it can be written");
            fs::set_permissions(site.path("root/bin/script"), PermissionsExt::from_mode(0o755))
                .expect("it is ours");
            site
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.join(name)
        }
    }

    /// Runs `calls` in a thread that is started now.
    fn in_a_thread(calls: impl FnOnce() + Send) {
        thread::scope(|scope| scope.spawn(calls).join().expect("the calls do as expected"));
    }

    /// Expects that the kernel refuses it if `report` says that the restriction holds.
    #[track_caller]
    fn refused<T>(report: &SandboxReport, restriction: Restriction, result: io::Result<T>) {
        let holds = report.held().any(|held| held == restriction);
        match result {
            Ok(_) => assert!(!holds, "it was not refused: {restriction:?}"),
            Err(error) => {
                assert!(holds, "{restriction:?} is not held: {error}");
                assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
            }
        }
    }

    fn nothing_is_written(site: &Site) {
        let file = site.path("root/a.txt");
        let mut open = OpenOptions::new().append(true).open(&file).expect("it is ours");
        let read_only = File::open(&file).expect("it is ours");
        let report = Sandbox::default().apply().expect("it is the only thread");
        assert_eq!(report.failure(), None);
        let check = || {
            let write = Restriction::Write;
            let new = site.path("root/new");
            let flags = OFlags::RDONLY | OFlags::TRUNC;
            let truncated = rustix::fs::open(&file, flags, Mode::empty());
            refused(&report, Restriction::Truncate, truncated.map_err(io::Error::from));
            refused(&report, write, OpenOptions::new().append(true).open(&file));
            refused(&report, write, File::create(&new));
            refused(&report, write, fs::create_dir(site.path("root/dir")));
            refused(&report, write, fs::hard_link(&file, site.path("root/hard")));
            refused(&report, write, symlink("a.txt", site.path("root/soft")));
            refused(&report, write, UnixListener::bind(site.path("root/socket")));
            refused(&report, write, fs::rename(&file, site.path("root/b.txt")));
            refused(&report, write, fs::remove_file(site.path("root/link")));
            refused(&report, write, fs::remove_dir(site.path("logs/..").join("tmp")));
            assert!(ftruncate(&read_only, 0).is_err());
            open.write_all(b"more\n").expect("what is open stays open");
            let memory = memfd_create("body", MemfdFlags::CLOEXEC).expect("files in memory");
            File::from(memory).write_all(b"body").expect("can be written");
        };
        in_a_thread(check);
    }

    fn everything_is_read(site: &Site) {
        let report = Sandbox::default().apply().expect("it is the only thread");
        in_a_thread(|| {
            assert_eq!(fs::read(site.path("outside/secret.txt")).expect("it may"), b"hello\n");
            assert!(fs::read_dir(site.path("outside")).is_ok());
        });
        let held = |one| report.held().any(|held| held == one);
        assert!(held(Restriction::NewPrivileges) && held(Restriction::Dumpable));
        assert_eq!(rustix::thread::no_new_privs(), Ok(true));
        assert_eq!(dumpable_behavior(), Ok(DumpableBehavior::NotDumpable));
    }

    fn nothing_is_executed(_: &Site) {
        let report = Sandbox::default().apply().expect("it is the only thread");
        in_a_thread(|| {
            refused(&report, Restriction::Execute, Command::new("/bin/true").status());
            refused(&report, Restriction::Execute, Command::new("/bin/sh").arg("-c").status());
        });
    }

    fn nothing_is_connected(_: &Site) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let name = format!("doorstep-test-{}", std::process::id());
        let name = SocketAddr::from_abstract_name(name).expect("it is short");
        // The listener is another process's: what is made before the sandbox is outside of it.
        let local = UnixListener::bind_addr(&name).expect("the name is free");
        let report = Sandbox::default().apply().expect("it is the only thread");
        in_a_thread(|| {
            refused(&report, Restriction::Tcp, TcpStream::connect(address));
            refused(&report, Restriction::Tcp, TcpListener::bind("127.0.0.1:0"));
            refused(&report, Restriction::Reach, UnixStream::connect_addr(&name));
            let parent = getppid().expect("it has one");
            let signalled = test_kill_process(parent).map_err(io::Error::from);
            refused(&report, Restriction::Reach, signalled);
            assert!(test_kill_process(rustix::process::getpid()).is_ok(), "itself");
        });
        drop((listener, local));
    }

    fn nothing_outside_is_read(site: &Site) {
        let open =
            |path: &Path| rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY, Mode::empty());
        let above = open(&site.0).expect("it is ours");
        let mut sandbox = Sandbox::strict(&site.path("root"));
        sandbox.required = false; // it is tested for every kernel
        let report = sandbox.apply().expect("it is the only thread");
        in_a_thread(|| {
            let read = Restriction::Read;
            assert_eq!(fs::read(site.path("root/a.txt")).expect("it may"), b"hello\n");
            assert_eq!(fs::read_dir(site.path("root")).expect("it may").count(), 3);
            refused(&report, read, File::open(site.path("outside/secret.txt")));
            refused(&report, read, File::open(site.path("root/link")));
            refused(&report, read, File::open(site.path("root/../outside/secret.txt")));
            refused(&report, read, File::open("/etc/passwd"));
            refused(&report, read, fs::read_dir(site.path("outside")));
            let past = openat(&above, "outside/secret.txt", OFlags::RDONLY, Mode::empty());
            refused(&report, read, past.map_err(io::Error::from));
        });
    }

    fn the_root_is_fixed(site: &Site) {
        let root = site.path("root");
        let mut sandbox = Sandbox::strict(&root);
        sandbox.required = false;
        sandbox.write = SandboxPaths::Everywhere; // so that the name can be switched from inside
        let report = sandbox.apply().expect("it is the only thread");
        in_a_thread(|| {
            fs::rename(&root, site.path("moved")).expect("it may be written");
            fs::rename(site.path("outside"), &root).expect("also between directories");
            assert!(fs::read(site.path("moved/a.txt")).is_ok(), "the directory stays readable");
            refused(&report, Restriction::Read, File::open(root.join("secret.txt")));
        });
    }

    fn scripts_are_confined(site: &Site) {
        let mut sandbox =
            Sandbox::strict(&site.path("root")).allow_scripts([site.path("root/bin")]);
        sandbox.required = false;
        let report = sandbox.apply().expect("it is the only thread");
        let run = |program: &str, read: &str, write: &str| {
            let mut script = Command::new(site.path(program));
            let output = script.args([site.path(read), site.path(write)]).output();
            output.and_then(|output| match output.status.success() {
                true => Ok(output.stdout),
                false => Err(ErrorKind::PermissionDenied.into()),
            })
        };
        in_a_thread(|| {
            let ran = run("root/bin/script", "root/a.txt", "tmp/new").expect("it runs");
            assert_eq!(ran, b"hello\n");
            let secret = run("root/bin/script", "outside/secret.txt", "tmp/new");
            refused(&report, Restriction::Read, secret);
            let written = run("root/bin/script", "root/a.txt", "root/a.txt");
            refused(&report, Restriction::Write, written);
            let copy = site.path("tmp/copy");
            fs::copy("/bin/true", &copy).expect("temporary files can be written");
            fs::set_permissions(&copy, PermissionsExt::from_mode(0o755)).expect("it is ours");
            refused(&report, Restriction::Execute, run("tmp/copy", "", ""));
            let temporary = tempfile::tempfile().expect("the body of a request");
            (&temporary).write_all(b"body").expect("it can be written");
        });
    }

    fn directories_can_be_excepted(site: &Site) {
        let mut sandbox = Sandbox::default();
        sandbox.write = SandboxPaths::Beneath(vec![site.path("logs")]);
        sandbox.remove = vec![site.path("outside")];
        let report = sandbox.apply().expect("it is the only thread");
        in_a_thread(|| {
            // Log rotation: renamed, and opened again.
            fs::rename(site.path("logs/old.log"), site.path("logs/old.log.1")).expect("it may");
            fs::write(site.path("logs/old.log"), "new\n").expect("it may");
            fs::remove_file(site.path("logs/old.log.1")).expect("it may");
            fs::create_dir(site.path("logs/sub")).expect("it may");
            let write = Restriction::Write;
            refused(&report, write, File::create(site.path("outside/new")));
            refused(&report, write, fs::write(site.path("outside/secret.txt"), "x"));
            fs::remove_file(site.path("outside/secret.txt")).expect("it may be removed");
            refused(&report, write, File::create(site.path("root/new")));
        });
    }

    fn scripts_keep_their_rights(site: &Site) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let report = Sandbox::for_scripts().apply().expect("it is the only thread");
        assert_eq!(report.held().collect::<Vec<_>>(), [Restriction::Dumpable]);
        assert_eq!(dumpable_behavior(), Ok(DumpableBehavior::NotDumpable));
        assert_eq!(rustix::thread::no_new_privs(), Ok(false));
        in_a_thread(|| {
            fs::write(site.path("root/new"), "x").expect("it may");
            assert!(Command::new("/bin/true").status().expect("it may").success());
            TcpStream::connect(listener.local_addr().expect("it is bound")).expect("it may");
        });
    }

    fn it_can_be_refused(site: &Site) {
        let mut sandbox = Sandbox::default();
        sandbox.write = SandboxPaths::Beneath(vec![site.path("missing")]);
        if sandbox.probe().landlock_abi() > 0 {
            let error = sandbox.apply().expect_err("there is no such directory");
            assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
        }
        thread::spawn(|| {
            loop {
                thread::park(); // until the process ends
            }
        });
        let error = Sandbox::default().apply().expect_err("a thread runs");
        assert!(error.to_string().contains("threads"), "{error}");
        assert!(File::create(site.path("root/new")).is_ok(), "nothing was restricted");
    }
}
