//! Peers that take their time, and the end of a server.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, Response};
use http_body::Frame;
use http_body_util::{Full, StreamBody};
use landbridge_node::net::App;
use landbridge_node::net::accept::Settings;
use landbridge_node::net::stream::{StreamEnd, StreamSettings, channel};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};

use super::support::{
    DATA, END_HEADERS, HEADERS, POST_ROOT, PREFACE, Running, client, echo, exchange, frame,
    patient, post, read_to_close, start, within,
};

fn hasty() -> Settings {
    Settings { first_request: Duration::from_secs(1), ..patient() }
}

/// Starts every way of not completing a first request.
async fn stallers(server: &Running) -> Vec<Box<dyn tokio::io::AsyncRead + Unpin + Send>> {
    let mut all: Vec<Box<dyn tokio::io::AsyncRead + Unpin + Send>> = Vec::new();
    for sent in [&b""[..], &[0x16], &[0x16, 3, 1, 2, 0, 1]] {
        let mut plain = TcpStream::connect(server.address).await.unwrap();
        plain.write_all(sent).await.unwrap();
        all.push(Box::new(plain));
    }
    for sent in [&b""[..], b"P", b"GET / HTTP/1.1\r\nhost: a\r\nx: "] {
        let mut old = server.tls(b"http/1.1").await;
        old.write_all(sent).await.unwrap();
        all.push(Box::new(old));
    }
    let settings = [PREFACE, &frame(4, 0, 0, &[])].concat();
    let half_head = [&settings[..], &frame(HEADERS, 0, 1, POST_ROOT)].concat();
    for sent in [&b""[..], b"P", &PREFACE[..23], PREFACE, &settings, &half_head] {
        let mut new = server.tls(b"h2").await;
        new.write_all(sent).await.unwrap();
        all.push(Box::new(new));
    }
    all
}

#[tokio::test]
async fn every_way_of_not_asking_is_ended_while_others_are_served() {
    let server = start(hasty(), echo()).await;
    let mut stalled = Vec::new();
    for _ in 0..4 {
        stalled.extend(stallers(&server).await);
    }
    assert_eq!(post(&client(), &server.target(), "/", "honest").await.1, "honest");
    for stream in &mut stalled {
        read_to_close(stream).await;
    }
    assert_eq!(post(&client(), &server.target(), "/", "honest").await.1, "honest");
}

