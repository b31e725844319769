//! `trust`: the federation document for people: whole, compared, with its history, and as a file that
//! proves itself.
//!
//! Each document is verified here, by the home's own roots or by a pinned gateway's: what is shown was
//! signed, whatever answered.

mod restore;
mod root;

use std::io::{Read as _, Write as _};
use std::path::Path;

use landbridge_node::identity;
use landbridge_node::local::api::{FederationVersionView, FederationView};
use landbridge_proto::trust::federation::TrustedFederation;
use landbridge_proto::trust::federation::bundle::{
    BUNDLE_BYTES_MAX, Bundle, BundleError, open_recorded,
};
use landbridge_proto::trust::federation::difference::Difference;
use landbridge_proto::trust::root::TrustedRoot;
use landbridge_proto::wire::document::{Federation, FormVersion};
use landbridge_proto::wire::envelope::Envelope;
use serde_json::json;

use super::change;
use crate::cli::{
    TrustCommand, TrustDiffArgs, TrustExportArgs, TrustRootCommand, TrustShowArgs, TrustVerifyArgs,
};
use crate::client::Client;
use crate::exit::{Exit, Failure, OrFail as _};
use crate::offline::identity_failure;
use crate::out::{Look, Out, fields, instant, short, table};

/// Runs a trust command that asks the bridge, or writes for it.
pub(super) async fn run(
    client: &Client,
    command: TrustCommand,
    out: &Out,
) -> Result<Exit, Failure> {
    match command {
        TrustCommand::Show(args) => show(client, &args, out).await,
        TrustCommand::Diff(args) => diff(client, &args, out).await,
        TrustCommand::History => history(client, out).await,
        TrustCommand::Export(args) => export(client, &args, out).await,
        TrustCommand::Verify(args) => verify(&args, out),
        TrustCommand::Restore(args) => restore::restore(client.home(), &args, out),
        TrustCommand::Root(TrustRootCommand::Add(args)) => root::add(client, &args, out).await,
        TrustCommand::Root(TrustRootCommand::Remove(args)) => {
            root::remove(client, &args, out).await
        }
    }
}

/// Checks an exported version; needs no home and no bridge.
pub(super) fn verify(args: &TrustVerifyArgs, out: &Out) -> Result<Exit, Failure> {
    let opened = read_bundle(&args.file)?.open(&args.pin);
    let (chain, document) = match opened {
        Ok(opened) => opened,
        Err(fault) => return Err(bundle_failure(&fault)),
    };
    out.data(&facts(&document), |_| heading(&document))?;
    let version = document.document().version;
    out.say(
        Look::Green,
        format!("version {version} is as {} signed it; {} roots", args.pin, chain.version()),
    );
    Ok(Exit::Success)
}

/// Shows an exported version; needs no home and no bridge.
pub(super) fn show_file(args: &TrustShowArgs, out: &Out) -> Result<Exit, Failure> {
    let bundle = read_bundle(args.file.as_deref().unwrap_or(Path::new("-")))?;
    let claimed = bundle.claimed_gateway();
    let pin = args.pin.clone().or(claimed);
    let pin = pin.ok_or_else(|| Failure::new(Exit::Unreadable, "the file has no roots"))?;
    let (_, document) = bundle.open(&pin).map_err(|fault| bundle_failure(&fault))?;
    print(&document, out)?;
    if args.pin.is_none() {
        out.say(
            Look::Yellow,
            format!("that it is of {pin} is the file's own word: compare the id, or add --pin"),
        );
    }
    Ok(Exit::Success)
}

async fn show(client: &Client, args: &TrustShowArgs, out: &Out) -> Result<Exit, Failure> {
    if args.file.is_some() {
        return show_file(args, out);
    }
    match version(client, args.version).await? {
        Some(document) => print(&document, out)?,
        None => {
            out.data(&serde_json::Value::Null, |_| String::new())?;
            nothing_yet(out);
        }
    }
    Ok(Exit::Success)
}

