//! `root`: the next root, made by people whose keys are on different machines.
//!
//! A draft is carried from one to the next. Everybody is shown what would change, computed here from the
//! roots that the draft itself proves, before they sign; nobody has to trust the machine that wrote it.

use std::path::Path;

use landbridge_node::clock::{Clock as _, SystemClock, SystemEntropy};
use landbridge_node::identity::{self, Identity, KeyFile};
use landbridge_node::local::api::OwnRootView;
use landbridge_proto::trust::draft::{DraftError, RootChange, RootDraft};
use landbridge_proto::trust::root::TrustedRoot;
use landbridge_proto::trust::signer::Signer as _;
use landbridge_proto::wire::digest::Digest;
use landbridge_proto::wire::document::{Endpoint, EndpointUrl, Root};
use landbridge_proto::wire::kind::Role;

use crate::cli::{RootCommand, RootDraftArgs, RootNewKeyArgs, RootPublishArgs, RootSignArgs};
use crate::client::Client;
use crate::exit::{Exit, Failure, OrFail as _};
use crate::offline::passphrase::{Passphrases, ask_new};
use crate::offline::{difference, identity_failure, short_kid};
use crate::out::{Look, Out, instant};

/// The commands that need no home: `sign` and `new-key` run where only the key is.
pub(super) fn without_home(command: &RootCommand, out: &Out) -> Option<Result<Exit, Failure>> {
    match command {
        RootCommand::Sign(args) => Some(sign(args, out)),
        RootCommand::NewKey(args) => Some(new_key(args, out)),
        RootCommand::Draft(_) | RootCommand::Publish(_) => None,
    }
}

/// The commands of a bridge's home.
pub(super) async fn run(client: &Client, command: RootCommand, out: &Out) -> Result<Exit, Failure> {
    match command {
        RootCommand::Draft(args) => draft(client.home(), &args, out),
        RootCommand::Publish(args) => publish(client, &args, out).await,
        RootCommand::Sign(args) => sign(&args, out),
        RootCommand::NewKey(args) => new_key(&args, out),
    }
}

fn draft(home: &Path, args: &RootDraftArgs, out: &Out) -> Result<Exit, Failure> {
    let own = identity::own_root(home).map_err(|error| identity_failure(&error))?;
    let change = RootChange {
        endpoints: endpoints(home, args)?,
        add: args.add_root_keys.clone(),
        remove: args.remove_root_keys.iter().cloned().collect(),
        threshold: args.root_threshold,
    };
    let draft = RootDraft::new(own, &change, SystemClock.now()).map_err(failure)?;
    show(&draft, out);
    write_new(&args.draft, &draft)?;
    out.data(&view(&draft), |_| String::new())?;
    out.say(
        Look::Dim,
        format!(
            "next: where a root key is, landbridge root sign {0} --key FILE; then here, landbridge root \
             publish {0}",
            args.draft.display()
        ),
    );
    Ok(Exit::Success)
}

/// The new addresses, each with the TLS key that this home has.
fn endpoints(home: &Path, args: &RootDraftArgs) -> Result<Option<Vec<Endpoint>>, Failure> {
    if args.endpoints.is_empty() {
        return Ok(None);
    }
    let identity = Identity::load(home).map_err(|error| identity_failure(&error))?;
    let tls_spki = Some(Digest::from_bytes(*identity.tls().spki().as_bytes()));
    let read = |text: &String| {
        let url =
            EndpointUrl::new(text).or_fail(Exit::Usage, || format!("{text} is no endpoint"))?;
        Ok(Endpoint { tls_spki, url })
    };
    args.endpoints.iter().map(read).collect::<Result<_, _>>().map(Some)
}

fn sign(args: &RootSignArgs, out: &Out) -> Result<Exit, Failure> {
    let mut draft = read(&args.draft)?;
    show(&draft, out);
    let mut files = Vec::new();
    for path in &args.keys {
        let file = KeyFile::read(path).and_then(|file| file.of_role(Role::Root));
        let file = file.map_err(|error| identity_failure(&error))?;
        if !draft.shares().iter().any(|share| share.kid == *file.kid()) {
            let (kid, version) = (file.kid().clone(), draft.chain().version());
            return Err(failure(DraftError::KeyWithoutSay { kid, version }));
        }
        files.push(file);
    }
    if !args.yes {
        confirm(out)?;
    }
    let mut passphrases = Passphrases::given(&args.passphrase, out)?;
    for file in &files {
        let signer = passphrases.open(file, out)?;
        draft.sign(&signer).map_err(failure)?;
        out.say(Look::Green, format!("signed with key {}", short_kid(signer.kid())));
    }
    replace(&args.draft, &draft)?;
    out.data(&view(&draft), |_| String::new())?;
    say_missing(&draft, &args.draft, out);
    Ok(Exit::Success)
}

