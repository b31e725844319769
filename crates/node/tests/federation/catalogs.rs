//! Catalogs over the federation plane: who may read them, and what of them is kept.

use landbridge_node::catalogs::{self, Care, CatalogError};
use landbridge_proto::trust::approval::Uncounted;
use landbridge_proto::trust::signer::sign_typed;
use landbridge_proto::wire::approval::{
    Assurance, Catalog, Constraints, KeyMethod, Projection, Scope, raw,
};
use landbridge_proto::wire::document::FormVersion;
use landbridge_proto::wire::envelope::Envelope;
use landbridge_proto::wire::kind::Role;
use landbridge_proto::wire::name::{Alias, ScopeName, SubjectKind, Timestamp};
use landbridge_proto::wire::problem::Code;
use landbridge_proto::wire::request::Body;

use landbridge_node::identity::load_key;
use landbridge_node::net::App;

use crate::support::{MINUTE_MS, Side, World, pair, tenant};

pub(crate) fn scope(name: &str, description: &str) -> Scope {
    Scope {
        assurance: Assurance { methods: KeyMethod::ALL.into(), min_signers: 1 },
        deprecated: false,
        description: description.to_owned(),
        name: ScopeName::new(name).unwrap(),
    }
}

/// B's plane, where A finds it.
fn serve(world: &World) {
    let plane = world.b.plane.clone();
    world.serve_app(App::new(move |request| {
        let plane = plane.clone();
        async move { plane.answer(request).await }
    }));
}

impl World {
    /// A catalog of B's tenant `ops` as its own key signs it, whatever it says.
    fn forged(&self, edit: impl FnOnce(&mut raw::Catalog)) -> Envelope {
        let core = &self.b.core;
        let mut said = raw::Catalog {
            expires: core.now().plus_ms(60 * MINUTE_MS),
            iss: core.own().clone(),
            issued: core.now(),
            scopes: vec![scope("sre-lead", "forged")],
            tenant: tenant("ops"),
            v: FormVersion,
            version: 5,
        };
        edit(&mut said);
        let path = core.identity.present().keys(Role::Catalog)[0].path.clone();
        let key = load_key(&path, Role::Catalog).unwrap();
        sign_typed(&key, &Catalog::try_from(said).unwrap()).unwrap()
    }

    async fn learn(&self, envelope: &Envelope) -> Result<u64, CatalogError> {
        let (core, peer) = (&self.a.core, self.b.core.own());
        let kept = catalogs::learn(core, peer, &tenant("ops"), envelope).await?;
        Ok(kept.catalog.version)
    }

    async fn refusal(&self, envelope: &Envelope) -> &'static str {
        match self.learn(envelope).await {
            Err(error @ CatalogError::Refused(_)) => {
                assert_eq!(error.problem().code(), Some(Code::VerificationFailed));
                let CatalogError::Refused(why) = error else { unreachable!() };
                why.as_str()
            }
            other => panic!("{other:?}"),
        }
    }
}

//= APR-2
#[tokio::test]
async fn a_granted_peer_reads_the_newest_catalog_of_the_tenant_that_it_names() {
    let world = World::new().await;
    let core = &world.b.core;
    let unpublished = world.ask_for(Body::Catalog).await;
    assert_eq!(unpublished.code(&world).await, "not_found");
    catalogs::publish(core, &tenant("ops"), &[scope("sre-lead", "one")]).await.unwrap();
    catalogs::publish(core, &tenant("other"), &[scope("other", "one")]).await.unwrap();
    let second =
        catalogs::publish(core, &tenant("ops"), &[scope("sre-lead", "two")]).await.unwrap();
    let reply = world.ask_for(Body::Catalog).await;
    assert_eq!((reply.status, reply.media.as_str()), (200, "application/vnd.gfp.envelope+json"));
    let envelope = reply.envelope().await;
    assert_eq!(envelope, second.envelope);
    let said: Catalog = world.verified(&envelope);
    assert_eq!((&said.tenant, said.scopes[0].description.as_str()), (&tenant("ops"), "two"));
    assert_eq!(world.b.deeds("catalog_read"), 2, "the answer that there is none counts too");

    // The tenant is in the request, under its signature; another pair than the granted one gets nothing.
    let mut request = world.request(Body::Catalog);
    request.tenant.dst = tenant("other");
    assert_eq!(world.ask(&request).await.code(&world).await, "not_granted");
    let mut request = world.request(Body::Catalog);
    request.tenant.src = tenant("other");
    assert_eq!(world.ask(&request).await.code(&world).await, "not_granted");
    // The same request a second time is a replay.
    let request = world.request(Body::Catalog);
    assert_eq!(world.ask(&request).await.status, 200);
    assert_eq!(world.ask(&request).await.code(&world).await, "replayed");
}

