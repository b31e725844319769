//! What the owner of the process may ask: peers, the federation document, tokens, the audit log.

use landbridge_proto::machine::contract::{AuditRow, Sees, TokenRow, Write};
use landbridge_proto::machine::step::Step;
use landbridge_proto::wire::digest::Digest;
use landbridge_proto::wire::document::{Peer, PeerStatus, Status};
use landbridge_proto::wire::envelope::Envelope;
use landbridge_proto::wire::name::{Alias, GatewayId, Timestamp};
use landbridge_proto::wire::problem::{Code, Problem};

use super::revoke::tell;
use super::views::instant;
use super::{Bridge, TOKEN_TAG};
use crate::backup::BackupError;
use crate::config::{Effective, Period};
use crate::core::{Core, unreadable};
use crate::halt::BECAUSE_BYTES_MAX;
use crate::local::api::{
    AuditHeadView, BridgeView, FederationView, NewToken, OwnRootView, PeerView, SeesView,
    SettingView, TenantLink, TokenView, Trouble,
};
use crate::rotation::{self, RotationError};
use crate::trust::{State, TrustError, kept_statuses};

impl Bridge {
    /// Who this bridge is and how it does.
    ///
    /// # Errors
    ///
    /// A problem when the store cannot be read.
    pub async fn view(&self) -> Result<BridgeView, Problem> {
        let identity = self.core.identity.present();
        let root = identity.root();
        let (rows, head) =
            self.core.store.reads().audit_head().map_err(|fault| unreadable(&fault))?;
        let load = self.executions.seats().load();
        Ok(BridgeView {
            gateway: self.core.own().clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            root_version: root.version(),
            root_expires: instant(root.root().expires),
            endpoints: root.root().endpoints.iter().map(|known| known.url.to_string()).collect(),
            adapter: self.core.adapter.describe().await,
            pid: std::process::id(),
            executing: load.executing as u64,
            waiting: load.waiting as u64,
            calling: self.calls.count() as u64,
            audit: format!("{rows} rows, head {head}"),
            audit_altered: self.core.trust.state().audit_altered.clone(),
            incarnation: self.core.trust.state().incarnation.n,
            halted: self.core.halt.now(),
            withdrawn: self.withdrawn(),
            rolled_back: self.core.trust.state().rolled_back.clone(),
        })
    }

    /// The settings that this bridge goes by, each with where it was written.
    #[must_use]
    pub fn settings(&self) -> Vec<SettingView> {
        let all = self.core.settings.effective.iter().cloned();
        all.map(|Effective { setting, value, origin }| SettingView { setting, value, origin })
            .collect()
    }

    /// Our peers, those that wait for acceptance included; these are asked how the pairing stands there.
    ///
    /// # Errors
    ///
    /// A problem when the store cannot be read.
    pub async fn peers(&self) -> Result<Vec<PeerView>, Problem> {
        let state = self.core.trust.state();
        let mut views = Vec::new();
        for peer in state.federation.iter().flat_map(|known| &known.document().peers) {
            let view = state.peers.get(&peer.gid);
            let status = match peer.status {
                PeerStatus::Revoked => "revoked",
                _ if state.quarantined.contains(&peer.gid) => "quarantined",
                _ if state.unusable.contains_key(&peer.gid) => "unusable",
                PeerStatus::Active => "active",
                PeerStatus::Suspended => "suspended",
            };
            let issued =
                view.and_then(|view| view.status()).map(|known| known.newest().value().issued);
            let link = |grant: &landbridge_proto::wire::document::Grant| TenantLink {
                local: grant.local.to_string(),
                remote: grant.remote.to_string(),
            };
            let told = view.map(|view| view.chain().root().endpoints.clone());
            let mut endpoints = peer.endpoints.clone();
            endpoints.extend(told.unwrap_or_default());
            endpoints.dedup_by(|a, b| a.url == b.url);
            views.push(PeerView {
                alias: peer.alias.clone(),
                gateway: peer.gid.clone(),
                state: status.to_owned(),
                words: None,
                pairing: None,
                trouble: self.trouble_with(&peer.gid),
                alarms: alarms(&state, &peer.gid),
                endpoints: endpoints.iter().map(|known| known.url.to_string()).collect(),
                root_version: view.map(|view| view.chain().version()),
                status_issued: issued.map(instant),
                evidence: self.evidence_against(&peer.gid)?,
                tenants: peer.grants.iter().map(link).collect(),
                grants: peer
                    .grants
                    .iter()
                    .filter_map(|grant| serde_json::to_value(grant).ok())
                    .collect(),
            });
        }
        self.unfinished(&mut views).await?;
        Ok(views)
    }

