//! The running bridge, asked through its unix socket.
//!
//! One connection for each question: commands are short, and a connection that a command holds while a
//! daemon drains would only delay it. The socket's permissions are the credential; the daemon checks
//! ours, and no token is needed.

use std::io;
use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use landbridge_node::config::{Config, Home};
use landbridge_node::identity::online::key_files;
use landbridge_proto::wire::kind::Role;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use crate::command::config::environment;
use crate::exit::{Exit, Failure, OrFail as _};

/// A bridge's home as a command names it.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    home: PathBuf,
    socket: PathBuf,
}

/// A problem as the local API tells it. Unknown members and codes are taken as they come, so that an
/// older command line still shows what a newer daemon says.
#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct ProblemText {
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    title: Option<String>,
    #[serde(default)]
    detail: Option<String>,
    #[serde(default)]
    retry_after_ms: Option<u64>,
}

impl Client {
    /// A client of the bridge in `home`.
    pub(crate) fn new(home: impl Into<PathBuf>) -> Self {
        let home = Home::at(home);
        // Settings that are wrong are for `config check` to tell; a bridge may run on older ones.
        let socket = Config::load(&home, &environment())
            .map_or_else(|_| home.socket(), |config| config.local.socket);
        Self { home: home.path().to_owned(), socket }
    }

    /// The home.
    pub(crate) fn home(&self) -> &Path {
        &self.home
    }

    /// Reads a resource.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        decode(&self.ask(Method::GET, path, None).await?)
    }

    /// Posts a resource and reads the answer.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        decode(&self.ask(Method::POST, path, Some(encode(body)?)).await?)
    }

    /// Puts a resource and reads the answer.
    pub(crate) async fn put<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        decode(&self.ask(Method::PUT, path, Some(encode(body)?)).await?)
    }

    /// Deletes a resource.
    pub(crate) async fn delete(&self, path: &str) -> Result<(), Failure> {
        self.ask(Method::DELETE, path, None).await.map(drop)
    }

    /// Reads a resource as the bytes that it is.
    pub(crate) async fn bytes(&self, path: &str) -> Result<Bytes, Failure> {
        self.ask(Method::GET, path, None).await
    }

    /// Opens a resource of lines that come as they happen.
    pub(crate) async fn lines(&self, path: &str) -> Result<Lines, Failure> {
        let request = Request::get(path).header("accept", "application/x-ndjson");
        let response = self.send(finish(request, None)?).await?;
        let response = refuse_problem(response).await?;
        Ok(Lines { body: response.into_body(), rest: BytesMut::new(), ended: false })
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Bytes>) -> Result<Bytes, Failure> {
        let mut request =
            Request::builder().method(method).uri(path).header("accept", "application/json");
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let response = refuse_problem(self.send(finish(request, body)?).await?).await?;
        collect(response).await
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Failure> {
        let stream =
            UnixStream::connect(&self.socket).await.map_err(|error| self.no_bridge(&error))?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(went_away)?;
        // Ends with the response's body; its error is seen there.
        tokio::spawn(connection);
        sender.send_request(request).await.map_err(went_away)
    }

    fn no_bridge(&self, error: &io::Error) -> Failure {
        let home = self.home.display();
        match error.kind() {
            io::ErrorKind::PermissionDenied => Failure::new(
                Exit::Permissions,
                format!("the socket in {home} belongs to somebody else"),
            )
            .because(error)
            .next("run the command as the user that the bridge runs as"),
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                let made = key_files(&self.home.join("keys"), Role::Stream)
                    .is_ok_and(|all| !all.is_empty());
                let next = if made {
                    format!("landbridge serve --home {home}")
                } else {
                    format!("landbridge init --home {home}, then landbridge serve --home {home}")
                };
                let start = if made { ": start it with `landbridge serve`" } else { "" };
                Failure::new(Exit::NoBridge, format!("no bridge is running in {home}{start}"))
                    .next(next)
            }
            _ => Failure::new(Exit::NoBridge, format!("cannot reach the bridge in {home}"))
                .because(error),
        }
    }
}

/// Lines of an answer, as they come.
pub(crate) struct Lines {
    body: Incoming,
    rest: BytesMut,
    ended: bool,
}

impl Lines {
    /// The next line without its line feed, or `None` when the answer ended where a line ends.
    /// Cancel-safe.
    pub(crate) async fn next(&mut self) -> Result<Option<String>, Failure> {
        loop {
            if let Some(at) = self.rest.iter().position(|&byte| byte == b'\n') {
                let line = self.rest.split_to(at + 1);
                let text = String::from_utf8_lossy(&line[..at]).into_owned();
                if text.is_empty() {
                    continue;
                }
                return Ok(Some(text));
            }
            if self.ended {
                return Ok(None);
            }
            if self.rest.len() > LINE_BYTES_MAX {
                return Err(Failure::new(Exit::Internal, "the bridge sent a line without an end"));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.rest.extend_from_slice(&data);
                    }
                }
                Some(Err(error)) => return Err(went_away(error)),
                None => self.ended = true,
            }
        }
    }
}

fn finish(
    request: http::request::Builder,
    body: Option<Bytes>,
) -> Result<Request<Full<Bytes>>, Failure> {
    request
        .header("host", "landbridge")
        .header("user-agent", concat!("landbridge/", env!("CARGO_PKG_VERSION")))
        .body(Full::new(body.unwrap_or_default()))
        .or_fail(Exit::Internal, || "cannot form the request")
}

async fn refuse_problem(response: Response<Incoming>) -> Result<Response<Incoming>, Failure> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let body = collect(response).await?;
    Err(problem(status, &body))
}

