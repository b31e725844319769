//! The kit's listener: HTTP/1.1 over TLS 1.3, a thread for each connection and one request on each.
//!
//! Documents and pairings it answers itself. An operation is handed to the case that expects it, connection and
//! all, and the case writes whatever bytes it likes; one that nobody expects is refused.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustls::crypto::aws_lc_rs;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::asked;
use crate::host::Host;
use crate::wire::{self, Envelope};

type Line = BufReader<StreamOwned<ServerConnection, TcpStream>>;

/// What listens, and what came there.
pub(crate) struct Server {
    pub(crate) host: Host,
    address: SocketAddr,
    own: Arc<ServerConfig>,
    /// Another key for TLS than the root names.
    stranger: Arc<ServerConfig>,
    is_stranger: AtomicBool,
    /// Who waits for operations, by idempotency key and by run.
    waiting: Mutex<BTreeMap<String, Sender<Exchange>>>,
    /// Paths of all requests, in order.
    log: Mutex<Vec<String>>,
    /// The words of a pairing, once there was one.
    words: Mutex<Option<String>>,
}

/// One request, and the connection on which it is answered.
pub(crate) struct Exchange {
    line: Line,
    pub(crate) method: String,
    pub(crate) path: String,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Server {
    /// Begins to listen.
    pub(crate) fn begin(host: Host, listen: &str) -> Result<Arc<Self>> {
        let (key, cert) = host.tls()?;
        let own = config(&key, cert)?;
        let other = rcgen::KeyPair::generate()?;
        let cert = rcgen::CertificateParams::new(vec!["localhost".to_owned()])?;
        let cert = cert.self_signed(&other)?.der().to_vec();
        let stranger = config(&other.serialize_pem(), cert)?;
        let listener =
            TcpListener::bind(listen).with_context(|| format!("cannot listen at {listen}"))?;
        let server = Arc::new(Self {
            host,
            address: listener.local_addr()?,
            own,
            stranger,
            is_stranger: AtomicBool::new(false),
            waiting: Mutex::default(),
            log: Mutex::default(),
            words: Mutex::default(),
        });
        server.listen(listener, "");
        Ok(server)
    }

    /// Listens at another port too, and returns its origin. What comes there is `moved` in the log.
    pub(crate) fn listen_elsewhere(self: &Arc<Self>) -> Result<String> {
        let listener = TcpListener::bind((self.address.ip(), 0))?;
        let url = format!("https://{}", listener.local_addr()?);
        self.listen(listener, "moved ");
        Ok(url)
    }

    fn listen(self: &Arc<Self>, listener: TcpListener, place: &'static str) {
        let accepting = Arc::clone(self);
        thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let server = Arc::clone(&accepting);
                // What a connection dies of is the caller's to notice, and a case's to expect.
                thread::spawn(move || server.serve(socket, place).ok());
            }
        });
    }

    /// Shows another TLS key, or its own again.
    pub(crate) fn disguise(&self, on: bool) {
        self.is_stranger.store(on, Ordering::SeqCst);
    }

    /// Hands operations that name this to whoever receives.
    pub(crate) fn expect(&self, name: &str, to: &Sender<Exchange>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.insert(name.to_owned(), to.clone());
    }

    /// Expects operations that name this, from now on.
    pub(crate) fn receiver(&self, name: &str) -> (Sender<Exchange>, Receiver<Exchange>) {
        let (to, from) = channel();
        self.expect(name, &to);
        (to, from)
    }

    /// Refuses operations that name this from now on.
    pub(crate) fn forget(&self, name: &str) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    /// The paths of all requests so far.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until somebody asked for this.
    pub(crate) fn must_be_asked(&self, entry: &str) -> Result<()> {
        let until = Instant::now() + Duration::from_secs(20);
        while Instant::now() < until {
            if self.log().iter().any(|known| known == entry) {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(20));
        }
        anyhow::bail!("nobody asks: {entry}")
    }

    /// Waits until somebody paired, and returns the words.
    pub(crate) fn paired(&self, within: Duration) -> Result<String> {
        let until = Instant::now() + within;
        while Instant::now() < until {
            if let Some(words) = self.words.lock().unwrap_or_else(PoisonError::into_inner).clone() {
                return Ok(words);
            }
            thread::sleep(Duration::from_millis(50));
        }
        anyhow::bail!("nobody joined")
    }

    fn serve(&self, socket: TcpStream, place: &str) -> Result<()> {
        socket.set_read_timeout(Some(Duration::from_secs(20)))?;
        socket.set_write_timeout(Some(Duration::from_secs(20)))?;
        socket.set_nodelay(true)?;
        let strange = self.is_stranger.load(Ordering::SeqCst);
        let config = if strange { &self.stranger } else { &self.own };
        let connection = ServerConnection::new(Arc::clone(config))?;
        let mut exchange = Exchange::read(StreamOwned::new(connection, socket))?;
        let entry = format!("{} {}", exchange.method, exchange.path);
        self.log.lock().unwrap_or_else(PoisonError::into_inner).push(match strange {
            true => format!("stranger {entry}"),
            false => format!("{place}{entry}"),
        });
        if exchange.method == "GET" {
            return match self.document(&exchange.path) {
                Some(document) => exchange.envelope(200, &document),
                None => exchange.unsigned("not_found"),
            };
        }
        if exchange.path == "/federation/v1/pairing" {
            let (answer, words) = self.host.pair(&exchange.body)?;
            exchange.envelope(200, &answer)?;
            *self.words.lock().unwrap_or_else(PoisonError::into_inner) = Some(words);
            return Ok(());
        }
        let request = asked::request_of(&exchange.body).inspect_err(|fault| {
            eprintln!("landbridge-conformance: {} cannot be read: {fault:#}", exchange.path);
        })?;
        let named = |name: &str| {
            wire::document(&request.payload).ok()?["body"][name].as_str().map(str::to_owned)
        };
        let names: Vec<String> = ["idempotencyKey", "run"].into_iter().filter_map(named).collect();
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let to = names.iter().find_map(|name| waiting.get(name)).cloned();
        drop(waiting);
        match to {
            Some(to) => to.send(exchange).ok().context("nobody waits any more"),
            // Whatever is left of an earlier case: its invocation ends here.
            None => exchange.refuse(&self.host, &request, "not_found", None),
        }
    }

    fn document(&self, path: &str) -> Option<Envelope> {
        let rest = path.strip_prefix("/federation/v1/")?;
        if rest == "status" {
            return Some(self.host.published());
        }
        if rest == "root" {
            return self.host.root(self.host.version());
        }
        if let Some(version) = rest.strip_prefix("root/") {
            return self.host.root(version.parse().ok()?);
        }
        let (gid, seq) = rest.strip_prefix("status/")?.split_once('/')?;
        let known = self.host.caller().is_ok_and(|(caller, _)| caller == gid);
        let (_, status) = self.host.learned(seq.parse().ok()?)?;
        known.then_some(status)
    }
}

