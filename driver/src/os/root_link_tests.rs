//! Links that `openat2` refuses: absolute ones, and those that lead out of the root and back. Only
//! their target counts. Each test with `openat2` and without.

use super::*;

/// Two links beside `root`: `name` to it, and `other` to `outside`.
fn named() -> TempDir {
    let dir = tree();
    symlink("root", dir.path().join("name")).unwrap();
    symlink("outside", dir.path().join("other")).unwrap();
    fs::create_dir(dir.path().join("root2")).unwrap();
    fs::write(dir.path().join("root2/a.txt"), "outside").unwrap();
    dir
}

fn link(dir: &TempDir, name: &str, target: impl AsRef<Path>) {
    symlink(target, dir.path().join("root").join(name)).unwrap();
}

#[test]
fn r_3_a_link_is_followed_if_its_target_is_beneath_the_root() {
    let dir = named();
    let at = |path: &str| dir.path().join(path);
    link(&dir, "in-absolute", at("root/a.txt"));
    link(&dir, "in-directory", at("root/sub"));
    link(&dir, "in-root", at("root"));
    link(&dir, "in-by-another-name", at("name/a.txt"));
    link(&dir, "in-with-dots", at("outside/../root/sub/../a.txt"));
    link(&dir, "in-relative", "../root/a.txt");
    link(&dir, "in-over-links", at("other/back"));
    symlink(at("root/a.txt"), at("outside/back")).unwrap();
    link(&dir, "in-chain", at("root/in-absolute"));

    link(&dir, "out-absolute", at("outside/secret"));
    link(&dir, "out-directory", at("outside"));
    link(&dir, "out-alike", at("root2/a.txt"));
    link(&dir, "out-above", at(""));
    link(&dir, "out-with-dots", at("root/sub/../../outside/secret"));
    link(&dir, "out-over-links", at("root/out-absolute"));
    link(&dir, "out-top", "/");
    link(&dir, "out-device", "/dev/null");
    link(&dir, "broken", at("root/nothing"));

    let by_name = Root::new(&at("name"), Symlinks::Beneath).unwrap();
    for root in roots(&dir, Symlinks::Beneath).into_iter().chain([by_name]) {
        for name in ["absolute", "by-another-name", "with-dots", "relative", "over-links", "chain"]
        {
            let path = format!("in-{name}");
            assert_eq!(content(root.open(path.as_bytes())).as_deref(), Some("a"), "{path}");
            assert!(matches!(root.inspect(path.as_bytes()), Opened::File(false, _)), "{path}");
        }
        assert_eq!(content(root.open(b"in-directory/b.txt")).unwrap(), "bb");
        assert_eq!(content(root.open(b"in-root/in-root/a.txt")).unwrap(), "a");
        assert_eq!(content(root.open(b"in-root/in-directory/b.txt")).unwrap(), "bb");
        assert!(matches!(root.open(b"in-root"), Opened::Directory(_)));
        assert_eq!(names(&root, b"in-directory"), [&b"b.txt"[..], b"deep"]);
        for name in ["absolute", "directory", "alike", "above", "with-dots", "over-links", "top"] {
            let path = format!("out-{name}");
            assert!(matches!(root.open(path.as_bytes()), Opened::Denied(_)), "{path}");
            assert!(matches!(root.inspect(path.as_bytes()), Opened::Denied(_)), "{path}");
            assert!(list(&root, path.as_bytes()).is_err(), "{path}");
        }
        let through: [&[u8]; 5] = [
            b"out-directory/secret",
            b"out-above/outside/secret",
            b"out-top/etc/passwd",
            b"in-root/out-absolute",
            b"out-device",
        ];
        for path in through {
            let opened = root.open(path);
            assert!(
                matches!(opened, Opened::Denied(_) | Opened::Special),
                "{opened:?} at {path:?}"
            );
        }
        assert!(matches!(root.open(b"broken"), Opened::NotFound));
        let listed = names(&root, b"");
        let links = listed.iter().filter(|name| name.contains(&b'-'));
        assert!(links.clone().all(|name| name.starts_with(b"in-")), "{listed:?}");
        assert_eq!(links.count(), 8);
    }
    for root in roots(&dir, Symlinks::Deny) {
        assert!(matches!(root.open(b"in-absolute"), Opened::Denied(_)));
        assert_eq!(names(&root, b""), [&b"a.txt"[..], b"sub"]);
    }
    for root in roots(&dir, Symlinks::Follow) {
        assert_eq!(content(root.open(b"out-alike")).unwrap(), "outside");
    }
}