    /// Why a peer could not be reached the last time, when it could not.
    fn trouble_with(&self, peer: &GatewayId) -> Option<Trouble> {
        let contact = self.core.contacts.of(peer);
        let failed = contact.reachable() == Some(false);
        contact
            .failure
            .filter(|_| failed)
            .map(|failure| Trouble { detail: failure.what, another_key: failure.stranger })
    }

    /// Our federation document.
    ///
    /// # Errors
    ///
    /// None at present.
    pub async fn federation(&self) -> Result<FederationView, Problem> {
        let state = self.core.trust.state();
        let Some(known) = &state.federation else {
            return Ok(FederationView { version: 0, envelope: None, told: Vec::new() });
        };
        let envelope = known.verified().envelope().to_bytes();
        Ok(FederationView {
            version: known.document().version,
            envelope: Some(String::from_utf8_lossy(&envelope).into_owned()),
            told: Vec::new(),
        })
    }

    /// Verifies and applies a new version of our federation document, signed by our policy key.
    ///
    /// # Errors
    ///
    /// `verification_failed` when it is not signed as it must be, or is not newer.
    pub async fn put_federation(
        &self,
        envelope: &str,
        because: Option<String>,
    ) -> Result<FederationView, Problem> {
        if because.as_ref().is_some_and(|text| text.len() > BECAUSE_BYTES_MAX) {
            let detail = format!("`because` has at most {BECAUSE_BYTES_MAX} bytes");
            return Err(Problem::new(Code::Malformed).with_detail(detail));
        }
        let parsed = Envelope::parse(envelope.as_bytes())
            .map_err(|error| Problem::new(Code::Malformed).with_detail(error.to_string()))?;
        let bridge = self.clone();
        self.finish(async move {
            let before = tenant_pairs(&bridge.core);
            let (core, known) = (&bridge.core, bridge.core.trust.revoked_keys());
            match put(core, &parsed, because.as_deref()).await {
                Ok(_) => {
                    if tenant_pairs(core) > before.max(1) {
                        tokio::spawn(warn_of_walls(std::sync::Arc::clone(core)));
                    }
                    let mut view = bridge.federation().await?;
                    let revoked = core.trust.revoked_keys();
                    // Keys were taken from operators: peers hear it at once.
                    if revoked.iter().any(|one| !known.iter().any(|old| old.kid == one.kid)) {
                        view.told = tell(core, bridge.questions()).await;
                    }
                    Ok(view)
                }
                Err(TrustError::Step(error)) => Err(error.into()),
                Err(
                    fault @ (TrustError::StaysRevoked { .. }
                    | TrustError::RevokedPolicyKey { .. }
                    | TrustError::RevokedOperatorKey { .. }
                    | TrustError::TooManyRevocations),
                ) => Err(Problem::new(Code::VerificationFailed).with_detail(fault.to_string())),
                Err(TrustError::Federation(fault)) => {
                    Err(Problem::new(Code::VerificationFailed).with_detail(fault.to_string()))
                }
                Err(error) => Err(Problem::new(Code::Internal).with_detail(error.to_string())),
            }
        })
        .await
    }

    /// Verifies the next root of our own, makes it durable and puts it in force.
    ///
    /// # Errors
    ///
    /// `verification_failed` when it does not follow, is not signed as it must be, or does not fit the
    /// key files of this home.
    pub async fn put_root(&self, envelope: &str) -> Result<OwnRootView, Problem> {
        let parsed = Envelope::parse(envelope.as_bytes())
            .map_err(|error| Problem::new(Code::Malformed).with_detail(error.to_string()))?;
        let bridge = self.clone();
        self.finish(async move {
            match rotation::put_root(&bridge.core, &parsed).await {
                Ok(version) => Ok(OwnRootView { version }),
                Err(RotationError::Status(TrustError::Step(error))) => Err(error.into()),
                Err(error @ RotationError::Status(_)) => {
                    Err(Problem::new(Code::Internal).with_detail(error.to_string()))
                }
                Err(error) => {
                    Err(Problem::new(Code::VerificationFailed).with_detail(error.story()))
                }
            }
        })
        .await
    }

