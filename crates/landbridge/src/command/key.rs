//! `key`: this gateway's keys, their successors and their end.
//!
//! The next root is built and signed here, because the daemon has no root key, and handed to the daemon,
//! which verifies it like a peer would. Key files come first: they mean nothing before a root names them, so
//! wherever this command is killed, the files and the newest root fit together.

mod list;
mod passphrase;
mod revoke;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::ValueEnum as _;
use landbridge_node::clock::{Clock as _, SystemClock, SystemEntropy};
use landbridge_node::config::{Home, Period};
use landbridge_node::fail;
use landbridge_node::identity::online::{key_files, later_key_file};
use landbridge_node::identity::{self, KeyFile};
use landbridge_node::local::api::{BridgeView, FederationView, OwnRootView};
use landbridge_node::net::tls;
use landbridge_node::rotation;
use landbridge_node::rotation::plan::{
    Change, LEAD_MS, OVERLAP_MS, Timing, is_due, is_root_due, next_root,
};
use landbridge_node::serve::store_options;
use landbridge_proto::trust::federation::TrustedFederation;
use landbridge_proto::trust::root::TrustedRoot;
use landbridge_proto::trust::signer::{Signer as _, sign_typed};
use landbridge_proto::wire::digest::Digest;
use landbridge_proto::wire::document::Root;
use landbridge_proto::wire::envelope::Envelope;
use landbridge_proto::wire::kind::{Role, SignedBy};
use landbridge_proto::wire::name::Timestamp;
use landbridge_store::Handle;

use crate::cli::{KeyChoice, KeyCommand, KeyPassphraseArgs, KeyRotateArgs};
use crate::client::Client;
use crate::command::init::home_failure;
use crate::exit::{Exit, Failure, OrFail as _};
use crate::offline::identity_failure;
use crate::offline::signers::RootKeys;
use crate::out::{Look, Out, instant};

/// Runs a key command.
pub(super) async fn run(client: &Client, command: KeyCommand, out: &Out) -> Result<Exit, Failure> {
    match command {
        KeyCommand::List => list::list(client.home(), out),
        KeyCommand::Passphrase(args) => passphrase(&args, out),
        KeyCommand::Revoke(args) => revoke::revoke(client, args, out).await,
        KeyCommand::Rotate(args) => rotate(client, args, out).await,
    }
}

/// Encrypts offline keys, or changes their passphrase. Needs no home.
pub(super) fn passphrase(args: &KeyPassphraseArgs, out: &Out) -> Result<Exit, Failure> {
    passphrase::run(args, out)
}

/// Who takes a root: the daemon, or the files of one that does not run.
enum Taker<'c> {
    Running(&'c Client),
    /// The store is held, so that no daemon starts meanwhile.
    Stopped {
        store: Handle,
        home: PathBuf,
    },
}

impl<'c> Taker<'c> {
    async fn find(client: &'c Client) -> Result<Self, Failure> {
        match client.get::<BridgeView>("/v1/admin/bridge").await {
            Ok(_) => return Ok(Self::Running(client)),
            Err(failure) if failure.exit() == Exit::NoBridge => {}
            Err(failure) => return Err(failure),
        }
        let home = Home::open(client.home()).map_err(|fault| home_failure(&fault))?;
        let state = home.state();
        let store = Handle::open_inline(&state, &store_options(&state))
            .or_fail(Exit::Failed, || "the store of the stopped bridge cannot be opened")?;
        Ok(Self::Stopped { store, home: home.path().to_owned() })
    }

    async fn take(&self, root: &Envelope, now: Timestamp) -> Result<(), Failure> {
        match self {
            Self::Running(client) => {
                let body =
                    serde_json::json!({"envelope": String::from_utf8_lossy(&root.to_bytes())});
                let _taken: OwnRootView = client.put("/v1/admin/root", &body).await?;
            }
            Self::Stopped { store, home } => {
                rotation::put_root_offline(home, store, root, now)
                    .or_fail(Exit::Failed, || "the root was not put in force")?;
            }
        }
        Ok(())
    }
}

