//! The same cycle as `exchange.rs`, for figures that a busy machine does not change.
//!
//! With a server, a request and a number, it serves the request as many times: the difference of two
//! numbers, counted by callgrind, is the instructions of one exchange. Otherwise it times doorstep
//! and http-net in turn, for a millisecond or less, and prints the median of the ratios.
//!
//! ```console
//! $ cargo bench -p doorstep-core --bench cycle -- compare 46 705
//! $ valgrind --tool=callgrind target/release/deps/cycle-… doorstep 46 20000
//! ```

#![expect(clippy::disallowed_types, reason = "it measures time")]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the results are there to be read")]

use std::hint::black_box;
use std::time::Instant;

use doorstep_core::http1::Inbox;
use servers::{BROWSER, Doorstep, HttpNet, SMALL, decode_doorstep, decode_http_net, upload};

mod servers;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["compare", ref workloads @ ..] => compare(workloads),
        [server, workload, n] => {
            let n = n.parse().expect("a number of exchanges");
            let mut run = workload_of(server, workload);
            for _ in 0..n {
                run();
            }
        }
        [] => compare(&["46", "705", "16x46", "64", "4096"]),
        _ => eprintln!("usage: cycle [compare WORKLOAD...] | cycle doorstep|http-net WORKLOAD N"),
    }
}

/// One exchange: a request of 46 or 705 bytes, 16 of 46 bytes that are pipelined, or an upload of
/// 1 MiB in chunks of 64 or 4096 bytes.
fn workload_of(server: &str, workload: &str) -> Box<dyn FnMut()> {
    let (bytes, count) = match workload {
        "46" => (SMALL.to_vec(), 1),
        "705" => (BROWSER.to_vec(), 1),
        "16x46" => (SMALL.repeat(16), 16),
        chunk => (upload(chunk.parse().expect("the size of a chunk")), 0),
    };
    match server {
        "doorstep" => {
            let (mut server, mut inbox) = (Doorstep::new(), Inbox::new([0; 16 << 10]));
            Box::new(move || match count {
                0 => decode_doorstep(&mut server, &bytes),
                _ => server.serve(&mut inbox, black_box(&bytes), count),
            })
        }
        _ => {
            let mut server = HttpNet::new();
            Box::new(move || match count {
                0 => decode_http_net(&mut server, &bytes),
                _ => server.serve(black_box(&bytes), count),
            })
        }
    }
}

fn compare(workloads: &[&str]) {
    for workload in workloads {
        let n = match *workload {
            "46" | "705" => 1000,
            "16x46" => 100,
            _ => 2,
        };
        let mut servers = ["doorstep", "http-net"].map(|server| workload_of(server, workload));
        let mut rounds: Vec<[f64; 2]> = Vec::new();
        for _ in 0..400 {
            rounds.push([0, 1].map(|server| {
                let start = Instant::now();
                for _ in 0..n {
                    servers[server]();
                }
                start.elapsed().as_secs_f64() * 1e9 / f64::from(n)
            }));
        }
        let median = |of: &dyn Fn(&[f64; 2]) -> f64| {
            let mut all: Vec<f64> = rounds.iter().map(of).collect();
            all.sort_by(f64::total_cmp);
            all[all.len() / 2]
        };
        let [ours, theirs] = [median(&|round| round[0]), median(&|round| round[1])];
        let ratio = median(&|round| round[0] / round[1]);
        println!("{workload:>6}: doorstep {ours:.0} ns, http-net {theirs:.0} ns, ratio {ratio:.2}");
    }
}
