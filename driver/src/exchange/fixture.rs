//! For tests: one request on a connection over loopback, and the response to it.

use std::net::{IpAddr, TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::sync::Mutex;
use std::time::Duration;

use doorstep_core::http1::{Connection, Event, Inbox, Limits, Outbox};
use doorstep_core::log::Record;

use event_listener::Listener;

use super::unsent_records::UnsentRecords;
use super::{BodyRead, Context, ExchangeState};
use crate::config::Config;
use crate::connections::Connections;
use crate::job::{Job, JobStep};
use crate::observer::Observer;

/// What was sent and logged.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) sent: String,
    pub(crate) errors: Vec<String>,
    /// Whether the access log calls the response incomplete.
    pub(crate) aborted: bool,
}

#[derive(Default)]
struct Log {
    errors: Mutex<Vec<String>>,
    aborted: Mutex<bool>,
}

impl Observer for Log {
    fn log(&self, record: &Record<'_>) {
        *self.aborted.lock().unwrap() = record.is_aborted();
    }
    fn on_error(&self, _: IpAddr, message: &str) {
        self.errors.lock().unwrap().push(message.to_owned());
    }
}

/// Responds to `request`, a head and perhaps a body, by `respond`. The client's end of the
/// connection is open meanwhile.
pub(crate) fn respond(request: &[u8], respond: impl FnOnce(&mut ExchangeState<'_>)) -> Seen {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (stream, peer) = listener.accept().unwrap();
    let connections = Connections::default();
    let connection = connections.register(stream, peer);
    let (mut machine, mut outbox) = (Connection::new(Limits::default()), Outbox::new("doorstep"));
    let Ok((used, Event::Request(head))) = machine.advance(request) else { unreachable!() };
    let (log, mut body) = (Log::default(), request[used..].to_vec());
    let length = body.len();
    body.resize(length + 64, 0); // room to receive more
    let mut inbox = Inbox::new(&mut body[..]);
    if length > 0 {
        inbox.filled(length);
    }
    let config = Config::default();
    let context = Context::new(&config, &connection, &log);
    let (mut records, head_bytes) = (UnsentRecords::default(), &request[..used]);
    let mut exchange = ExchangeState::new(
        head,
        head_bytes,
        &mut records,
        inbox,
        &mut outbox,
        &mut machine,
        context,
    );
    respond(&mut exchange);
    let _ = exchange.finish(Ok(Ok(())));
    records.log_sent(head_bytes, &context);
    Seen {
        sent: String::from_utf8(outbox.unsent().to_vec()).unwrap(),
        errors: log.errors.into_inner().unwrap(),
        aborted: log.aborted.into_inner().unwrap(),
    }
}

/// What a job has sent, and the steps that it has asked for.
#[derive(Debug, Default)]
pub(crate) struct Ran {
    pub(crate) sent: String,
    /// One word for each step.
    pub(crate) steps: Vec<String>,
}

impl Ran {
    pub(crate) fn has(&self, step: &str) -> bool {
        self.steps.iter().any(|other| other == step)
    }
}

/// Carries out the steps of `job` until it has ended.
pub(crate) fn run(job: &mut dyn Job, exchange: &mut ExchangeState<'_>) -> Ran {
    let mut ran = Ran::default();
    loop {
        let step = job.step(exchange).unwrap();
        let name = format!("{step:?}");
        ran.steps.push(name.split('(').next().unwrap().into());
        match step {
            JobStep::Flush => ran.flush(exchange),
            JobStep::SendFile(file, offset, count) => {
                if let Some(transfer) = exchange.begin_file(&file, offset, count).unwrap() {
                    assert!(!transfer.is_done());
                    ran.flush(exchange);
                    let mut bytes = vec![0; usize::try_from(count).unwrap()];
                    file.read_exact_at(&mut bytes, offset).unwrap();
                    ran.sent.push_str(&String::from_utf8(bytes).unwrap());
                    exchange.file_sent(count, Ok(())).unwrap();
                }
            }
            JobStep::Evict => {}
            JobStep::Block(work) => work(),
            JobStep::ReadBody => {
                let BodyRead::Read(n) = exchange.read_body(job.body_space()).unwrap() else {
                    panic!("the whole body was sent with the head")
                };
                job.body_read(n);
            }
            JobStep::Wait(listener, timeout) => drop(listener.wait_timeout(timeout)),
            JobStep::WaitProcess(timeout) => {
                assert!(timeout <= Duration::from_secs(10));
                let ready = job.process().unwrap().wait_ready(None, timeout).unwrap();
                job.process_ready(ready);
            }
            JobStep::Declined | JobStep::Done => {
                ran.flush(exchange);
                return ran;
            }
        }
    }
}

impl Ran {
    fn flush(&mut self, exchange: &mut ExchangeState<'_>) {
        let outbox = exchange.to_send();
        self.sent.push_str(std::str::from_utf8(outbox.unsent()).unwrap());
        outbox.sent(outbox.len());
    }
}
