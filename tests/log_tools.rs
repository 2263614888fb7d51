//! The logs of the built command with the programs that read and rotate them, and on a full disk.
#![cfg(all(unix, feature = "cli"))]

mod support;

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;

use regex::Regex;
use support::log_files::{eventually, logs, read};
use support::{RUNTIMES, root, serve, text};
use tempfile::TempDir;

/// Requests with much that a parser could stumble over, in this format; the log.
fn difficult_log(format: &str) -> (TempDir, PathBuf, usize) {
    let root = root();
    let (directory, access, _) = logs();
    let option = format!("--access-log={}", access.display());
    let mut server = serve(root.path(), &[&format!("--log-format={format}"), &option]);
    let mut count = 0;
    for target in ["/a.txt", "/none", "/a.txt?q=%22\"\\", "/é\u{202e}", "/a.txt?\\x41"] {
        for agent in ["-", "a \"quoted\" one", "ends in \\", "\u{202e}é 日本", "\\\" \\\\\""] {
            let mut client = server.client();
            let head = format!(
                "GET {target} HTTP/1.1\r\nHost: a\r\nUser-Agent: {agent}\r\nReferer: {agent}\r\n\
                 Connection: close\r\n\r\n"
            );
            client.send(head.as_bytes());
            client.read_to_end();
            count += 1;
        }
    }
    for garbage in [&b"\x16\x03\x01\r\n\r\n"[..], b"GET\r\n\r\n", b"\xff\xfe \"\r\n\r\n"] {
        let mut client = server.client();
        client.send(garbage);
        client.read_to_end();
        count += 1;
    }
    server.end("TERM");
    (directory, access, count)
}

#[test]
#[ignore = "needs python3 and jq"]
fn json_is_read_by_others_and_every_byte_can_be_restored() -> io::Result<()> {
    let (_directory, access, count) = difficult_log("json");
    let script = "import json, sys, re\n\
        rows = [json.loads(line) for line in open(sys.argv[1], encoding='utf-8')]\n\
        def restore(text):\n\
        \x20   unescape = lambda m: b'\\\\' if m[1] == b'\\\\' else bytes([int(m[1][1:], 16)])\n\
        \x20   return re.sub(rb'\\\\(\\\\|x[0-9a-f]{2})', unescape, text.encode())\n\
        agents = {restore(row['user_agent']) for row in rows if row['user_agent']}\n\
        wanted = ['-', 'a \"quoted\" one', 'ends in \\\\', '\\u202eé 日本', '\\\\\" \\\\\\\\\"']\n\
        assert agents >= {agent.encode() for agent in wanted}, agents\n\
        assert len({tuple(row) for row in rows}) == 1, 'all have the same members'\n\
        assert len({row['request_id'] for row in rows}) == len(rows)\n\
        print(len(rows))\n";
    let python = Command::new("python3").args(["-c", script]).arg(&access).output()?;
    assert_eq!(text(&python.stdout), format!("{count}\n"), "{}", text(&python.stderr));
    let jq = Command::new("jq").args(["-c", "[.status, .duration_ms]"]).arg(&access).output()?;
    assert_eq!(text(&jq.stdout).lines().count(), count, "{}", text(&jq.stderr));
    Ok(())
}

#[test]
#[ignore = "needs goaccess"]
fn the_combined_format_is_read_by_goaccess() -> io::Result<()> {
    let (directory, access, count) = difficult_log("combined");
    let (report, invalid) =
        (directory.path().join("report.json"), directory.path().join("invalid"));
    let goaccess = Command::new("goaccess")
        .arg(&access)
        .args(["--log-format=COMBINED", "--no-global-config", "-o"])
        .arg(&report)
        .arg(format!("--invalid-requests={}", invalid.display()))
        .env("LC_ALL", "C.UTF-8")
        .output()?;
    assert!(goaccess.status.success(), "{}", text(&goaccess.stderr));
    let report = read(&report);
    let number = |name: &str| {
        let (_, value) = report.split_once(&format!("\"{name}\": ")).unwrap_or_default();
        value.split(|c: char| !c.is_ascii_digit()).next().and_then(|n| n.parse::<usize>().ok())
    };
    let invalid = read(&invalid);
    assert_eq!(number("total_requests"), Some(count), "{invalid}\n{}", read(&access));
    assert_eq!((number("failed_requests"), number("valid_requests")), (Some(0), Some(count)));
    Ok(())
}

