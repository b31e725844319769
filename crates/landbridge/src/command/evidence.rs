//! `evidence`: what a peer signed against itself, shown, handed on and judged.
//!
//! Judging is `proto`'s and needs nothing but the file: whoever doubts a quarantine can check it without
//! asking either gateway.

use std::path::Path;

use landbridge_node::local::api::{EvidenceDetail, EvidenceView};
use landbridge_proto::machine::evidence::{Verdict, verify as judge};

use super::verdict::{read, tell};
use crate::cli::{EvidenceCommand, EvidenceExportArgs, EvidenceVerifyArgs};
use crate::client::Client;
use crate::exit::{Exit, Failure, OrFail as _};
use crate::out::{Look, Out, fields, table};

/// Runs an evidence command that asks the bridge.
pub(super) async fn run(
    client: &Client,
    command: EvidenceCommand,
    out: &Out,
) -> Result<Exit, Failure> {
    match command {
        EvidenceCommand::List => list(client, out).await,
        EvidenceCommand::Show(args) => show(client, &args.id, out).await,
        EvidenceCommand::Export(args) => export(client, &args, out).await,
        EvidenceCommand::Verify(args) => verify(&args, out),
    }
}

/// Judges a proof; needs no home and no bridge.
pub(super) fn verify(args: &EvidenceVerifyArgs, out: &Out) -> Result<Exit, Failure> {
    tell(&judge(&read(&args.file)?, &args.pin), summary, out)
}

fn summary(verdict: &Verdict) -> String {
    let summary = &verdict.summary;
    let tenant = summary.tenant.as_ref();
    let signed: Vec<_> = summary.signed.iter().map(|at| crate::out::instant(*at)).collect();
    let signers: Vec<_> = summary.signers.iter().map(|signer| signer.kid.to_string()).collect();
    fields(&[
        ("gateway", summary.gateway.as_ref().map(ToString::to_string).unwrap_or_default()),
        ("contradicting", summary.kind.map(|kind| kind.as_str()).unwrap_or_default().to_owned()),
        ("said to", summary.caller.as_ref().map(ToString::to_string).unwrap_or_default()),
        ("tenants", tenant.map(|pair| format!("{} -> {}", pair.src, pair.dst)).unwrap_or_default()),
        ("key", summary.key.as_ref().map(ToString::to_string).unwrap_or_default()),
        ("run", summary.run.as_ref().map(ToString::to_string).unwrap_or_default()),
        ("number", summary.seq.map(|seq| seq.to_string()).unwrap_or_default()),
        ("signed", signed.join(" ")),
        ("signed by", signers.join(" ")),
    ])
}

async fn list(client: &Client, out: &Out) -> Result<Exit, Failure> {
    let all: Vec<EvidenceView> = client.get("/v1/admin/evidence").await?;
    if all.is_empty() {
        out.say(Look::Dim, "no evidence against anybody");
    }
    out.data(&all, |all: &Vec<EvidenceView>| {
        let mut rows = vec![["ID", "PEER", "CONTRADICTING", "FOUND"].map(String::from).to_vec()];
        for one in all {
            let peer = one.peer.as_ref().map_or(one.gateway.to_string(), ToString::to_string);
            rows.push(vec![one.id.clone(), peer, one.kind.clone(), one.found.clone()]);
        }
        if rows.len() == 1 { String::new() } else { table(&rows) }
    })?;
    Ok(Exit::Success)
}

async fn show(client: &Client, id: &str, out: &Out) -> Result<Exit, Failure> {
    let detail: EvidenceDetail = client.get(&path(id)?).await?;
    out.data(&detail, |detail| {
        let one = &detail.evidence;
        let differing = |lines: &[String], other: &[String]| {
            let pairs = lines.iter().enumerate();
            let differ = pairs.filter(|(at, line)| other.get(*at) != Some(line));
            differ.map(|(_, line)| line.clone()).collect::<Vec<_>>().join("\n")
        };
        fields(&[
            ("id", one.id.clone()),
            ("peer", one.peer.as_ref().map(ToString::to_string).unwrap_or_default()),
            ("gateway", one.gateway.to_string()),
            ("contradicting", one.kind.clone()),
            ("found", one.found.clone()),
            ("run", one.run.as_ref().map(ToString::to_string).unwrap_or_default()),
            ("quarantined", if one.quarantined { "yes" } else { "no" }.to_owned()),
            ("kept first", differing(&detail.kept, &detail.other)),
            ("told later", differing(&detail.other, &detail.kept)),
        ])
    })?;
    out.say(Look::Dim, format!("hand it on: landbridge evidence export {id} --output FILE"));
    Ok(Exit::Success)
}

async fn export(client: &Client, args: &EvidenceExportArgs, out: &Out) -> Result<Exit, Failure> {
    let at = path(&args.id)?;
    let bytes = client.bytes(&format!("{at}/file")).await?;
    let Some(file) = &args.output else {
        out.bytes(&bytes)?;
        return Ok(Exit::Success);
    };
    let detail: EvidenceDetail = client.get(&at).await?;
    write(file, &bytes)?;
    let gateway = &detail.evidence.gateway;
    let written = serde_json::json!({
        "id": args.id, "file": file, "bytes": bytes.len(), "gateway": gateway,
    });
    out.data(&written, |_| String::new())?;
    out.say(Look::Green, format!("wrote {}, {} bytes", file.display(), bytes.len()));
    let file = file.display();
    out.say(Look::Dim, format!("check it: landbridge evidence verify {file} --pin {gateway}"));
    Ok(Exit::Success)
}

fn write(file: &Path, bytes: &[u8]) -> Result<(), Failure> {
    std::fs::write(file, bytes)
        .or_fail(Exit::CannotCreate, || format!("cannot write {}", file.display()))
}

/// Where the bridge has it; an id holds nothing that a path could be bent with.
fn path(id: &str) -> Result<String, Failure> {
    let plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if id.is_empty() || !plain {
        return Err(Failure::new(Exit::Usage, format!("{id:?} is not the id of evidence"))
            .next("landbridge evidence list"));
    }
    Ok(format!("/v1/admin/evidence/{id}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn an_id_is_no_path() {
        assert_eq!(path("ev-abc").unwrap(), "/v1/admin/evidence/ev-abc");
        for bad in ["", "../bridge", "a/b", "a?b", "a%2f"] {
            assert!(path(bad).is_err(), "{bad}");
        }
    }
}
