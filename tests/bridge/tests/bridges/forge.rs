//! Requests made by hand: signed with a gateway's own key files, and then bent as a test wants.
//!
//! The bridge that owns the keys has no part in it, so nothing here is polite. Refusals are believed
//! only as a peer would believe them: signed by the executor, and bound to this very request.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use landbridge_harness::bridge::Bridge;
use landbridge_node::clock::{Clock as _, Entropy as _, SystemClock, SystemEntropy};
use landbridge_node::identity::{Identity, NewIdentity};
use landbridge_node::net::client::{self, Client, ClientSettings, Target};
use landbridge_node::net::connect::TcpConnector;
use landbridge_node::net::endpoint::{AddressPolicy, Endpoint};
use landbridge_node::net::tls::Trust;
use landbridge_proto::machine::operation::Operation;
use landbridge_proto::trust::peer::PeerView;
use landbridge_proto::trust::root::TrustedRoot;
use landbridge_proto::trust::signer::Signer as _;
use landbridge_proto::wire::envelope::Envelope;
use landbridge_proto::wire::json::canonical;
use landbridge_proto::wire::kind::{Kind, Role};
use landbridge_proto::wire::request::{Answer, Refusal};
use serde_json::{Value, json};

/// Where starts go.
pub(crate) const RUNS: &str = "/federation/v1/runs";

/// Somebody with the keys of a gateway, in front of another one.
pub(crate) struct Forge {
    identity: Identity,
    /// The status that is stapled to every request.
    pub(crate) status: Envelope,
    victim: Target,
    aud: String,
    known: PeerView,
    client: Client,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// The problem's code; empty when there is none.
    pub(crate) code: String,
    /// The problem was signed by the executor, for this request.
    pub(crate) signed: bool,
    pub(crate) headers: HeaderMap,
    /// Of an answer, its result.
    pub(crate) result: Value,
    pub(crate) text: String,
}

impl Forge {
    /// With the keys of a bridge, in front of another one.
    pub(crate) async fn of(bridge: &Bridge, victim: &Bridge) -> Self {
        let identity = Identity::load(bridge.home()).unwrap();
        let client = client();
        let status = document(&client, &target(bridge), "/federation/v1/status").await;
        Self::new(identity, status, client, victim).await
    }

    /// With new keys of a gateway that nobody knows.
    pub(crate) async fn stranger(place: &Path, victim: &Bridge) -> Self {
        let new = NewIdentity { endpoints: Vec::new(), now: SystemClock.now() };
        let gateway = Identity::create(place, &new, &SystemEntropy).unwrap();
        let identity = Identity::load(place).unwrap();
        let now = now();
        let status = json!({
            "audit": {"head": "A".repeat(43), "size": 0}, "expires": now + 60_000,
            "incarnation": {"n": 1, "since": now - 1000}, "iss": gateway, "issued": now,
            "refresh_ms": 60_000, "revoked": [], "root": identity.chain()[0].digest(),
            "root_version": 1, "seq": now, "v": 1,
        });
        let status = identity
            .signer(Role::Status, SystemClock.now())
            .unwrap()
            .sign(Kind::Status, &bytes(&status))
            .unwrap();
        Self::new(identity, status, client(), victim).await
    }

    async fn new(identity: Identity, status: Envelope, client: Client, victim: &Bridge) -> Self {
        let target = target(victim);
        let root = document(&client, &target, "/federation/v1/root/1").await;
        let their = document(&client, &target, "/federation/v1/status").await;
        let root = TrustedRoot::introduced(&root).unwrap();
        let known = PeerView::new(root).with_status(&their, SystemClock.now()).unwrap();
        let aud = victim.gateway().to_owned();
        Self { identity, status, victim: target, aud, known, client }
    }

    /// Who it is.
    pub(crate) fn gateway(&self) -> String {
        self.identity.root().gateway().to_string()
    }

    /// A request document that nothing is wrong with.
    pub(crate) fn request(&self, op: &str, body: Value) -> Value {
        let mut random = [0; 16];
        SystemEntropy.fill(&mut random);
        let now = now();
        json!({
            "aud": self.aud, "body": body, "exp": now + 60_000, "iat": now,
            "iss": self.gateway(), "jti": data_encoding::BASE64URL_NOPAD.encode(&random),
            "op": op, "proto": [1], "seen": {"n": 1, "seq": 0},
            "tenant": {"dst": "default", "src": "default"}, "v": 1,
        })
    }

    /// A start that nothing is wrong with, of a run that ends at once.
    pub(crate) fn start(&self, key: &str) -> Value {
        self.start_with(key, "say done")
    }

    /// A start with a prompt.
    pub(crate) fn start_with(&self, key: &str, prompt: &str) -> Value {
        let body = json!({
            "agentTarget": {"agent": "demo", "mode": "session"},
            "callerIdentity": {"principal": "forge"}, "idempotencyKey": key,
            "invokedAt": now(), "prompt": prompt,
        });
        self.request("start", body)
    }

