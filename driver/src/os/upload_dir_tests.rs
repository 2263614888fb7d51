use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::*;
use crate::os::Root;

fn open(root: &Path, path: &str) -> io::Result<UploadDir> {
    Root::new(root, Symlinks::Follow).unwrap().open_dir().unwrap().open_upload_dir(path.as_bytes())
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A file without a name, if the file system has them, and one with a temporary name.
fn created(directory: &UploadDir) -> Vec<TemporaryFile> {
    let name = temporary_name();
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
    let file = File::from(openat(&directory.handle, &*name, flags, FILE_MODE).unwrap());
    let named = TemporaryFile { file: file.into(), directory: directory.clone(), name: Some(name) };
    vec![directory.create().unwrap(), named]
}

#[test]
fn no_link_is_followed_whatever_the_rule_for_reading() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("dir")).unwrap();
    symlink("dir", root.path().join("link")).unwrap();
    symlink("/", root.path().join("out")).unwrap();
    assert!(open(root.path(), "dir").is_ok() && open(root.path(), "").is_ok());
    for path in ["link", "out", "out/tmp", "link/../dir"] {
        assert!(open(root.path(), path).is_err(), "{path}");
    }
    let directory = open(root.path(), "").unwrap();
    assert_eq!(directory.existing("link").unwrap(), Existing::Symlink);
    assert_eq!(directory.existing("dir").unwrap(), Existing::Directory);
    assert_eq!(directory.existing("none").unwrap(), Existing::Nothing);
}

#[test]
fn a_file_appears_complete_and_replaces_none_unless_it_may() {
    let root = tempfile::tempdir().unwrap();
    let directory = open(root.path(), "").unwrap();
    assert!(directory.is_writable());
    for (n, mut new) in created(&directory).into_iter().enumerate() {
        let name = format!("a{n}");
        Arc::get_mut(&mut new.file).unwrap().write_all(b"one").unwrap();
        let stat = new.publish(&name, false).unwrap();
        directory.sync().unwrap();
        assert_eq!(directory.existing(&name).unwrap(), Existing::File(stat));
        for other in created(&directory) {
            let error = other.publish(&name, false).unwrap_err();
            assert!(matches!(error, PublishError::Exists), "{error:?}");
        }
        for (m, mut other) in created(&directory).into_iter().enumerate() {
            let content = format!("two{m}");
            Arc::get_mut(&mut other.file).unwrap().write_all(content.as_bytes()).unwrap();
            other.publish(&name, true).unwrap();
            assert_eq!(fs::read_to_string(root.path().join(&name)).unwrap(), content);
        }
    }
    assert_eq!(names(root.path()), ["a0", "a1"]);
}

#[test]
fn a_file_that_is_dropped_leaves_nothing_behind() {
    let root = tempfile::tempdir().unwrap();
    let directory = open(root.path(), "").unwrap();
    let files = created(&directory);
    assert!(names(root.path()).iter().all(|name| name.starts_with(TEMPORARY_PREFIX)));
    drop(files);
    assert_eq!(names(root.path()), [""; 0]);
}

#[test]
fn names_that_were_left_behind_are_removed_when_they_are_old() {
    let root = tempfile::tempdir().unwrap();
    for name in [".doorstep-1-0.upload", ".doorstep-1-1.upload", ".doorstep-x", "a.upload"] {
        let file = File::create(root.path().join(name)).unwrap();
        let age = STALE_AGE * if name.contains("1-1") { 0 } else { 2 };
        file.set_modified(SystemTime::now() - age).unwrap();
    }
    open(root.path(), "").unwrap().remove_stale();
    assert_eq!(names(root.path()), [".doorstep-1-1.upload", ".doorstep-x", "a.upload"]);
}

#[test]
fn directories_are_compared_and_have_space() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("dir")).unwrap();
    let (one, dir) = (open(root.path(), "").unwrap(), open(root.path(), "dir").unwrap());
    assert!(one.is_same(&open(root.path(), "").unwrap()) && !one.is_same(&dir));
    assert!(one.free_space().unwrap() > 0);
}
