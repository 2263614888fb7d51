//! Files beneath the root: links, races, unusual names, and special files; each test with `openat2`
//! and without.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use doorstep_core::site::listing::{self, Kind};
use doorstep_core::site::{Found, Site};
use rustix::fs::{Mode, OFlags};
use tempfile::TempDir;

use super::{Opened, Root, Symlinks};

/// A directory with `root` in it, and `outside/secret` beside that.
fn tree() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("root/sub/deep")).unwrap();
    fs::write(dir.path().join("root/a.txt"), "a").unwrap();
    fs::write(dir.path().join("root/sub/b.txt"), "bb").unwrap();
    fs::create_dir(dir.path().join("outside")).unwrap();
    fs::write(dir.path().join("outside/secret"), "secret").unwrap();
    dir
}

fn roots(dir: &TempDir, symlinks: Symlinks) -> [Root; 2] {
    let path = dir.path().join("root");
    [Root::new(&path, symlinks).unwrap(), Root::without_openat2(&path, symlinks)]
}

fn content(opened: Opened) -> Option<String> {
    let Opened::File(mut file, stat) = opened else {
        return None;
    };
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    assert_eq!(stat.size, text.len() as u64);
    Some(text)
}

fn names(root: &Root, path: &[u8]) -> Vec<Vec<u8>> {
    let mut names = list(root, path).unwrap().into_iter().map(|e| e.name).collect::<Vec<_>>();
    names.sort();
    names
}

/// Calls a function at the end of a test, also if it fails.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[test]
fn b_125_only_files_and_directories_beneath_the_root_are_opened() {
    let dir = tree();
    for symlinks in [Symlinks::Beneath, Symlinks::Follow, Symlinks::Deny] {
        for root in roots(&dir, symlinks) {
            assert_eq!(content(root.open(b"a.txt")).unwrap(), "a");
            assert_eq!(content(root.open(b"sub/b.txt")).unwrap(), "bb");
            for path in [&b""[..], b"sub", b"sub/", b"sub/deep"] {
                assert!(matches!(root.open(path), Opened::Directory(_)), "{path:?}");
            }
            let long = [b'x'; 256];
            let paths: [&[u8]; 11] = [
                b"nothing",
                b"a.txt/",
                b"a.txt/x",
                b"..",
                b"../outside/secret",
                b"sub/../a.txt",
                b"/etc/passwd",
                b"a.txt\0",
                b"\0",
                &long,
                &[b'/'; 5000],
            ];
            for path in paths {
                assert!(matches!(root.open(path), Opened::NotFound), "{path:?}");
            }
        }
    }
}

#[test]
fn b_130_links_are_followed_if_they_stay_beneath_the_root() {
    let dir = tree();
    let at = |name: &str| dir.path().join("root").join(name);
    let inside = [("up", "../a.txt"), ("down", "deep/../b.txt"), ("dir", "../sub"), ("two", "up")];
    for (name, target) in inside {
        symlink(target, at("sub").join(name)).unwrap();
    }
    let out = ["../outside/secret", "../outside", "..", "../outside/../outside"];
    for (n, target) in out.into_iter().enumerate() {
        symlink(target, at(&format!("out{n}"))).unwrap();
    }
    symlink(dir.path().join("outside/secret"), at("out4")).unwrap();
    symlink("loop", at("loop")).unwrap();
    symlink("nowhere", at("broken")).unwrap();
    symlink("a.txt/", at("slash")).unwrap();

    for root in roots(&dir, Symlinks::Beneath) {
        assert_eq!(content(root.open(b"sub/up")).unwrap(), "a");
        assert_eq!(content(root.open(b"sub/two")).unwrap(), "a");
        assert_eq!(content(root.open(b"sub/down")).unwrap(), "bb");
        assert_eq!(content(root.open(b"sub/dir/dir/b.txt")).unwrap(), "bb");
        for n in 0..5 {
            let path = format!("out{n}");
            assert!(matches!(root.open(path.as_bytes()), Opened::Denied(_)), "{path}");
        }
        assert!(matches!(root.open(b"out1/secret"), Opened::Denied(_)));
        assert!(matches!(root.open(b"loop"), Opened::Denied(_)));
        assert!(matches!(root.open(b"broken"), Opened::NotFound));
        assert!(matches!(root.open(b"slash"), Opened::NotFound));
        assert!(list(&root, b"out1").is_err());
        assert_eq!(names(&root, b""), [&b"a.txt"[..], b"sub"]);
        assert_eq!(names(&root, b"sub"), [&b"b.txt"[..], b"deep", b"dir", b"down", b"two", b"up"]);
    }
    for root in roots(&dir, Symlinks::Deny) {
        assert!(matches!(root.open(b"sub/up"), Opened::Denied(_)));
        assert!(matches!(root.open(b"sub/dir/b.txt"), Opened::Denied(_)));
        assert_eq!(names(&root, b"sub"), [&b"b.txt"[..], b"deep"]);
    }
    for root in roots(&dir, Symlinks::Follow) {
        assert_eq!(content(root.open(b"out0")).unwrap(), "secret");
        assert_eq!(content(root.open(b"out4")).unwrap(), "secret");
        assert_eq!(names(&root, b"").len(), 7);
    }
}

