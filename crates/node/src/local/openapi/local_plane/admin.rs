//! What the owner of the process may ask.

use landbridge_proto::wire::name::{Alias, GatewayId, OperatorName, TenantId};
use serde_json::json;

use super::{ADMIN, ASKS, NOT_FOUND, text, whole};
use crate::local::api::*;
use crate::local::openapi::description::{Operation, Schemas};
use crate::local::standing::{PeerTest, RevokeKey, RevokedKey};
use crate::local::usage::UsageView;

pub(super) fn bridge(schemas: &mut Schemas) -> Vec<Operation> {
    vec![
        Operation::new(
            "get",
            "/v1/admin/bridge",
            "showBridge",
            "Who the bridge is and how it does.",
        )
        .needs(ADMIN)
        .json(200, "The bridge.", schemas.given::<BridgeView>()),
        Operation::new(
            "get",
            "/v1/admin/settings",
            "listSettings",
            "The settings that the bridge goes by, each with where it was written.",
        )
        .needs(ADMIN)
        .json(200, "The settings.", schemas.given::<Vec<SettingView>>()),
        Operation::new(
            "get",
            "/v1/admin/usage",
            "showUsage",
            "What each grant's tenants used today.",
        )
        .needs(ADMIN)
        .json(200, "One for each grant.", schemas.given::<Vec<UsageView>>()),
        Operation::new(
            "post",
            "/v1/admin/keys/revoke",
            "revokeKey",
            "Revoke a key of this gateway, for good.",
        )
        .needs(ADMIN)
        .takes(schemas.taken::<RevokeKey>())
        .json(200, "It is revoked.", schemas.given::<RevokedKey>())
        .refuses(&["not_found", "not_supported"]),
        Operation::new(
            "put",
            "/v1/admin/root",
            "putRoot",
            "Put the next root of this gateway in force.",
        )
        .needs(ADMIN)
        .takes(schemas.taken::<PutRoot>())
        .json(200, "Its version.", schemas.given::<OwnRootView>())
        .refuses(&["verification_failed"]),
        Operation::new("post", "/v1/admin/backup", "backUp", "Copy the database into a directory.")
            .needs(ADMIN)
            .takes(schemas.taken::<BackupInto>())
            .json(201, "It is copied.", schemas.given::<BackupInto>())
            .refuses(&["input_refused"]),
    ]
}

pub(super) fn peers(schemas: &mut Schemas) -> Vec<Operation> {
    let gateway = schemas.taken::<GatewayId>();
    vec![
        Operation::new(
            "get",
            "/v1/admin/peers",
            "listPeers",
            "Peers, and pairings that are not finished.",
        )
        .needs(ADMIN)
        .json(200, "The peers.", schemas.given::<Vec<PeerView>>()),
        Operation::new(
            "post",
            "/v1/admin/peers/{gateway}/address",
            "lookAtAddress",
            "Look for a peer at another address, and learn what it says of itself.",
        )
        .needs(ADMIN)
        .parameter("path", "gateway", gateway.clone(), "")
        .takes(schemas.taken::<LookAt>())
        .json(200, "It is there.", schemas.given::<FoundAt>())
        .refuses(ASKS)
        .refuses(&["another_gateway"]),
        Operation::new(
            "post",
            "/v1/admin/peers/{gateway}/resume",
            "resumePeer",
            "End a quarantine.",
        )
        .needs(ADMIN)
        .parameter("path", "gateway", gateway.clone(), "")
        .takes(schemas.taken::<Resume>())
        .json(200, "It is ended.", schemas.given::<Resumed>())
        .refuses(NOT_FOUND),
        Operation::new(
            "post",
            "/v1/admin/peers/{gateway}/test",
            "testPeer",
            "How far the way to a peer goes, step by step, to its signature.",
        )
        .needs(ADMIN)
        .parameter("path", "gateway", gateway.clone(), "")
        .json(200, "What was found.", schemas.given::<PeerTest>())
        .refuses(NOT_FOUND),
    ]
}

