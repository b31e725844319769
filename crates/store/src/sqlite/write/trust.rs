//! Documents, tokens, invites, pairings and evidence.

use landbridge_proto::machine::contract::{
    DocumentKind, DocumentRow, EvidenceRow, InviteRow, MembershipRow, PairingRow, TokenRow,
};
use landbridge_proto::wire::digest::Digest;
use landbridge_proto::wire::name::{GatewayId, RunId, Timestamp};
use rusqlite::{Connection, params};

use super::{execute, exists, require};
use crate::fault::{Broken, Fault};
use crate::sqlite::row::{document_kind, int, sees};

/// Saving the same bytes again changes nothing: the time of the first verification stays.
pub(super) fn save_document(db: &Connection, row: &DocumentRow) -> Result<(), Fault> {
    let (gateway, kind) = (row.gateway.as_str(), document_kind(row.kind));
    let version = int(row.version)?;
    let sql = "INSERT INTO documents (gateway, kind, version, envelope, at)
               VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING";
    if execute(db, sql, params![gateway, kind, version, row.envelope, row.at.0])? == 1 {
        return Ok(());
    }
    let sql = "SELECT 1 FROM documents
               WHERE gateway = ?1 AND kind = ?2 AND version = ?3 AND envelope = ?4";
    let same = exists(db, sql, params![gateway, kind, version, row.envelope])?;
    require(same, || Broken::DocumentDiffers(row.version))
}

pub(super) fn forget_statuses(
    db: &Connection,
    gateway: &GatewayId,
    versions: &[u64],
) -> Result<(), Fault> {
    let sql = "DELETE FROM documents WHERE gateway = ?1 AND kind = ?2 AND version = ?3
                 AND version < (SELECT max(version) FROM documents WHERE gateway = ?1 AND kind = ?2)";
    let (gateway, kind) = (gateway.as_str(), document_kind(DocumentKind::Status));
    for version in versions {
        execute(db, sql, params![gateway, kind, int(*version)?])?;
    }
    Ok(())
}

pub(super) fn forget_federations(
    db: &Connection,
    gateway: &GatewayId,
    keep: u64,
) -> Result<(), Fault> {
    let sql = "DELETE FROM documents WHERE gateway = ?1 AND kind = ?2 AND version NOT IN (
                 SELECT version FROM documents WHERE gateway = ?1 AND kind = ?2
                 ORDER BY version DESC LIMIT ?3)";
    let kind = document_kind(DocumentKind::Federation);
    execute(db, sql, params![gateway.as_str(), kind, int(keep.max(1))?])?;
    Ok(())
}

pub(super) fn put_membership(db: &Connection, row: &MembershipRow) -> Result<(), Fault> {
    let sql = "INSERT INTO memberships (member, federation, envelope, issued, at)
               VALUES (?1, ?2, ?3, ?4, ?5)
               ON CONFLICT (member) DO UPDATE SET federation = excluded.federation,
                   envelope = excluded.envelope, issued = excluded.issued, at = excluded.at
               WHERE excluded.issued >= memberships.issued";
    let (member, federation) = (row.member.as_str(), row.federation.as_str());
    execute(db, sql, params![member, federation, row.envelope, row.issued.0, row.at.0])?;
    Ok(())
}

