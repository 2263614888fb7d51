//! The state of one TLS connection: ciphertext on the one side, plaintext on the other, and no
//! socket.
//!
//! Everything that was received is processed at once. So of the input only a part of a record is
//! ever kept, and an idle connection has no buffer.

use std::hash::{DefaultHasher, Hasher};
use std::io::{self, ErrorKind};
use std::sync::Arc;

use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncryptError, UnbufferedStatus, WriteTraffic,
};
use rustls::{ProtocolVersion, ServerConfig};

/// The most plaintext that is encrypted before it is sent, in bytes: two records (RFC 8446 §5.1).
pub(super) const MAX_BATCH: usize = 32 << 10;
/// The most output of the handshake that may wait to be sent before more input is processed, in
/// bytes.
const MAX_UNSENT: usize = 64 << 10;
/// What encryption may add to each record, in bytes: header, nonce, content type, tag.
const RECORD_OVERHEAD: usize = 40;
/// The largest plaintext of a record, in bytes.
const MAX_RECORD: usize = 16 << 10;
/// The most input that yields no plaintext, in bytes: a handshake, or records of TLS itself. With more of
/// it the connection ends: it would keep a thread busy, or fill the memory with the parts of a message
/// that never is complete.
const MAX_INPUT_WITHOUT_DATA: usize = 128 << 10;
/// The most bytes of memory that a session and its stream hold, with a handshake that is not complete
/// and what rustls has of its own, for the report of all bounds.
pub(crate) const MAX_MEMORY: usize = (2 * (MAX_UNSENT + MAX_BATCH + 4 * RECORD_OVERHEAD))
    + (3 * (MAX_RECORD + (1 << 10)))
    + (2 * MAX_INPUT_WITHOUT_DATA)
    + (8 << 10);

/// One connection.
pub(super) struct TlsSession {
    connection: UnbufferedServerConnection,
    /// The first part of a record, whose rest has not arrived.
    incoming: Vec<u8>,
    /// What was decrypted, and from where on it was not read yet.
    plaintext: Vec<u8>,
    read: usize,
    /// What was encrypted, and from where on it was not sent yet.
    outgoing: Vec<u8>,
    sent: usize,
    /// Plaintext that was encrypted and not reported as sent, because the stream did not take all of
    /// the ciphertext: its length and checksum.
    unreported: Option<(usize, u64)>,
    /// Whether any byte was received.
    pub(super) is_begun: bool,
    /// The peer has sent close_notify, or the end of input was found.
    is_closed: bool,
    /// close_notify was sent, or cannot be sent any more.
    is_finished: bool,
    failure: Option<String>,
    /// How much input there was since the last plaintext.
    input_without_data: usize,
}

impl TlsSession {
    pub(super) fn new(config: Arc<ServerConfig>) -> io::Result<Self> {
        let connection = UnbufferedServerConnection::new(config).map_err(io::Error::other)?;
        Ok(Self {
            connection,
            incoming: Vec::new(),
            plaintext: Vec::new(),
            read: 0,
            outgoing: Vec::new(),
            sent: 0,
            unreported: None,
            is_begun: false,
            is_closed: false,
            is_finished: false,
            failure: None,
            input_without_data: 0,
        })
    }

    /// Whether the handshake is not complete.
    pub(super) fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// The version, once it is agreed.
    pub(super) fn version(&self) -> Option<ProtocolVersion> {
        self.connection.protocol_version()
    }

    /// Whether ciphertext waits to be sent.
    pub(super) fn has_unsent(&self) -> bool {
        self.sent < self.outgoing.len()
    }

    /// Whether so much waits to be sent that no more input may be processed.
    pub(super) fn is_congested(&self) -> bool {
        self.outgoing.len() - self.sent > MAX_UNSENT
    }

    /// Moves decrypted bytes to `buffer`; `None` if there are none.
    pub(super) fn take_plaintext(&mut self, buffer: &mut [u8]) -> Option<usize> {
        let rest = &self.plaintext[self.read..];
        if rest.is_empty() {
            return None;
        }
        let n = rest.len().min(buffer.len());
        buffer[..n].copy_from_slice(&rest[..n]);
        self.read += n;
        if self.read == self.plaintext.len() {
            (self.plaintext, self.read) = (Vec::new(), 0);
        }
        Some(n)
    }