#[test]
fn r_3_a_chain_of_links_is_followed_if_its_last_target_is_beneath_the_root() {
    let dir = named();
    link(&dir, "out-and-back", dir.path().join("outside/on"));
    symlink(dir.path().join("root/sub/back"), dir.path().join("outside/on")).unwrap();
    link(&dir, "sub/back", dir.path().join("root/a.txt"));
    for root in roots(&dir, Symlinks::Beneath) {
        assert_eq!(content(root.open(b"out-and-back")).unwrap(), "a");
    }
    fs::remove_file(dir.path().join("root/sub/back")).unwrap();
    link(&dir, "sub/back", dir.path().join("outside/secret"));
    for root in roots(&dir, Symlinks::Beneath) {
        assert!(matches!(root.open(b"out-and-back"), Opened::Denied(_)));
    }
}

#[test]
fn r_3_a_loop_of_links_and_a_path_that_is_too_long_are_refused() {
    let dir = named();
    link(&dir, "circle", dir.path().join("outside/circle"));
    symlink(dir.path().join("root/circle"), dir.path().join("outside/circle")).unwrap();
    // Each link doubles the length, so that 40 of them would never end.
    let first = dir.path().join("root/sub/..");
    let mut target = [first.to_str().unwrap(), &"/sub/..".repeat(100)].concat();
    for n in 0..30 {
        link(&dir, &format!("long{n}"), &target);
        let next = dir.path().join("root").join(format!("long{n}"));
        target = [next.to_str().unwrap(), "/", &format!("long{n}"), "/sub/..".repeat(100).as_str()]
            .concat();
    }
    for root in roots(&dir, Symlinks::Beneath) {
        assert!(matches!(root.open(b"circle"), Opened::Denied(_)));
        assert!(matches!(root.open(b"long29"), Opened::Denied(_)));
        assert!(matches!(root.open(b"long0"), Opened::Directory(_)));
    }
}

#[test]
fn r_3_nothing_is_outside_of_the_root_of_the_file_system() {
    let dir = tree();
    link(&dir, "absolute", dir.path().join("root/a.txt"));
    link(&dir, "above", "../../../../../../../../../../../..");
    let path = dir.path().strip_prefix("/").unwrap().as_os_str().as_bytes();
    let top = Path::new("/");
    for root in
        [Root::new(top, Symlinks::Beneath).unwrap(), Root::without_openat2(top, Symlinks::Beneath)]
    {
        assert_eq!(content(root.open(&[path, b"/root/absolute"].concat())).unwrap(), "a");
        assert!(matches!(root.open(&[path, b"/root/above"].concat()), Opened::Directory(_)));
    }
}

#[test]
fn r_3_a_link_that_alternates_between_inside_and_outside_never_leads_out() {
    let dir = named();
    fs::write(dir.path().join("outside/a.txt"), "secret").unwrap();
    fs::write(dir.path().join("outside/only outside"), "").unwrap();
    let at = |name: &str| dir.path().join("root").join(name);
    let flip = |target: &str| {
        symlink(dir.path().join(target), at("aside")).unwrap();
        fs::rename(at("aside"), at("flips")).unwrap();
    };
    flip("root");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _end = OnDrop(|| done.store(true, Ordering::Relaxed));
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                flip("outside");
                flip("root/sub/..");
            }
        });
        let mut found = [0; 2];
        for root in roots(&dir, Symlinks::Beneath) {
            for _ in 0..5_000 {
                match content(root.open(b"flips/a.txt")) {
                    Some(text) => {
                        assert_eq!(text, "a");
                        found[0] += 1;
                    }
                    None => found[1] += 1,
                }
                if let Ok(entries) = list(&root, b"flips") {
                    assert!(entries.iter().all(|entry| entry.name != b"only outside"));
                }
            }
        }
        assert!(found[0] > 0, "it was found inside at times: {found:?}");
    });
}