async fn publish(client: &Client, args: &RootPublishArgs, out: &Out) -> Result<Exit, Failure> {
    let own = identity::own_root(client.home()).map_err(|error| identity_failure(&error))?;
    let mut drafts = args.drafts.iter().map(|path| read(path));
    let mut draft =
        drafts.next().ok_or_else(|| Failure::new(Exit::Usage, "no draft was named"))??;
    for other in drafts {
        draft.join(other?).map_err(failure)?;
    }
    follows(&draft, &own)?;
    show(&draft, out);
    let envelope = draft.finish(SystemClock.now()).map_err(failure)?;
    let put = serde_json::json!({"envelope": String::from_utf8_lossy(&envelope.to_bytes())});
    let in_force: OwnRootView = client.put("/v1/admin/root", &put).await?;
    out.data(&in_force, |_| String::new())?;
    out.say(Look::Green, format!("root {} is in force", draft.next().version));
    Ok(Exit::Success)
}

/// A draft of another gateway, or of a root that something else took the place of meanwhile.
fn follows(draft: &RootDraft, own: &TrustedRoot) -> Result<(), Failure> {
    if draft.chain().gateway() != own.gateway() {
        return Err(Failure::new(Exit::Failed, "the draft is of another gateway").why(format!(
            "it is of {}, and this is {}",
            draft.chain().gateway(),
            own.gateway()
        )));
    }
    if draft.chain().digest() != own.digest() {
        return Err(Failure::new(Exit::Failed, "the draft is out of date")
            .why(format!(
                "it follows root {}, and root {} is in force",
                draft.chain().version(),
                own.version()
            ))
            .next("landbridge root draft"));
    }
    Ok(())
}

fn new_key(args: &RootNewKeyArgs, out: &Out) -> Result<Exit, Failure> {
    let parent = args.file.parent().filter(|parent| !parent.as_os_str().is_empty());
    identity::check_closed(parent.unwrap_or(Path::new(".")))
        .map_err(|error| identity_failure(&error))?;
    let given = Passphrases::given(&args.passphrase, out)?;
    let passphrase = match given.into_first() {
        None if out.interactive() && !out.json() => ask_new("the root key", out)?,
        given => given,
    };
    let signer = KeyFile::create(&args.file, Role::Root, passphrase.as_ref(), &SystemEntropy)
        .map_err(|error| identity_failure(&error))?;
    let made = serde_json::json!({
        "file": args.file, "kid": signer.kid(), "public": signer.public().to_string(),
        "encrypted": passphrase.is_some(),
    });
    out.data(&made, |_| signer.public().to_string())?;
    if passphrase.is_none() {
        out.say(Look::Yellow, "the key is not encrypted: whoever has the file has the key");
    }
    out.say(
        Look::Dim,
        format!(
            "next: at the bridge, landbridge root draft DRAFT --add-root-key {}",
            signer.public()
        ),
    );
    Ok(Exit::Success)
}

fn confirm(out: &Out) -> Result<(), Failure> {
    if !out.interactive() || out.json() {
        return Err(Failure::new(
            Exit::Usage,
            "nobody can be asked whether this is what they want",
        )
        .next("the same command on a terminal, or with --yes"));
    }
    out.say(Look::Bold, "Sign this? Type yes:");
    let mut answer = String::new();
    std::io::stdin()
        .read_line(&mut answer)
        .or_fail(Exit::Failed, || "the answer cannot be read")?;
    if answer.trim() == "yes" {
        Ok(())
    } else {
        Err(Failure::new(Exit::Failed, "nothing was signed"))
    }
}

