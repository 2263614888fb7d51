//! Log files that are rotated, removed, full, or cannot be opened again.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use super::LogFile;
use crate::os::{Log, LogSettings};

const LONG: Duration = Duration::from_secs(60);

fn directory() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("access.log");
    (directory, path)
}

fn read(path: &PathBuf) -> String {
    fs::read_to_string(path).unwrap()
}

fn open(path: &Path) -> io::Result<LogFile> {
    LogFile::open(path, LogSettings::default().check_interval)
}

impl LogFile {
    /// Writes as if a second had passed since the last check.
    fn write_later(&mut self, lines: &[u8]) -> Option<String> {
        self.checked = self.checked.checked_sub(self.check_interval).unwrap();
        self.write(lines, 0)
    }
}

#[test]
fn a_new_file_is_not_for_everybody_and_an_old_one_is_appended_to() {
    let (_directory, path) = directory();
    let mut file = open(&path).unwrap();
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o137, 0);
    assert_eq!(file.write(b"1\n", 0), None);
    let mut file = open(&path).unwrap();
    assert_eq!(file.write(b"2\n3\n", 0), None);
    assert_eq!(read(&path), "1\n2\n3\n");
}

#[test]
fn a_file_that_was_renamed_or_removed_is_opened_again() {
    let (directory, path) = directory();
    let old = directory.path().join("access.log.1");
    let mut file = open(&path).unwrap();
    assert_eq!(file.write(b"1\n", 0), None);
    fs::rename(&path, &old).unwrap();
    assert_eq!(file.write(b"2\n", 0), None, "within the same second");
    assert_eq!(file.write_later(b"3\n"), None);
    assert_eq!((read(&old), read(&path)), ("1\n2\n".into(), "3\n".into()));
    // `logrotate` with `create` makes the new file itself.
    fs::rename(&path, &old).unwrap();
    File::create(&path).unwrap();
    assert_eq!(file.write_later(b"4\n"), None);
    assert_eq!((read(&old), read(&path)), ("3\n".into(), "4\n".into()));
    fs::remove_file(&path).unwrap();
    assert_eq!(file.write_later(b"5\n"), None);
    assert_eq!(read(&path), "5\n");
    // `copytruncate`
    fs::copy(&path, &old).unwrap();
    File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
    assert_eq!(file.write_later(b"6\n"), None);
    assert_eq!((read(&old), read(&path)), ("5\n".into(), "6\n".into()));
}

#[test]
fn a_symbolic_link_that_leads_to_another_file_is_followed() {
    let (directory, path) = directory();
    let [monday, tuesday] = ["monday", "tuesday"].map(|name| directory.path().join(name));
    symlink(&monday, &path).unwrap();
    let mut file = open(&path).unwrap();
    assert_eq!(file.write(b"1\n", 0), None);
    fs::remove_file(&path).unwrap();
    symlink(&tuesday, &path).unwrap();
    assert_eq!(file.write_later(b"2\n"), None);
    assert_eq!((read(&monday), read(&tuesday)), ("1\n".into(), "2\n".into()));
}

#[test]
fn a_file_that_cannot_be_opened_again_is_reported_once_and_no_line_of_a_moved_one_is_lost() {
    let (directory, path) = directory();
    let (inside, outside) = (directory.path().join("logs"), directory.path().join("moved"));
    fs::create_dir(&inside).unwrap();
    let path = inside.join(path.file_name().unwrap());
    let mut file = open(&path).unwrap();
    fs::rename(&inside, &outside).unwrap();
    let report = file.write_later(b"1\n").unwrap();
    assert!(report.starts_with("cannot open the log file \"/"), "{report}");
    assert_eq!(file.write_later(b"2\n"), None);
    assert_eq!(read(&outside.join("access.log")), "1\n2\n");
    fs::create_dir(&inside).unwrap();
    let report = file.write_later(b"3\n").unwrap();
    assert!(report.ends_with("can be written to again: 0 log lines dropped"), "{report}");
    assert_eq!(read(&path), "3\n");
    assert_eq!((file.write_later(b"4\n"), file.flush()), (None, None));
}

