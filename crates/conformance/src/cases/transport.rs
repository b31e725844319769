//! The connection below the requests.

use std::io::{Read as _, Write as _};

use anyhow::{Context, Result, ensure};

use super::{Case, Skipped};
use crate::caller::{ATTACH, Caller, RUNS};
use crate::http;
use crate::wire;

pub(super) const CASES: &[Case] = &[
    Case {
        id: "tls-1-2",
        clauses: &["ID-37"],
        about: "who offers TLS 1.2 and nothing newer is answered by no handshake",
        run: |caller| answered(caller, &hello()?, b"\x16", "it goes on with TLS 1.2"),
    },
    Case {
        id: "tls-none",
        clauses: &["ID-37"],
        about: "a request without TLS gets no answer of HTTP, but for one that sends it away",
        run: |caller| {
            let plain =
                b"GET /federation/v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
            answered(caller, plain, b"HTTP/1.1 2", "it serves documents without TLS")
        },
    },
    Case {
        id: "http-2",
        clauses: &["ID-13", "ID-37", "STR-1"],
        about: "where HTTP/2 is chosen, documents and starts are answered there with the same bytes",
        run: |caller| {
            let root = two(caller, "/federation/v1/root", b"")?;
            let mut one = http::ask(&caller.place, ("GET", "/federation/v1/root"), &[], &[])?;
            ensure!(root == one.all()?, "another root than over HTTP/1.1");
            let start = caller.start()?;
            let signed = caller.sign(&start)?;
            let told = two(caller, RUNS, caller.operation(&signed).as_bytes())?;
            let told = String::from_utf8(told)?;
            let accept = told.strip_prefix("event: accept\ndata: ").context("no accept")?;
            let (accept, rest) = accept.split_once("\n\n").context("an accept ends")?;
            let body = serde_json::json!({
                "after": 0, "idempotencyKey": start["body"]["idempotencyKey"],
            });
            let mut again = caller.open(ATTACH, &caller.request("attach", body)?)?;
            again.finish()?;
            ensure!(again.accept_text == accept, "another accept than over HTTP/1.1");
            for frame in &again.frames {
                ensure!(rest.contains(&format!("data: {frame}\n")), "{frame} is not told");
            }
            Ok(())
        },
    },
];

/// Says something on a new connection, and reads what comes back first.
fn answered(caller: &Caller, said: &[u8], wrong: &[u8], why: &str) -> Result<()> {
    let mut socket = caller.place.socket()?;
    let mut first = vec![0; wrong.len()];
    // Whoever is not understood may be left at any moment.
    let answer = socket.write_all(said).and_then(|()| socket.read_exact(&mut first));
    ensure!(answer.is_err() || first != wrong, "{why}");
    Ok(())
}

/// A greeting of TLS that knows version 1.2, and suites and groups that every server of it takes.
fn hello() -> Result<Vec<u8>> {
    const REST: &[u8] = &[
        0, // no session
        0, 14, 0xc0, 0x2f, 0xc0, 0x30, 0xc0, 0x2b, 0xc0, 0x2c, 0xcc, 0xa8, 0xcc, 0xa9, 0x00, 0xff,
        1, 0, // no compression
        0, 44, // extensions
        0x00, 0x0a, 0, 8, 0, 6, 0x00, 0x1d, 0x00, 0x17, 0x00, 0x18, // groups
        0x00, 0x0b, 0, 2, 1, 0, // points
        0x00, 0x0d, 0, 14, 0, 12, 4, 3, 5, 3, 8, 4, 8, 5, 4, 1, 8, 7, // signatures
        0x00, 0x17, 0, 0, // extended master secret
        0x00, 0x23, 0, 0, // tickets
    ];
    let body = [&[3, 3][..], &wire::random::<32>()?, REST].concat();
    let length = body.len();
    let inner = [&[1, 0, (length >> 8) as u8, length as u8][..], &body].concat();
    let length = inner.len();
    Ok([&[0x16, 3, 1, (length >> 8) as u8, length as u8][..], &inner].concat())
}

/// One exchange over HTTP/2, a GET or a POST, and the body of its answer, which has to be 200.
fn two(caller: &Caller, path: &str, body: &[u8]) -> Result<Vec<u8>> {
    let (chosen, mut stream) = caller.place.negotiated(&[b"h2"])?;
    if chosen.as_deref() != Some(b"h2") {
        return Err(Skipped("the executor does not choose HTTP/2".to_owned()).into());
    }
    let text = |text: &str| [&[text.len() as u8], text.as_bytes()].concat();
    let authority = caller.place.url.trim_start_matches("https://");
    let method = if body.is_empty() { 0x82 } else { 0x83 };
    let mut head = [&[method, 0x87, 0x04], &text(path)[..], &[0x01], &text(authority)].concat();
    if !body.is_empty() {
        head.extend([&[0x0f, 0x10], &text("application/json")[..]].concat());
    }
    let ends = u8::from(body.is_empty());
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")?;
    stream.write_all(&frame(4, 0, 0, &[]))?;
    stream.write_all(&frame(1, 4 | ends, 1, &head))?;
    let mut pieces = body.chunks(16_384).peekable();
    while let Some(piece) = pieces.next() {
        stream.write_all(&frame(0, u8::from(pieces.peek().is_none()), 1, piece))?;
    }
    stream.flush()?;
    let mut told = Vec::new();
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).context("the answer over HTTP/2 was cut")?;
        let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
        stream.read_exact(&mut payload)?;
        let (kind, flags) = (head[3], head[4]);
        match kind {
            0 => told.extend(payload),
            // 200 is a header of one byte; whatever follows it is not read.
            1 => ensure!(payload.contains(&0x88), "{path} is not answered 200 over HTTP/2"),
            3 | 7 => anyhow::bail!("the executor ends the exchange over HTTP/2"),
            4 if flags & 1 == 0 => stream.write_all(&frame(4, 1, 0, &[]))?,
            _ => {}
        }
        if kind < 2 && flags & 1 == 1 {
            return Ok(told);
        }
    }
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = payload.len();
    let head = [0, (length >> 8) as u8, length as u8, kind, flags, 0, 0, 0, stream];
    [&head[..], payload].concat()
}