    /// Whether there are decrypted bytes.
    pub(super) fn has_plaintext(&self) -> bool {
        self.read < self.plaintext.len()
    }

    /// What a read ends with when there is nothing decrypted: the end of input, or the failure of
    /// the connection.
    pub(super) fn end(&self) -> Option<io::Result<usize>> {
        match &self.failure {
            Some(failure) => Some(Err(io::Error::new(ErrorKind::InvalidData, failure.clone()))),
            None => self.is_closed.then_some(Ok(0)),
        }
    }

    /// Records the end of input.
    ///
    /// # Errors
    /// Returns an error if the peer has begun a handshake and not completed it.
    pub(super) fn end_of_input(&mut self) -> io::Result<usize> {
        self.is_closed = true;
        if self.is_begun && self.is_handshaking() {
            let message = "the TLS handshake is incomplete";
            self.failure = Some(message.into());
            return Err(io::Error::new(ErrorKind::UnexpectedEof, message));
        }
        Ok(0)
    }

    /// The first part of a record, to which what is received next is to be appended. Empty if a
    /// record begins with what is received next.
    pub(super) fn partial_record(&mut self) -> &mut Vec<u8> {
        &mut self.incoming
    }

    /// Processes what was received as the beginning of a record. Its contents are changed.
    pub(super) fn receive(&mut self, received: &mut [u8]) {
        self.is_begun = true;
        let used = self.process(received);
        self.count_input(received.len());
        if self.failure.is_none() {
            self.incoming.extend_from_slice(&received[used..]);
        }
    }

    /// Counts what was received, and ends the connection if it has yielded nothing for too long.
    fn count_input(&mut self, received: usize) {
        self.input_without_data =
            if self.has_plaintext() { 0 } else { self.input_without_data.saturating_add(received) };
        if self.input_without_data > MAX_INPUT_WITHOUT_DATA && self.failure.is_none() {
            let what = if self.is_handshaking() { "TLS handshake" } else { "TLS" };
            self.failure = Some(format!("{what} failed: too much input without data"));
            self.is_finished = true;
        }
    }

    /// Processes what was appended to [`TlsSession::partial_record`]: so many bytes.
    pub(super) fn receive_more(&mut self, appended: usize) {
        self.is_begun = true;
        let mut incoming = std::mem::take(&mut self.incoming);
        let used = self.process(&mut incoming);
        self.count_input(appended);
        if self.failure.is_none() && used < incoming.len() {
            incoming.drain(..used);
            self.incoming = incoming;
        }
    }

