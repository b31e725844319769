//! `operator`: the people who decide, and their keys.

use std::path::Path;

use landbridge_node::clock::SystemEntropy;
use landbridge_node::identity::{self, KeyFile};
use landbridge_proto::trust::signer::Signer as _;
use landbridge_proto::wire::kind::SignedBy;

use crate::cli::{OperatorCommand, OperatorKeyCommand, OperatorKeyNewArgs};
use crate::exit::{Exit, Failure};
use crate::offline::identity_failure;
use crate::offline::passphrase::{Passphrases, ask_new};
use crate::out::{Look, Out};

/// Runs what needs no home: an operator's key is where the operator is.
pub(super) fn without_home(command: &OperatorCommand, out: &Out) -> Option<Result<Exit, Failure>> {
    match command {
        OperatorCommand::Key(OperatorKeyCommand::New(args)) => Some(new_key(args, out)),
    }
}

fn new_key(args: &OperatorKeyNewArgs, out: &Out) -> Result<Exit, Failure> {
    let parent = args.file.parent().filter(|parent| !parent.as_os_str().is_empty());
    identity::check_closed(parent.unwrap_or(Path::new(".")))
        .map_err(|error| identity_failure(&error))?;
    let given = Passphrases::given(&args.passphrase, out)?;
    let passphrase = match given.into_first() {
        None if out.interactive() && !out.json() => ask_new("the operator's key", out)?,
        given => given,
    };
    let signer =
        KeyFile::create(&args.file, SignedBy::Operator, passphrase.as_ref(), &SystemEntropy)
            .map_err(|error| identity_failure(&error))?;
    let made = serde_json::json!({
        "file": args.file, "kid": signer.kid(), "public": signer.public().to_string(),
        "encrypted": passphrase.is_some(),
    });
    out.data(&made, |_| signer.public().to_string())?;
    if passphrase.is_none() {
        out.say(Look::Yellow, "the key is not encrypted: whoever has the file has the key");
    }
    out.say(Look::Dim, format!("its id is {}", signer.kid()));
    Ok(Exit::Success)
}