#[tokio::test]
async fn a_head_that_trickles_is_ended_too() {
    let server = start(hasty(), echo()).await;
    let (mut reader, mut writer) = tokio::io::split(server.tls(b"http/1.1").await);
    let trickle = tokio::spawn(async move {
        writer.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
        while writer.write_all(b"x: y\r\n").await.is_ok() && writer.flush().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    read_to_close(&mut reader).await;
    trickle.abort();
}

#[tokio::test]
async fn a_slow_body_is_ended_on_both_protocols() {
    let server =
        start(Settings { request_body: Duration::from_millis(300), ..patient() }, echo()).await;
    let mut old = server.tls(b"http/1.1").await;
    let answer =
        exchange(&mut old, b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nslow").await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");

    let server = start(
        Settings {
            request_body: Duration::from_millis(300),
            idle: Duration::from_millis(300),
            ..patient()
        },
        echo(),
    )
    .await;
    let mut new = server.http2().await;
    new.write_all(&frame(HEADERS, END_HEADERS, 1, POST_ROOT)).await.unwrap();
    new.write_all(&frame(DATA, 0, 1, b"slow")).await.unwrap();
    read_to_close(&mut new).await;
}

#[tokio::test]
async fn an_idle_connection_is_told_and_ended_and_its_client_goes_on() {
    let server = start(Settings { idle: Duration::from_millis(200), ..patient() }, echo()).await;
    let mut raw = server.http2().await;
    raw.write_all(&frame(HEADERS, END_HEADERS | 1, 1, POST_ROOT)).await.unwrap();
    let seen = read_to_close(&mut raw).await;
    assert!(seen.windows(2).any(|pair| pair == [0x07, 0x00]), "a GOAWAY frame came before the end");
    let client = client();
    for _ in 0..3 {
        assert_eq!(post(&client, &server.target(), "/", "x").await.1, "x");
        // Long enough for the client's own connection to be ended as well.
        let mut raw = server.http2().await;
        raw.write_all(&frame(HEADERS, END_HEADERS | 1, 1, POST_ROOT)).await.unwrap();
        read_to_close(&mut raw).await;
    }
}

/// A body without end, which says when it is dropped.
fn endless(dropped: mpsc::UnboundedSender<()>) -> App {
    App::new(move |request| {
        let guard = OnDrop(dropped.clone());
        let endless = request.uri().path() == "/endless";
        let pieces = stream::unfold(guard, move |guard| async move {
            endless
                .then(|| (Ok::<_, Infallible>(Frame::data(Bytes::from(vec![7; 16 * 1024]))), guard))
        });
        async { Response::new(StreamBody::new(Box::pin(pieces))) }
    })
}

struct OnDrop(mpsc::UnboundedSender<()>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        let _nobody_listens_any_more = self.0.send(());
    }
}

#[tokio::test]
async fn a_reader_that_stops_is_cut_and_its_neighbours_are_not() {
    let (dropped, mut drops) = mpsc::unbounded_channel();
    let server =
        start(Settings { write_stall: Duration::from_millis(300), ..patient() }, endless(dropped))
            .await;
    let client = client();
    let mut sleeper = client.get(&server.target(), "/endless", HeaderMap::new()).await.unwrap();
    let mut reader = client.get(&server.target(), "/endless", HeaderMap::new()).await.unwrap();
    // The neighbour on the same connection reads all the while.
    tokio::select! {
        () = async { while let Some(Ok(_)) = reader.body_mut().chunk().await {} } => panic!("the reader was cut"),
        dropped = within(drops.recv()) => dropped.unwrap(),
    }
    assert!(reader.body_mut().chunk().await.unwrap().is_ok());
    let orderly = loop {
        match within(sleeper.body_mut().chunk()).await {
            Some(Ok(_)) => {}
            Some(Err(_)) => break false,
            None => break true,
        }
    };
    assert!(!orderly, "a cut looks like an error and not like an end");
}

#[tokio::test]
async fn a_reader_that_stops_is_cut_on_http1() {
    let (dropped, mut drops) = mpsc::unbounded_channel();
    let server =
        start(Settings { write_stall: Duration::from_millis(300), ..patient() }, endless(dropped))
            .await;
    let mut raw = server.tls(b"http/1.1").await;
    raw.write_all(b"GET /endless HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    within(drops.recv()).await.unwrap();
}

#[tokio::test]
async fn the_writer_of_a_stream_learns_that_its_reader_stopped() {
    let (report, mut reports) = mpsc::unbounded_channel();
    let settings =
        StreamSettings { stall: Duration::from_millis(300), ..StreamSettings::default() };
    let app = App::new(move |_request| {
        let report = report.clone();
        let (mut writer, body) = channel(settings);
        tokio::spawn(async move {
            let end = loop {
                if let Err(end) = writer.send(vec![7; 8 * 1024].into()).await {
                    break end;
                }
            };
            report.send(end).unwrap();
        });
        async { Response::new(body) }
    });
    let server = start(patient(), app).await;
    let _sleeper = client().get(&server.target(), "/", HeaderMap::new()).await.unwrap();
    assert_eq!(within(reports.recv()).await, Some(StreamEnd::Stalled));
}

#[tokio::test]
async fn a_drain_lets_requests_finish_and_takes_no_new_ones() {
    let (asked, finish) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let app = App::new({
        let (asked, finish) = (Arc::clone(&asked), Arc::clone(&finish));
        move |_request| {
            let (asked, finish) = (Arc::clone(&asked), Arc::clone(&finish));
            async move {
                asked.notify_one();
                finish.notified().await;
                Response::new(Full::new(Bytes::from_static(b"done")))
            }
        }
    });
    let server = start(Settings { drain: Duration::from_secs(600), ..patient() }, app).await;
    let (client, target) = (client(), server.target());
    let asking = tokio::spawn(async move { post(&client, &target, "/", "").await });
    let mut idle = server.tls(b"http/1.1").await;
    within(asked.notified()).await;
    server.shutdown.cancel();
    read_to_close(&mut idle).await;
    within(async { while TcpStream::connect(server.address).await.is_ok() {} }).await;
    assert!(!server.task.is_finished());
    finish.notify_one();
    assert_eq!(within(asking).await.unwrap().1, "done");
    within(server.task).await.unwrap();
}

#[tokio::test]
async fn a_drain_ends_what_does_not_end_by_itself() {
    let (dropped, mut drops) = mpsc::unbounded_channel();
    let server =
        start(Settings { drain: Duration::from_millis(200), ..patient() }, endless(dropped)).await;
    let _stalled = TcpStream::connect(server.address).await.unwrap();
    let mut response = client().get(&server.target(), "/endless", HeaderMap::new()).await.unwrap();
    assert!(response.body_mut().chunk().await.unwrap().is_ok());
    server.shutdown.cancel();
    within(server.task).await.unwrap();
    within(drops.recv()).await.unwrap();
}