    /// Processes all complete records of `input`, and returns their length.
    fn process(&mut self, input: &mut [u8]) -> usize {
        let mut used = 0;
        loop {
            let is_handshaking = self.connection.is_handshaking();
            let UnbufferedStatus { mut discard, state } =
                self.connection.process_tls_records(&mut input[used..]);
            let mut goes_on = true;
            match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(Ok(record)) = traffic.next_record() {
                        discard += record.discard;
                        self.plaintext.extend_from_slice(record.payload);
                    }
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    append(&mut self.outgoing, 0, |space| match data.encode(space) {
                        Err(EncodeError::InsufficientSize(size)) => Err(Some(size.required_size)),
                        encoded => encoded.map_err(|_| None),
                    });
                    goes_on = self.failure.is_none(); // else it was the alert, and the end
                }
                // It stands in `outgoing`, and what is sent later follows it there.
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::PeerClosed) => self.is_closed = true,
                Ok(_) => goes_on = false, // input is needed, or nothing
                Err(error) => {
                    let is_new = self.failure.is_none();
                    let what = if is_handshaking { "TLS handshake" } else { "TLS" };
                    self.failure.get_or_insert_with(|| format!("{what} failed: {error}"));
                    self.is_finished = true;
                    goes_on = is_new; // there may be an alert to send
                }
            }
            used += discard;
            if !goes_on {
                return used;
            }
        }
    }

    /// Encrypts the first of `bytes`, at most [`MAX_BATCH`], and returns how many. Before it is
    /// called again, they are sent and reported, or [withheld](TlsSession::withhold).
    pub(super) fn encrypt(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let bytes = &bytes[..bytes.len().min(MAX_BATCH)];
        let records = bytes.len() / MAX_RECORD + 1;
        self.write(bytes.len() + records * RECORD_OVERHEAD, |traffic, space| {
            traffic.encrypt(bytes, space)
        })?;
        Ok(bytes.len())
    }

    /// Encrypts close_notify, unless it was before or the connection has failed.
    pub(super) fn finish(&mut self) {
        if !std::mem::replace(&mut self.is_finished, true) && !self.is_handshaking() {
            let notify = |traffic: &mut WriteTraffic<'_, _>, space: &mut [u8]| {
                traffic.queue_close_notify(space)
            };
            let _ = self.write(2 + RECORD_OVERHEAD, notify);
        }
    }

    fn write(
        &mut self,
        size: usize,
        mut write: impl FnMut(
            &mut WriteTraffic<'_, rustls::server::ServerConnectionData>,
            &mut [u8],
        ) -> Result<usize, EncryptError>,
    ) -> io::Result<()> {
        // The partial record stays: it cannot be processed yet.
        let mut incoming = std::mem::take(&mut self.incoming);
        let used = self.process(&mut incoming);
        let UnbufferedStatus { discard, state } =
            self.connection.process_tls_records(&mut incoming[used..]);
        let written = match state {
            Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                append(&mut self.outgoing, size, |space| match write(&mut traffic, space) {
                    Err(EncryptError::InsufficientSize(size)) => Err(Some(size.required_size)),
                    written => written.map_err(|_| None),
                })
            }
            _ => false,
        };
        incoming.drain(..used + discard);
        self.incoming = incoming;
        match written {
            true => Ok(()),
            false => Err(io::Error::new(ErrorKind::NotConnected, "TLS cannot send any more")),
        }
    }

    /// Records that `bytes`, which were encrypted, were not reported as sent.
    pub(super) fn withhold(&mut self, bytes: &[u8]) {
        self.unreported = Some((bytes.len(), checksum(bytes)));
    }

    /// Whether a call has encrypted bytes that are not reported as sent.
    pub(super) fn has_withheld(&self) -> bool {
        self.unreported.is_some()
    }

    /// The number of bytes that a call before this one has encrypted, now that they are sent.
    ///
    /// # Errors
    /// Returns an error unless `bytes` begin with them.
    pub(super) fn report(&mut self, bytes: &[u8]) -> io::Result<Option<usize>> {
        let Some((length, expected)) = self.unreported.take() else { return Ok(None) };
        match bytes.get(..length) {
            Some(repeated) if checksum(repeated) == expected => Ok(Some(length)),
            _ => {
                self.failure = Some("a part that was not sent completely has changed".into());
                Err(io::Error::new(
                    ErrorKind::InvalidData,
                    self.failure.clone().unwrap_or_default(),
                ))
            }
        }
    }

    /// Sends the ciphertext by `send`.
    ///
    /// # Errors
    /// Returns the error of `send`; the rest is sent by the next call.
    pub(super) fn flush(
        &mut self,
        mut send: impl FnMut(&[u8]) -> io::Result<usize>,
    ) -> io::Result<()> {
        while self.has_unsent() {
            self.sent += send(&self.outgoing[self.sent..])?;
        }
        (self.outgoing, self.sent) = (Vec::new(), 0);
        Ok(())
    }
}

/// Appends what `write` writes to a space of `size` bytes, or of the size that it requires then.
/// Returns whether it has written.
fn append(
    out: &mut Vec<u8>,
    size: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, Option<usize>>,
) -> bool {
    let (begin, mut size) = (out.len(), size);
    for _ in 0..2 {
        out.resize(begin + size, 0);
        match write(&mut out[begin..]) {
            Ok(n) => {
                out.truncate(begin + n);
                return true;
            }
            Err(Some(required)) => size = required,
            Err(None) => break,
        }
    }
    out.truncate(begin);
    false
}

fn checksum(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}