//= APR-2
#[tokio::test]
async fn who_may_only_ask_after_old_runs_reads_no_catalog() {
    let world = World::new().await;
    let core = &world.b.core;
    catalogs::publish(core, &tenant("ops"), &[scope("sre-lead", "one")]).await.unwrap();
    let reply = world.ask_for(crate::support::started("once", "say hello")).await;
    assert_eq!(reply.status, 200);
    let mut draft = world.b.draft();
    draft.remove_grant(world.a.core.own(), &pair()).unwrap();
    world.b.put(draft).await;
    assert_eq!(world.ask_for(Body::Catalog).await.code(&world).await, "not_granted");
}

//= APR-3
#[tokio::test]
async fn each_catalog_is_newer_and_durable_and_is_signed_anew_while_it_stays_the_same() {
    let world = World::new().await;
    let core = &world.b.core;
    let kept = || core.store.reads().catalog(core.own(), &tenant("ops")).unwrap().unwrap();
    let first = catalogs::publish(core, &tenant("ops"), &[scope("sre-lead", "x")]).await.unwrap();
    assert_eq!(kept().version, first.catalog.version);
    let second = catalogs::publish(core, &tenant("ops"), &[scope("sre-lead", "y")]).await.unwrap();
    assert!(second.catalog.version > first.catalog.version);
    assert_eq!(Envelope::parse(kept().envelope.as_bytes()).unwrap(), second.envelope);
    assert_eq!(world.b.deeds("catalog_published"), 2);

    let mut care = Care::default();
    care.look(core).await;
    assert_eq!(kept().version, second.catalog.version, "it is young");
    world.clock.advance_ms(core.settings.catalog_life_ms / 2 + 1);
    core.trust.refresh_status(core).await.unwrap();
    care.look(core).await;
    let third = catalogs::newest(core, core.own(), &tenant("ops")).unwrap().unwrap();
    assert!(third.catalog.version > second.catalog.version);
    assert_eq!(third.catalog.scopes, second.catalog.scopes, "nothing else is published silently");
    assert_eq!(world.b.deeds("catalog_published"), 2);
    // Also one that nobody looked after is good when it is asked for.
    world.clock.advance_ms(core.settings.catalog_life_ms + 1);
    let told = catalogs::present(core, &tenant("ops")).await.unwrap().unwrap();
    assert!(core.now() < told.catalog.expires);
    assert!(catalogs::present(core, &tenant("none")).await.unwrap().is_none());
}

//= APR-3
#[tokio::test]
async fn a_database_that_was_copied_back_does_not_bring_versions_back() {
    let world = World::new().await;
    let forgetful = &world.a.core;
    let before =
        catalogs::publish(&world.b.core, &tenant("ops"), &[scope("a", "x")]).await.unwrap();
    world.clock.advance_ms(MINUTE_MS);
    // This side has never published anything: as a restored one that forgot what it did.
    let after = catalogs::publish(forgetful, &tenant("ops"), &[scope("a", "x")]).await.unwrap();
    assert!(after.catalog.version > before.catalog.version);
}

//= APR-1
//= APR-4
#[tokio::test]
async fn a_catalog_that_goes_back_or_contradicts_itself_is_refused_and_recorded() {
    let world = World::new().await;
    let five = world.forged(|_| {});
    assert_eq!(world.learn(&five).await.unwrap(), 5);
    assert_eq!(world.learn(&five).await.unwrap(), 5, "once more changes nothing");
    let four = world.forged(|said| said.version = 4);
    assert_eq!(world.refusal(&four).await, "catalog_went_back");
    let other = world.forged(|said| said.scopes[0].description = "other words".into());
    assert_eq!(world.refusal(&other).await, "catalog_equivocated");
    let foreign = world.forged(|said| {
        said.version = 9;
        said.tenant = tenant("other");
    });
    assert_eq!(world.refusal(&foreign).await, "catalog_of_another");
    let iss = world.a.core.own().clone();
    let stolen = world.forged(|said| {
        said.version = 9;
        said.iss = iss;
    });
    assert_eq!(world.refusal(&stolen).await, "catalog_of_another");
    let kept =
        catalogs::newest(&world.a.core, world.b.core.own(), &tenant("ops")).unwrap().unwrap();
    assert_eq!(kept.place(), (5, five.digest()));
    assert_eq!(world.a.deeds("catalog_refused"), 4);
    let six = world.forged(|said| said.version = 6);
    assert_eq!(world.learn(&six).await.unwrap(), 6);
}

