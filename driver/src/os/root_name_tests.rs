//! The root is a name: the directory that has it now is served. Each test with `openat2`
//! and without.

use super::*;
use crate::os::absolute;
use crate::os::walk::TRAVERSE_FLAGS;

fn is_open(root: &Root, text: &str) -> bool {
    content(root.open(b"a.txt")).as_deref() == Some(text)
}

fn message(opened: Opened) -> String {
    match opened {
        Opened::Denied(error) => error.to_string(),
        other => unreachable!("{other:?}"),
    }
}

#[test]
fn r_1_a_root_that_is_a_link_can_be_switched() {
    let dir = tree();
    let at = |name: &str| dir.path().join(name);
    fs::create_dir(at("new")).unwrap();
    fs::write(at("new/a.txt"), "new").unwrap();
    symlink("root", at("name")).unwrap();
    for root in [
        Root::new(&at("name"), Symlinks::Beneath).unwrap(),
        Root::without_openat2(&at("name"), Symlinks::Beneath),
    ] {
        let revision = root.revision();
        let Found::File(stat) = root.open(b"a.txt").to_found() else { unreachable!("it exists") };
        let revision_then = root.revision();
        assert!(is_open(&root, "a") && is_unchanged(&root, b"a.txt", &stat));
        assert_eq!(root.revision(), revision_then, "nothing changed");
        symlink("new", at("aside")).unwrap();
        fs::rename(at("aside"), at("name")).unwrap();
        assert!(!is_unchanged(&root, b"a.txt", &stat));
        assert!(is_open(&root, "new") && root.revision() > revision);
        assert_eq!(names(&root, b""), [b"a.txt"]);
        symlink("root", at("aside")).unwrap();
        fs::rename(at("aside"), at("name")).unwrap();
        assert!(is_unchanged(&root, b"a.txt", &stat) && is_open(&root, "a"));
    }
}

#[test]
fn r_2_a_directory_that_is_created_again_is_served_and_404_until_then() {
    let dir = tree();
    let path = dir.path().join("root");
    for root in roots(&dir, Symlinks::Beneath) {
        for round in 0..3 {
            let text = format!("{round}");
            fs::remove_dir_all(&path).unwrap();
            let message = message(root.open(b"a.txt"));
            assert!(message.contains(path.to_str().unwrap()), "{message}");
            for _ in 0..3 {
                assert!(matches!(root.open(b"a.txt"), Opened::NotFound), "logged once");
                assert!(matches!(root.open(b""), Opened::NotFound));
                assert!(matches!(root.inspect(b"a.txt"), Opened::NotFound));
                assert_eq!(list(&root, b"").unwrap_err().kind(), io::ErrorKind::NotFound);
            }
            fs::create_dir(&path).unwrap();
            fs::write(path.join("a.txt"), &text).unwrap();
            assert!(is_open(&root, &text));
        }
    }
}

#[test]
fn r_2_a_root_that_is_not_a_directory_is_not_served() {
    let dir = tree();
    let path = dir.path().join("root");
    for root in roots(&dir, Symlinks::Beneath) {
        assert!(is_open(&root, "a"));
        fs::rename(&path, dir.path().join("aside")).unwrap();
        fs::write(&path, "a file").unwrap();
        message(root.open(b""));
        assert!(matches!(root.open(b"a.txt"), Opened::NotFound));
        fs::remove_file(&path).unwrap();
        symlink("root", &path).unwrap();
        assert!(matches!(root.open(b""), Opened::NotFound), "logged before");
        fs::remove_file(&path).unwrap();
        fs::rename(dir.path().join("aside"), &path).unwrap();
        assert!(is_open(&root, "a"));
        fs::rename(&path, dir.path().join("aside")).unwrap();
        message(root.open(b""));
        fs::rename(dir.path().join("aside"), &path).unwrap();
    }
}

#[test]
fn r_2_a_directory_that_was_removed_is_not_held_open() {
    let dir = tree();
    let root = Root::new(&dir.path().join("root"), Symlinks::Beneath).unwrap();
    let held = || {
        let fds = fs::read_dir("/proc/self/fd").unwrap().flatten();
        fds.filter_map(|fd| fs::read_link(fd.path()).ok())
            .filter(|target| target.starts_with(dir.path()))
            .count()
    };
    if !Path::new("/proc/self/fd").exists() {
        return;
    }
    assert!(is_open(&root, "a"));
    assert_eq!(held(), 1);
    fs::remove_dir_all(dir.path().join("root")).unwrap();
    message(root.open(b""));
    assert_eq!(held(), 0);
}

#[test]
fn r_1_an_open_root_stays_the_same_directory_when_it_is_renamed() {
    let dir = tree();
    for root in roots(&dir, Symlinks::Beneath) {
        let root_dir = root.open_dir().unwrap();
        fs::rename(dir.path().join("root"), dir.path().join("moved")).unwrap();
        fs::create_dir(dir.path().join("root")).unwrap();
        assert_eq!(content(root_dir.open(b"a.txt")).unwrap(), "a");
        assert!(matches!(root.open(b"a.txt"), Opened::NotFound));
        fs::remove_dir(dir.path().join("root")).unwrap();
        fs::rename(dir.path().join("moved"), dir.path().join("root")).unwrap();
    }
}

#[test]
fn r_1_a_cached_file_is_validated_however_long_its_full_name_is() {
    let dir = tree();
    let name = "n".repeat(250);
    let mut path = Vec::new();
    let mut here =
        rustix::fs::open(dir.path().join("root"), TRAVERSE_FLAGS, Mode::empty()).unwrap();
    while path.len() + 251 < 4090 {
        rustix::fs::mkdirat(&here, &name, Mode::RWXU).unwrap();
        here = rustix::fs::openat(&here, &name, TRAVERSE_FLAGS, Mode::empty()).unwrap();
        path.extend_from_slice(name.as_bytes());
        path.push(b'/');
    }
    let last = "x".repeat(4090 - path.len());
    path.extend_from_slice(last.as_bytes());
    rustix::fs::openat(&here, &last, OFlags::CREATE | OFlags::WRONLY, Mode::RWXU).unwrap();
    for root in roots(&dir, Symlinks::Beneath) {
        let Found::File(stat) = root.open(&path).to_found() else { unreachable!("it exists") };
        assert!(is_unchanged(&root, &path, &stat));
        assert!(!is_unchanged(&root, &path[..path.len() - 1], &stat));
    }
    // By rm: the full name is too long for `remove_dir_all`.
    let removed = std::process::Command::new("rm").arg("-rf").arg(dir.path().join("root")).status();
    assert!(removed.unwrap().success());
}

#[test]
fn r_1_a_relative_name_is_made_absolute_and_not_resolved() {
    let dir = tree();
    symlink("root", dir.path().join("name")).unwrap();
    let name = dir.path().join("name");
    assert_eq!(absolute(&name).unwrap(), name, "links stay");
    let dots = dir.path().join("outside/../name/sub/..");
    assert_eq!(absolute(&dots).unwrap(), dots, "and so do dots");
    let here = std::env::current_dir().unwrap();
    assert_eq!(absolute(Path::new(".")).unwrap(), here);
    assert_eq!(absolute(Path::new("src")).unwrap(), here.join("src"));
    assert!(absolute(Path::new("nowhere")).is_err());
    assert!(absolute(Path::new("")).is_err());
}