impl Exchange {
    fn read(stream: StreamOwned<ServerConnection, TcpStream>) -> Result<Self> {
        let mut line = BufReader::new(stream);
        let first = header_line(&mut line)?;
        let mut words = first.split(' ').map(str::to_owned);
        let (method, path) = words.next().zip(words.next()).context("a request has a path")?;
        let mut headers = Vec::new();
        loop {
            let header = header_line(&mut line)?;
            if header.is_empty() {
                break;
            }
            let (name, value) = header.split_once(':').context("a header has a colon")?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut exchange = Self { line, method, path, headers, body: Vec::new() };
        if exchange.header("transfer-encoding").is_some() {
            exchange.body = chunked(&mut exchange.line)?;
        } else if let Some(length) = exchange.header("content-length") {
            let length: usize = length.parse()?;
            ensure!(length <= BODY_MAX, "a body of {length} bytes");
            exchange.body = vec![0; length];
            exchange.line.read_exact(&mut exchange.body)?;
        }
        Ok(exchange)
    }

    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let named = |(known, _): &&(String, String)| known == name;
        self.headers.iter().find(named).map(|(_, value)| value.as_str())
    }

    /// Writes a whole answer and closes.
    pub(crate) fn reply(
        &mut self,
        status: u16,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<()> {
        let mut head = format!("HTTP/1.1 {status} Kit\r\nContent-Length: {}\r\n", body.len());
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("Connection: close\r\n\r\n");
        self.write(head.as_bytes())?;
        self.write(body)?;
        self.close();
        Ok(())
    }

    /// Answers with an envelope.
    pub(crate) fn envelope(&mut self, status: u16, envelope: &Envelope) -> Result<()> {
        let media = [("Content-Type", "application/vnd.gfp.envelope+json")];
        self.reply(status, &media, envelope.text().as_bytes())
    }

    /// Refuses without a signature.
    pub(crate) fn unsigned(&mut self, code: &str) -> Result<()> {
        let (status, problem) = asked::problem(code, None)?;
        let media = [("Content-Type", "application/problem+json")];
        self.reply(status, &media, problem.to_string().as_bytes())
    }

    /// Refuses with a signature.
    pub(crate) fn refuse(
        &mut self,
        host: &Host,
        request: &Envelope,
        code: &str,
        after_ms: Option<u64>,
    ) -> Result<()> {
        let (status, problem) = asked::problem(code, after_ms)?;
        let told = asked::told(host, request, &problem)?;
        let seconds = after_ms.map(|ms| ms.div_ceil(1000).to_string());
        let mut headers = vec![("Content-Type", "application/vnd.gfp.envelope+json")];
        headers.extend(seconds.as_deref().map(|seconds| ("Retry-After", seconds)));
        self.reply(status, &headers, told.text().as_bytes())
    }

    /// Writes the head of a stream; its body is what is written until it is closed.
    pub(crate) fn begin(&mut self, media: &str) -> Result<()> {
        let head =
            format!("HTTP/1.1 200 Kit\r\nContent-Type: {media}\r\nConnection: close\r\n\r\n");
        self.write(head.as_bytes())
    }

    /// Writes bytes as they stand.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let stream = self.line.get_mut();
        stream.write_all(bytes).and_then(|()| stream.flush()).context("the caller went away")
    }

