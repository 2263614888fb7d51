//! Programs that people run as CGI, from Debian's packages, behind `doorstep --cgi` on both runtimes:
//! `git http-backend` and stock git before it, PHP, cgit.
//!
//! They need these programs, so they are ignored by default. By hand: `apt-get install git php-cgi cgit`,
//! then `cargo test --test cgi_programs -- --ignored`. As root, scripts run as `nobody`.
#![cfg(all(unix, feature = "cli"))]

mod support;

use std::fs::{self, Permissions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Output};

use support::{RUNTIMES, Server, doorstep, text};
use tempfile::TempDir;

/// Larger than what git sends with a length (1 MiB): it comes in chunks.
const LARGE: u64 = 3 << 20;

#[test]
#[ignore = "needs git: cargo test --test cgi_programs git -- --ignored"]
fn git_clones_pushes_and_fetches_as_the_guide_describes() {
    for runtime in RUNTIMES {
        let home = home();
        let server = recipe(home.path(), runtime);
        let url = format!("http://127.0.0.1:{}/cgi-bin/git/project.git", server.port);

        git(home.path(), &["clone", &url, "one"]);
        let one = home.path().join("one");
        fs::write(one.join("large"), noise()).expect("it can be written");
        commit(&one, "large");
        git(&one, &["push", "origin", "HEAD:refs/heads/main"]);

        git(home.path(), &["clone", "--branch=main", &url, "two"]);
        let two = home.path().join("two");
        assert_eq!(fs::read(two.join("large")).ok(), fs::read(one.join("large")).ok());
        fs::write(two.join("small"), "words\n").expect("it can be written");
        commit(&two, "small");
        git(&two, &["push", "origin", "main"]);

        git(&one, &["fetch", "origin"]);
        let [theirs, ours] = [(&one, "origin/main"), (&two, "main")]
            .map(|(at, name)| git(at, &["rev-parse", "--verify", name]));
        assert_eq!(theirs, ours, "{runtime}");
        git(&one, &["fsck", "--strict"]);
    }
}

#[test]
#[ignore = "needs git: cargo test --test cgi_programs git -- --ignored"]
fn b_239_an_unverified_user_name_gives_no_right_to_push() {
    for runtime in RUNTIMES {
        let home = home();
        let server = recipe(home.path(), runtime);
        let project = home.path().join("git/project.git");
        let config = project.join("config");
        git(
            home.path(),
            &["config", "--file", &config.to_string_lossy(), "--unset", "http.receivepack"],
        );
        give_away(&project);
        let url = format!("http://127.0.0.1:{}/cgi-bin/git/project.git", server.port);

        git(home.path(), &["clone", &url, "one"]);
        let one = home.path().join("one");
        fs::write(one.join("small"), "words\n").expect("it can be written");
        commit(&one, "small");
        let claim = "http.extraHeader=Authorization: Basic bWU6aXQncyBtZQ==";
        let pushed = try_git(&one, &["-c", claim, "push", "origin", "HEAD:refs/heads/main"]);
        assert!(!pushed.status.success(), "{runtime}");
        assert!(text(&pushed.stderr).contains("403"), "{}", text(&pushed.stderr));
        assert!(!project.join("refs/heads/main").exists(), "{runtime}");
    }
}

#[test]
#[ignore = "needs php-cgi: cargo test --test cgi_programs php -- --ignored"]
fn php_handles_forms_and_sets_headers_and_a_status() {
    let script = r"#!/usr/bin/php-cgi
<?php
header('X-Method: ' . $_SERVER['REQUEST_METHOD']);
if (isset($_POST['name'])) http_response_code(422);
echo $_POST['name'] ?? $_GET['name'], ' at ', $_SERVER['PATH_INFO'];
";
    for runtime in RUNTIMES {
        let home = home();
        let site = place(home.path(), "hello.php", script);
        let server = serve(&site, runtime, &["REDIRECT_STATUS=200"]);
        let response = server.get("/cgi-bin/hello.php/a/b?name=J%C3%A9r%C3%B4me");
        assert_eq!((response.status, response.header("X-Method")), (200, Some("GET")));
        assert_eq!(text(&response.body), "J\u{e9}r\u{f4}me at /a/b");

        let mut client = server.client();
        client.send(
            b"POST /cgi-bin/hello.php HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\
              Content-Type: application/x-www-form-urlencoded\r\n\r\n5\r\nname=\r\n2\r\nme\r\n0\r\n\r\n",
        );
        let response = client.response(false);
        assert_eq!((response.status, response.header("X-Method")), (422, Some("POST")));
        assert_eq!(text(&response.body), "me at ");
    }
}

