//! HTTP/1.1 over TLS 1.3, pinned to one key: just enough of it, and nothing that is polite.
//!
//! A connection is made for each exchange. What is sent is what a case wrote, byte for byte.

use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, Stream, StreamOwned,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::wire;

/// Where an executor listens, and the key that it must have there.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) url: String,
    pub(crate) spki: String,
}

impl Place {
    fn authority(&self) -> Result<&str> {
        self.url.strip_prefix("https://").context("an endpoint is an https origin")
    }

    fn host(&self) -> Result<&str> {
        let authority = self.authority()?;
        Ok(authority.rsplit_once(':').map_or(authority, |(host, _)| host))
    }

    fn name(&self) -> Result<ServerName<'static>> {
        Ok(ServerName::try_from(self.host()?.trim_matches(['[', ']']).to_owned())?)
    }

    /// A connection on which nothing was said yet.
    pub(crate) fn socket(&self) -> Result<TcpStream> {
        let (authority, host) = (self.authority()?, self.host()?);
        let at = if host == authority { format!("{authority}:443") } else { authority.to_owned() };
        let socket = TcpStream::connect(at).context("the executor does not listen")?;
        socket.set_read_timeout(Some(SILENCE))?;
        socket.set_write_timeout(Some(SILENCE))?;
        Ok(socket)
    }

    /// What the executor chooses of these protocols for the layer above, and the connection to go on with.
    pub(crate) fn negotiated(&self, protocols: &[&[u8]]) -> Result<Negotiated> {
        let mut socket = self.socket()?;
        let mut connection = ClientConnection::new(config(&self.spki, protocols)?, self.name()?)?;
        while connection.is_handshaking() {
            connection.complete_io(&mut socket)?;
        }
        let chosen = connection.alpn_protocol().map(<[u8]>::to_vec);
        Ok((chosen, StreamOwned::new(connection, socket)))
    }
}

/// The chosen protocol, and the connection.
pub(crate) type Negotiated = (Option<Vec<u8>>, StreamOwned<ClientConnection, TcpStream>);

/// The beginning of an answer; its body is read from here.
pub(crate) struct Reply {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    body: Body,
}

impl Reply {
    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let named = |(known, _): &&(String, String)| known.eq_ignore_ascii_case(name);
        self.headers.iter().find(named).map(|(_, value)| value.as_str())
    }

    /// The next line of the body, without its LF; `None` at its end.
    pub(crate) fn line(&mut self) -> Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        loop {
            match self.body.byte()? {
                Some(b'\n') => return Ok(Some(line)),
                Some(byte) => line.push(byte),
                None => {
                    ensure!(line.is_empty(), "the body ends inside a line");
                    return Ok(None);
                }
            }
            ensure!(line.len() <= LINE_MAX, "a line without an end");
        }
    }

    /// The whole body.
    pub(crate) fn all(&mut self) -> Result<Vec<u8>> {
        let mut all = Vec::new();
        while let Some(byte) = self.body.byte()? {
            all.push(byte);
            ensure!(all.len() <= LINE_MAX, "a body without an end");
        }
        Ok(all)
    }
}