    /// Whether the other side closes within this time. What it sends meanwhile is read and dropped.
    pub(crate) fn is_left(&mut self, within: Duration) -> bool {
        let until = Instant::now() + within;
        let mut bytes = [0; 1024];
        while Instant::now() < until {
            let wait =
                until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            let socket = self.line.get_ref().get_ref();
            if socket.set_read_timeout(Some(wait)).is_err() {
                return true;
            }
            match self.line.read(&mut bytes) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(fault) => {
                    let late = [io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut];
                    return !late.contains(&fault.kind());
                }
            }
        }
        false
    }

    /// Closes in good order.
    pub(crate) fn close(&mut self) {
        let stream = self.line.get_mut();
        stream.conn.send_close_notify();
        let _gone = stream.flush();
        let _gone = stream.sock.shutdown(Shutdown::Write);
    }
}

fn chunked(line: &mut Line) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let size =
            usize::from_str_radix(header_line(line)?.trim(), 16).context("a chunk has a size")?;
        ensure!(body.len() + size <= BODY_MAX, "a body without an end");
        let begin = body.len();
        body.resize(begin + size, 0);
        line.read_exact(&mut body[begin..])?;
        header_line(line)?;
        if size == 0 {
            return Ok(body);
        }
    }
}

fn header_line(line: &mut Line) -> Result<String> {
    let mut bytes = Vec::new();
    line.by_ref().take(65_536).read_until(b'\n', &mut bytes)?;
    ensure!(bytes.ends_with(b"\r\n"), "an HTTP line ends with CRLF");
    bytes.truncate(bytes.len() - 2);
    Ok(String::from_utf8(bytes)?)
}

fn config(key: &str, cert: Vec<u8>) -> Result<Arc<ServerConfig>> {
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes())?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(vec![CertificateDer::from(cert)], key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// `OPERATION_BYTES_MAX`.
const BODY_MAX: usize = 4_194_304;
