//! Scripts that take too much: of time, of output. They are ended, and whoever asked
//! gets an answer or a visible cut. B-250, B-256.

use std::time::{Duration, Instant};

use doorstep::blocking::CgiSettings;
use doorstep::blocking::Config;

use crate::drivers::{Driver, config, eventually};
use crate::scripts::{Scripts, asking, children, cut, end, text};

/// Too short for those who hang, and long enough for a header.
const SHORT: Duration = Duration::from_millis(800);

on_every_driver! {
    fn b_256_who_is_late_is_ended_with_a_504_or_a_cut(driver: Driver) {
        let scripts = Scripts::start_with(driver, short());
        let ask = |script: &str| asking(&scripts, script);
        let mut before = ask("hang.sh");
        let mut half = ask("hang.sh?half");
        let mut after = ask("hang.sh?after");
        let mut body = ask("hang.sh?body");
        let mut stubborn = ask("stubborn.sh");
        let mut complains = ask("complains.sh");
        let mut complains_after = ask("complains.sh?after");
        for client in [&mut before, &mut half, &mut complains] {
            let answer = client.answer(false);
            let mut notes = scripts.server.state.notes();
            notes.retain(|note| !note.ends_with("it is all wrong"));
            assert_eq!((answer.status, &answer.reason[..]), (504, "Gateway Timeout"), "{notes:?}");
        }
        for (client, body) in [
            (&mut after, ""),
            (&mut body, "so far"),
            (&mut stubborn, "so far"),
            (&mut complains_after, "so far"),
        ] {
            let said = client.rest_or_reset();
            let said = String::from_utf8_lossy(&said);
            assert!(said.starts_with("HTTP/1.1 200 ") && said.contains(body), "{said}");
            assert!(!said.ends_with("0\r\n\r\n"), "{said}");
        }
        scripts.noted("/cgi-bin/hostile/hang.sh: ended: timed out after ");
        assert_eq!(scripts.server.state.log(7).iter().filter(|entry| entry.cut).count(), 4);
        let told: usize = scripts.server.state.notes().iter().map(String::len).sum();
        assert!(told < 600_000, "what is complained of for ever is told for a while");
        scripts.are_gone();
    }

    fn b_256_a_hundred_megabytes_arrive(driver: Driver) {
        let scripts = Scripts::start(driver);
        let answer = scripts.get("/cgi-bin/hostile/large.py");
        assert_eq!((answer.status, answer.body.len()), (200, 100_000_000));
        assert!(answer.body.iter().all(|&byte| byte == 0));
        scripts.are_gone();
    }

    fn b_256_output_without_an_end_is_cut(driver: Driver) {
        let scripts =
            Scripts::start_with(driver, CgiSettings { max_output: 3_000_000, ..CgiSettings::default() });
        let said = cut(&scripts, "hostile/endless.sh");
        assert!(!said.ends_with("0\r\n\r\n"), "no last chunk");
        assert!((1_000_000..4_000_000).contains(&said.len()), "{}", said.len());
        scripts.noted("/cgi-bin/hostile/endless.sh: ended: output exceeds 3000000 bytes");
        let answer = scripts.client().ask("HEAD", "/cgi-bin/hostile/endless.sh", &[]);
        assert_eq!(answer.status, 200);
        scripts.are_gone();
    }

    fn b_256_a_client_that_never_reads_does_not_hold_a_script(driver: Driver) {
        let mut config = config();
        config.timeouts.send = SHORT;
        let scripts = Scripts::configured(driver, CgiSettings::default(), config);
        let mut deaf = asking(&scripts, "endless.sh");
        assert!(scripts.server.state.entry().cut);
        scripts.are_gone();
        assert!(!deaf.rest_or_reset().is_empty());
    }

    fn who_closes_stdout_has_answered(driver: Driver) {
        let scripts = Scripts::start_with(driver, short());
        for how in ["work", "hang"] {
            let mut client = asking(&scripts, &format!("closes-stdout.sh?{how}"));
            assert_eq!(text(&client.answer(false)), "all of it\n");
            assert_eq!(client.ask("GET", "/a.txt", &[]).body, b"hello\n", "{how}");
        }
        scripts.noted("/cgi-bin/hostile/closes-stdout.sh: has worked on");
        scripts.noted("/cgi-bin/hostile/closes-stdout.sh: ended: timed out after ");
        assert!(scripts.server.state.log(4).iter().all(|entry| entry.status == 200 && !entry.cut));
        scripts.are_gone();
    }

    fn who_is_left_behind_with_stdout_keeps_nobody_waiting(driver: Driver) {
        let scripts = Scripts::start(driver);
        let mut client = scripts.client();
        let answer = client.ask("GET", "/cgi-bin/hostile/forks.sh", &[]);
        assert_eq!((answer.status, text(&answer).lines().count()), (200, 1));
        scripts.are_gone();
        let answer = client.ask("GET", "/cgi-bin/hostile/forks.sh?away", &[]);
        assert_eq!(answer.status, 200);
        // It made itself independent, and so it is ours to end.
        let id = text(&answer).trim().parse().expect("its id");
        eventually("only that one is left", || scripts.processes() == [id]);
        end(id);
        scripts.are_gone();
    }

    fn b_256_who_leaves_his_process_group_is_ended_all_the_same(driver: Driver) {
        let scripts = Scripts::start_with(driver, CgiSettings { max_processes: 1, ..short() });
        let said = cut(&scripts, "hostile/steps-out.py");
        assert!(said.contains("so far") && !said.ends_with("0\r\n\r\n"), "{said}");
        scripts.are_gone();
        eventually("its place is free", || scripts.get("/cgi-bin/document.sh").status == 200);
    }

    fn b_248_the_last_words_of_who_is_ended_are_told(driver: Driver) {
        let scripts = Scripts::start_with(driver, short());
        assert_eq!(scripts.get("/cgi-bin/hostile/last-words.sh").status, 504);
        scripts.noted("/cgi-bin/hostile/last-words.sh: no end of line");
    }

    fn who_is_left_behind_and_writes_keeps_nobody_waiting_either(driver: Driver) {
        let scripts = Scripts::start(driver);
        let answer = scripts.get("/cgi-bin/hostile/chatters.sh?child");
        assert_eq!(answer.status, 200);
        assert!(text(&answer).lines().all(|line| line == "x"));
        scripts.are_gone();
        assert!(!scripts.server.state.entry().cut);
    }

    fn b_250_a_script_that_complains_does_not_hide_that_its_client_has_left(driver: Driver) {
        let scripts = Scripts::start(driver);
        let mut gone = asking(&scripts, "chatters.sh");
        eventually("it is under way", || !gone.is_silent());
        drop(gone); // what it has not read is refused
        assert!(scripts.server.state.entry().cut);
        scripts.are_gone();
    }

    fn b_250_a_client_that_has_its_answer_may_leave(driver: Driver) {
        let settings = CgiSettings { half_close_timeout: Duration::from_millis(100), ..CgiSettings::default() };
        let scripts = Scripts::start_with(driver, settings);
        assert_eq!(scripts.get("/cgi-bin/hostile/chatters.sh?whole").body, b"hello");
        scripts.noted("/cgi-bin/hostile/chatters.sh: has worked on");
        assert!(!scripts.server.state.entry().cut);
        scripts.are_gone();
    }

    fn b_250_an_answer_that_ends_with_the_connection_does_not_wait_for_the_script(driver: Driver) {
        let scripts = Scripts::start_with(driver, short());
        let mut client = scripts.client();
        client.send(b"GET /cgi-bin/hostile/closes-stdout.sh?hang HTTP/1.0\r\n\r\n");
        assert!(client.rest().ends_with(b"\r\n\r\nall of it\n"));
        assert_eq!(scripts.processes().len(), 1, "it hangs still");
        scripts.noted("/cgi-bin/hostile/closes-stdout.sh: ended: timed out after ");
    }

    fn b_250_an_answer_that_comes_late_comes_whole_before_the_connection_closes(driver: Driver) {
        let scripts = Scripts::start(driver);
        for version in ["1.0\r\n", "1.1\r\nHost: a\r\nConnection: close\r\n"] {
            let ask = |gap| {
                let mut client = scripts.client();
                let head = format!("GET /cgi-bin/late.py?{gap} HTTP/{version}\r\n");
                client.send(head.as_bytes());
                client
            };
            let asked: Vec<_> = (4..40).map(ask).collect();
            for mut client in asked {
                let said = client.rest();
                assert_eq!(said.iter().filter(|&&byte| byte == b'#').count(), 16384, "{version}");
            }
        }
        assert!(scripts.server.state.log(72).iter().all(|entry| !entry.cut));
        assert_eq!(scripts.server.state.notes(), [""; 0]);
    }

    fn b_250_an_answer_that_is_too_short_does_not_wait_for_the_script(driver: Driver) {
        let scripts = Scripts::start_with(driver, short());
        let said = cut(&scripts, "hostile/stays.sh");
        assert!(said.ends_with("\r\n\r\nfive\n"), "{said}");
        let notes = scripts.server.state.notes();
        assert_eq!(notes.len(), 1, "it hangs still: {notes:?}");
        assert!(notes[0].contains("95 bytes shorter"), "{notes:?}");
        scripts.noted("/cgi-bin/hostile/stays.sh: ended: timed out after ");
        let entry = scripts.server.state.entry();
        assert_eq!((entry.status, entry.bytes, entry.cut), (200, Some(5), true));
        let mut old = scripts.client();
        old.send(b"GET /cgi-bin/hostile/stays.sh\r\n"); // HTTP/0.9: only the end is the end
        assert!(!old.ends_in_order());
    }

    fn b_250_a_client_that_leaves_before_a_redirect_takes_the_script_along(driver: Driver) {
        let settings = CgiSettings { half_close_timeout: SHORT, ..CgiSettings::default() };
        let scripts = Scripts::start_with(driver, settings);
        let mut client = scripts.client();
        client.send(b"GET /a.txt HTTP/1.1\r\nHost: a\r\n\r\n");
        client.send(b"GET /cgi-bin/hostile/stays.sh?local HTTP/1.1\r\nHost: a\r\n\r\n");
        eventually("it hangs", || !scripts.processes().is_empty() && !client.is_silent());
        drop(client); // what it has not read is refused
        scripts.noted("/cgi-bin/hostile/stays.sh: ended: client disconnected");
        scripts.are_gone();
        asking(&scripts, "stays.sh?local").finish();
        scripts.noted("/cgi-bin/hostile/stays.sh: ended: client seems to have disconnected");
        scripts.are_gone();
    }

    fn b_250_who_gave_no_answer_does_not_hold_the_next_request(driver: Driver) {
        let scripts = Scripts::start(driver);
        let mut client = asking(&scripts, "no-header-hangs.sh");
        assert_eq!(client.answer(false).status, 502);
        assert_eq!(client.ask("GET", "/a.txt", &[]).body, b"hello\n");
        scripts.noted("/cgi-bin/hostile/no-header-hangs.sh: ended: timed out after ");
        scripts.are_gone();
    }

    fn b_250_a_client_that_leaves_takes_its_script_along(driver: Driver) {
        let scripts = Scripts::start(driver);
        let mut gone = asking(&scripts, "hang.sh?body");
        eventually("it is under way", || !gone.is_silent());
        assert_eq!(scripts.processes().len(), 1);
        drop(gone); // what it has not read is refused
        assert!(scripts.server.state.entry().cut);
        assert_eq!(scripts.server.state.notes(), [""; 0], "R-26: the mark is all");
        scripts.are_gone();
        assert_eq!(scripts.get("/a.txt").body, b"hello\n");
    }

    fn b_107_b_289_r_26_an_answer_that_is_lost_at_its_end_is_one_mark_and_no_note(driver: Driver) {
        let scripts = Scripts::start(driver);
        let mut gone = asking(&scripts, "late-end.sh");
        let seen = gone.take_until(b"first\r\n");
        assert!(seen.starts_with(b"HTTP/1.1 200 "));
        drop(gone); // all was read: only what is sent now is refused
        let entry = scripts.server.state.entry();
        assert_eq!(scripts.get("/cgi-bin/document.sh").status, 200);
        let notes = scripts.server.state.notes();
        // A busy machine may send the last two parts at once: then nothing was seen to be lost, and
        // there is no mark either.
        assert_eq!(notes, [""; 0], "{entry:?}");
    }

    fn b_250_a_client_that_seems_to_have_left_does_so_too(driver: Driver) {
        let settings = CgiSettings { half_close_timeout: SHORT, ..CgiSettings::default() };
        let scripts = Scripts::start_with(driver, settings);
        let mut quiet = asking(&scripts, "hang.sh?body");
        quiet.finish();
        let said = quiet.rest_or_reset();
        assert!(said.starts_with(b"HTTP/1.1 200 ") && !said.ends_with(b"0\r\n\r\n"));
        scripts.noted("/cgi-bin/hostile/hang.sh: ended: client seems to have disconnected");
        scripts.are_gone();
    }

    fn b_250_a_client_that_has_sent_all_it_will_is_answered(driver: Driver) {
        let scripts = Scripts::start(driver);
        let mut client = asking(&scripts, "closes-stdout.sh?work");
        client.finish();
        assert_eq!(text(&client.answer(false)), "all of it\n");
        scripts.noted("has worked on");
    }

    fn b_256_fifty_scripts_that_hang_keep_no_file_from_being_served(driver: Driver) {
        let scripts = Scripts::start_with(driver, CgiSettings { max_processes: 50, ..CgiSettings::default() });
        let hanging: Vec<_> = (0..50).map(|_| asking(&scripts, "hang.sh?body")).collect();
        eventually("all of them run", || scripts.processes().len() == 50);
        let mut clients: Vec<_> = (0..20).map(|_| scripts.client()).collect();
        for _ in 0..5 {
            for client in &mut clients {
                assert_eq!(client.ask("GET", "/a.txt", &[]).body, b"hello\n");
                assert_eq!(client.ask("GET", "/folder/", &[]).status, 200);
            }
        }
        assert_eq!(scripts.processes().len(), 50);
        assert_eq!(scripts.server.state.log(200).len(), 200, "no script has ended");
        drop(hanging);
    }

    fn b_282_a_stop_ends_the_scripts_that_hang_and_tells_their_clients(driver: Driver) {
        // The last quarter of it is for scripts to end in, and their clients to be told.
        for grace in [4, 8].map(Duration::from_secs) {
            let settings = CgiSettings { max_processes: 4, ..CgiSettings::default() };
            let scripts = Scripts::configured(driver, settings, Config { shutdown_grace: grace, ..config() });
            let mut hanging = asking(&scripts, "hang.sh");
            eventually("it runs", || scripts.processes().len() == 1);
            let mut body = asking(&scripts, "hang.sh?body");
            let mut stubborn = asking(&scripts, "stubborn.sh");
            let mut old = scripts.client();
            old.send(b"GET /cgi-bin/hostile/hang.sh?body HTTP/1.0\r\n\r\n");
            eventually("they are under way", || {
                [&mut body, &mut stubborn, &mut old].iter_mut().all(|client| !client.is_silent())
            });
            let mut waiting = asking(&scripts, "hang.sh");
            scripts.server.stop();
            scripts.server.returns();
            let ours = children();
            assert!(!scripts.processes().iter().any(|id| ours.contains(id)), "they are seen off");
            scripts.are_gone(); // nor does anybody stay whom they have started
            assert_eq!(hanging.answer(false).status, 503);
            assert!(!old.ends_in_order());
            for client in [&mut body, &mut stubborn] {
                let said = client.rest();
                assert!(said.starts_with(b"HTTP/1.1 200") && !said.ends_with(b"0\r\n\r\n"));
            }
            // The stop may have been faster than the request.
            let said = waiting.rest_or_reset();
            let waited = said.starts_with(b"HTTP/1.1 503 ");
            assert!(waited || said.is_empty());
            assert_eq!(scripts.server.state.log(4).len(), 4 + usize::from(waited));
            scripts.noted("/cgi-bin/hostile/hang.sh: ended: the server is shutting down");
            scripts.noted("/cgi-bin/hostile/stubborn.sh: ended: the server is shutting down");
            assert!(!scripts.server.state.notes().iter().any(|note| note.contains("client")));
        }
    }

    fn r_28_no_script_outlives_the_grace_of_a_stop(driver: Driver) {
        let grace = Duration::from_millis(400);
        let settings = CgiSettings { max_processes: 4, ..CgiSettings::default() };
        let scripts = Scripts::configured(driver, settings, Config { shutdown_grace: grace, ..config() });
        // They hang, do not mind SIGTERM, and have started others.
        let clients = ["hang.sh", "stubborn.sh", "stubborn.sh"].map(|name| asking(&scripts, name));
        eventually("they run", || scripts.processes().len() >= clients.len());
        let since = Instant::now();
        scripts.server.stop();
        scripts.server.returns();
        assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
        scripts.are_gone();
    }

    fn b_282_a_stop_waits_for_a_script_that_ends(driver: Driver) {
        let grace = Duration::from_secs(600);
        let scripts = Scripts::configured(driver, short(), Config { shutdown_grace: grace, ..config() });
        let mut hangs = asking(&scripts, "hang.sh");
        eventually("it runs", || scripts.processes().len() == 1);
        let mut works = asking(&scripts, "closes-stdout.sh?work");
        eventually("they run", || scripts.processes().len() >= 2);
        scripts.server.stop();
        assert_eq!(text(&works.answer(false)), "all of it\n");
        assert_eq!(hangs.answer(false).status, 504);
        drop((works, hangs));
        scripts.server.returns();
        scripts.noted("has worked on");
        scripts.are_gone();
    }
}

fn short() -> CgiSettings {
    CgiSettings { timeout: SHORT, ..CgiSettings::default() }
}