async fn collect(response: Response<Incoming>) -> Result<Bytes, Failure> {
    match Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) => {
            Err(Failure::new(Exit::NoBridge, "the bridge went away while it answered").why(error))
        }
    }
}

/// A failure for a status that is not success, with what the problem says and what to do about it.
fn problem(status: StatusCode, body: &[u8]) -> Failure {
    let Ok(text) = serde_json::from_slice::<ProblemText>(body) else {
        return Failure::new(Exit::Failed, format!("the bridge answered {status}"))
            .why(String::from_utf8_lossy(&body[..body.len().min(200)]));
    };
    let title = text.title.unwrap_or_else(|| format!("the bridge answered {status}"));
    let exit = match text.code.as_deref() {
        Some("not_found" | "approval_unknown") => Exit::NotFound,
        _ => Exit::Failed,
    };
    let mut failure = match text.detail {
        Some(detail) if detail != title => Failure::new(exit, detail).why(title),
        _ => Failure::new(exit, title),
    };
    if let Some(code) = text.code {
        if let Some(next) = next_step(&code) {
            failure = failure.next(next);
        } else if let Some(ms) = text.retry_after_ms {
            failure = failure.next(format!("the same command in {} s", ms.div_ceil(1000)));
        }
        failure = failure.code(code);
    }
    failure
}

/// What helps against a code, where one thing usually does.
pub(crate) fn next_step(code: &str) -> Option<&'static str> {
    Some(match code {
        "not_granted" => {
            "ask the other side's operator for: landbridge grant add PEER --agent AGENT"
        }
        "peer_suspended" => "landbridge peer list",
        "peer_unreachable" => "landbridge peer list; landbridge peer show ALIAS says what to do",
        "peer_revoked" => "landbridge peer list; only a new pairing helps: landbridge peer invite",
        "halted" => "landbridge doctor; and once it is safe: landbridge resume",
        "not_found" => "landbridge run list, or landbridge route list",
        "approval_unknown" => "landbridge approval list --all",
        "already_resolved" => "landbridge approval show ID says how it ended",
        "no_approval_route" => "ask the other side's operator for: landbridge scope map add",
        "key_conflict" => {
            "the same command with another --key, or with the request that the key belongs to"
        }
        "key_expired" | "lost_history" | "cancelled_before_start" => {
            "the same command with another --key"
        }
        "agent_unknown" => "landbridge route list, and ask the other side which agents it has",
        "clock_skew" => "landbridge doctor; then set this machine's clock",
        "rolled_back" => "stop the bridge; then landbridge recover --help",
        "gateway_unavailable" | "gateway_unsupported" => "landbridge gateway status",
        "verification_failed" => {
            "landbridge peer list at both sides, and landbridge audit show at the other"
        }
        "draining" | "overloaded" | "rate_limited" => {
            "the same command with the same --key in a moment"
        }
        "cursor_ahead" | "cursor_gone" => "landbridge run tail RUN --after 0",
        "internal" => "landbridge doctor, and the bridge's log",
        _ => return None,
    })
}

fn encode(body: &impl Serialize) -> Result<Bytes, Failure> {
    let bytes = serde_json::to_vec(body).or_fail(Exit::Internal, || "cannot form the request")?;
    Ok(bytes.into())
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    // An answer without content reads as nothing.
    let bytes = if bytes.is_empty() { b"null" } else { bytes };
    serde_json::from_slice(bytes).map_err(|error| {
        Failure::new(Exit::Internal, "the bridge's answer cannot be read")
            .because(error)
            .next("landbridge --version, and compare with the bridge's: landbridge doctor")
    })
}

fn went_away(error: hyper::Error) -> Failure {
    Failure::new(Exit::NoBridge, "the bridge went away while it answered")
        .because(error)
        .next("landbridge doctor")
}

/// A text as one segment or value of a path.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// A transcript can hold every frame of a run.
const ANSWER_BYTES_MAX: usize = 512 * 1024 * 1024;
/// Longer than any frame line.
const LINE_BYTES_MAX: usize = 1024 * 1024;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[tokio::test]
    async fn without_a_bridge_the_failure_says_how_to_start_one() {
        let home = tempfile::tempdir().unwrap();
        let client = Client::new(home.path());
        let failure = client.get::<serde_json::Value>("/v1/runs").await.unwrap_err();
        assert_eq!(failure.exit(), Exit::NoBridge);
        assert!(failure.next_step().unwrap().starts_with("landbridge init"));
        std::fs::create_dir(home.path().join("keys")).unwrap();
        std::fs::write(home.path().join("keys/stream.key"), "").unwrap();
        let failure = client.get::<serde_json::Value>("/v1/runs").await.unwrap_err();
        assert!(failure.what().ends_with("start it with `landbridge serve`"), "{failure}");
    }

    #[test]
    fn a_problem_is_told_with_code_and_next_step() {
        let body = br#"{"code":"not_granted","title":"No grant.","detail":"no grant names agent x","status":403,"novel":1}"#;
        let failure = problem(StatusCode::FORBIDDEN, body);
        assert_eq!(failure.problem_code(), Some("not_granted"));
        assert_eq!(failure.what(), "no grant names agent x");
        assert!(failure.next_step().unwrap().contains("grant add"));
        let failure = problem(StatusCode::BAD_GATEWAY, b"<html>");
        assert!(failure.what().contains("502"));
    }

    #[test]
    fn a_path_segment_cannot_leave_its_place() {
        assert_eq!(escaped("../a b&c=d"), "..%2Fa%20b%26c%3Dd");
    }
}