fn nothing_yet(out: &Out) {
    out.say(
        Look::Dim,
        "no document yet: this gateway trusts nobody; invite: landbridge peer invite ALIAS",
    );
}

async fn diff(client: &Client, args: &TrustDiffArgs, out: &Out) -> Result<Exit, Failure> {
    let Some(to) = version(client, args.to).await? else {
        nothing_yet(out);
        return Ok(Exit::Success);
    };
    let before = match args.from {
        Some(from) => version(client, Some(from)).await?,
        // The first version changed everything.
        None if to.document().version == 1 => None,
        None => version(client, Some(to.document().version - 1)).await?,
    };
    let from = before.as_ref().map(TrustedFederation::document);
    let difference = Difference::between(from, to.document());
    let view = json!({
        "from": from.map(|from| from.version), "to": to.document().version,
        "summary": difference.summary(), "changes": difference,
    });
    out.data(&view, |_| change::text(&difference))?;
    Ok(Exit::Success)
}

async fn history(client: &Client, out: &Out) -> Result<Exit, Failure> {
    let versions: Vec<FederationVersionView> = client.get("/v1/admin/federation/versions").await?;
    if versions.is_empty() {
        nothing_yet(out);
    }
    out.data(&versions, |versions| {
        let heading = ["VERSION", "IN FORCE SINCE", "SIGNED BY", "DIGEST", "CHANGE"];
        let mut rows = vec![heading.map(String::from).to_vec()];
        for one in versions {
            let signers: Vec<_> = one.signers.iter().map(|kid| short(kid.as_str(), 11)).collect();
            let digest = one.digest.map(|digest| short(&digest.to_string(), 15));
            let edited = || "EDITED: not as it was signed".to_owned();
            rows.push(vec![
                one.version.to_string(),
                one.in_force_since.clone(),
                signers.join(" "),
                digest.unwrap_or_default(),
                one.change.clone().unwrap_or_else(edited),
            ]);
        }
        if rows.len() == 1 { String::new() } else { table(&rows) }
    })?;
    let edited = versions.iter().filter(|one| !one.verifies).count();
    if edited > 0 {
        out.say(Look::Red, format!("{edited} kept versions are not as they were signed"));
        return Ok(Exit::Tampered);
    }
    Ok(Exit::Success)
}

async fn export(client: &Client, args: &TrustExportArgs, out: &Out) -> Result<Exit, Failure> {
    let own = own(client)?;
    let Some(document) = version(client, args.version).await? else {
        return Err(Failure::new(Exit::NotFound, "there is no document yet"));
    };
    let bundle = Bundle {
        federation: document.verified().envelope().clone(),
        roots: own.roots().map(|root| root.envelope().clone()).collect(),
        v: FormVersion,
    };
    let mut bytes =
        serde_json::to_vec(&bundle).or_fail(Exit::Internal, || "the document has no JSON form")?;
    bytes.push(b'\n');
    match &args.output {
        None => out.bytes(&bytes)?,
        Some(path) => {
            let cannot = || format!("cannot create {}", path.display());
            let mut file = std::fs::File::create_new(path).or_fail(Exit::CannotCreate, cannot)?;
            file.write_all(&bytes)
                .and_then(|()| file.sync_all())
                .or_fail(Exit::Failed, || format!("cannot write {}", path.display()))?;
        }
    }
    let gateway = own.gateway();
    out.say(
        Look::Dim,
        format!(
            "version {}; check it anywhere: landbridge trust verify FILE --pin {gateway}",
            document.document().version
        ),
    );
    Ok(Exit::Success)
}

fn own(client: &Client) -> Result<TrustedRoot, Failure> {
    identity::own_root(client.home()).map_err(|error| identity_failure(&error))
}