//= APR-4
#[tokio::test]
async fn a_peer_is_asked_for_its_catalog_and_again_when_half_of_its_life_is_over() {
    let world = World::new().await;
    let (a, b) = (&world.a.core, &world.b.core);
    serve(&world);
    let words = scope("sre-lead", "one");
    catalogs::publish(b, &tenant("ops"), std::slice::from_ref(&words)).await.unwrap();
    let kept = catalogs::fetch(a, b.own(), &pair()).await.unwrap();
    assert_eq!(kept.catalog.scopes, std::slice::from_ref(&words));
    assert_eq!(kept.place(), catalogs::place(a, b.own(), &tenant("ops")).unwrap().unwrap());

    // Nothing is asked for that no projection needs.
    let read = || world.b.deeds("catalog_read");
    let mut care = Care::default();
    world.clock.advance_ms(b.settings.catalog_life_ms / 2 + 1);
    for core in [a, b] {
        core.trust.refresh_status(core).await.unwrap();
    }
    care.look(a).await;
    assert_eq!(read(), 1);
    let mut draft = world.a.draft();
    draft.put_projection(b.own(), projection(&words, a.now())).unwrap();
    world.a.put(draft).await;
    care.look(a).await;
    assert_eq!(read(), 2);
    care.look(a).await;
    assert_eq!(read(), 2, "it is young again");
    let texts = catalogs::pinned::texts(a).unwrap();
    assert_eq!(texts.values().collect::<Vec<_>>(), [&words], "what was read is kept");
}

//= APR-4
#[tokio::test]
async fn a_peer_that_gives_no_catalog_is_not_asked_all_the_time() {
    let world = World::new().await;
    let (a, b) = (&world.a.core, &world.b.core);
    serve(&world);
    let mut draft = world.a.draft();
    draft.put_projection(b.own(), projection(&scope("sre-lead", "x"), a.now())).unwrap();
    world.a.put(draft).await;
    let mut care = Care::default();
    for _ in 0..20 {
        care.look(a).await;
        world.clock.advance_ms(5_000);
    }
    assert!((1..=2).contains(&world.b.deeds("catalog_read")), "{}", world.b.deeds("catalog_read"));
    let error = catalogs::fetch(a, b.own(), &pair()).await.unwrap_err();
    assert_eq!(error.problem().code(), Some(Code::NotFound));
}

fn projection(words: &Scope, now: Timestamp) -> Projection {
    Projection {
        constraints: Constraints {
            max_ttl_ms: 10 * MINUTE_MS,
            methods: KeyMethod::ALL.into(),
            min_signers: 1,
            observed: false,
            subject_kinds: [SubjectKind::new("exec").unwrap()].into(),
        },
        entry: words.entry().unwrap(),
        exp: now.plus_ms(24 * 60 * MINUTE_MS),
        local: tenant("acme"),
        local_scope: ScopeName::new("ops-lead").unwrap(),
        nbf: now.plus_ms(-MINUTE_MS),
        remote: tenant("ops"),
        remote_scope: words.name.clone(),
    }
}

/// What the owner of A's process sees.
async fn seen(side: &Side) -> Vec<(String, Option<String>)> {
    let views = side.bridge.projections().await.unwrap();
    let told = |view: landbridge_node::local::api::ProjectionView| {
        let state = serde_json::to_value(view.state).unwrap();
        (state.as_str().unwrap().to_owned(), view.present.map(|scope| scope.description))
    };
    views.into_iter().map(told).collect()
}

#[tokio::test]
async fn a_projection_is_suspended_by_changed_words_and_tells_both() {
    let world = World::new().await;
    let (a, b) = (&world.a.core, &world.b.core);
    serve(&world);
    let words = scope("sre-lead", "one");
    catalogs::publish(b, &tenant("ops"), std::slice::from_ref(&words)).await.unwrap();
    let alias = Alias::new("eu").unwrap();
    let fetch = || world.a.bridge.peer_catalog(&alias, tenant("ops"), None);
    assert_eq!(fetch().await.unwrap().scopes, std::slice::from_ref(&words));
    let mut draft = world.a.draft();
    draft.put_projection(b.own(), projection(&words, a.now())).unwrap();
    world.a.put(draft).await;
    assert_eq!(seen(&world.a).await, [("active".to_owned(), Some("one".to_owned()))]);
    catalogs::publish(b, &tenant("ops"), &[scope("sre-lead", "two")]).await.unwrap();
    assert_eq!(seen(&world.a).await[0].0, "active", "it has not heard of it");
    fetch().await.unwrap();
    assert_eq!(seen(&world.a).await, [("suspended".to_owned(), Some("two".to_owned()))]);
    let view = world.a.bridge.projections().await.unwrap().remove(0);
    assert_eq!(view.pinned, Some(words));
    catalogs::publish(b, &tenant("ops"), &[]).await.unwrap();
    fetch().await.unwrap();
    assert_eq!(seen(&world.a).await, [("suspended".to_owned(), None)]);
    let why: Uncounted = Uncounted::ScopeGone { scope: ScopeName::new("sre-lead").unwrap() };
    assert_eq!(why.as_str(), "scope_gone");
}