    /// Signs a request document as it stands.
    pub(crate) fn sign(&self, request: &Value) -> Envelope {
        self.identity
            .signer(Role::Request, SystemClock.now())
            .unwrap()
            .sign(Kind::Request, &bytes(request))
            .unwrap()
    }

    /// Signs a status document that was bent.
    pub(crate) fn restate(&self, change: impl FnOnce(&mut Value)) -> Envelope {
        let envelope: Value = serde_json::from_slice(&self.status.to_bytes()).unwrap();
        let payload = envelope["payload"].as_str().unwrap().as_bytes();
        let payload = data_encoding::BASE64.decode(payload).unwrap();
        let mut status = serde_json::from_slice(&payload).unwrap();
        change(&mut status);
        self.identity
            .signer(Role::Status, SystemClock.now())
            .unwrap()
            .sign(Kind::Status, &bytes(&status))
            .unwrap()
    }

    /// Signs and sends a request with the stapled status.
    pub(crate) async fn send(&self, path: &str, request: &Value) -> Reply {
        self.send_signed(path, &self.sign(request), &self.status).await
    }

    /// Sends a signed request with a status.
    pub(crate) async fn send_signed(
        &self,
        path: &str,
        request: &Envelope,
        status: &Envelope,
    ) -> Reply {
        let operation =
            Operation { roots: None, status: status.clone(), request: request.clone(), held: None };
        let mut reply = self.post(path, operation.to_bytes(), &[]).await;
        self.read(&mut reply, request);
        reply
    }

    /// Posts any bytes.
    pub(crate) async fn post(&self, path: &str, body: Vec<u8>, headers: &[(&str, &str)]) -> Reply {
        let mut map = HeaderMap::new();
        map.insert("content-type", HeaderValue::from_static("application/json"));
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            map.insert(name, HeaderValue::from_str(value).unwrap());
        }
        let posted = self.client.post(&self.victim, path, map, Bytes::from(body)).await;
        reply(posted.unwrap()).await
    }

    /// Gets anything.
    pub(crate) async fn get(&self, path: &str) -> Reply {
        reply(self.client.get(&self.victim, path, HeaderMap::new()).await.unwrap()).await
    }

    /// Forgets connections, because the other side was restarted.
    pub(crate) fn reconnect(&self) {
        self.client.forget_connections();
    }

    fn read(&self, reply: &mut Reply, request: &Envelope) {
        let Ok(envelope) = Envelope::parse(reply.text.as_bytes()) else { return };
        let now = SystemClock.now();
        if let Ok(refusal) = self.known.verify::<Refusal>(&envelope, now) {
            let said = refusal.value();
            reply.code = said.problem.code_text().to_owned();
            reply.signed = said.request == request.digest() && said.aud.as_str() == self.gateway();
        } else if let Ok(answer) = self.known.verify::<Answer>(&envelope, now) {
            reply.signed = answer.value().request == request.digest();
            reply.result = serde_json::to_value(&answer.value().result).unwrap();
        }
    }
}

impl Reply {
    /// A refusal: its status, code, and whether the executor signed it.
    pub(crate) fn refusal(&self) -> (u16, &str, bool) {
        (self.status, &self.code, self.signed)
    }

    /// It is a stream that ended with a terminal.
    pub(crate) fn is_whole_stream(&self) -> bool {
        self.status == 200
            && self.text.starts_with("event: accept")
            && self.text.contains(r#""event":"terminal""#)
    }
}

async fn reply(response: http::Response<client::ResponseStream>) -> Reply {
    let (head, body) = client::collect(response, 1024 * 1024).await.unwrap();
    let text = String::from_utf8_lossy(&body).into_owned();
    let problem: Value = serde_json::from_str(&text).unwrap_or_default();
    Reply {
        status: head.status.as_u16(),
        code: problem["code"].as_str().unwrap_or_default().to_owned(),
        signed: false,
        headers: head.headers,
        result: Value::Null,
        text,
    }
}

async fn document(client: &Client, at: &Target, path: &str) -> Envelope {
    let response = client.get(at, path, HeaderMap::new()).await.unwrap();
    assert_eq!(response.status().as_u16(), 200, "{path}");
    Envelope::parse(&client::collect(response, 1024 * 1024).await.unwrap().1).unwrap()
}

fn client() -> Client {
    let policy = AddressPolicy::public_only().danger_allow_loopback();
    Client::new(ClientSettings::default(), Arc::new(TcpConnector::new(policy)))
}

fn target(bridge: &Bridge) -> Target {
    let endpoint = Endpoint::parse(&format!("https://{}", bridge.listen())).unwrap();
    Target { endpoint, trust: Trust::danger_trust_nobody_yet() }
}

fn bytes(value: &Value) -> Vec<u8> {
    canonical::to_vec(value).unwrap()
}

pub(crate) fn now() -> i64 {
    SystemClock.now().0
}
