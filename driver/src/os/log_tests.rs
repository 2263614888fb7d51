//! The log with a reader that is fast, slow, stuck or gone.

use std::io::{self, BufRead, BufReader, Write};
use std::net::Ipv4Addr;
use std::time::Duration;

use doorstep_core::log::{Format, Level};

use super::{Log, LogSettings};

const LONG: Duration = Duration::from_secs(60);

fn defaults() -> LogSettings {
    LogSettings::default()
}

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
fn b_111_a_full_pipe_blocks_no_caller_and_dropped_lines_are_counted() {
    let (reader, writer) = io::pipe().unwrap();
    let log = Log::from_writer(writer).unwrap();
    let line = [&[b'x'; 999][..], b"\n"].concat();
    let written = 4 * defaults().max_queued_bytes / line.len();
    for _ in 0..written {
        log.write(&line); // nothing reads: this would hang if it waited
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
fn b_111_a_stuck_reader_does_not_block_the_exit() {
    let (reader, writer) = io::pipe().unwrap();
    let log = Log::from_writer(writer).unwrap();
    for _ in 0..defaults().max_queued_lines {
        log.write(&[&[b'x'; 120][..], b"\n"].concat());
    }
    assert!(!log.flush(Duration::ZERO));
    drop(log); // returns
    drop(reader);
}

#[test]
fn b_111_after_a_close_dropping_the_log_waits_for_nobody() {
    let (reader, writer) = io::pipe().unwrap();
    let settings = LogSettings { drop_timeout: Duration::MAX, ..defaults() };
    let log = Log::with_settings(writer, settings).unwrap();
    log.write(&[&vec![b'x'; 1 << 19][..], b"\n"].concat()); // more than a pipe holds
    assert!(!log.close(Duration::ZERO));
    drop(log); // returns
    drop(reader);
}

#[test]
fn lines_that_exceed_the_queue_at_once_are_dropped() {
    let (reader, writer) = io::pipe().unwrap();
    let log = Log::from_writer(writer).unwrap();
    log.write(&[vec![b'x'; defaults().max_queued_bytes], b"\n".to_vec()].concat());
    log.write(&vec![b'\n'; defaults().max_queued_lines + 1]);
    log.write(b"small\n");
    drop(log);
    let lines: Vec<_> = BufReader::new(reader).lines().map(Result::unwrap).collect();
    assert_eq!(lines, ["small", &format!("{} log lines dropped", defaults().max_queued_lines + 2)]);
}

#[test]
fn messages_of_the_log_itself_have_its_format() {
    let (reader, writer) = io::pipe().unwrap();
    let log = Log::from_writer(writer).unwrap();
    log.set_format(Format::Json);
    log.write(&vec![b'\n'; defaults().max_queued_lines + 1]);
    log.log_message(Ipv4Addr::LOCALHOST.into(), "lost");
    log.log_server_message(Level::Warning, "late");
    drop(log);
    let lines: Vec<_> = BufReader::new(reader).lines().map(Result::unwrap).collect();
    let dropped = format!("{} log lines dropped", defaults().max_queued_lines + 1);
    let expected = [
        r#""level":"error","client":"127.0.0.1","message":"lost"}"#.to_owned(),
        r#""level":"warn","client":null,"message":"late"}"#.to_owned(),
        format!(r#""level":"warn","client":null,"message":"{dropped}"}}"#),
    ];
    // The writing thread may report what was dropped at any time.
    for line in &lines {
        assert!(line.starts_with(r#"{"time":"2"#), "{line}");
    }
    for end in expected {
        assert_eq!(lines.iter().filter(|line| line.ends_with(&end)).count(), 1, "{lines:?}");
    }
    assert_eq!(lines.len(), 3);
}

#[test]
fn b_111_repeated_messages_are_counted_and_the_count_is_written_at_the_end() {
    let (reader, writer) = io::pipe().unwrap();
    let log = Log::from_writer(writer).unwrap();
    for n in 0..1000 {
        log.log_message(Ipv4Addr::new(192, 0, 2, n as u8).into(), "lost\x1b");
        log.write(b"an access line\n");
    }
    drop(log);
    let lines: Vec<_> = BufReader::new(reader).lines().map(Result::unwrap).collect();
    let max_repeats = defaults().max_repeats;
    let (access, messages): (Vec<_>, Vec<_>) =
        lines.iter().partition(|line| line.starts_with("an "));
    assert_eq!((access.len(), messages.len() as u64), (1000, max_repeats + 1));
    assert!(messages[0].starts_with("192.0.2.0 - - [") && messages[0].ends_with("] lost\\x1b"));
    assert!(
        messages[max_repeats as usize]
            .ends_with(&format!("] lost\\x1b (\u{d7}{} more in 1 s)", 1000 - max_repeats))
    );
}

#[test]
fn b_111_a_count_is_written_after_its_interval_even_if_nothing_else_is() {
    let (reader, writer) = io::pipe().unwrap();
    let settings = LogSettings {
        max_repeats: 3,
        repeat_interval: Duration::from_millis(50),
        ..LogSettings::default()
    };
    let log = Log::with_settings(writer, settings).unwrap();
    for _ in 0..=3 {
        log.log_message(Ipv4Addr::LOCALHOST.into(), "lost");
    }
    let mut lines = BufReader::new(reader).lines().map(Result::unwrap);
    let last = lines.nth(3).unwrap(); // while the log is alive
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