pub(super) fn put_token(db: &Connection, row: &TokenRow) -> Result<(), Fault> {
    let taken = "SELECT 1 FROM tokens WHERE hash = ?1 AND id <> ?2";
    let taken = exists(db, taken, params![*row.hash.as_bytes(), row.id])?;
    require(!taken, || Broken::TokenHashTaken(row.id.clone()))?;
    let sql = "INSERT INTO tokens (id, hash, name, routes, tenants, sees, verbs, runs_open_max,
                   starts_per_minute_max, created, expires, revoked)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
               ON CONFLICT (id) DO UPDATE SET hash = excluded.hash, name = excluded.name,
                   routes = excluded.routes, tenants = excluded.tenants, sees = excluded.sees,
                   verbs = excluded.verbs, runs_open_max = excluded.runs_open_max,
                   starts_per_minute_max = excluded.starts_per_minute_max,
                   created = excluded.created, expires = excluded.expires,
                   revoked = excluded.revoked";
    let params = params![
        row.id,
        *row.hash.as_bytes(),
        row.name,
        serde_json::to_string(&row.routes)?,
        serde_json::to_string(&row.tenants)?,
        sees(row.sees),
        serde_json::to_string(&row.verbs)?,
        row.runs_open_max.map(int).transpose()?,
        row.starts_per_minute_max,
        row.created.0,
        row.expires.map(|at| at.0),
        row.revoked.map(|at| at.0),
    ];
    execute(db, sql, params)?;
    Ok(())
}

pub(super) fn create_invite(db: &Connection, row: &InviteRow) -> Result<(), Fault> {
    let sql = "INSERT INTO invites (id, secret, alias, created, expires, used, used_by, withdrawn)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING";
    let params = params![
        *row.id.as_bytes(),
        row.secret,
        row.alias.as_str(),
        row.created.0,
        row.expires.0,
        row.used.map(|at| at.0),
        row.used_by.as_ref().map(GatewayId::as_str),
        row.withdrawn.map(|at| at.0),
    ];
    require(execute(db, sql, params)? == 1, || Broken::InviteExists)
}

pub(super) fn use_invite(
    db: &Connection,
    id: &Digest,
    at: Timestamp,
    by: &GatewayId,
) -> Result<(), Fault> {
    let sql = "UPDATE invites SET used = ?2, used_by = ?3, secret = ''
               WHERE id = ?1 AND used IS NULL AND withdrawn IS NULL";
    let used = execute(db, sql, params![*id.as_bytes(), at.0, by.as_str()])?;
    require(used == 1, || Broken::InviteNotOpen)
}

pub(super) fn withdraw_invite(db: &Connection, id: &Digest, at: Timestamp) -> Result<(), Fault> {
    let sql = "UPDATE invites SET withdrawn = ?2, secret = ''
               WHERE id = ?1 AND used IS NULL AND withdrawn IS NULL";
    require(execute(db, sql, params![*id.as_bytes(), at.0])? == 1, || Broken::InviteNotOpen)
}

pub(super) fn put_pairing(db: &Connection, row: &PairingRow) -> Result<(), Fault> {
    let sql = "INSERT INTO pairings (peer, alias, words, genesis, joined, at, invite, proof)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
               ON CONFLICT (peer) DO UPDATE SET alias = excluded.alias, words = excluded.words,
                   genesis = excluded.genesis, joined = excluded.joined, at = excluded.at,
                   invite = excluded.invite, proof = excluded.proof";
    let params = params![
        row.peer.as_str(),
        row.alias.as_str(),
        row.words,
        *row.genesis.as_bytes(),
        row.joined,
        row.at.0,
        *row.invite.as_bytes(),
        *row.proof.as_bytes(),
    ];
    execute(db, sql, params)?;
    Ok(())
}

/// Keeping the same bytes again changes nothing: when they were found first stays.
pub(super) fn keep_evidence(db: &Connection, row: &EvidenceRow) -> Result<(), Fault> {
    let sql = "INSERT INTO evidence (id, peer, kind, at, run, file, sides)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING";
    let run = row.run.as_ref().map(RunId::as_str);
    let (peer, kind) = (row.peer.as_str(), row.kind.as_str());
    let params = params![row.id, peer, kind, row.at.0, run, row.file, row.sides];
    if execute(db, sql, params)? == 1 {
        return Ok(());
    }
    let same = "SELECT 1 FROM evidence WHERE id = ?1 AND file = ?2";
    let same = exists(db, same, params![row.id, row.file])?;
    require(same, || Broken::EvidenceDiffers(row.id.clone()))
}