#[test]
#[ignore = "needs git and cgit: cargo test --test cgi_programs cgit -- --ignored"]
fn cgit_shows_a_repository() {
    for runtime in RUNTIMES {
        let home = home();
        let project = home.path().join("project");
        git(home.path(), &["init", "--initial-branch=main", "project"]);
        fs::write(project.join("words"), "words\n").expect("it can be written");
        commit(&project, "The first words");
        give_away(&project);
        let config = home.path().join("cgitrc");
        let path = project.join(".git");
        let lines = format!(
            "virtual-root=/cgi-bin/cgit/\nrepo.url=project\nrepo.path={}\n",
            path.display()
        );
        fs::write(&config, lines).expect("it can be written");
        let site = place(home.path(), "cgit", "#!/bin/sh\nexec /usr/lib/cgit/cgit.cgi\n");
        let server = serve(&site, runtime, &[&format!("CGIT_CONFIG={}", config.display())]);
        let mut client = server.client();
        for (target, holds) in [
            ("/cgi-bin/cgit/", "project"),
            ("/cgi-bin/cgit/project/log/?h=main", "The first words"),
            ("/cgi-bin/cgit/project/plain/words", "words\n"),
        ] {
            let response = client.request("GET", target, &[]);
            assert_eq!(response.status, 200, "{target}");
            assert!(text(&response.body).contains(holds), "{target}: {}", text(&response.body));
        }
        assert_eq!(client.request("GET", "/cgi-bin/cgit/nothing/log/", &[]).status, 404);
    }
}

/// Follows docs/cgi.md about git, below `home`, but for the port.
fn recipe(home: &Path, runtime: &str) -> Server {
    let manual = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/cgi.md");
    let manual = fs::read_to_string(manual).expect("the manual is there");
    let lines = manual.split("```sh\n").find(|block| block.starts_with("git init"));
    let lines = lines.and_then(|block| block.split("```").next()).expect("it has a recipe");
    let (before, last) = lines.trim_end().rsplit_once('\n').expect("it has several lines");
    let arguments = last.strip_prefix("doorstep ").expect("the last one starts the server");

    let prepared = command("sh", home).args(["-e", "-c", before]).output();
    succeeded(&prepared.expect("there is a shell"));
    give_away(&home.join("git"));
    let start = format!("exec {} 0 {runtime} {arguments}", env!("CARGO_BIN_EXE_doorstep"));
    Server::start(command("sh", home).args(["-c", &start]))
}

/// A server of `site` whose scripts have these variables.
fn serve(site: &Path, runtime: &str, variables: &[&str]) -> Server {
    let mut command = doorstep(&["0", "--bind=127.0.0.1", "--cgi", runtime]);
    for variable in variables {
        command.args(["--cgi-env", variable]);
    }
    Server::start(command.arg("--directory").arg(site))
}

/// A directory that others can read: as root, scripts run as `nobody`.
fn home() -> TempDir {
    let home = tempfile::tempdir().expect("a temporary directory can be made");
    fs::set_permissions(home.path(), Permissions::from_mode(0o755)).expect("it is ours");
    home
}

/// A site with one script, below `home`.
fn place(home: &Path, name: &str, script: &str) -> std::path::PathBuf {
    let site = home.join("site");
    fs::create_dir_all(site.join("cgi-bin")).expect("it can be made");
    // By another process: what we write ourselves is open in whatever is started meanwhile.
    fs::write(home.join("draft"), script).expect("it can be written");
    let copy = "install -m 755 draft site/cgi-bin/$0";
    succeeded(&command("sh", home).args(["-c", copy, name]).output().expect("there is a shell"));
    site
}

/// Makes what is at `path` the property of whom scripts run as: git refuses the repositories of others.
fn give_away(path: &Path) {
    if fs::metadata(path).expect("it is there").uid() == 0 {
        let given = command("chown", path).args(["-R", "nobody", "."]).output();
        succeeded(&given.expect("chown is installed"));
    }
}

fn commit(at: &Path, message: &str) {
    git(at, &["add", "."]);
    git(at, &["commit", "--message", message]);
}

fn git(at: &Path, arguments: &[&str]) -> String {
    let output = try_git(at, arguments);
    succeeded(&output);
    text(&output.stdout)
}

fn try_git(at: &Path, arguments: &[&str]) -> Output {
    let name = ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.org"];
    command("git", at).args(name).args(arguments).output().expect("git is installed")
}

/// A program that knows nothing of this user's settings.
fn command(program: &str, at: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(at).env_clear().env("HOME", at).env("GIT_CONFIG_NOSYSTEM", "1");
    command.envs(std::env::vars_os().filter(|(name, _)| name == "PATH"));
    command
}

fn succeeded(output: &Output) {
    assert!(output.status.success(), "{}", text(&output.stderr));
}

/// Random bytes, which cannot be compressed.
fn noise() -> Vec<u8> {
    let mut noise = Vec::new();
    let source = fs::File::open("/dev/urandom").expect("it is there");
    source.take(LARGE).read_to_end(&mut noise).expect("it can be read");
    noise
}
