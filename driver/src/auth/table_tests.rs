//! The file of users: changes, bad files, users that are in no file.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, Instant};

use super::key::Key;
use super::table::UserTable;
use super::{Auth, AuthSettings};

const SHA: &str = "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=";

/// Writes a file of these users.
fn write(path: &Path, names: &[&str]) {
    let lines: String = names.iter().map(|name| format!("{name}:{SHA}\n")).collect();
    fs::write(path, lines).unwrap();
}

fn table(path: &Path) -> UserTable {
    let table = UserTable::new(Some(path.to_owned()));
    table.reload(&AuthSettings::default()).unwrap();
    table
}

#[test]
fn a_change_is_read_and_what_was_remembered_is_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("users");
    write(&path, &["alice"]);
    let (table, settings) = (table(&path), AuthSettings::default());
    let (key, now) = (Key::random().unwrap(), Instant::now());
    let pair = key.pair_tag(b"alice", b"secret");
    let before = table.users();
    before.remember(pair, b"alice"[..].into(), now, &settings);

    // The same contents again: nobody has to be verified anew.
    write(&path, &["alice"]);
    table.check(&settings).unwrap();
    assert!(table.users().verified(&pair, now, &settings).is_some());

    write(&path, &["alice", "bob"]);
    table.check(&settings).unwrap();
    assert_eq!(table.users().len(), 2);
    assert!(table.users().verified(&pair, now, &settings).is_none());
    assert!(before.verified(&pair, now, &settings).is_some(), "for requests that had begun");

    // Replaced, as editors do, by one of the same size.
    let other = directory.path().join("new");
    write(&other, &["alice", "eve"]);
    fs::rename(&other, &path).unwrap();
    table.check(&settings).unwrap();
    assert!(table.users().candidate(&key, b"eve").unwrap().verify(&key, b"secret").is_some());
    assert!(table.users().candidate(&key, b"bob").unwrap().verify(&key, b"secret").is_none());
}

#[test]
fn two_changes_that_the_times_do_not_show_are_both_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("users");
    write(&path, &["alice"]);
    let (table, settings, key) = (table(&path), AuthSettings::default(), Key::random().unwrap());
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    for name in ["bobby", "carol"] {
        write(&path, &[name]);
        File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
        table.check(&settings).unwrap();
        let found = table.users().candidate(&key, name.as_bytes());
        assert!(found.unwrap().verify(&key, b"secret").is_some(), "{name}");
    }
}

#[test]
fn a_bad_file_changes_nothing_and_is_reported_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("users");
    write(&path, &["alice"]);
    let (table, settings) = (table(&path), AuthSettings::default());
    let users = table.users();
    let bad: [(&dyn Fn(), &str); 5] = [
        (&|| fs::write(&path, "alice:secret\n").unwrap(), "line 1: its password is plain text"),
        (&|| fs::write(&path, "").unwrap(), "there are no users"),
        (&|| fs::write(&path, vec![b'#'; (1 << 20) + 1]).unwrap(), "larger than 1048576 bytes"),
        (&|| fs::remove_file(&path).unwrap(), "No such file"),
        (&|| fs::create_dir(&path).unwrap(), "not a regular file"),
    ];
    for (change, expected) in bad {
        change();
        let error = table.check(&settings).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains("users\""), "{error}");
        assert!(!error.contains('\n') && !error.contains("secret"), "{error}");
        table.check(&settings).unwrap();
        assert!(std::sync::Arc::ptr_eq(&users, &table.users()), "{expected}");
        assert!(table.reload(&settings).is_err(), "a reload always reports it");
    }
    fs::remove_dir(&path).unwrap();
    table.check(&settings).unwrap_err();
    write(&path, &["alice", "bob"]);
    table.check(&settings).unwrap();
    assert_eq!(table.users().len(), 2);
}

#[test]
fn the_file_is_looked_at_once_an_interval() {
    let settings = AuthSettings::default();
    let table = UserTable::new(Some("users".into()));
    let start = Instant::now();
    let due = |millis| table.is_check_due(start + Duration::from_millis(millis), &settings);
    assert_eq!([0, 1, 4999].map(due), [true, false, false]);
    assert_eq!([5001, 5002, 60_000, 60_001].map(due), [true, false, true, false]);
    assert!(!UserTable::new(None).is_check_due(start, &settings));
}

#[test]
fn users_without_a_file_stay_when_the_file_changes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("users");
    write(&path, &["alice"]);
    let auth = Auth::from_file(&path).unwrap().with_user("bob", "secret").unwrap();
    assert_eq!(auth.user_count(), 2);
    write(&path, &["carol", "dave"]);
    assert_eq!(auth.reload().unwrap(), 3);
    write(&path, &["bob"]);
    let error = auth.reload().unwrap_err().to_string();
    assert!(error.contains("given without a file"), "{error}");
    assert_eq!(auth.user_count(), 3);
    assert!(auth.with_user("carol", "secret").is_err());
}

#[test]
fn what_cannot_be_a_user_or_a_realm_is_an_error() {
    for (user, password) in
        [("", "secret"), ("a:b", "secret"), ("a\n", "secret"), ("a", ""), ("a", "sec\tret")]
    {
        let error = Auth::from_user(user, password).unwrap_err().to_string();
        assert!(!error.contains("sec") && !error.contains('\n'), "{error}");
    }
    let auth = Auth::from_user("alice", "secret").unwrap();
    assert!(
        auth.clone().with_realm("St\u{e4}ff").is_err() && auth.clone().with_realm("a\n").is_err()
    );
    let auth = auth.with_realm(r#"a "b" \c"#).unwrap();
    assert_eq!(auth.challenge, r#"Basic realm="a \"b\" \\c", charset="UTF-8""#);
    assert!(!format!("{auth:?}").contains("secret"));
    assert!(Auth::from_file("no such file").unwrap_err().to_string().contains("No such file"));
}
