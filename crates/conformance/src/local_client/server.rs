//! A bridge's local API that does what a script says: plain HTTP/1.1 on loopback, a connection a request.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

/// A request, as it arrived.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) kind: Kind,
    /// How many of this kind came before it.
    pub(super) nth: usize,
    pub(super) target: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    pub(super) at: Instant,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Start,
    Frames,
    Show,
    Cancel,
    List,
    Transcript,
    Other,
}

impl Asked {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let named = |(known, _): &&(String, String)| known.eq_ignore_ascii_case(name);
        self.headers.iter().find(named).map(|(_, value)| value.as_str())
    }

    /// A parameter of the query; no value that the kit looks at needs an escape.
    pub(super) fn query(&self, name: &str) -> Option<&str> {
        let (_, query) = self.target.split_once('?')?;
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// The cursor that it names; the header wins.
    pub(super) fn cursor(&self) -> usize {
        let named = self.header("last-event-id").or_else(|| self.query("after"));
        named.and_then(|text| text.parse().ok()).unwrap_or(0)
    }
}

/// One thing that the server does. After the last it closes the connection.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Say(Vec<u8>),
    Wait(Duration),
    /// Says nothing until the client leaves.
    Hold,
    /// A line that does not end, of so many bytes at most, as chunks.
    Flood(u64),
}

/// What is answered.
pub(super) type Answer = Vec<Step>;
/// Says what each request is answered.
pub(super) type Script<'a> = dyn Fn(&Asked) -> Answer + Sync + 'a;

/// What the server was told.
pub(super) struct Heard {
    pub(super) asked: Vec<Asked>,
    /// How many bytes of floods were taken.
    pub(super) flooded: u64,
}

/// Serves a script while something is done.
pub(super) fn serve<T>(
    script: &Script<'_>,
    work: impl FnOnce(SocketAddr) -> T,
) -> Result<(T, Heard)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let at = listener.local_addr()?;
    let server = Server {
        script,
        asked: Mutex::default(),
        flooded: AtomicU64::new(0),
        over: AtomicBool::new(false),
    };
    let came = thread::scope(|scope| {
        let server = &server;
        scope.spawn(move || {
            while !server.over.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((socket, _)) => {
                        // A client that leaves is for the case to judge, by what it says.
                        scope.spawn(move || server.talk(&socket));
                    }
                    Err(_) => thread::sleep(TICK),
                }
            }
        });
        let came = work(at);
        server.over.store(true, Ordering::Relaxed);
        came
    });
    let asked = server.asked.into_inner().ok().context("a thread of the server panicked")?;
    Ok((came, Heard { asked, flooded: server.flooded.into_inner() }))
}

struct Server<'a> {
    script: &'a Script<'a>,
    asked: Mutex<Vec<Asked>>,
    flooded: AtomicU64,
    over: AtomicBool,
}

impl Server<'_> {
    fn talk(&self, mut socket: &TcpStream) -> io::Result<()> {
        socket.set_nonblocking(false)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        let Some(mut asked) = read(socket)? else { return Ok(()) };
        if let Ok(mut all) = self.asked.lock() {
            asked.nth = all.iter().filter(|one| one.kind == asked.kind).count();
            all.push(asked.clone());
        }
        for step in (self.script)(&asked) {
            match step {
                Step::Say(bytes) => socket.write_all(&bytes)?,
                Step::Wait(time) => thread::sleep(time),
                Step::Hold => self.hold(socket)?,
                Step::Flood(bytes) => self.flood(socket, bytes)?,
            }
        }
        socket.shutdown(Shutdown::Both)
    }

    fn hold(&self, mut socket: &TcpStream) -> io::Result<()> {
        socket.set_read_timeout(Some(TICK))?;
        while !self.over.load(Ordering::Relaxed) {
            match socket.read(&mut [0]) {
                Ok(0) => break,
                Err(fault) if fault.kind() != io::ErrorKind::WouldBlock => return Err(fault),
                _ => {}
            }
        }
        Ok(())
    }

    fn flood(&self, mut socket: &TcpStream, bytes: u64) -> io::Result<()> {
        let block = super::script::chunk(&[b'x'; FLOOD_BLOCK]);
        while self.flooded.load(Ordering::Relaxed) < bytes {
            socket.write_all(&block)?;
            self.flooded.fetch_add(FLOOD_BLOCK as u64, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// Reads one request; `None` when the client leaves before it is whole.
fn read(mut socket: &TcpStream) -> io::Result<Option<Asked>> {
    let mut data = Vec::new();
    let end = loop {
        if let Some(at) = data.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        if !more(&mut socket, &mut data)? {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(data.get(..end).unwrap_or_default()).into_owned();
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let headers = lines.filter_map(|line| line.split_once(':'));
    let headers = headers.map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
    let mut asked = Asked {
        kind: kind(method, target),
        nth: 0,
        target: target.to_owned(),
        headers: headers.collect(),
        body: Vec::new(),
        at: Instant::now(),
    };
    let length = asked.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut body = data.split_off(end + 4);
    while body.len() < length {
        if !more(&mut socket, &mut body)? {
            return Ok(None);
        }
    }
    asked.body = body;
    Ok(Some(asked))
}

fn more(socket: &mut &TcpStream, data: &mut Vec<u8>) -> io::Result<bool> {
    let mut piece = [0; 4096];
    let read = socket.read(&mut piece)?;
    data.extend_from_slice(piece.get(..read).unwrap_or_default());
    Ok(read > 0)
}

fn kind(method: &str, target: &str) -> Kind {
    let path = target.split('?').next().unwrap_or_default();
    let Some(rest) = path.strip_prefix("/v1/runs") else { return Kind::Other };
    match (method, rest.split('/').skip(1).collect::<Vec<_>>().as_slice()) {
        ("POST", []) => Kind::Start,
        ("GET", []) => Kind::List,
        ("GET", [_]) => Kind::Show,
        ("GET", [_, "frames"]) => Kind::Frames,
        ("GET", [_, "transcript"]) => Kind::Transcript,
        ("POST", [_, "cancel"]) => Kind::Cancel,
        _ => Kind::Other,
    }
}

const TICK: Duration = Duration::from_millis(10);
const PATIENCE: Duration = Duration::from_secs(60);
const FLOOD_BLOCK: usize = 65_536;
