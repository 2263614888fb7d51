//! Scripts that wait for others to end: so many run, so many wait, and the rest come later. B-256.

use std::thread;
use std::time::Duration;

use doorstep::blocking::CgiSettings;
use doorstep::blocking::Config;

use crate::drivers::{Driver, config, eventually};
use crate::scripts::{Scripts, asking, children};
use crate::support::client::Client;

/// One at a time, and one more waits.
fn narrow() -> CgiSettings {
    CgiSettings { max_processes: 1, max_queued: 1, ..CgiSettings::default() }
}

/// A client that waits in the queue behind another's script.
fn waiting(scripts: &Scripts) -> Client {
    let waiting = asking(scripts, "hang.sh?body");
    eventually("the queue is full", || scripts.get("/cgi-bin/document.sh").status == 503);
    waiting
}

on_every_driver! {
    fn b_256_so_many_run_so_many_wait_and_the_rest_come_later(driver: Driver) {
        let settings = CgiSettings { max_processes: 2, max_queued: 3, ..CgiSettings::default() };
        let scripts = Scripts::start_with(driver, settings);
        let mut clients: Vec<_> = (0..9).map(|_| asking(&scripts, "hang.sh?body")).collect();
        // Two have begun, four are turned away, three hear nothing.
        let mut quiet = Vec::new();
        eventually("three wait", || {
            quiet = clients.iter_mut().map(Client::is_silent).collect();
            quiet.iter().filter(|&&quiet| quiet).count() == 3
        });
        let mut running = Vec::new();
        let mut waiting = Vec::new();
        for (mut client, quiet) in clients.into_iter().zip(quiet) {
            if quiet {
                waiting.push(client);
            } else if client.glimpse() == "HTTP/1.1 503" {
                let answer = client.answer(false);
                assert_eq!(answer.field("Retry-After"), Some("1"));
                assert_eq!(client.ask("GET", "/a.txt", &[]).body, b"hello\n");
            } else {
                assert_eq!(client.glimpse(), "HTTP/1.1 200");
                running.push(client);
            }
        }
        assert_eq!((running.len(), waiting.len()), (2, 3));
        assert_eq!(scripts.processes().len(), 2);
        drop(running);
        eventually("each has its turn, and leaves", || {
            waiting.retain_mut(|client| client.is_silent() || client.glimpse() != "HTTP/1.1 200");
            waiting.is_empty()
        });
        scripts.are_gone();
    }

    fn b_256_nobody_waits_for_a_place_for_ever(driver: Driver) {
        let settings = CgiSettings { timeout: Duration::from_millis(800), ..narrow() };
        let scripts = Scripts::start_with(driver, settings);
        // It has its place a second longer than its time.
        let mut stubborn = asking(&scripts, "stubborn.sh");
        eventually("it is under way", || !stubborn.is_silent());
        let answer = scripts.get("/cgi-bin/document.sh");
        assert_eq!((answer.status, answer.field("Retry-After")), (503, Some("1")));
        scripts.are_gone();
        eventually("its place is free", || scripts.get("/cgi-bin/document.sh").status == 200);
    }

    fn b_282_after_a_stop_nobody_who_waited_for_a_place_gets_one(driver: Driver) {
        let settings = CgiSettings { max_processes: 1, max_queued: 8, ..CgiSettings::default() };
        let grace = Duration::ZERO;
        let scripts = Scripts::configured(driver, settings, Config { shutdown_grace: grace, ..config() });
        let mut stubborn = asking(&scripts, "stubborn.sh");
        eventually("it runs", || !stubborn.is_silent());
        let mut waiting: Vec<_> = (0..8).map(|_| asking(&scripts, "stubborn.sh")).collect();
        eventually("the queue is full", || scripts.get("/cgi-bin/document.sh").status == 503);
        scripts.server.stop();
        scripts.server.returns();
        for client in &mut waiting {
            assert!(!client.rest_or_reset().starts_with(b"HTTP/1.1 200"));
        }
        for _ in 0..50 {
            thread::sleep(Duration::from_millis(10));
            let ours = children();
            assert!(!scripts.processes().iter().any(|id| ours.contains(id)), "none is started");
        }
        scripts.are_gone();
    }

    fn b_045_an_answer_does_not_wait_in_the_queue_with_the_next_request(driver: Driver) {
        let scripts = Scripts::start_with(driver, narrow());
        let mut running = asking(&scripts, "hang.sh?body");
        eventually("it runs", || !running.is_silent());
        let file = "GET /a.txt HTTP/1.1\r\nHost: a\r\n\r\n";
        let script = "GET /cgi-bin/document.sh HTTP/1.1\r\nHost: a\r\n\r\n";
        let mut client = scripts.client();
        client.send(format!("{file}{script}").as_bytes());
        assert_eq!(client.answer(false).body, b"hello\n");
        assert!(client.is_silent());
        drop(running);
        assert_eq!(client.answer(false).status, 200);
    }

    fn b_250_who_waited_and_has_left_keeps_no_place_in_the_queue(driver: Driver) {
        let scripts = Scripts::start_with(driver, narrow());
        let mut running = asking(&scripts, "hang.sh?body");
        eventually("it runs", || !running.is_silent());
        let mut gone = scripts.client();
        let file = "GET /a.txt HTTP/1.1\r\nHost: a\r\n\r\n";
        let script = "GET /cgi-bin/document.sh HTTP/1.1\r\nHost: a\r\n\r\n";
        gone.send(format!("{file}{script}").as_bytes());
        eventually("the file has come", || !gone.is_silent());
        eventually("it waits", || scripts.get("/cgi-bin/document.sh").status == 503);
        drop(gone); // what it has not read is refused
        scripts.noted("not run: client disconnected");
        let mut next = waiting(&scripts);
        drop(running);
        eventually("it is the next one's turn", || !next.is_silent());
        assert_eq!(next.glimpse(), "HTTP/1.1 200");
    }

    fn b_250_who_waited_and_seems_to_have_left_neither(driver: Driver) {
        let settings = CgiSettings { half_close_timeout: Duration::from_millis(800), ..narrow() };
        let scripts = Scripts::start_with(driver, settings);
        let mut running = asking(&scripts, "hang.sh?body");
        eventually("it runs", || !running.is_silent());
        let mut quiet = waiting(&scripts);
        quiet.finish();
        assert_eq!(quiet.answer(false).status, 503);
        scripts.noted("not run: client seems to have disconnected");
        let mut next = waiting(&scripts);
        drop(running);
        eventually("it is the next one's turn", || !next.is_silent());
    }

    fn b_250_who_has_sent_all_it_will_keeps_its_place_for_a_while(driver: Driver) {
        let scripts = Scripts::start_with(driver, narrow());
        let mut running = asking(&scripts, "hang.sh?body");
        eventually("it runs", || !running.is_silent());
        let mut quiet = waiting(&scripts);
        quiet.finish();
        thread::sleep(Duration::from_millis(1500)); // it was looked at
        drop(running);
        eventually("it has its turn", || !quiet.is_silent());
        assert_eq!(quiet.glimpse(), "HTTP/1.1 200");
    }
}