/// What the draft would change, and who has signed.
fn show(draft: &RootDraft, out: &Out) {
    let (before, next) = (draft.chain().root(), draft.next());
    out.say(Look::Bold, format!("gateway {}", draft.chain().gateway()));
    out.say(Look::Bold, format!("root {} follows root {}:", next.version, before.version));
    for line in difference(&lines(before), &lines(next)) {
        let look = match line.as_bytes().first() {
            Some(b'+') => Look::Green,
            Some(b'-') => Look::Red,
            _ => Look::Dim,
        };
        out.say(look, format!("  {line}"));
    }
    for share in draft.shares() {
        let what = match (share.before, share.after) {
            (true, true) => "stays",
            (true, false) => "goes",
            _ => "comes",
        };
        let signed = if share.signed { "has signed" } else { "has not signed" };
        out.say(Look::Plain, format!("  root key {} {what}, {signed}", short_kid(&share.kid)));
    }
}

fn say_missing(draft: &RootDraft, path: &Path, out: &Out) {
    match draft.missing() {
        (0, 0) => out.say(
            Look::Dim,
            format!(
                "enough have signed; next, at the bridge: landbridge root publish {}",
                path.display()
            ),
        ),
        (before, after) => {
            let more = DraftError::TooFew { before, after };
            out.say(Look::Dim, format!("{more}; next: landbridge root sign, where one of them is"));
        }
    }
}

/// A root's decisions, one line each.
fn lines(root: &Root) -> Vec<String> {
    let mut lines = Vec::new();
    for endpoint in &root.endpoints {
        let pin = endpoint.tls_spki.map_or("none".to_owned(), |pin| pin.to_string());
        lines.push(format!("endpoint {} tls key = {pin}", endpoint.url));
    }
    for (role, holders) in &root.roles {
        lines.push(format!(
            "{role} keys that must sign = {} of {}",
            holders.threshold,
            holders.keyids.len()
        ));
        for kid in &holders.keyids {
            if let Some(key) = root.keys.get(kid) {
                let window = format!("{} to {}", instant(key.nbf), instant(key.exp));
                lines.push(format!("{role} key {kid} valid = {window}"));
            }
        }
    }
    lines.push(format!("issued = {}", instant(root.issued)));
    lines.push(format!("expires = {}", instant(root.expires)));
    lines
}

fn view(draft: &RootDraft) -> serde_json::Value {
    let shares: Vec<_> = draft
        .shares()
        .into_iter()
        .map(|share| {
            serde_json::json!({
                "kid": share.kid, "before": share.before, "after": share.after, "signed": share.signed,
            })
        })
        .collect();
    let (before, after) = draft.missing();
    serde_json::json!({
        "gateway": draft.chain().gateway(),
        "version": draft.next().version,
        "endpoints": draft.next().endpoints,
        "keys": shares,
        "missing": {"before": before, "after": after},
    })
}

fn read(path: &Path) -> Result<RootDraft, Failure> {
    let bytes =
        std::fs::read(path).or_fail(Exit::Failed, || format!("cannot read {}", path.display()))?;
    RootDraft::parse(&bytes).map_err(|error| {
        Failure::new(Exit::Failed, format!("{} cannot be used; nothing was signed", path.display()))
            .because(error)
    })
}

fn write_new(path: &Path, draft: &RootDraft) -> Result<(), Failure> {
    if path.symlink_metadata().is_ok() {
        return Err(Failure::new(Exit::CannotCreate, format!("{} exists already", path.display()))
            .next("another name: it may hold signatures"));
    }
    replace(path, draft)
}

/// Whole or not at all: signatures that somebody travelled for are in it.
fn replace(path: &Path, draft: &RootDraft) -> Result<(), Failure> {
    let cannot = || format!("cannot write {}", path.display());
    let bytes = draft.to_bytes().or_fail(Exit::Internal, cannot)?;
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    std::fs::write(&beside, bytes).or_fail(Exit::CannotCreate, cannot)?;
    let synced = std::fs::File::open(&beside).and_then(|file| file.sync_all());
    synced.and_then(|()| std::fs::rename(&beside, path)).or_fail(Exit::CannotCreate, cannot)
}

fn failure(error: DraftError) -> Failure {
    let next = match error {
        DraftError::TooFew { .. } => Some("landbridge root sign, where one of them is"),
        _ => None,
    };
    let failure = Failure::new(Exit::Failed, &error);
    let failure = match std::error::Error::source(&error) {
        Some(source) => failure.because(source),
        None => failure,
    };
    match next {
        Some(next) => failure.next(next),
        None => failure,
    }
}
