//! The Debian package that deploy/debian makes of the release build: what is in it, what lintian says of
//! it, and that it can be installed and removed.
//!
//! Ignored unless asked for: it needs the release build, cargo-deb, dpkg, lintian and mandoc, which `.ci/run`
//! makes and installs.
#![cfg(all(target_os = "linux", feature = "cli"))]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The files of the package, apart from the guides.
const FILES: [&str; 10] = [
    "usr/bin/doorstep",
    "usr/lib/systemd/system/doorstep.service",
    "usr/lib/systemd/system/doorstep.socket",
    "usr/share/bash-completion/completions/doorstep",
    "usr/share/doc/doorstep/README.md",
    "usr/share/doc/doorstep/changelog.Debian.gz",
    "usr/share/doc/doorstep/copyright",
    "usr/share/fish/vendor_completions.d/doorstep.fish",
    "usr/share/man/man1/doorstep.1.gz",
    "usr/share/zsh/vendor-completions/_doorstep",
];

/// What lintian says of a package that nobody maintains yet, and of one that is not in Debian.
const TAGS_OF_NO_MAINTAINER: &str =
    "bogus-mail-host,bogus-mail-host-in-debian-changelog,initial-upload-closes-no-bugs";

#[test]
#[ignore = "needs the release build, cargo-deb, lintian and mandoc"]
fn the_package_is_valid_and_can_be_installed_and_removed() {
    let package = package();
    lintian(&package);
    let root = tempfile::tempdir().expect("a temporary directory can be made");
    let admin = root.path().join("var/lib/dpkg");
    for directory in ["info", "updates", "triggers"] {
        fs::create_dir_all(admin.join(directory)).expect("it can be made");
    }
    fs::write(admin.join("status"), "").expect("it can be written");
    // The new system has no libc; the command runs in this one.
    let dpkg = |arguments: &[&str]| {
        let mut dpkg = Command::new("dpkg");
        dpkg.arg("--root")
            .arg(root.path())
            .arg("--force-depends,not-root,bad-path")
            .args(arguments);
        dpkg
    };
    run(dpkg(&["--no-triggers", "--install"]).arg(&package));
    for file in FILES {
        assert!(root.path().join(file).is_file(), "{file} is not installed");
    }
    assert!(root.path().join("usr/share/doc/doorstep/docs/check.md").is_file());

    let command = root.path().join("usr/bin/doorstep");
    let version = run(Command::new(&command).arg("--version"));
    assert_eq!(version, format!("doorstep {}\n", env!("CARGO_PKG_VERSION")));
    let page = root.path().join("usr/share/man/man1/doorstep.1.gz");
    let manual = run(Command::new("mandoc").args(["-Thtml", "-W", "error"]).arg(&page));
    assert!(manual.contains("id=\"EXIT_STATUS\""), "{manual}");
    let unit = fs::read_to_string(root.path().join("usr/lib/systemd/system/doorstep.service"));
    let unit = unit.expect("it is installed");
    assert!(unit.contains("\nExecStart=/usr/bin/doorstep ") && !unit.contains("/usr/local"));

    run(&mut dpkg(&["--remove", "doorstep"]));
    assert!(!command.exists());
    assert!(!root.path().join("usr/share/doc/doorstep").exists());
}

/// Makes the package, whose path is printed last.
fn package() -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/debian");
    let printed = run(&mut Command::new(script));
    PathBuf::from(printed.lines().last().expect("the path is printed"))
}

/// Neither errors nor warnings.
fn lintian(package: &Path) {
    let mut lintian = Command::new("lintian");
    lintian.args(["--allow-root", "--fail-on", "error,warning"]);
    lintian.args(["--suppress-tags", TAGS_OF_NO_MAINTAINER]).arg(package);
    run(&mut lintian);
}

/// What `command` prints to stdout. It must succeed.
fn run(command: &mut Command) -> String {
    let output = command.output().expect("it is installed");
    let (stdout, stderr) = (&output.stdout, &output.stderr);
    let (stdout, stderr) = (String::from_utf8_lossy(stdout), String::from_utf8_lossy(stderr));
    assert!(output.status.success(), "{command:?}: {stdout}{stderr}");
    stdout.into_owned()
}
