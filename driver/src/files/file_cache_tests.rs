//! Nothing stale is taken from the cache, and it stays within its limits.

use super::*;
use crate::os::Symlinks;
use std::fs;
use std::time::{Duration, SystemTime};

fn cache() -> (tempfile::TempDir, FileCache) {
    let dir = tempfile::tempdir().unwrap();
    let cache = FileCache::new(Root::new(dir.path(), Symlinks::Beneath).unwrap());
    (dir, cache)
}

fn bytes(cache: &FileCache, path: &str) -> Vec<u8> {
    match cache.get(path.as_bytes(), &mut None) {
        Opened::File(Content::Bytes(bytes), _) => bytes.to_vec(),
        Opened::File(Content::File(file), stat) => {
            let mut bytes = vec![0; stat.size as usize];
            file.read_exact_at(&mut bytes, 0).unwrap();
            bytes
        }
        other => unreachable!("{other:?}"),
    }
}

fn is_cached(cache: &FileCache, path: &str) -> bool {
    cache.cached(path.as_bytes()).is_some()
}

/// Caches a file though it was changed just now.
fn force_insert(cache: &FileCache, path: &str) {
    let Opened::File(content, stat) = cache.get(path.as_bytes(), &mut None) else { unreachable!() };
    let content = match content {
        Content::File(file) => cache.read_content(file.try_clone().unwrap(), stat.size).0,
        bytes => bytes,
    };
    insert(cache, path, content, stat, cache.root.revision());
}

fn insert(cache: &FileCache, path: &str, content: Content, stat: Stat, revision: u64) {
    let name = cache.root.full_name(path.as_bytes()).unwrap();
    let prepared = OnceLock::new();
    cache.insert(Arc::new(CachedFile { name, content, stat, revision, prepared }));
}

#[test]
fn a_file_is_cached_at_its_second_request() {
    let (_dir, cache) = cache();
    assert!(!cache.mark_requested(b"a"));
    assert!(cache.mark_requested(b"a"));
}

#[test]
fn a_file_that_was_changed_just_now_is_not_cached() {
    let (dir, cache) = cache();
    fs::write(dir.path().join("a"), "one").unwrap();
    assert_eq!(bytes(&cache, "a"), b"one");
    assert!(!is_cached(&cache, "a"));
    fs::write(dir.path().join("a"), "two").unwrap();
    assert_eq!(bytes(&cache, "a"), b"two", "same size, same tick");
}

#[test]
fn every_change_is_detected_at_once() {
    let (dir, cache) = cache();
    let path = dir.path().join("a");
    let write = |text: &str, seconds| {
        fs::write(&path, text).unwrap();
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
    };
    write("one", 1000);
    force_insert(&cache, "a");
    assert_eq!(bytes(&cache, "a"), b"one");
    std::thread::sleep(Duration::from_millis(20)); // another tick of the file system's clock
    write("two", 1000);
    assert_eq!(bytes(&cache, "a"), b"two", "same size and mtime, another ctime");
    force_insert(&cache, "a");
    fs::remove_file(&path).unwrap();
    assert!(matches!(cache.get(b"a", &mut None), Opened::NotFound));
    fs::create_dir(&path).unwrap();
    assert!(matches!(cache.get(b"a", &mut None), Opened::Directory(_)));
}

#[test]
fn r_1_the_files_of_a_directory_that_was_replaced_are_evicted() {
    let (dir, cache) = cache();
    let old = dir.path().with_extension("old");
    fs::write(dir.path().join("a"), "one").unwrap();
    force_insert(&cache, "a");
    assert!(is_cached(&cache, "a"));
    fs::rename(dir.path(), &old).unwrap();
    fs::create_dir(dir.path()).unwrap();
    // A file of the former directory, by a link that may not be followed.
    std::os::unix::fs::symlink(old.join("a"), dir.path().join("a")).unwrap();
    assert!(matches!(cache.get(b"b", &mut None), Opened::NotFound), "resolves the name");
    assert!(matches!(cache.get(b"a", &mut None), Opened::Denied(_)));
    fs::remove_dir_all(dir.path()).unwrap();
    fs::rename(&old, dir.path()).unwrap();
    force_insert(&cache, "a");
    fs::rename(dir.path(), &old).unwrap();
    assert!(matches!(cache.get(b"a", &mut None), Opened::Denied(_)), "logged once");
    assert!(cache.read_cached().files.is_empty());
    fs::rename(&old, dir.path()).unwrap();
    assert_eq!(bytes(&cache, "a"), b"one");
}

#[test]
fn r_1_a_file_that_was_opened_in_a_former_directory_is_not_cached() {
    let (dir, cache) = cache();
    let old = dir.path().with_extension("old");
    fs::write(dir.path().join("a"), "one").unwrap();
    let mut root_dir = None;
    assert!(matches!(cache.get(b"b", &mut root_dir), Opened::NotFound));
    let before = cache.root.revision_of(root_dir.as_ref().unwrap()).unwrap();
    fs::rename(dir.path(), &old).unwrap();
    fs::create_dir(dir.path()).unwrap();
    // Under its name it is the same file, but the link may not be followed.
    std::os::unix::fs::symlink(old.join("a"), dir.path().join("a")).unwrap();
    assert!(
        matches!(cache.get(b"b", &mut None), Opened::NotFound),
        "another request resolves the name"
    );
    let Opened::File(content, stat) = cache.get(b"a", &mut root_dir) else { unreachable!() };
    assert_eq!(cache.root.revision_of(root_dir.as_ref().unwrap()), None);
    insert(&cache, "a", content, stat, before);
    assert!(!is_cached(&cache, "a"));
    assert!(matches!(cache.get(b"a", &mut None), Opened::Denied(_)));
    fs::remove_dir_all(dir.path()).unwrap();
    fs::rename(&old, dir.path()).unwrap();
}