async fn rotate(client: &Client, args: KeyRotateArgs, out: &Out) -> Result<Exit, Failure> {
    let home = client.home().to_owned();
    let timing = timing(&args)?;
    let taker = Taker::find(client).await?;
    let chain = identity::own_root(&home).map_err(|error| identity_failure(&error))?;
    let now = SystemClock.now();
    let choices = choices(&args, chain.root(), now);
    if choices.is_empty() && !(args.due && is_root_due(chain.root(), now)) {
        out.data(&serde_json::json!({"version": chain.version(), "rotated": []}), |_| {
            "nothing is due".to_owned()
        })?;
        return Ok(Exit::Success);
    }
    if choices.contains(&KeyChoice::Policy) && matches!(taker, Taker::Stopped { .. }) {
        return Err(Failure::new(Exit::NoBridge, "the policy key changes while the bridge runs")
            .why("it has to sign the federation document that is in force")
            .next(format!("landbridge serve --home {}", home.display())));
    }
    if choices.contains(&KeyChoice::Root) {
        one_root_key(chain.root())?;
    }
    let mut root_keys = RootKeys::find(&home, &args.root, out)?;
    // Before anything is made, so that a missing root key leaves nothing behind.
    drop(root_keys.signers(chain.root(), chain.root(), out)?);
    forget_unused(&home, &chain);

    let (change, made) = successors(&home, &choices, &mut root_keys, out)?;
    fail::point("rotation.keys_made");
    let policy = change.new.get(&Role::Policy).map(|public| public.kid());
    let next = next_root(&chain, &change, timing, now).or_fail(Exit::Failed, || "no next root")?;
    let chain = step(&taker, &chain, &next, &mut root_keys, now, out).await?;
    let chain = match policy {
        Some(kid) => {
            resign(client, &chain, &made, &mut root_keys, out).await?;
            fail::point("rotation.federation_signed");
            let change = Change { only_policy: Some(kid), ..Change::default() };
            let next =
                next_root(&chain, &change, timing, now).or_fail(Exit::Failed, || "no next root")?;
            step(&taker, &chain, &next, &mut root_keys, now, out).await?
        }
        None => chain,
    };
    forget_unused(&home, &chain);
    fail::point("rotation.done");
    report(&choices, &chain, timing, now, out)
}

/// Signs one root and has it put in force.
async fn step(
    taker: &Taker<'_>,
    chain: &TrustedRoot,
    next: &Root,
    root_keys: &mut RootKeys,
    now: Timestamp,
    out: &Out,
) -> Result<TrustedRoot, Failure> {
    let signers = root_keys.signers(chain.root(), next, out)?;
    let envelope = identity::sign_root(next, &signers)
        .map_err(|error| identity_failure(&error))?
        .ok_or_else(|| Failure::new(Exit::Internal, "nobody signed the root"))?;
    let chain = chain
        .advance(std::slice::from_ref(&envelope), now)
        .or_fail(Exit::Internal, || "the new root does not follow")?;
    fail::point("rotation.root_signed");
    taker.take(&envelope, now).await?;
    Ok(chain)
}

/// Where several people hold root keys, none of them replaces the others' alone.
fn one_root_key(root: &Root) -> Result<(), Failure> {
    let count = root.roles.get(&Role::Root).map_or(0, |holders| holders.keyids.len());
    if count == 1 {
        return Ok(());
    }
    Err(Failure::new(Exit::Failed, format!("there are {count} root keys, and each goes by itself"))
        .next("landbridge root draft DRAFT --add-root-key PUBLIC_KEY --remove-root-key KEY_ID"))
}

/// Makes the successors' files, which mean nothing yet. Says what changes, and which files were made.
fn successors(
    home: &Path,
    choices: &BTreeSet<KeyChoice>,
    root_keys: &mut RootKeys,
    out: &Out,
) -> Result<(Change, Vec<PathBuf>), Failure> {
    let (mut change, mut made) = (Change::default(), Vec::new());
    for choice in choices {
        let (role, directory) = match choice {
            KeyChoice::Stream => (Role::Stream, home.join(identity::KEYS)),
            KeyChoice::Request => (Role::Request, home.join(identity::KEYS)),
            KeyChoice::Status => (Role::Status, home.join(identity::KEYS)),
            KeyChoice::Catalog => (Role::Catalog, home.join(identity::KEYS)),
            KeyChoice::OperatorCa => (Role::OperatorCa, home.join(identity::KEYS)),
            KeyChoice::Policy => (Role::Policy, root_keys.place().to_owned()),
            // Beside its predecessor, wherever that is kept.
            KeyChoice::Root => (Role::Root, root_keys.directory().to_owned()),
            KeyChoice::Tls => {
                let next = tls::Identity::make_next(&home.join(identity::TLS))
                    .or_fail(Exit::CannotCreate, || "no TLS key was made")?;
                change.tls = Some(Digest::from_bytes(*next.spki().as_bytes()));
                continue;
            }
        };
        // What the root key is kept with is good for its successor and for the policy key.
        let passphrase = match role {
            Role::Root | Role::Policy => root_keys.passphrase(out)?,
            _ => None,
        };
        let signer = identity::make_later_key_under(&directory, role, passphrase, &SystemEntropy)
            .map_err(|error| identity_failure(&error))?;
        let file = later_key_file(&directory, role, signer.kid());
        if role == Role::Root {
            root_keys.add(&file)?;
        }
        made.push(file);
        change.new.insert(role, signer.public());
    }
    Ok((change, made))
}

