//! A bare client of the gateway, for what a test must see or do behind the adapter's back.
//!
//! It shares no code with the adapter: what it is refused, it is refused by the gateway.

use anyhow::{Context, bail};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use ed25519_dalek::{Signer, SigningKey};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

/// Who connects, and with what.
#[derive(Debug)]
pub struct Who<'a> {
    /// The device's Ed25519 seed.
    pub seed: [u8; 32],
    /// `token` for the gateway's shared token, `deviceToken` for a device's.
    pub auth: &'a str,
    /// The token.
    pub token: &'a str,
    /// The scopes to ask for.
    pub scopes: &'a [&'a str],
}

/// An open connection.
#[derive(Debug)]
pub struct Operator {
    socket: WebSocketStream<TcpStream>,
    next: u64,
}

impl Operator {
    /// Connects to a gateway of loopback.
    ///
    /// # Errors
    ///
    /// Returns what the gateway said when it did not let the device in.
    pub async fn connect(port: u16, who: &Who<'_>) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        let (socket, _) =
            tokio_tungstenite::client_async(format!("ws://127.0.0.1:{port}"), stream).await?;
        let mut operator = Self { socket, next: 0 };
        let challenge = loop {
            let frame = operator.receive().await?;
            if frame["event"] == "connect.challenge" {
                break frame["payload"].clone();
            }
        };
        let key = SigningKey::from_bytes(&who.seed);
        let public = key.verifying_key();
        let id = HEXLOWER.encode(&Sha256::digest(public.as_bytes()));
        let (nonce, at) = (challenge["nonce"].as_str().unwrap_or_default(), &challenge["ts"]);
        let scopes = who.scopes.join(",");
        let signed = format!("v3|{id}|cli|cli|operator|{scopes}|{at}|{}|{nonce}|linux|", who.token);
        let answer = operator
            .call(
                "connect",
                &json!({
                    "minProtocol": 4, "maxProtocol": 4, "role": "operator", "scopes": who.scopes, "caps": [],
                    "client": {"id": "cli", "version": "0", "platform": "linux", "mode": "cli",
                        "displayName": format!("test {}", &id[..12])},
                    "auth": {who.auth: who.token},
                    "device": {"id": id, "publicKey": BASE64URL_NOPAD.encode(public.as_bytes()), "signedAt": at,
                        "nonce": nonce, "signature": BASE64URL_NOPAD.encode(&key.sign(signed.as_bytes()).to_bytes())},
                }),
            )
            .await?;
        if answer["ok"] != true {
            bail!("the gateway refuses: {}", answer["error"]);
        }
        Ok(operator)
    }

    /// Asks and returns the first answer frame, good or bad.
    ///
    /// # Errors
    ///
    /// Returns why no answer came.
    pub async fn call(&mut self, method: &str, params: &Value) -> anyhow::Result<Value> {
        self.next += 1;
        let id = self.next.to_string();
        let frame = json!({"type": "req", "id": id, "method": method, "params": params});
        self.socket.send(Message::text(frame.to_string())).await?;
        loop {
            let frame = self.receive().await?;
            if frame["type"] == "res" && frame["id"] == id.as_str() {
                return Ok(frame);
            }
        }
    }

    async fn receive(&mut self) -> anyhow::Result<Value> {
        loop {
            match self.socket.next().await.context("the gateway closed the connection")?? {
                Message::Text(text) => return Ok(serde_json::from_str(&text)?),
                Message::Close(frame) => bail!("the gateway closed the connection: {frame:?}"),
                _ => {}
            }
        }
    }
}
