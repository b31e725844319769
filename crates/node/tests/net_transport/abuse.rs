//! Peers that keep the server busy for nothing, and apps that fail.

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::Full;
use landbridge_node::net::App;
use landbridge_node::net::limit_body::RequestBody;
use tokio::io::AsyncWriteExt;

use super::support::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PING, POST_ROOT, RST_STREAM, SETTINGS,
    client, echo, echo_request, frame, patient, post, read_to_close, start, within,
};

/// Sends what `flood` makes for each stream id, for as long as the server stands it, and fails when the
/// server lets the connection live.
async fn assert_ended_by(flood: impl Fn(u32) -> Vec<u8>) {
    let server = start(patient(), echo()).await;
    let (mut reader, mut writer) = tokio::io::split(server.http2().await);
    let reading = tokio::spawn(async move { read_to_close(&mut reader).await });
    for n in 0..20_000 {
        if writer.write_all(&flood(2 * n + 1)).await.is_err() {
            break;
        }
    }
    within(reading).await.unwrap();
    assert_eq!(post(&client(), &server.target(), "/", "honest").await.1, "honest");
}

#[tokio::test]
async fn rapid_resets_end_the_connection() {
    let flood = |id| {
        let open = frame(HEADERS, END_HEADERS | END_STREAM, id, POST_ROOT);
        [open, frame(RST_STREAM, 0, id, &[0, 0, 0, 8])].concat()
    };
    assert_ended_by(flood).await;
}

#[tokio::test]
async fn floods_of_control_frames_end_the_connection() {
    assert_ended_by(|_| frame(PING, 0, 0, &[0; 8])).await;
    assert_ended_by(|_| frame(SETTINGS, 0, 0, &[])).await;
    let endless_head = |id| match id {
        1 => frame(HEADERS, 0, 1, POST_ROOT),
        _ => frame(CONTINUATION, 0, 1, &[0x40, 1, b'x', 1, b'y']),
    };
    assert_ended_by(endless_head).await;
    let empty_data = |id| match id {
        1 => frame(HEADERS, END_HEADERS, 1, POST_ROOT),
        _ => frame(DATA, 0, 1, &[]),
    };
    assert_ended_by(empty_data).await;
}

#[tokio::test]
async fn a_thousand_honest_streams_that_are_dropped_at_once_are_no_flood() {
    let server = start(patient(), App::new(|_request| async { Response::new(NeverEnding) })).await;
    let client = client();
    for _ in 0..3 {
        let mut open = Vec::new();
        for _ in 0..300 {
            open.push(client.get(&server.target(), "/", HeaderMap::new()).await.unwrap());
        }
    }
    assert_eq!(client.get(&server.target(), "/", HeaderMap::new()).await.unwrap().status(), 200);
}

struct NeverEnding;

impl http_body::Body for NeverEnding {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        std::task::Poll::Pending
    }
}

async fn panics_on_demand(request: Request<RequestBody>) -> Response<Full<Bytes>> {
    assert_ne!(request.uri().path(), "/panic", "asked to");
    echo_request(request).await
}

#[tokio::test]
async fn a_panic_ends_its_own_request_and_nothing_else() {
    let server = start(patient(), App::new(panics_on_demand)).await;
    let client = client();
    for _ in 0..3 {
        assert!(client.get(&server.target(), "/panic", HeaderMap::new()).await.is_err());
        assert_eq!(post(&client, &server.target(), "/", "x").await.1, "x");
    }
    let mut raw = server.tls(b"http/1.1").await;
    raw.write_all(b"GET /panic HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    assert!(read_to_close(&mut raw).await.is_empty());
    assert_eq!(post(&client, &server.target(), "/", "x").await.1, "x");
}