/// Signs the federation document that is in force anew, with the policy key that was just made.
async fn resign(
    client: &Client,
    chain: &TrustedRoot,
    made: &[PathBuf],
    root_keys: &mut RootKeys,
    out: &Out,
) -> Result<(), Failure> {
    let view: FederationView = client.get("/v1/admin/federation").await?;
    let Some(text) = view.envelope else { return Ok(()) };
    let what = || "the bridge's federation document does not verify; nothing was signed";
    let envelope = Envelope::parse(text.as_bytes()).or_fail(Exit::Failed, what)?;
    let now = SystemClock.now();
    let trusted = TrustedFederation::open(&envelope, chain, view.version.max(1), now)
        .or_fail(Exit::Failed, what)?;
    let files = made.iter().filter_map(|file| KeyFile::read(file).ok());
    let file = files.into_iter().find(|file| file.holder() == SignedBy::Role(Role::Policy));
    let file = file.ok_or_else(|| Failure::new(Exit::Internal, "no policy key was made"))?;
    let signer = root_keys.open(&file, out)?;
    let next = trusted.draft().finish(now).or_fail(Exit::Failed, what)?;
    let envelope = sign_typed(&signer, &next).or_fail(Exit::Failed, || "nothing was signed")?;
    let put = serde_json::json!({"envelope": String::from_utf8_lossy(&envelope.to_bytes())});
    let _in_force: FederationView = client.put("/v1/admin/federation", &put).await?;
    Ok(())
}

/// Removes files of online keys that no root ever named, and of those that the newest does not name any
/// more: what signs nothing is only there to be stolen.
fn forget_unused(home: &Path, chain: &TrustedRoot) {
    let directory = home.join(identity::KEYS);
    for role in landbridge_node::identity::online::ONLINE {
        let named = chain.root().roles.get(&role).map(|holders| &holders.keyids);
        for file in key_files(&directory, role).unwrap_or_default() {
            let Ok(signer) = identity::load_key(&file, role) else { continue };
            if named.is_some_and(|named| !named.contains(signer.kid())) {
                let _ = std::fs::remove_file(&file);
            }
        }
    }
}

fn choices(args: &KeyRotateArgs, root: &Root, now: Timestamp) -> BTreeSet<KeyChoice> {
    let mut choices: BTreeSet<_> = args.roles.iter().copied().collect();
    if args.all_online {
        choices.extend([
            KeyChoice::Stream,
            KeyChoice::Request,
            KeyChoice::Status,
            KeyChoice::Catalog,
            KeyChoice::OperatorCa,
            KeyChoice::Tls,
        ]);
    }
    if args.due {
        choices.retain(|choice| match choice {
            KeyChoice::Stream => is_due(root, Role::Stream, now),
            KeyChoice::Request => is_due(root, Role::Request, now),
            KeyChoice::Status => is_due(root, Role::Status, now),
            KeyChoice::Catalog => is_due(root, Role::Catalog, now),
            KeyChoice::OperatorCa => is_due(root, Role::OperatorCa, now),
            // They have no life of their own: they change with the keys that have one, or with the root.
            KeyChoice::Tls => is_due(root, Role::Stream, now),
            KeyChoice::Policy | KeyChoice::Root => is_root_due(root, now),
        });
    }
    choices
}

fn timing(args: &KeyRotateArgs) -> Result<Timing, Failure> {
    if args.now {
        return Ok(Timing::AtOnce);
    }
    let read = |text: &Option<String>, default: i64| match text {
        None => Ok(default),
        Some(text) => text
            .parse::<Period>()
            .map(|period| period.as_ms())
            .or_fail(Exit::Usage, || format!("{text} is no duration")),
    };
    let lead_ms = read(&args.lead, LEAD_MS)?;
    Ok(Timing::Planned { lead_ms, overlap_ms: read(&args.overlap, OVERLAP_MS)? })
}

fn report(
    choices: &BTreeSet<KeyChoice>,
    chain: &TrustedRoot,
    timing: Timing,
    now: Timestamp,
    out: &Out,
) -> Result<Exit, Failure> {
    let at = match timing {
        Timing::Planned { lead_ms, .. } => now.plus_ms(lead_ms),
        Timing::AtOnce => now,
    };
    let names: Vec<String> = choices
        .iter()
        .filter_map(|choice| Some(choice.to_possible_value()?.get_name().to_owned()))
        .collect();
    let expires = chain.root().expires;
    let done = serde_json::json!({
        "version": chain.version(), "rotated": names, "takesOver": instant(at),
        "rootExpires": instant(expires),
    });
    out.data(&done, |_| {
        format!("root {} is in force, good until {}", chain.version(), instant(expires))
    })?;
    if at > now {
        let line = format!("the new online keys take over by themselves at {}", instant(at));
        out.say(Look::Green, line);
    }
    if choices.contains(&KeyChoice::Root) {
        let line = "the former root key signs nothing any more: keep the new one elsewhere, destroy the \
                    old one";
        out.say(Look::Yellow, line);
    }
    Ok(Exit::Success)
}