#[test]
fn lines_for_a_removed_file_that_cannot_be_opened_again_are_dropped_and_counted() {
    let (directory, path) = directory();
    let inside = directory.path().join("logs");
    fs::create_dir(&inside).unwrap();
    let path = inside.join(path.file_name().unwrap());
    let mut file = open(&path).unwrap();
    fs::remove_dir_all(&inside).unwrap();
    assert!(file.write_later(b"1\n2\n").unwrap().starts_with("cannot open"));
    assert_eq!(file.write_later(b"3\n"), None);
    fs::create_dir(&inside).unwrap();
    let report = file.write_later(b"4\n").unwrap();
    assert!(report.ends_with("can be written to again: 3 log lines dropped"), "{report}");
    assert_eq!(read(&path), "4\n");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_reported_once_and_recovers() {
    let (_directory, path) = directory();
    symlink("/dev/full", &path).unwrap();
    let mut file = open(&path).unwrap();
    let report = file.write(b"1\n2\n", 0).unwrap();
    assert!(report.contains("access.log\": no space left on the device (ENOSPC)"), "{report}");
    assert_eq!(file.write(b"3\n", 1), None);
    assert_eq!(file.write(b"", 0), None, "nothing was written");
    fs::remove_file(&path).unwrap();
    assert_eq!(file.reopen(), None);
    let report = file.write(b"4\n", 0).unwrap();
    assert!(report.ends_with("can be written to again: 4 log lines dropped"), "{report}");
    assert_eq!(read(&path), "4\n");
    symlink("/dev/full", path.with_extension("2")).unwrap();
    let mut file = open(&path.with_extension("2")).unwrap();
    assert!(file.write(b"1\n", 0).is_some());
    assert!(file.flush().unwrap().ends_with("cannot be written to: 1 log line dropped"));
}

#[test]
fn lines_that_had_no_room_in_the_queue_are_reported() {
    let (_directory, path) = directory();
    let mut file = open(&path).unwrap();
    let report = file.write(b"1\n", 7).unwrap();
    assert!(report.ends_with("access.log\" was too slow: 7 log lines dropped"), "{report}");
    assert_eq!((file.write(b"2\n", 0), read(&path)), (None, "1\n2\n".into()));
}

#[test]
fn a_line_of_which_a_part_was_written_is_completed_first() {
    let (_directory, path) = directory();
    let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    // Opened for both, so that it does not wait for a writer.
    let open_both = || File::options().read(true).write(true).open(&path).unwrap();
    let reader = open_both();
    let mut file = open(&path).unwrap();
    let lines: String = (0..20_000).map(|n| format!("line {n}\n")).collect();
    let thread = thread::spawn(move || (file.write(lines.as_bytes(), 0), file));
    let unread = || rustix::io::ioctl_fionread(&reader).unwrap();
    while unread() < 65_536 {
        thread::sleep(Duration::from_millis(1));
    }
    // Now the write fails, in the middle of a line; what is in the pipe stays there.
    drop(reader);
    let (report, mut file) = thread.join().unwrap();
    assert!(report.unwrap().starts_with("cannot write to"));
    assert!(!file.rest_of_line.is_empty());
    let mut reader = File::options().read(true).open(&path).unwrap();
    let thread = thread::spawn(move || {
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        text
    });
    let report = file.write(b"the last\n", 0).unwrap();
    drop(file);
    let text = thread.join().unwrap();
    let whole = text.strip_suffix("the last\n").unwrap();
    let count = whole.lines().count();
    assert_eq!(whole, (0..count).map(|n| format!("line {n}\n")).collect::<String>());
    assert!(report.ends_with(&format!(": {} log lines dropped", 20_000 - count)), "{report}");
}

#[test]
fn a_named_pipe_that_nobody_reads_cannot_be_opened() {
    let (_directory, path) = directory();
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    assert!(open(&path).is_err(), "and does not wait");
}

#[test]
fn a_log_opens_its_file_again_when_asked_even_if_nothing_is_written() {
    let (directory, path) = directory();
    let log = Log::file_with_settings(&path, LogSettings::default()).unwrap();
    log.write(b"1\n");
    assert!(log.flush(LONG));
    let old = directory.path().join("access.log.1");
    fs::rename(&path, &old).unwrap();
    log.reopen();
    assert!(log.flush(LONG));
    assert_eq!((read(&old), read(&path)), ("1\n".into(), String::new()));
    log.write(b"2\n");
    drop(log);
    assert_eq!(read(&path), "2\n");
}

#[test]
fn no_line_is_lost_or_split_while_a_file_is_rotated() {
    let (directory, path) = directory();
    let log = Log::file(&path).unwrap();
    thread::scope(|scope| {
        for writer in 0..3 {
            let log = &log;
            scope.spawn(move || {
                for n in 0..2000 {
                    log.write(format!("writer {writer} line {n:0>50}\n").as_bytes());
                    if n % 100 == 0 {
                        assert!(log.flush(LONG)); // so that the queue does not overflow
                    }
                }
            });
        }
        for n in 0..50 {
            fs::rename(&path, directory.path().join(format!("access.log.{n}"))).unwrap();
            log.reopen();
            assert!(log.flush(LONG));
        }
    });
    drop(log);
    let mut lines = Vec::new();
    for entry in directory.path().read_dir().unwrap() {
        let text = read(&entry.unwrap().path());
        assert!(text.is_empty() || text.ends_with('\n'));
        lines.extend(text.lines().map(str::to_owned));
    }
    lines.sort();
    let expected =
        (0..3).flat_map(|writer| (0..2000).map(move |n| format!("writer {writer} line {n:0>50}")));
    assert_eq!(lines, expected.collect::<Vec<_>>());
}
