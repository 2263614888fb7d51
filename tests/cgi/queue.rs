//! Scripts that wait for others to end: `max_processes` run, `max_queued` wait, and the rest are
//! refused. B-256.

use std::thread;
use std::time::Duration;

use doorstep::blocking::CgiSettings;

use crate::runtimes::{Runtime, config, eventually, with};
use crate::scripts::{ScriptServer, children, request_script, settings};
use crate::support::client::Client;

/// One at a time, and one more waits.
fn narrow() -> CgiSettings {
    settings(|s| {
        s.max_processes = 1;
        s.max_queued = 1;
    })
}

/// A client that waits in the queue behind another's script.
fn waiting(scripts: &ScriptServer) -> Client {
    let waiting = request_script(scripts, "hang.sh?body");
    eventually("the queue is full", || scripts.get("/cgi-bin/document.sh").status == 503);
    waiting
}

on_every_runtime! {
    fn b_256_scripts_run_wait_or_get_a_503_by_the_configured_limits(runtime: Runtime) {
        let settings = settings(|s| { s.max_processes = 2; s.max_queued = 3; });
        let scripts = ScriptServer::start_with(runtime, settings);
        let mut clients: Vec<_> = (0..9).map(|_| request_script(&scripts, "hang.sh?body")).collect();
        // Two run, four get a 503, three wait.
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
            } else if client.peek_status() == "HTTP/1.1 503" {
                let response = client.response(false);
                assert_eq!(response.header("Retry-After"), Some("1"));
                assert_eq!(client.request("GET", "/a.txt", &[]).body, b"hello\n");
            } else {
                assert_eq!(client.peek_status(), "HTTP/1.1 200");
                running.push(client);
            }
        }
        assert_eq!((running.len(), waiting.len()), (2, 3));
        assert_eq!(scripts.processes().len(), 2);
        drop(running);
        eventually("each is run, and ends", || {
            waiting.retain_mut(|client| client.is_silent() || client.peek_status() != "HTTP/1.1 200");
            waiting.is_empty()
        });
        scripts.wait_until_ended();
    }

    fn b_256_the_wait_for_a_permit_has_a_deadline(runtime: Runtime) {
        let settings = with(narrow(), |s| s.timeout = Duration::from_millis(800));
        let scripts = ScriptServer::start_with(runtime, settings);
        // It has its place a second longer than its time.
        let mut stubborn = request_script(&scripts, "stubborn.sh");
        eventually("it is under way", || !stubborn.is_silent());
        let response = scripts.get("/cgi-bin/document.sh");
        assert_eq!((response.status, response.header("Retry-After")), (503, Some("1")));
        scripts.wait_until_ended();
        eventually("its place is free", || scripts.get("/cgi-bin/document.sh").status == 200);
    }

    fn b_282_after_a_stop_no_waiting_request_gets_a_permit(runtime: Runtime) {
        let settings = settings(|s| { s.max_processes = 1; s.max_queued = 8; });
        let grace = Duration::ZERO;
        let scripts = ScriptServer::configured(runtime, settings, with(config(), |c| c.shutdown_grace = grace));
        let mut stubborn = request_script(&scripts, "stubborn.sh");
        eventually("it runs", || !stubborn.is_silent());
        let mut waiting: Vec<_> = (0..8).map(|_| request_script(&scripts, "stubborn.sh")).collect();
        eventually("the queue is full", || scripts.get("/cgi-bin/document.sh").status == 503);
        scripts.server.stop();
        scripts.server.wait_until_stopped();
        for client in &mut waiting {
            assert!(!client.read_to_end_or_reset().starts_with(b"HTTP/1.1 200"));
        }
        for _ in 0..50 {
            thread::sleep(Duration::from_millis(10));
            let ours = children();
            assert!(!scripts.processes().iter().any(|id| ours.contains(id)), "none is started");
        }
        scripts.wait_until_ended();
    }

    fn b_045_a_response_is_sent_before_the_next_request_waits_for_a_permit(runtime: Runtime) {
        let scripts = ScriptServer::start_with(runtime, narrow());
        let mut running = request_script(&scripts, "hang.sh?body");
        eventually("it runs", || !running.is_silent());
        let file = "GET /a.txt HTTP/1.1\r\nHost: a\r\n\r\n";
        let script = "GET /cgi-bin/document.sh HTTP/1.1\r\nHost: a\r\n\r\n";
        let mut client = scripts.client();
        client.send(format!("{file}{script}").as_bytes());
        assert_eq!(client.response(false).body, b"hello\n");
        assert!(client.is_silent());
        drop(running);
        assert_eq!(client.response(false).status, 200);
    }

    fn b_250_a_disconnected_client_leaves_the_queue(runtime: Runtime) {
        let scripts = ScriptServer::start_with(runtime, narrow());
        let mut running = request_script(&scripts, "hang.sh?body");
        eventually("it runs", || !running.is_silent());
        let mut gone = scripts.client();
        let file = "GET /a.txt HTTP/1.1\r\nHost: a\r\n\r\n";
        let script = "GET /cgi-bin/document.sh HTTP/1.1\r\nHost: a\r\n\r\n";
        gone.send(format!("{file}{script}").as_bytes());
        eventually("the file has come", || !gone.is_silent());
        eventually("it waits", || scripts.get("/cgi-bin/document.sh").status == 503);
        drop(gone); // what it has not read is refused
        scripts.wait_for_error("not run: client disconnected");
        let mut next = waiting(&scripts);
        drop(running);
        eventually("it is the next one's turn", || !next.is_silent());
        assert_eq!(next.peek_status(), "HTTP/1.1 200");
    }

    fn b_250_a_half_closed_client_leaves_the_queue_after_its_timeout(runtime: Runtime) {
        let settings = with(narrow(), |s| s.half_close_timeout = Duration::from_millis(800));
        let scripts = ScriptServer::start_with(runtime, settings);
        let mut running = request_script(&scripts, "hang.sh?body");
        eventually("it runs", || !running.is_silent());
        let mut quiet = waiting(&scripts);
        quiet.shutdown_write();
        assert_eq!(quiet.response(false).status, 503);
        scripts.wait_for_error("not run: client seems to have disconnected");
        let mut next = waiting(&scripts);
        drop(running);
        eventually("it is the next one's turn", || !next.is_silent());
    }

    fn b_250_a_half_closed_client_stays_in_the_queue_until_its_timeout(runtime: Runtime) {
        let scripts = ScriptServer::start_with(runtime, narrow());
        let mut running = request_script(&scripts, "hang.sh?body");
        eventually("it runs", || !running.is_silent());
        let mut quiet = waiting(&scripts);
        quiet.shutdown_write();
        thread::sleep(Duration::from_millis(1500)); // it was looked at
        drop(running);
        eventually("it has its turn", || !quiet.is_silent());
        assert_eq!(quiet.peek_status(), "HTTP/1.1 200");
    }
}
