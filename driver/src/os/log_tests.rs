//! The log against readers that read, stop reading, and never come back.

use std::io::{self, BufRead, BufReader, Write};
use std::net::Ipv4Addr;
use std::time::Duration;

use super::super::repeat_filter::BURST;
use super::{Log, MAX_QUEUED_BYTES, MAX_QUEUED_LINES};

const LONG: Duration = Duration::from_secs(60);

#[test]
fn lines_arrive_whole_and_in_order() {
    let (reader, writer) = io::pipe().unwrap();
    let log = Log::from_writer(writer).unwrap();
    let thread = std::thread::spawn(move || BufReader::new(reader).lines().collect::<Vec<_>>());
    for n in 0..5000 {
        log.write(format!("line {n}\n").as_bytes());
    }
    assert!(log.flush(LONG));
    drop(log);
    let lines = thread.join().unwrap();
    assert_eq!(lines.len(), 5000);
    for (n, line) in lines.into_iter().enumerate() {
        assert_eq!(line.unwrap(), format!("line {n}"));
    }
}

#[test]
fn b_111_a_full_pipe_stops_nobody_and_what_was_dropped_is_counted() {
    let (reader, writer) = io::pipe().unwrap();
    let log = Log::from_writer(writer).unwrap();
    let line = [&[b'x'; 999][..], b"\n"].concat();
    let written = 4 * MAX_QUEUED_BYTES / line.len();
    for _ in 0..written {
        log.write(&line); // nobody reads: this would hang if it waited
    }
    let counter = std::thread::spawn(move || {
        let (mut whole, mut dropped) = (0, 0);
        for text in BufReader::new(reader).lines().map(Result::unwrap) {
            match text.strip_suffix(" log lines dropped") {
                // More than once, if the thread that writes was slow to begin.
                Some(n) => dropped += n.parse::<usize>().unwrap(),
                None => {
                    assert_eq!(text.len(), 999);
                    whole += 1;
                }
            }
        }
        (whole, dropped)
    });
    assert!(log.flush(LONG));
    log.write(&line);
    drop(log);
    let (whole, dropped) = counter.join().unwrap();
    assert!(dropped > 0);
    assert_eq!(whole + dropped, written + 1);
}

#[test]
fn b_111_a_reader_that_never_comes_back_does_not_hang_the_exit() {
    let (reader, writer) = io::pipe().unwrap();
    let log = Log::from_writer(writer).unwrap();
    for _ in 0..MAX_QUEUED_LINES {
        log.write(&[&[b'x'; 120][..], b"\n"].concat());
    }
    assert!(!log.flush(Duration::ZERO));
    drop(log); // comes back
    drop(reader);
}

#[test]
fn more_than_the_queue_holds_at_once_is_dropped() {
    let (reader, writer) = io::pipe().unwrap();
    let log = Log::from_writer(writer).unwrap();
    log.write(&[vec![b'x'; MAX_QUEUED_BYTES], b"\n".to_vec()].concat());
    log.write(&vec![b'\n'; MAX_QUEUED_LINES + 1]);
    log.write(b"small\n");
    drop(log);
    let lines: Vec<_> = BufReader::new(reader).lines().map(Result::unwrap).collect();
    assert_eq!(lines, ["small", &format!("{} log lines dropped", MAX_QUEUED_LINES + 2)]);
}

#[test]
fn b_111_what_is_noted_again_and_again_is_counted_and_told_at_the_end() {
    let (reader, writer) = io::pipe().unwrap();
    let log = Log::from_writer(writer).unwrap();
    for n in 0..1000 {
        log.log_message(Ipv4Addr::new(192, 0, 2, n as u8).into(), "lost\x1b");
        log.write(b"an access line\n");
    }
    drop(log);
    let lines: Vec<_> = BufReader::new(reader).lines().map(Result::unwrap).collect();
    let (access, notes): (Vec<_>, Vec<_>) = lines.iter().partition(|line| line.starts_with("an "));
    assert_eq!((access.len(), notes.len() as u64), (1000, BURST + 1));
    assert!(notes[0].starts_with("192.0.2.0 - - [") && notes[0].ends_with("] lost\\x1b"));
    assert!(
        notes[BURST as usize]
            .ends_with(&format!("] lost\\x1b (\u{d7}{} more in 1 s)", 1000 - BURST))
    );
}

#[test]
fn b_111_a_count_is_told_when_its_time_is_over_whatever_else_happens() {
    let (reader, writer) = io::pipe().unwrap();
    let log = Log::from_writer(writer).unwrap();
    log.shared.lock().repeat_filter.set_interval(Duration::from_millis(50));
    for _ in 0..=BURST {
        log.log_message(Ipv4Addr::LOCALHOST.into(), "lost");
    }
    let mut lines = BufReader::new(reader).lines().map(Result::unwrap);
    let last = lines.nth(BURST as usize).unwrap(); // while the log is alive
    assert!(last.ends_with("lost (\u{d7}1 more in 1 s)"), "{last}");
}

#[test]
fn a_writer_that_fails_loses_lines_and_nothing_else() {
    struct Broken;
    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let log = Log::from_writer(Broken).unwrap();
    log.write(b"lost\n");
    assert!(log.flush(LONG));
    log.write(b"lost too\n");
    assert!(log.flush(LONG));
}