pub(super) fn evidence(schemas: &mut Schemas) -> Vec<Operation> {
    vec![
        Operation::new("get", "/v1/admin/evidence", "listEvidence", "Evidence against peers.")
            .needs(ADMIN)
            .json(200, "All of it.", schemas.given::<Vec<EvidenceView>>()),
        Operation::new(
            "get",
            "/v1/admin/evidence/{id}",
            "showEvidence",
            "One piece, with the frames that differ.",
        )
        .needs(ADMIN)
        .parameter("path", "id", text(), "")
        .json(200, "The piece.", schemas.given::<EvidenceDetail>())
        .refuses(NOT_FOUND),
        Operation::new(
            "get",
            "/v1/admin/evidence/{id}/file",
            "exportEvidence",
            "The portable proof.",
        )
        .needs(ADMIN)
        .parameter("path", "id", text(), "")
        .gives(
            200,
            "The proof, JSON lines.",
            &[("application/jsonl", json!({"itemSchema": {"type": "object"}}))],
        )
        .refuses(NOT_FOUND),
    ]
}

pub(super) fn introductions(schemas: &mut Schemas) -> Vec<Operation> {
    let gateway = schemas.taken::<GatewayId>();
    vec![
        Operation::new(
            "get",
            "/v1/admin/invites",
            "listInvites",
            "Invites, without their secrets.",
        )
        .needs(ADMIN)
        .json(200, "The invites.", schemas.given::<Vec<OpenInvite>>()),
        Operation::new("post", "/v1/admin/invites", "invite", "Make an invite; it is shown once.")
            .needs(ADMIN)
            .takes(schemas.taken::<NewInvite>())
            .json(201, "The invite.", schemas.given::<InviteView>())
            .refuses(&["alias_taken", "not_supported"]),
        Operation::new(
            "delete",
            "/v1/admin/invites/{id}",
            "withdrawInvite",
            "Withdraw an open invite.",
        )
        .needs(ADMIN)
        .parameter("path", "id", text(), "")
        .gives(204, "It is withdrawn.", &[])
        .refuses(NOT_FOUND),
        Operation::new(
            "post",
            "/v1/admin/joins",
            "join",
            "Join by an invite; a person then compares words.",
        )
        .needs(ADMIN)
        .takes(schemas.taken::<Join>())
        .json(201, "The pairing that waits.", schemas.given::<PairingView>())
        .refuses(ASKS)
        .refuses(&[
            "alias_taken",
            "already_paired",
            "invite_damaged",
            "invite_expired",
            "invite_own",
            "invite_refused",
        ]),
        Operation::new(
            "get",
            "/v1/admin/pairings",
            "listPairings",
            "Pairings that wait for a person of this side.",
        )
        .needs(ADMIN)
        .json(200, "The pairings.", schemas.given::<Vec<PairingView>>()),
        Operation::new(
            "delete",
            "/v1/admin/pairings/{gateway}",
            "declinePairing",
            "Decline a pairing that waits.",
        )
        .needs(ADMIN)
        .parameter("path", "gateway", gateway, "")
        .gives(204, "It is declined.", &[])
        .refuses(NOT_FOUND),
    ]
}

pub(super) fn trust(schemas: &mut Schemas) -> Vec<Operation> {
    let view = schemas.given::<FederationView>();
    vec![
        Operation::new(
            "get",
            "/v1/admin/federation",
            "showFederation",
            "Our signed federation document.",
        )
        .needs(ADMIN)
        .json(200, "The document.", view.clone()),
        Operation::new(
            "put",
            "/v1/admin/federation",
            "putFederation",
            "Put the next federation document in force.",
        )
        .needs(ADMIN)
        .takes(schemas.taken::<PutFederation>())
        .json(200, "The document.", view.clone())
        .refuses(&["verification_failed"]),
        Operation::new(
            "get",
            "/v1/admin/federation/versions",
            "listFederationVersions",
            "Kept versions, the oldest first, with what each changed.",
        )
        .needs(ADMIN)
        .json(200, "The versions.", schemas.given::<Vec<FederationVersionView>>()),
        Operation::new(
            "get",
            "/v1/admin/federation/versions/{version}",
            "showFederationVersion",
            "One kept version, as it is stored.",
        )
        .needs(ADMIN)
        .parameter("path", "version", json!({"type": "integer", "minimum": 0}), "")
        .json(200, "The version.", view)
        .refuses(NOT_FOUND),
        Operation::new(
            "post",
            "/v1/admin/admissions",
            "showMembership",
            "Show a membership of ours at a gateway.",
        )
        .needs(ADMIN)
        .takes(schemas.taken::<ShowMembership>())
        .json(200, "What the gateway said.", schemas.given::<MembershipShown>())
        .refuses(ASKS),
        Operation::new(
            "get",
            "/v1/admin/memberships",
            "listMemberships",
            "Memberships that gateways showed here, and whether they count now.",
        )
        .needs(ADMIN)
        .json(200, "The memberships.", schemas.given::<Vec<MembershipView>>()),
    ]
}