#[test]
fn b_130_a_link_that_is_replaced_while_opening_never_leads_out() {
    let dir = tree();
    let path = |name: &str| dir.path().join("root").join(name);
    symlink("../outside", path("bad")).unwrap();
    fs::write(dir.path().join("outside/only outside"), "").unwrap();
    fs::create_dir(path("good")).unwrap();
    fs::write(path("good/secret"), "public").unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _end = OnDrop(|| done.store(true, Ordering::Relaxed));
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                fs::rename(path("good"), path("target")).unwrap();
                fs::rename(path("target"), path("good")).unwrap();
                fs::rename(path("bad"), path("target")).unwrap();
                fs::rename(path("target"), path("bad")).unwrap();
            }
        });
        for root in roots(&dir, Symlinks::Beneath) {
            for _ in 0..20_000 {
                if let Some(text) = content(root.open(b"target/secret")) {
                    assert_eq!(text, "public");
                }
                if let Ok(entries) = list(&root, b"target") {
                    assert!(entries.iter().all(|entry| entry.name != b"only outside"));
                }
            }
        }
    });
}

#[test]
fn b_132_the_root_must_exist_at_start() {
    let dir = tree();
    assert!(Root::new(&dir.path().join("nowhere"), Symlinks::Beneath).is_err());
    assert!(Root::new(&dir.path().join("root/a.txt"), Symlinks::Beneath).is_err());
}

#[test]
fn b_175_a_fifo_or_a_device_is_never_opened() {
    let dir = tree();
    let fifo = dir.path().join("root/fifo");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status();
    assert!(made.unwrap().success());
    let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("root/socket")).unwrap();
    let released = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let writer = fs::OpenOptions::new().write(true).open(&fifo); // waits for a reader
            released.store(true, Ordering::SeqCst);
            drop(writer);
        });
        let _end = OnDrop(|| {
            let flags = OFlags::RDONLY | OFlags::NONBLOCK;
            let _reader = rustix::fs::open(&fifo, flags, Mode::empty()).unwrap();
            while !released.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
        });
        for root in roots(&dir, Symlinks::Beneath) {
            for _ in 0..1000 {
                assert!(matches!(root.open(b"fifo"), Opened::Special));
            }
            assert!(matches!(root.open(b"socket"), Opened::Special));
            assert_eq!(names(&root, b""), [&b"a.txt"[..], b"sub"]);
        }
        assert!(!released.load(Ordering::SeqCst), "the FIFO was opened");
    });
    let devices = Root::new(Path::new("/dev"), Symlinks::Beneath).unwrap();
    assert!(matches!(devices.open(b"null"), Opened::Special));
}

#[test]
fn b_123_every_listed_name_can_be_opened_whatever_its_bytes() {
    let dir = tree();
    let long = [b'n'; 255];
    let unusual: [&[u8]; 8] = [
        b"new\nline",
        b"\xff\xfe",
        b"a b%20c?#&'\"",
        "\u{1F980}".as_bytes(),
        b"back\\slash",
        b".dot",
        b"...",
        &long,
    ];
    fs::create_dir(dir.path().join("root/unusual")).unwrap();
    for name in unusual {
        let path = dir.path().join("root/unusual").join(OsStr::from_bytes(name));
        fs::write(path, name).unwrap();
    }
    for root in roots(&dir, Symlinks::Beneath) {
        let entries = list(&root, b"unusual").unwrap();
        assert_eq!(entries.len(), unusual.len());
        for listing::Entry { name, kind, is_symlink: link, size, modified, .. } in entries {
            assert!(unusual.contains(&name.as_slice()));
            let opened = root.open(&[b"unusual/", &*name].concat());
            let Found::File(stat) = opened.to_found() else {
                unreachable!("{opened:?} at {name:?}")
            };
            assert_eq!((kind, link), (Kind::File, false));
            assert_eq!((size, modified), (stat.size, stat.modified));
        }
        assert!(list(&root, b"a.txt").is_err());
        assert!(list(&root, b"..").is_err());
    }
}

#[test]
fn b_184_a_change_is_detected_by_the_metadata_of_the_path() {
    let dir = tree();
    let path = dir.path().join("root/a.txt");
    for root in roots(&dir, Symlinks::Beneath) {
        let Found::File(stat) = root.open(b"a.txt").to_found() else { unreachable!("it exists") };
        assert!(is_unchanged(&root, b"a.txt", &stat));
        assert!(!is_unchanged(&root, b"sub/b.txt", &stat));
        fs::copy(&path, dir.path().join("root/new")).unwrap();
        fs::rename(dir.path().join("root/new"), &path).unwrap();
        assert!(!is_unchanged(&root, b"a.txt", &stat));
    }
}

fn list(root: &Root, path: &[u8]) -> io::Result<Vec<listing::Entry>> {
    let mut entries = Vec::new();
    let mut site = Site::default();
    site.hidden = true;
    let take = |entry: listing::Entry<&[u8]>| {
        let mut owned = listing::Entry::new(entry.name.to_vec(), entry.kind);
        (owned.is_symlink, owned.size) = (entry.is_symlink, entry.size);
        owned.modified = entry.modified;
        entries.push(owned);
        Ok(())
    };
    root.list(path, &site, take).map(|()| entries)
}

#[path = "root_link_tests.rs"]
mod links;
#[path = "root_name_tests.rs"]
mod name;

/// Whether the file at `path` is still what `stat` was of.
pub(super) fn is_unchanged(root: &Root, path: &[u8], stat: &doorstep_core::site::Stat) -> bool {
    root.full_name(path).is_some_and(|name| root.is_unchanged(&name, stat))
}