/// A version of the document, verified here by the home's own roots; the one in force without a number.
async fn version(
    client: &Client,
    version: Option<u64>,
) -> Result<Option<TrustedFederation>, Failure> {
    let own = own(client)?;
    let path = match version {
        Some(version) => format!("/v1/admin/federation/versions/{version}"),
        None => "/v1/admin/federation".to_owned(),
    };
    let view: FederationView = client.get(&path).await.map_err(|failure| match version {
        Some(_) => failure.next("landbridge trust history"),
        None => failure,
    })?;
    let Some(text) = view.envelope else { return Ok(None) };
    let what = || format!("version {} is not as it was signed", view.version);
    let refused = |error: &dyn std::error::Error| {
        Failure::new(Exit::Tampered, what()).why(error.to_string()).next("landbridge trust history")
    };
    let envelope = Envelope::parse(text.as_bytes()).map_err(|error| refused(&error))?;
    let document = open_recorded(&envelope, &own).map_err(|error| refused(&error))?;
    if document.document().version != view.version {
        return Err(Failure::new(Exit::Tampered, what())
            .why(format!("it says to be version {}", document.document().version)));
    }
    Ok(Some(document))
}

fn read_bundle(path: &Path) -> Result<Bundle, Failure> {
    let cannot = || format!("cannot read {}", path.display());
    let reader: Box<dyn std::io::Read> = if path == Path::new("-") {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(std::fs::File::open(path).or_fail(Exit::Usage, cannot)?)
    };
    let limit = u64::try_from(BUNDLE_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    reader.take(limit).read_to_end(&mut bytes).or_fail(Exit::Usage, cannot)?;
    Bundle::parse(&bytes).map_err(|fault| bundle_failure(&fault))
}

fn bundle_failure(fault: &BundleError) -> Failure {
    let (exit, what) = match fault {
        BundleError::Unreadable { .. } => (Exit::Unreadable, "the file cannot be read"),
        BundleError::Foreign { .. } => (Exit::OtherSigner, "another gateway signed it"),
        BundleError::Roots(_) | BundleError::Document(_) => {
            (Exit::Tampered, "the file is not as it was signed")
        }
    };
    Failure::new(exit, what).because(fault.clone())
}

/// What is known of a version apart from what it says.
fn facts(known: &TrustedFederation) -> serde_json::Value {
    let document = known.document();
    let signers: Vec<_> = known.verified().signers().collect();
    json!({
        "gateway": document.iss, "version": document.version, "issued": instant(document.issued),
        "digest": known.verified().digest(), "signers": signers,
    })
}

fn heading(known: &TrustedFederation) -> String {
    let document = known.document();
    let signers: Vec<_> = known.verified().signers().map(ToString::to_string).collect();
    fields(&[
        ("gateway", document.iss.to_string()),
        ("version", document.version.to_string()),
        ("signed", instant(document.issued)),
        ("signed by", signers.join(" ")),
        ("digest", known.verified().digest().to_string()),
    ])
}

fn print(known: &TrustedFederation, out: &Out) -> Result<(), Failure> {
    let mut view = facts(known);
    if let Some(members) = view.as_object_mut() {
        let document = serde_json::to_value(known.document()).unwrap_or_default();
        members.insert("document".to_owned(), document);
    }
    out.data(&view, |_| format!("{}\n{}", heading(known), whole(known.document())))
}

/// Everything that the document says, as a change from nothing would be shown.
fn whole(document: &Federation) -> String {
    let everything = Difference::between(None, document);
    let mut text = String::new();
    for item in everything.items() {
        text.push_str(&format!("{}\n", item.subject));
        let values: Vec<(&str, String)> = item
            .members
            .iter()
            .map(|member| (member.name.as_str(), member.got.join(", ")))
            .collect();
        for line in fields(&values).lines() {
            text.push_str(&format!("    {line}\n"));
        }
    }
    if everything.is_empty() { "nobody is trusted\n".to_owned() } else { text }
}
