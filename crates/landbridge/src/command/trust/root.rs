//! Federation roots of the document: who may vouch for members.

use std::collections::BTreeMap;

use landbridge_node::clock::{Clock as _, SystemClock};
use landbridge_node::config::Period;
use landbridge_node::identity;
use landbridge_proto::wire::base64;
use landbridge_proto::wire::document::{FederationRoot, RootKey};
use landbridge_proto::wire::key::PublicKey;
use landbridge_proto::wire::name::KeyId;

use crate::cli::{TrustRootAddArgs, TrustRootRemoveArgs};
use crate::client::Client;
use crate::exit::{Exit, Failure, OrFail as _};
use crate::offline::{self, identity_failure};
use crate::out::{Look, Out};

pub(super) async fn add(
    client: &Client,
    args: &TrustRootAddArgs,
    out: &Out,
) -> Result<Exit, Failure> {
    let root = root(args)?;
    let applied = offline::change(client, &args.policy, out, |draft, trusted| {
        // Who is a member already stays one, as far as the new keys vouch for it.
        let known = trusted.and_then(|trusted| trusted.federation_root(&args.name));
        let members = known.map(|known| known.members.clone()).unwrap_or_default();
        draft.put_federation_root(FederationRoot { members, ..root.clone() });
        Ok(())
    })
    .await?;
    out.data(&root, |_| String::new())?;
    if applied {
        let how = how_to_join(client)?;
        out.say(
            Look::Green,
            format!("members of {} may ask to be paired; each waits for a person here", args.name),
        );
        if let Some(how) = how {
            out.say(Look::Dim, format!("a member says: {how}"));
        }
    }
    Ok(Exit::Success)
}

/// What a member types: it knows neither our id nor our TLS key.
fn how_to_join(client: &Client) -> Result<Option<String>, Failure> {
    let own = identity::own_root(client.home()).map_err(|error| identity_failure(&error))?;
    Ok(own.root().endpoints.first().map(|endpoint| {
        let spki = endpoint.tls_spki.map(|spki| format!(" --tls-spki {spki}")).unwrap_or_default();
        format!(
            "landbridge membership join FILE --alias NAME --gateway {} --endpoint {}{spki}",
            own.gateway(),
            endpoint.url
        )
    }))
}

fn root(args: &TrustRootAddArgs) -> Result<FederationRoot, Failure> {
    let wrong = || format!("{} is no lifetime of a key", args.keys_expire_in);
    let period: Period = args.keys_expire_in.parse().or_fail(Exit::Usage, wrong)?;
    let now = SystemClock.now();
    let mut keys = BTreeMap::<KeyId, RootKey>::new();
    for text in &args.keys {
        let public = public_key(text)?;
        // A clock that runs a little behind here must not make a membership of today too early.
        let key =
            RootKey::new(public.clone(), now.plus_ms(-86_400_000), now.plus_ms(period.as_ms()));
        if keys.insert(public.kid(), key).is_some() {
            return Err(Failure::new(Exit::Usage, "one key is given twice"));
        }
    }
    Ok(FederationRoot {
        keys,
        max_members: args.max_members,
        members: std::collections::BTreeSet::new(),
        name: args.name.clone(),
        tenants: args.tenants.iter().cloned().collect(),
        threshold: args.threshold,
    })
}

fn public_key(text: &str) -> Result<PublicKey, Failure> {
    let wrong = || format!("{text:?} is no public key: 32 bytes in base64url");
    let bytes = base64::decode_url(text).or_fail(Exit::Usage, wrong)?;
    let bytes: [u8; 32] = bytes.try_into().map_err(|_| Failure::new(Exit::Usage, wrong()))?;
    PublicKey::admit(&bytes).or_fail(Exit::Usage, wrong)
}

pub(super) async fn remove(
    client: &Client,
    args: &TrustRootRemoveArgs,
    out: &Out,
) -> Result<Exit, Failure> {
    let applied = offline::change(client, &args.policy, out, |draft, _| {
        if draft.remove_federation_root(&args.name) {
            return Ok(());
        }
        Err(Failure::new(Exit::NotFound, format!("no federation root is called {}", args.name))
            .next("landbridge trust show"))
    })
    .await?;
    if applied {
        out.say(Look::Green, format!("{} vouches for nobody here any more", args.name));
    }
    Ok(Exit::Success)
}
