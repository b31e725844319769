//! `key passphrase`: encrypts the file of an offline key, changes its passphrase, or takes it away.

use landbridge_node::clock::SystemEntropy;
use landbridge_node::identity::KeyFile;
use landbridge_proto::wire::kind::{Role, SignedBy};

use crate::cli::KeyPassphraseArgs;
use crate::exit::{Exit, Failure};
use crate::offline::identity_failure;
use crate::offline::passphrase::{Passphrases, ask_new, of_file};
use crate::out::{Look, Out};

/// Changes each file in turn; the same new passphrase for all of them.
pub(super) fn run(args: &KeyPassphraseArgs, out: &Out) -> Result<Exit, Failure> {
    let read =
        |path: &std::path::PathBuf| KeyFile::read(path).map_err(|error| identity_failure(&error));
    let files = args.files.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    // The daemon starts without anybody who could type.
    let is_offline = |file: &&KeyFile| {
        let offline = [Role::Root, Role::Policy].map(SignedBy::Role);
        file.holder() == SignedBy::Operator || offline.contains(&file.holder())
    };
    if let Some(file) = files.iter().find(|file| !is_offline(file)) {
        return Err(Failure::new(
            Exit::Failed,
            format!("{} is not an offline key", file.path().display()),
        )
        .why(format!(
            "the running bridge signs with the {} key, and has no passphrase",
            file.holder_word()
        )));
    }
    let mut passphrases = Passphrases::given(&args.passphrase, out)?;
    for file in &files {
        passphrases.of(file, out)?;
    }
    let new = match &args.new_passphrase_file {
        Some(path) => Some(of_file(path)?),
        None if args.danger_remove => None,
        None if out.interactive() && !out.json() => {
            let new = ask_new("these keys", out)?;
            Some(new.ok_or_else(|| {
                Failure::new(Exit::Usage, "an empty passphrase changes nothing")
                    .next("--danger-remove, to leave the key readable")
            })?)
        }
        None => {
            return Err(Failure::new(Exit::Usage, "there is no new passphrase")
                .next("the same command with --new-passphrase-file FILE, or on a terminal"));
        }
    };
    for file in &files {
        let old = passphrases.of(file, out)?;
        file.rewrite(old, new.as_ref(), &SystemEntropy)
            .map_err(|error| identity_failure(&error))?;
        let line = serde_json::json!({
            "file": file.path(), "role": file.holder_word(), "kid": file.kid(), "encrypted": new.is_some(),
        });
        out.data(&line, |_| String::new())?;
        let done = if new.is_some() {
            "is encrypted with the new passphrase"
        } else {
            "is not encrypted any more"
        };
        out.say(Look::Green, format!("{} {done}", file.path().display()));
    }
    out.say(
        Look::Dim,
        "copies elsewhere stay as they were; sticks and backups may remember the old file",
    );
    Ok(Exit::Success)
}