    /// Makes a token. Its secret is in the answer and nowhere else.
    ///
    /// # Errors
    ///
    /// `malformed` for a lifetime that is none.
    pub async fn create_token(&self, new: NewToken) -> Result<TokenView, Problem> {
        let now = self.core.now();
        let expires = expiry(now, new.expires_in.as_deref())?;
        let mut bytes = [0_u8; 40];
        self.core.entropy.fill(&mut bytes);
        let (id, secret) = bytes.split_at(8);
        let id = format!("tok-{}", data_encoding::BASE32_NOPAD.encode(id).to_ascii_lowercase());
        let secret = format!("lbt_{}", data_encoding::BASE64URL_NOPAD.encode(secret));
        let row = TokenRow {
            id: id.clone(),
            hash: Digest::of(TOKEN_TAG, &[secret.as_bytes()]),
            name: new.name,
            routes: new.routes,
            tenants: new.tenants,
            sees: match new.sees {
                SeesView::Own => Sees::Own,
                SeesView::Tenants => Sees::Tenants,
            },
            verbs: new.verbs,
            runs_open_max: new.runs_open_max,
            starts_per_minute_max: new.starts_per_minute_max,
            created: now,
            expires,
            revoked: None,
        };
        self.put_token(row.clone(), "token_created").await?;
        self.token_view(row, Some(secret))
    }

    /// All tokens.
    ///
    /// # Errors
    ///
    /// A problem when the store cannot be read.
    pub async fn tokens(&self) -> Result<Vec<TokenView>, Problem> {
        let rows = self.core.store.reads().tokens().map_err(|fault| unreadable(&fault))?;
        rows.into_iter().map(|row| self.token_view(row, None)).collect()
    }

    /// Ends a token for good, also for what it holds open; once more changes nothing.
    ///
    /// # Errors
    ///
    /// `not_found`.
    pub async fn revoke_token(&self, id: &str) -> Result<TokenView, Problem> {
        let row = self.core.store.reads().token(id).map_err(|fault| unreadable(&fault))?;
        let mut row =
            row.ok_or_else(|| Problem::new(Code::NotFound).with_detail("no such token"))?;
        if row.revoked.is_none() {
            row.revoked = Some(self.core.now());
            self.put_token(row.clone(), "token_revoked").await?;
        }
        self.token_view(row, None)
    }

    async fn put_token(&self, row: TokenRow, deed: &'static str) -> Result<(), Problem> {
        let audit = self.core.audit("admin", deed, &row.id, []);
        let step = Step::new(Vec::new(), vec![Write::PutToken(row), audit], ());
        let bridge = self.clone();
        self.finish(async move {
            bridge.core.commit(step).await?;
            bridge.tokens.changed();
            Ok(())
        })
        .await
    }

    /// Copies the database into a directory, while the bridge works.
    ///
    /// # Errors
    ///
    /// `malformed` for a directory whose place would depend on where the bridge was started, `input_refused`
    /// when there is a copy already or the directory cannot be used.
    pub async fn backup(&self, into: &std::path::Path) -> Result<(), Problem> {
        if !into.is_absolute() {
            let detail =
                "`directory` is an absolute path: the bridge may run elsewhere than you do";
            return Err(Problem::new(Code::Malformed).with_detail(detail));
        }
        let (store, into) = (self.core.store.clone(), into.to_owned());
        let subject = into.to_string_lossy().into_owned();
        let copied =
            tokio::task::spawn_blocking(move || crate::backup::copy_database(&store, &into)).await;
        match copied {
            Ok(Ok(())) => {}
            Ok(Err(error @ (BackupError::Exists(_) | BackupError::File { .. }))) => {
                let detail = crate::core::chained(&error);
                return Err(Problem::new(Code::InputRefused).with_detail(detail));
            }
            Ok(Err(error)) => {
                return Err(Problem::new(Code::Internal).with_detail(error.to_string()));
            }
            Err(error) => return Err(crate::core::bug("a backup failed", &error)),
        }
        let audit = self.core.audit("admin", "backup_made", &subject, []);
        let core = std::sync::Arc::clone(&self.core);
        self.finish(async move { Ok(core.commit(Step::new(Vec::new(), vec![audit], ())).await?) })
            .await
    }

