//! Where each target begins: bytes that honest gateways made.

use std::path::Path;
use std::{fs, io};

use landbridge_proto::trust::pairing::{Invite, InviteSecret};
use landbridge_proto::wire::document::{Endpoint, EndpointUrl, FormVersion};
use landbridge_proto::wire::envelope::Envelope;
use landbridge_proto::wire::sse::Event;
use zeroize::Zeroizing;

use crate::documents::KINDS;
use crate::gateway::{HOUR_MS, NOW};
use crate::honest::honest;
use crate::{TARGETS, approvals};

/// The seeds of a target.
#[must_use]
pub fn of(target: &str) -> Vec<Vec<u8>> {
    let honest = honest();
    match target {
        "envelope" | "signed" => signed().iter().map(Envelope::to_bytes).collect(),
        "json" => payloads(),
        "document" => {
            // Each payload as each kind: the reader that fits is among them.
            let all = payloads();
            let kind = |kind: usize| {
                let kind = u8::try_from(kind).unwrap_or(0);
                all.iter().map(move |payload| [&[kind], payload.as_slice()].concat())
            };
            (0..KINDS.len()).flat_map(kind).collect()
        }
        "sse" | "reception" => {
            let mut seeds = vec![honest.stream.clone()];
            seeds.extend(honest.run.events().iter().map(Event::to_bytes));
            let alive = Event::Alive(honest.run.seals[0].1.clone()).to_bytes();
            seeds.push(alive);
            seeds.push(Event::Status(honest.statuses[0].clone()).to_bytes());
            seeds
        }
        "frame" => honest.run.lines.iter().map(|line| line.clone().into_bytes()).collect(),
        "transcript" => vec![honest.transcript.clone()],
        "evidence" => vec![honest.evidence.clone().into_bytes()],
        "operation" | "admission" => vec![honest.operation.clone()],
        "invite" => vec![invite().into_bytes()],
        "names" => texts(),
        "tool-args" => {
            [r#"{}"#, r#"{"query":"x","n":0.5}"#, r#"{"a":{"b":[1,2,{"c":null}]},"d":"\u00e4"}"#]
                .map(|text| text.as_bytes().to_vec())
                .into()
        }
        "decision" => approvals::decisions(),
        "catalog" => approvals::catalogs(),
        "approval-record" => approvals::records(),
        _ => Vec::new(),
    }
}

/// Writes the seeds of every target, each into a directory of its own.
///
/// # Errors
///
/// When a file cannot be written.
pub fn write(place: &Path) -> io::Result<()> {
    for target in TARGETS {
        let directory = place.join(target.name);
        fs::create_dir_all(&directory)?;
        for (at, seed) in of(target.name).iter().enumerate() {
            fs::write(directory.join(format!("seed-{at:03}")), seed)?;
        }
    }
    Ok(())
}

fn signed() -> Vec<Envelope> {
    let honest = honest();
    let run = &honest.run;
    let mut all = vec![
        run.request.clone(),
        run.accept.envelope().clone(),
        run.seals[0].1.clone(),
        run.receipt(40, None),
        run.executor.roots[0].clone(),
        honest.federation_envelope.clone(),
    ];
    all.extend(honest.statuses.clone());
    all
}

/// Control documents as text: what the envelopes hold.
fn payloads() -> Vec<Vec<u8>> {
    let text = |envelope: &Envelope| -> Option<Vec<u8>> {
        let value: serde_json::Value = serde_json::from_slice(&envelope.to_bytes()).ok()?;
        decode(value.get("payload")?.as_str()?)
    };
    signed().iter().filter_map(text).collect()
}

/// Base64, for seeds alone: the project's own reader is under test.
fn decode(text: &str) -> Option<Vec<u8>> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut out, mut bits, mut held) = (Vec::new(), 0_u32, 0_u32);
    for byte in text.bytes().filter(|byte| *byte != b'=') {
        let value = ALPHABET.iter().position(|one| *one == byte)?;
        bits = bits << 6 | u32::try_from(value).ok()?;
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push(bits.wrapping_shr(held).to_le_bytes()[0]);
        }
    }
    Some(out)
}

fn invite() -> String {
    let run = &honest().run;
    let invite = Invite {
        endpoint: Endpoint {
            tls_spki: None,
            url: EndpointUrl::new("https://eu.example:7443").unwrap(),
        },
        expires: NOW.plus_ms(HOUR_MS),
        genesis: run.executor.chain.genesis_digest(),
        root: run.executor.chain.digest(),
        root_version: 1,
        secret: InviteSecret::from_entropy(&Zeroizing::new([7; 32])),
        v: FormVersion,
    };
    invite.to_text().unwrap().to_string()
}

fn texts() -> Vec<Vec<u8>> {
    let run = &honest().run;
    let key = run.caller.chain.root().keys.values().next().map(|key| key.public.to_string());
    [
        run.caller.id().to_string(),
        run.accept.value().run.to_string(),
        run.accept.digest().to_string(),
        key.unwrap_or_default(),
        "acme.eu-1".to_owned(),
        "nightly-2027-01-15-summarise".to_owned(),
        "https://eu.example:7443".to_owned(),
        "https://[2001:db8::1]:7443".to_owned(),
        "https://10.0.0.1".to_owned(),
        "tool:search".to_owned(),
    ]
    .map(String::into_bytes)
    .into()
}