#[test]
#[ignore = "needs logrotate"]
fn logrotate_rotates_with_and_without_a_signal() -> io::Result<()> {
    let root = root();
    for (directives, hup) in [
        ("nocreate", false),
        ("create 0640", false),
        ("copytruncate", false),
        ("create 0640", true),
        ("nocreate\ncompress\ndelaycompress", true),
    ] {
        let (directory, access, _) = logs();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755))?;
        let option = format!("--access-log={}", access.display());
        let mut server = serve(root.path(), &[&option]);
        let config = directory.path().join("logrotate.conf");
        let script = match hup {
            true => format!("postrotate\nkill -s HUP {}\nendscript\n", server.id()),
            false => String::new(),
        };
        let path = access.display();
        fs::write(&config, format!("\"{path}\" {{\nrotate 5\n{directives}\n{script}}}\n"))?;
        fs::set_permissions(&config, fs::Permissions::from_mode(0o644))?;
        for n in 0..3 {
            server.get(&format!("/a.txt?{n}"));
            let target = format!("/a.txt?{n}");
            eventually("it is logged", || read(&access).contains(&target));
            let state = directory.path().join("state");
            let rotated = Command::new("logrotate").arg("-fs").args([&state, &config]).output()?;
            assert!(rotated.status.success(), "{directives}: {}", text(&rotated.stderr));
            if !hup {
                thread::sleep(Duration::from_millis(1100)); // the path is checked once a second
            }
        }
        server.get("/a.txt?last");
        server.end("TERM");
        assert!(read(&access).contains("?last"), "{directives}");
        let mut lines = 0;
        for entry in directory.path().read_dir()? {
            let path = entry?.path();
            if path.to_string_lossy().contains("access.log") {
                let cat = Command::new("zcat").arg("-f").arg(&path).output()?;
                lines += text(&cat.stdout).lines().count();
            }
        }
        assert_eq!(lines, 4, "{directives}");
    }
    Ok(())
}

#[test]
#[ignore = "needs the right to mount a file system"]
fn a_disk_that_was_full_is_written_again_without_a_split_line() -> io::Result<()> {
    let root = root();
    let line = Regex::new(r#"^127\.0\.0\.1 - - \[[^]]*\] .*$"#).expect("it is a pattern");
    for runtime in RUNTIMES {
        let (directory, access, _) = logs();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"])
            .arg(directory.path())
            .status()?;
        assert!(mounted.success());
        let option = format!("--access-log={}", access.display());
        let mut server = serve(root.path(), &[runtime, &option]);
        let mut client = server.client();
        let requests = 3000; // 80 bytes each, on 64 KiB
        for _ in 0..requests {
            assert_eq!(client.request("GET", "/a.txt?some-more-text", &[]).status, 200);
        }
        drop(client);
        let full = read(&access);
        assert!(full.len() <= 64 << 10 && full.lines().count() < requests);
        // As `logrotate` does that makes room.
        fs::write(&access, "")?;
        server.get("/last");
        let stderr = text(&server.end("TERM").stderr);
        let log = read(&access);
        let unmounted = Command::new("umount").arg(directory.path()).status()?;
        assert!(unmounted.success());
        assert_eq!(stderr.lines().count(), 2, "{stderr}");
        let last = stderr.lines().last().unwrap_or_default();
        let dropped = last.split(": ").last().and_then(|rest| rest.split(' ').next());
        let dropped: usize = dropped.and_then(|n| n.parse().ok()).expect(last);
        // The line that was torn is whole: its end is the first thing in the new file.
        let joined = full + &log;
        assert!(joined.lines().all(|whole| line.is_match(whole)), "{log}");
        assert_eq!(joined.lines().count() + dropped, requests + 2, "{stderr}");
    }
    Ok(())
}