/// Sends a request and reads the head of its answer.
pub(crate) fn ask(
    place: &Place,
    route: (&str, &str),
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Reply> {
    begin(place, route, headers, (body.len(), body))
}

/// The same, with a body that may be shorter than the head says.
pub(crate) fn begin(
    place: &Place,
    (method, path): (&str, &str),
    headers: &[(&str, &str)],
    (length, body): (usize, &[u8]),
) -> Result<Reply> {
    let authority = place.authority()?;
    let mut socket = place.socket()?;
    let mut connection = ClientConnection::new(config(&place.spki, &[])?, place.name()?)?;
    let mut stream = Stream::new(&mut connection, &mut socket);
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {authority}\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if method == "POST" {
        head.push_str(&format!("Content-Length: {length}\r\n"));
    }
    head.push_str("Connection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).context("the executor takes no request")?;
    // Whoever refuses a body by its size may close before it has all of it.
    let _unread = stream.write_all(body).and_then(|()| stream.flush());
    let mut reader = BufReader::new(Incoming { connection, socket });
    let first = header_line(&mut reader).context("no answer")?;
    let status = first.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status = status.with_context(|| format!("no HTTP answer: {first}"))?;
    let mut headers = Vec::new();
    loop {
        let line = header_line(&mut reader)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').context("a header has a colon")?;
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let mut reply = Reply { status, headers, body: Body { reader, left: Left::Close } };
    reply.body.left = if reply.header("transfer-encoding").is_some_and(|it| it == "chunked") {
        Left::Chunk { left: 0, first: true }
    } else if let Some(length) = reply.header("content-length") {
        Left::Length(length.parse()?)
    } else {
        Left::Close
    };
    Ok(reply)
}

type Reader = BufReader<Incoming>;

/// What the executor sends. Reading never writes, so an answer arrives although a body did not.
struct Incoming {
    connection: ClientConnection,
    socket: TcpStream,
}

impl Read for Incoming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.connection.reader().read(buffer) {
                Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
            self.connection.read_tls(&mut self.socket)?;
            self.connection.process_new_packets().map_err(io::Error::other)?;
        }
    }
}

struct Body {
    reader: Reader,
    left: Left,
}

enum Left {
    Length(u64),
    Chunk { left: u64, first: bool },
    Close,
    Nothing,
}

impl Body {
    fn byte(&mut self) -> Result<Option<u8>> {
        match &mut self.left {
            Left::Nothing | Left::Length(0) => return Ok(None),
            Left::Length(left) => *left -= 1,
            Left::Chunk { left: 0, first } => {
                if !std::mem::replace(first, false) {
                    header_line(&mut self.reader)?;
                }
                let size = header_line(&mut self.reader)?;
                let size = u64::from_str_radix(size.trim(), 16).context("a chunk has a size")?;
                if size == 0 {
                    self.left = Left::Nothing;
                    return Ok(None);
                }
                self.left = Left::Chunk { left: size - 1, first: false };
            }
            Left::Chunk { left, .. } => *left -= 1,
            Left::Close => {
                let mut byte = [0];
                return Ok((self.reader.read(&mut byte)? == 1).then_some(byte[0]));
            }
        }
        let mut byte = [0];
        self.reader.read_exact(&mut byte).context("the body was cut")?;
        Ok(Some(byte[0]))
    }
}

fn header_line(reader: &mut Reader) -> Result<String> {
    let mut line = Vec::new();
    reader.by_ref().take(65_536).read_until(b'\n', &mut line)?;
    ensure!(line.ends_with(b"\r\n"), "an HTTP line ends with CRLF");
    line.truncate(line.len() - 2);
    Ok(String::from_utf8(line)?)
}

fn config(spki: &str, protocols: &[&[u8]]) -> Result<Arc<ClientConfig>> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let pin = Pin { spki: spki.to_owned(), provider: Arc::clone(&provider) };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(pin))
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    Ok(Arc::new(config))
}

/// Accepts the holder of one key: no authority, no name, no date.
#[derive(Debug)]
struct Pin {
    spki: String,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pin {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let refused = || rustls::Error::General("the server has another key".to_owned());
        let parsed = webpki::EndEntityCert::try_from(end_entity).map_err(|_| refused())?;
        let spki = wire::text_of(wire::hash(&[&parsed.subject_public_key_info()]));
        if spki == self.spki { Ok(ServerCertVerified::assertion()) } else { Err(refused()) }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.3 only".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// The longest line or body that is read.
const LINE_MAX: usize = 4 * 1024 * 1024;
/// `SILENCE_MS_MAX`, and the grace after a deadline.
const SILENCE: Duration = Duration::from_secs(40);