/// Whether this thread remembers the file.
fn remembers(cache: &FileCache, path: &str) -> bool {
    cache.with_recent(path.as_bytes(), |_| Some(())).is_some()
}

fn remember(cache: &FileCache, path: &str) {
    force_insert(cache, path);
    cache.remember(&cache.cached(path.as_bytes()).unwrap().0);
}

#[test]
fn a_thread_remembers_within_the_limits() {
    let (dir, cache) = cache();
    for n in 0..40 {
        fs::write(dir.path().join(n.to_string()), vec![b'x'; n]).unwrap();
    }
    let remembered = |max_recent_files, max_recent_file_size, max_files| {
        let default = CacheLimits::default();
        let limits = CacheLimits { max_recent_files, max_recent_file_size, max_files, ..default };
        let cache = FileCache::with_limits(cache.root().clone(), &limits);
        let names = || (0..40).map(|n| n.to_string());
        names().for_each(|name| remember(&cache, &name));
        let found: Vec<_> = names().filter(|name| remembers(&cache, name)).collect();
        assert!(found.iter().all(|name| name.parse::<u64>().unwrap() <= max_recent_file_size));
        found.len()
    };
    let many = usize::MAX;
    assert_eq!(remembered(0, 100, many), 0, "turned off, on a thread that has no table yet");
    assert_eq!(remembered(1, 100, many), 1);
    let all = remembered(4, 100, many);
    assert!((2..=4).contains(&all), "{all} of 4 slots are used");
    assert!((5..=32).contains(&remembered(32, 100, many)));
    assert!(remembered(1000, 100, many) > 32, "few of 40 paths share one of 1,000 slots");
    assert!((1..=10).contains(&remembered(1000, 9, many)), "the others are larger than 9 bytes");
    assert_eq!(remembered(0, 100, many), 0, "turned off, beside others that have a table");
    assert_eq!(remembered(many, 0, 1000), 1, "the empty one");
}

#[test]
fn what_a_thread_remembers_is_evicted_with_the_cache() {
    let (dir, cache) = cache();
    let limits = CacheLimits { max_files: 2, ..CacheLimits::default() };
    let small = FileCache::with_limits(cache.root().clone(), &limits);
    let largest = limits.max_recent_file_size as usize;
    for (name, size) in [("a", 10), ("b", 10), ("large", largest + 1)] {
        fs::write(dir.path().join(name), vec![b'x'; size]).unwrap();
    }
    for path in ["a", "large"] {
        assert!(!remembers(&cache, path));
        remember(&cache, path);
        assert_eq!(remembers(&cache, path), path == "a");
    }
    assert!(!remembers(&small, "a"), "that of another cache of the same root");
    assert!(!std::thread::scope(|scope| scope.spawn(|| remembers(&cache, "a")).join().unwrap()));
    assert!(cache.clear() && !remembers(&cache, "a"));

    remember(&small, "a");
    force_insert(&small, "b");
    assert!(remembers(&small, "a"), "in the old generation");
    force_insert(&small, "large");
    assert!(!is_cached(&small, "a") && !remembers(&small, "a"));

    remember(&cache, "a");
    fs::write(dir.path().join("a"), "longer than before").unwrap();
    assert!(!remembers(&cache, "a"), "it was changed");
}

#[test]
fn r_1_one_request_sees_one_directory() {
    let (dir, cache) = cache();
    let old = dir.path().with_extension("old");
    fs::write(dir.path().join("a"), "one").unwrap();
    let mut root_dir = None;
    assert!(matches!(cache.get(b"b", &mut root_dir), Opened::NotFound));
    fs::rename(dir.path(), &old).unwrap();
    fs::create_dir(dir.path()).unwrap();
    assert!(matches!(cache.get(b"a", &mut root_dir), Opened::File(..)));
    assert!(matches!(cache.get(b"a", &mut None), Opened::NotFound), "the next one");
    fs::remove_dir(dir.path()).unwrap();
    fs::rename(&old, dir.path()).unwrap();
}

#[test]
fn content_and_descriptors_are_cached_within_the_limits() {
    let dir = tempfile::tempdir().unwrap();
    let root = Root::new(dir.path(), Symlinks::Beneath).unwrap();
    let limits = CacheLimits {
        max_content_size: 10,
        max_bytes: 60,
        max_files: 100,
        max_descriptors: 4,
        ..CacheLimits::default()
    };
    let cache = FileCache::with_limits(root, &limits);
    for (size, most) in [(10, 6), (11, 4)] {
        for n in 0..54 {
            let name = format!("{size}-{n}");
            fs::write(dir.path().join(&name), vec![b'x'; size]).unwrap();
            force_insert(&cache, &name);
        }
        let cached = (0..54).filter(|n| is_cached(&cache, &format!("{size}-{n}")));
        assert_eq!(cached.count(), most);
    }
}