    /// Audit rows after a number.
    ///
    /// # Errors
    ///
    /// A problem when the store cannot be read.
    pub async fn audit(&self, after: u64, count: usize) -> Result<Vec<AuditRow>, Problem> {
        self.core.store.reads().audit(after, count).map_err(|fault| unreadable(&fault))
    }

    /// What our peers' newest statuses say of their audit logs: we are a witness of theirs, as they
    /// are of ours.
    #[must_use]
    pub fn audit_heads(&self) -> Vec<AuditHeadView> {
        let state = self.core.trust.state();
        let pinned = state.federation.iter().flat_map(|known| &known.document().peers);
        let told = |peer: &Peer| {
            let status = state.peers.get(&peer.gid)?.status()?.newest().value().clone();
            Some(head_told(Some(&peer.alias), &status))
        };
        pinned.filter_map(told).collect()
    }

    /// What every kept status says of an audit log: of each peer, and of ours.
    ///
    /// # Errors
    ///
    /// A problem when the store cannot be read.
    pub fn all_audit_heads(&self) -> Result<Vec<AuditHeadView>, Problem> {
        let (core, state) = (&self.core, self.core.trust.state());
        let identity = core.identity.present();
        let mut heads = Vec::new();
        let ours = kept_statuses(&core.store, core.own(), identity.root());
        let ours = ours.map_err(|fault| unreadable(&fault))?;
        heads.extend(ours.iter().map(|told| head_told(None, told)));
        for peer in state.federation.iter().flat_map(|known| &known.document().peers) {
            let Some(view) = state.peers.get(&peer.gid) else { continue };
            let told = kept_statuses(&core.store, &peer.gid, view.chain());
            let told = told.map_err(|fault| unreadable(&fault))?;
            heads.extend(told.iter().map(|told| head_told(Some(&peer.alias), told)));
        }
        Ok(heads)
    }
}

fn head_told(alias: Option<&Alias>, status: &Status) -> AuditHeadView {
    AuditHeadView {
        alias: alias.cloned(),
        gateway: status.iss.clone(),
        issued: instant(status.issued),
        rows: status.audit.size,
        head: status.audit.head,
    }
}

/// What a person should look at.
fn alarms(state: &State, peer: &GatewayId) -> Vec<String> {
    let unusable = state.unusable.get(peer);
    let unusable = unusable.map(|why| format!("what is kept of it cannot be used: {why}"));
    let went_back = state.went_back.get(peer).map(ToString::to_string);
    unusable.into_iter().chain(went_back).collect()
}

/// Tenant pairs that have a grant.
fn tenant_pairs(core: &Core) -> usize {
    let state = core.trust.state();
    let peers = state.federation.iter().flat_map(|known| &known.document().peers);
    peers.map(|peer| peer.grants.len()).sum()
}

/// A further tenant pair is kept from the others' words by the gateway's own walls: the log says where
/// they are open.
async fn warn_of_walls(core: std::sync::Arc<Core>) {
    for caution in core.adapter.describe().await.cautions {
        tracing::warn!(caution, "more than one tenant pair has a grant now");
    }
}

async fn put(core: &Core, envelope: &Envelope, because: Option<&str>) -> Result<u64, TrustError> {
    core.trust.put_federation_because(core, envelope, because).await
}

/// When something that lives for `period` ends.
pub(super) fn expiry(now: Timestamp, period: Option<&str>) -> Result<Option<Timestamp>, Problem> {
    let period = period.map(str::parse::<Period>).transpose();
    let period = period.map_err(|error| {
        Problem::new(Code::Malformed).with_detail(format!("expiresIn: {error}"))
    })?;
    Ok(period.map(|period| now.plus_ms(period.as_ms())))
}
