//! Scripts that exceed a limit of time or output. They are killed, and the client gets a response or
//! a visible abort. B-250, B-256.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use doorstep::blocking::CgiSettings;
use regex::Regex;

use crate::runtimes::{Runtime, config, eventually, with};
use crate::scripts::{
    ScriptServer, children, end, incomplete_response, request_script, settings, text,
};

/// Shorter than a hanging script takes, and long enough for a header.
const SHORT: Duration = Duration::from_millis(800);

on_every_runtime! {
    fn b_256_a_script_that_exceeds_its_time_is_a_504_or_a_visible_abort(runtime: Runtime) {
        let scripts = ScriptServer::start_with(runtime, short());
        let ask = |script: &str| request_script(&scripts, script);
        let mut before = ask("hang.sh");
        let mut half = ask("hang.sh?half");
        let mut after = ask("hang.sh?after");
        let mut body = ask("hang.sh?body");
        let mut stubborn = ask("stubborn.sh");
        let mut complains = ask("complains.sh");
        let mut complains_after = ask("complains.sh?after");
        for client in [&mut before, &mut half, &mut complains] {
            let response = client.response(false);
            let mut errors = scripts.server.state.errors();
            errors.retain(|error| !error.ends_with("it is all wrong"));
            assert_eq!((response.status, &response.reason[..]), (504, "Gateway Timeout"), "{errors:?}");
        }
        for (client, body) in [
            (&mut after, ""),
            (&mut body, "so far"),
            (&mut stubborn, "so far"),
            (&mut complains_after, "so far"),
        ] {
            let output = client.read_to_end_or_reset();
            let output = String::from_utf8_lossy(&output);
            assert!(output.starts_with("HTTP/1.1 200 ") && output.contains(body), "{output}");
            assert!(!output.ends_with("0\r\n\r\n"), "{output}");
        }
        scripts.wait_for_error("/cgi-bin/hostile/hang.sh: ended: timed out after ");
        assert_eq!(scripts.server.state.log(7).iter().filter(|entry| entry.aborted).count(), 4);
        let logged: usize = scripts.server.state.errors().iter().map(String::len).sum();
        assert!(logged < 600_000, "endless stderr output is logged up to a limit");
        scripts.wait_until_ended();
    }

    fn no_duration_is_too_long_to_serve_files_and_scripts(runtime: Runtime) {
        let config = with(config(), |c| {
            let t = &mut c.timeouts;
            for time in [&mut t.idle, &mut t.head, &mut t.body, &mut t.send, &mut t.drain, &mut t.linger] {
                *time = Duration::MAX;
            }
            for time in [
                &mut c.accept_backoff, &mut c.eviction_grace, &mut c.first_request_grace, &mut c.eviction_timeout,
                &mut c.eviction_scan_interval, &mut c.descriptor_wait, &mut c.rotation_interval,
                &mut c.sweep_interval, &mut c.shutdown_grace, &mut c.lame_duck, &mut c.shutdown_step,
                &mut c.kill_wait, &mut c.disconnect_check_interval, &mut c.half_close_timeout,
                &mut c.pool_idle_timeout, &mut c.log_quiet_time, &mut c.handshake_timeout,
            ] {
                *time = Duration::MAX;
            }
        });
        let settings = settings(|s| {
            for time in [
                &mut s.timeout, &mut s.half_close_timeout, &mut s.check_interval, &mut s.exit_timeout,
                &mut s.kill_delay,
            ] {
                *time = Duration::MAX;
            }
        });
        let is_time = Regex::new(r": [0-9.]+[mµn]?s,").expect("it is a pattern");
        for all in [format!("{config:#?}"), format!("{settings:#?}")] {
            let times: BTreeSet<_> = is_time.find_iter(&all).map(|found| found.as_str()).collect();
            assert_eq!(times, BTreeSet::from([&*format!(": {:?},", Duration::MAX)]), "another field");
        }
        let scripts = ScriptServer::configured(runtime, settings, config);
        let mut client = scripts.client();
        for (target, status) in [
            ("/a.txt", 200),
            ("/", 200),
            ("/cgi-bin/words.sh?a+b", 200),
            ("/cgi-bin/hostile/no-header.sh", 502),
            ("/cgi-bin/hostile/stderr.sh", 200),
        ] {
            assert_eq!(client.request("GET", target, &[]).status, status, "{target}");
        }
        client.send(b"POST /cgi-bin/stdin.py HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
        assert_eq!(client.response(false).status, 200);
        let mut hangs = request_script(&scripts, "hang.sh?body");
        hangs.peek();
        hangs.reset();
        scripts.wait_until_ended();
        drop(client);
        scripts.server.stop();
        scripts.server.wait_until_stopped();
        let errors = scripts.server.state.errors();
        assert!(!errors.iter().any(|error| error.contains("panicked")), "{errors:?}");
    }

    fn b_256_a_hundred_megabytes_arrive(runtime: Runtime) {
        let scripts = ScriptServer::start(runtime);
        let response = scripts.get("/cgi-bin/hostile/large.py");
        assert_eq!((response.status, response.body.len()), (200, 100_000_000));
        assert!(response.body.iter().all(|&byte| byte == 0));
        scripts.wait_until_ended();
    }

    fn b_256_endless_output_is_aborted(runtime: Runtime) {
        let scripts =
            ScriptServer::start_with(runtime, settings(|s| s.max_output = 3_000_000));
        let output = incomplete_response(&scripts, "hostile/endless.sh");
        assert!(!output.ends_with("0\r\n\r\n"), "no last chunk");
        assert!((1_000_000..4_000_000).contains(&output.len()), "{}", output.len());
        scripts.wait_for_error("/cgi-bin/hostile/endless.sh: ended: output exceeds 3000000 bytes");
        let response = scripts.client().request("HEAD", "/cgi-bin/hostile/endless.sh", &[]);
        assert_eq!(response.status, 200);
        scripts.wait_until_ended();
    }

    fn b_256_a_client_that_never_reads_does_not_hold_a_script(runtime: Runtime) {
        let mut config = config();
        config.timeouts.send = SHORT;
        let scripts = ScriptServer::configured(runtime, CgiSettings::default(), config);
        let mut not_reading = request_script(&scripts, "endless.sh");
        assert!(scripts.server.state.entry().aborted);
        scripts.wait_until_ended();
        assert!(!not_reading.read_to_end_or_reset().is_empty());
    }

    fn a_script_that_closes_stdout_has_ended_its_response(runtime: Runtime) {
        let scripts = ScriptServer::start_with(runtime, short());
        for how in ["work", "hang"] {
            let mut client = request_script(&scripts, &format!("closes-stdout.sh?{how}"));
            assert_eq!(text(&client.response(false)), "all of it\n");
            assert_eq!(client.request("GET", "/a.txt", &[]).body, b"hello\n", "{how}");
        }
        scripts.wait_for_error("/cgi-bin/hostile/closes-stdout.sh: has worked on");
        scripts.wait_for_error("/cgi-bin/hostile/closes-stdout.sh: ended: timed out after ");
        assert!(scripts.server.state.log(4).iter().all(|entry| entry.status == 200 && !entry.aborted));
        scripts.wait_until_ended();
    }

    fn a_background_process_that_holds_stdout_does_not_delay_the_response(runtime: Runtime) {
        let scripts = ScriptServer::start(runtime);
        let mut client = scripts.client();
        let response = client.request("GET", "/cgi-bin/hostile/forks.sh", &[]);
        assert_eq!((response.status, text(&response).lines().count()), (200, 1));
        scripts.wait_until_ended();
        let response = client.request("GET", "/cgi-bin/hostile/forks.sh?away", &[]);
        assert_eq!(response.status, 200);
        // It made itself independent, and so it is ours to end.
        let id = text(&response).trim().parse().expect("its id");
        eventually("only that one is left", || scripts.processes() == [id]);
        end(id);
        scripts.wait_until_ended();
    }

    fn b_256_a_script_that_leaves_its_process_group_is_killed_too(runtime: Runtime) {
        let scripts = ScriptServer::start_with(runtime, with(short(), |s| s.max_processes = 1));
        let output = incomplete_response(&scripts, "hostile/steps-out.py");
        assert!(output.contains("so far") && !output.ends_with("0\r\n\r\n"), "{output}");
        scripts.wait_until_ended();
        eventually("its place is free", || scripts.get("/cgi-bin/document.sh").status == 200);
    }

    fn b_248_the_last_stderr_line_of_a_killed_script_is_logged(runtime: Runtime) {
        let scripts = ScriptServer::start_with(runtime, short());
        assert_eq!(scripts.get("/cgi-bin/hostile/last-words.sh").status, 504);
        scripts.wait_for_error("/cgi-bin/hostile/last-words.sh: no end of line");
    }

    fn a_background_process_that_writes_does_not_delay_the_response(runtime: Runtime) {
        let scripts = ScriptServer::start(runtime);
        let response = scripts.get("/cgi-bin/hostile/chatters.sh?child");
        assert_eq!(response.status, 200);
        assert!(text(&response).lines().all(|line| line == "x"));
        scripts.wait_until_ended();
        assert!(!scripts.server.state.entry().aborted);
    }

    fn b_250_stderr_output_does_not_hide_a_client_disconnect(runtime: Runtime) {
        let scripts = ScriptServer::start(runtime);
        let mut gone = request_script(&scripts, "chatters.sh");
        eventually("it is under way", || !gone.is_silent());
        drop(gone); // what it has not read is refused
        assert!(scripts.server.state.entry().aborted);
        scripts.wait_until_ended();
    }

    fn b_250_a_client_may_disconnect_after_its_response(runtime: Runtime) {
        let settings = settings(|s| s.half_close_timeout = Duration::from_millis(100));
        let scripts = ScriptServer::start_with(runtime, settings);
        assert_eq!(scripts.get("/cgi-bin/hostile/chatters.sh?whole").body, b"hello");
        scripts.wait_for_error("/cgi-bin/hostile/chatters.sh: has worked on");
        assert!(!scripts.server.state.entry().aborted);
        scripts.wait_until_ended();
    }

    fn b_250_a_close_delimited_response_does_not_wait_for_the_script_to_exit(runtime: Runtime) {
        let scripts = ScriptServer::start_with(runtime, short());
        let mut client = scripts.client();
        client.send(b"GET /cgi-bin/hostile/closes-stdout.sh?hang HTTP/1.0\r\n\r\n");
        assert!(client.read_to_end().ends_with(b"\r\n\r\nall of it\n"));
        assert_eq!(scripts.processes().len(), 1, "it hangs still");
        scripts.wait_for_error("/cgi-bin/hostile/closes-stdout.sh: ended: timed out after ");
    }

    fn b_250_late_output_is_sent_completely_before_the_connection_closes(runtime: Runtime) {
        let scripts = ScriptServer::start(runtime);
        for version in ["1.0\r\n", "1.1\r\nHost: a\r\nConnection: close\r\n"] {
            let ask = |gap| {
                let mut client = scripts.client();
                let head = format!("GET /cgi-bin/late.py?{gap} HTTP/{version}\r\n");
                client.send(head.as_bytes());
                client
            };
            let asked: Vec<_> = (4..40).map(ask).collect();
            for mut client in asked {
                let output = client.read_to_end();
                assert_eq!(output.iter().filter(|&&byte| byte == b'#').count(), 16384, "{version}");
            }
        }
        assert!(scripts.server.state.log(72).iter().all(|entry| !entry.aborted));
        assert_eq!(scripts.server.state.errors(), [""; 0]);
    }

    fn b_250_a_response_that_is_too_short_does_not_wait_for_the_script_to_exit(runtime: Runtime) {
        let scripts = ScriptServer::start_with(runtime, short());
        let output = incomplete_response(&scripts, "hostile/stays.sh");
        assert!(output.ends_with("\r\n\r\nfive\n"), "{output}");
        let errors = scripts.server.state.errors();
        assert_eq!(errors.len(), 1, "it hangs still: {errors:?}");
        assert!(errors[0].contains("output is 95 bytes shorter"), "{errors:?}");
        scripts.wait_for_error("/cgi-bin/hostile/stays.sh: ended: timed out after ");
        let entry = scripts.server.state.entry();
        assert_eq!((entry.status, entry.bytes, entry.aborted), (200, Some(5), true));
        let mut old = scripts.client();
        old.send(b"GET /cgi-bin/hostile/stays.sh\r\n"); // HTTP/0.9: only the end is the end
        assert!(!old.closes_cleanly());
    }

    fn b_250_a_client_that_disconnects_before_a_local_redirect_ends_the_script(runtime: Runtime) {
        let settings = settings(|s| s.half_close_timeout = SHORT);
        let scripts = ScriptServer::start_with(runtime, settings);
        let mut client = scripts.client();
        client.send(b"GET /a.txt HTTP/1.1\r\nHost: a\r\n\r\n");
        client.send(b"GET /cgi-bin/hostile/stays.sh?local HTTP/1.1\r\nHost: a\r\n\r\n");
        eventually("it hangs", || !scripts.processes().is_empty() && !client.is_silent());
        drop(client); // what it has not read is refused
        scripts.wait_for_error("/cgi-bin/hostile/stays.sh: ended: client disconnected");
        scripts.wait_until_ended();
        request_script(&scripts, "stays.sh?local").shutdown_write();
        scripts.wait_for_error("/cgi-bin/hostile/stays.sh: ended: client seems to have disconnected");
        scripts.wait_until_ended();
    }

    fn b_250_a_script_without_a_response_does_not_delay_the_next_request(runtime: Runtime) {
        let scripts = ScriptServer::start(runtime);
        let mut client = request_script(&scripts, "no-header-hangs.sh");
        assert_eq!(client.response(false).status, 502);
        assert_eq!(client.request("GET", "/a.txt", &[]).body, b"hello\n");
        scripts.wait_for_error("/cgi-bin/hostile/no-header-hangs.sh: ended: timed out after ");
        scripts.wait_until_ended();
    }

    fn b_250_a_client_that_disconnects_ends_its_script(runtime: Runtime) {
        let scripts = ScriptServer::start(runtime);
        let mut gone = request_script(&scripts, "hang.sh?body");
        eventually("it is under way", || !gone.is_silent());
        assert_eq!(scripts.processes().len(), 1);
        drop(gone); // what it has not read is refused
        assert!(scripts.server.state.entry().aborted);
        assert_eq!(scripts.server.state.errors(), [""; 0], "R-26: the mark is all");
        scripts.wait_until_ended();
        assert_eq!(scripts.get("/a.txt").body, b"hello\n");
    }

    fn b_107_b_289_r_26_a_response_lost_at_its_end_is_marked_in_the_log_and_is_no_error(runtime: Runtime) {
        let scripts = ScriptServer::start(runtime);
        let mut gone = request_script(&scripts, "late-end.sh");
        let seen = gone.read_until(b"first\r\n");
        assert!(seen.starts_with(b"HTTP/1.1 200 "));
        drop(gone); // all was read: only what is sent now is refused
        let entry = scripts.server.state.entry();
        assert_eq!(scripts.get("/cgi-bin/document.sh").status, 200);
        let errors = scripts.server.state.errors();
        // A busy machine may send the last two parts at once: then nothing was seen to be lost, and
        // there is no mark either.
        assert_eq!(errors, [""; 0], "{entry:?}");
    }

    fn b_250_a_half_closed_client_ends_its_script_after_the_timeout(runtime: Runtime) {
        let settings = settings(|s| s.half_close_timeout = SHORT);
        let scripts = ScriptServer::start_with(runtime, settings);
        let mut quiet = request_script(&scripts, "hang.sh?body");
        quiet.shutdown_write();
        let output = quiet.read_to_end_or_reset();
        assert!(output.starts_with(b"HTTP/1.1 200 ") && !output.ends_with(b"0\r\n\r\n"));
        scripts.wait_for_error("/cgi-bin/hostile/hang.sh: ended: client seems to have disconnected");
        scripts.wait_until_ended();
    }

    fn b_250_a_half_closed_client_gets_its_response(runtime: Runtime) {
        let scripts = ScriptServer::start(runtime);
        let mut client = request_script(&scripts, "closes-stdout.sh?work");
        client.shutdown_write();
        assert_eq!(text(&client.response(false)), "all of it\n");
        scripts.wait_for_error("has worked on");
    }

    fn b_256_fifty_hanging_scripts_do_not_delay_files(runtime: Runtime) {
        let scripts = ScriptServer::start_with(runtime, settings(|s| s.max_processes = 50));
        let hanging: Vec<_> = (0..50).map(|_| request_script(&scripts, "hang.sh?body")).collect();
        eventually("all of them run", || scripts.processes().len() == 50);
        let mut clients: Vec<_> = (0..20).map(|_| scripts.client()).collect();
        for _ in 0..5 {
            for client in &mut clients {
                assert_eq!(client.request("GET", "/a.txt", &[]).body, b"hello\n");
                assert_eq!(client.request("GET", "/folder/", &[]).status, 200);
            }
        }
        assert_eq!(scripts.processes().len(), 50);
        assert_eq!(scripts.server.state.log(200).len(), 200, "no script has ended");
        drop(hanging);
    }

    fn b_282_a_stop_ends_hanging_scripts_and_their_clients_get_a_503_or_a_visible_abort(runtime: Runtime) {
        // In its last quarter scripts are ended and their clients get a response.
        for grace in [4, 8].map(Duration::from_secs) {
            let settings = settings(|s| s.max_processes = 4);
            let scripts = ScriptServer::configured(runtime, settings, with(config(), |c| c.shutdown_grace = grace));
            let mut hanging = request_script(&scripts, "hang.sh");
            eventually("it runs", || scripts.processes().len() == 1);
            let mut body = request_script(&scripts, "hang.sh?body");
            let mut stubborn = request_script(&scripts, "stubborn.sh");
            let mut old = scripts.client();
            old.send(b"GET /cgi-bin/hostile/hang.sh?body HTTP/1.0\r\n\r\n");
            eventually("they are under way", || {
                [&mut body, &mut stubborn, &mut old].iter_mut().all(|client| !client.is_silent())
            });
            let mut waiting = request_script(&scripts, "hang.sh");
            scripts.server.stop();
            scripts.server.wait_until_stopped();
            let ours = children();
            assert!(!scripts.processes().iter().any(|id| ours.contains(id)), "they were waited for");
            scripts.wait_until_ended(); // nor is any process left that they have started
            assert_eq!(hanging.response(false).status, 503);
            assert!(!old.closes_cleanly());
            for client in [&mut body, &mut stubborn] {
                let output = client.read_to_end();
                assert!(output.starts_with(b"HTTP/1.1 200") && !output.ends_with(b"0\r\n\r\n"));
            }
            // The stop may have been faster than the request.
            let output = waiting.read_to_end_or_reset();
            let waited = output.starts_with(b"HTTP/1.1 503 ");
            assert!(waited || output.is_empty());
            assert_eq!(scripts.server.state.log(4).len(), 4 + usize::from(waited));
            scripts.wait_for_error("/cgi-bin/hostile/hang.sh: ended: the server is shutting down");
            scripts.wait_for_error("/cgi-bin/hostile/stubborn.sh: ended: the server is shutting down");
            assert!(!scripts.server.state.errors().iter().any(|error| error.contains("client")));
        }
    }

    fn r_28_no_script_outlives_the_grace_of_a_stop(runtime: Runtime) {
        let grace = Duration::from_millis(400);
        let settings = settings(|s| s.max_processes = 4);
        let scripts = ScriptServer::configured(runtime, settings, with(config(), |c| c.shutdown_grace = grace));
        // They hang, do not mind SIGTERM, and have started others.
        let clients = ["hang.sh", "stubborn.sh", "stubborn.sh"].map(|name| request_script(&scripts, name));
        eventually("they run", || scripts.processes().len() >= clients.len());
        let since = Instant::now();
        scripts.server.stop();
        scripts.server.wait_until_stopped();
        assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
        scripts.wait_until_ended();
    }

    fn b_282_a_stop_waits_for_a_script_that_ends(runtime: Runtime) {
        let grace = Duration::from_secs(600);
        let scripts = ScriptServer::configured(runtime, short(), with(config(), |c| c.shutdown_grace = grace));
        let mut hangs = request_script(&scripts, "hang.sh");
        eventually("it runs", || scripts.processes().len() == 1);
        let mut works = request_script(&scripts, "closes-stdout.sh?work");
        eventually("they run", || scripts.processes().len() >= 2);
        scripts.server.stop();
        assert_eq!(text(&works.response(false)), "all of it\n");
        assert_eq!(hangs.response(false).status, 504);
        drop((works, hangs));
        scripts.server.wait_until_stopped();
        scripts.wait_for_error("has worked on");
        scripts.wait_until_ended();
    }
}

fn short() -> CgiSettings {
    settings(|s| s.timeout = SHORT)
}