pub(super) fn scopes(schemas: &mut Schemas) -> Vec<Operation> {
    let tenant = schemas.taken::<TenantId>();
    let catalog = schemas.given::<CatalogView>();
    vec![
        Operation::new(
            "get",
            "/v1/scopes",
            "listScopes",
            "Our catalogs of scopes, as they are published.",
        )
        .needs(ADMIN)
        .json(200, "The catalogs.", schemas.given::<Vec<CatalogView>>()),
        Operation::new(
            "get",
            "/v1/scopes/{gateway}",
            "showScopes",
            "A peer's catalog, asked for anew.",
        )
        .needs(ADMIN)
        .parameter("path", "gateway", schemas.taken::<Alias>(), "")
        .query("tenant", tenant.clone(), "The peer's tenant.")
        .query("local", tenant.clone(), "Our tenant, on whose behalf it is asked for.")
        .json(200, "The catalog.", catalog.clone())
        .refuses(ASKS)
        .refuses(&["not_granted"]),
        Operation::new(
            "post",
            "/v1/admin/scopes/publish",
            "publishScopes",
            "Publish catalogs, each tenant's scopes whole.",
        )
        .needs(ADMIN)
        .takes(schemas.taken::<Publish>())
        .json(200, "The new catalogs.", schemas.given::<Vec<CatalogView>>())
        .refuses(&["halted"]),
        Operation::new(
            "post",
            "/v1/admin/scopes/learn",
            "learnScopes",
            "Take a peer's signed catalog that somebody brought.",
        )
        .needs(ADMIN)
        .takes(schemas.taken::<LearnCatalog>())
        .json(200, "What it says.", catalog)
        .refuses(ASKS),
        Operation::new(
            "get",
            "/v1/admin/projections",
            "listProjections",
            "Whose scopes fulfil ours.",
        )
        .needs(ADMIN)
        .json(200, "The projections.", schemas.given::<Vec<ProjectionView>>()),
        Operation::new(
            "get",
            "/v1/operators",
            "listOperators",
            "Our operators, and keys that were taken from operators.",
        )
        .needs(ADMIN)
        .json(200, "The operators.", schemas.given::<OperatorList>()),
        Operation::new(
            "get",
            "/v1/operators/{name}/credential",
            "showCredential",
            "What this gateway says of an operator to others, signed.",
        )
        .needs(ADMIN)
        .parameter("path", "name", schemas.taken::<OperatorName>(), "")
        .query("tenant", tenant, "`default` where it is absent.")
        .json(200, "The credential.", schemas.given::<CredentialView>())
        .refuses(&["halted", "not_found"]),
    ]
}

pub(super) fn tokens(schemas: &mut Schemas) -> Vec<Operation> {
    vec![
        Operation::new("get", "/v1/admin/tokens", "listTokens", "Tokens, without their secrets.")
            .needs(ADMIN)
            .json(200, "The tokens.", schemas.given::<Vec<TokenView>>()),
        Operation::new(
            "post",
            "/v1/admin/tokens",
            "createToken",
            "Make a token; its secret is shown once.",
        )
        .needs(ADMIN)
        .takes(schemas.taken::<NewToken>())
        .json(201, "The token.", schemas.given::<TokenView>()),
        Operation::new(
            "post",
            "/v1/admin/tokens/{id}/revoke",
            "revokeToken",
            "Revoke a token, at once.",
        )
        .needs(ADMIN)
        .parameter("path", "id", text(), "")
        .json(200, "The token.", schemas.given::<TokenView>())
        .refuses(NOT_FOUND),
    ]
}

pub(super) fn audit(schemas: &mut Schemas) -> Vec<Operation> {
    vec![
        Operation::new("get", "/v1/admin/audit", "readAudit", "Rows of the audit log, in order.")
            .needs(ADMIN)
            .query(
                "after",
                json!({"type": "integer", "minimum": 0}),
                "The last row that the client has.",
            )
            .query("limit", whole(1, 1000), "Rows at most, 50 where it is absent.")
            .json(200, "The rows.", schemas.given::<AuditList>()),
        Operation::new(
            "get",
            "/v1/admin/audit/heads",
            "listAuditHeads",
            "How long the peers' audit logs were, and their heads.",
        )
        .needs(ADMIN)
        .query(
            "all",
            json!({"type": "boolean"}),
            "As each kept status tells, and not the newest alone.",
        )
        .json(200, "The heads.", schemas.given::<Vec<AuditHeadView>>()),
    ]
}
