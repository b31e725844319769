//! Documents, tokens, invites and pairings.

use landbridge_proto::machine::contract::{
    DocumentKind, DocumentRow, InviteRow, PairingRow, TokenRow,
};
use landbridge_proto::wire::digest::Digest;
use landbridge_proto::wire::name::{GatewayId, Timestamp};
use rusqlite::{Connection, params};

use super::{execute, exists, require};
use crate::fault::{Broken, Fault};
use crate::sqlite::row::{document_kind, int};

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

pub(super) fn put_token(db: &Connection, row: &TokenRow) -> Result<(), Fault> {
    let taken = "SELECT 1 FROM tokens WHERE hash = ?1 AND id <> ?2";
    let taken = exists(db, taken, params![*row.hash.as_bytes(), row.id])?;
    require(!taken, || Broken::TokenHashTaken(row.id.clone()))?;
    let sql = "INSERT INTO tokens (id, hash, name, routes, verbs, created, expires, revoked)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
               ON CONFLICT (id) DO UPDATE SET hash = excluded.hash, name = excluded.name,
                   routes = excluded.routes, verbs = excluded.verbs, created = excluded.created,
                   expires = excluded.expires, revoked = excluded.revoked";
    let params = params![
        row.id,
        *row.hash.as_bytes(),
        row.name,
        serde_json::to_string(&row.routes)?,
        serde_json::to_string(&row.verbs)?,
        row.created.0,
        row.expires.map(|at| at.0),
        row.revoked.map(|at| at.0),
    ];
    execute(db, sql, params)?;
    Ok(())
}

pub(super) fn create_invite(db: &Connection, row: &InviteRow) -> Result<(), Fault> {
    let sql = "INSERT INTO invites (id, secret, alias, created, expires, used)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING";
    let params = params![
        *row.id.as_bytes(),
        row.secret,
        row.alias.as_str(),
        row.created.0,
        row.expires.0,
        row.used.map(|at| at.0),
    ];
    require(execute(db, sql, params)? == 1, || Broken::InviteExists)
}

pub(super) fn use_invite(db: &Connection, id: &Digest, at: Timestamp) -> Result<(), Fault> {
    let sql = "UPDATE invites SET used = ?2, secret = '' WHERE id = ?1 AND used IS NULL";
    require(execute(db, sql, params![*id.as_bytes(), at.0])? == 1, || Broken::InviteNotOpen)
}

pub(super) fn put_pairing(db: &Connection, row: &PairingRow) -> Result<(), Fault> {
    let sql = "INSERT INTO pairings (peer, alias, words, genesis, joined, at)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6)
               ON CONFLICT (peer) DO UPDATE SET alias = excluded.alias, words = excluded.words,
                   genesis = excluded.genesis, joined = excluded.joined, at = excluded.at";
    let peer = row.peer.as_str();
    let params =
        params![peer, row.alias.as_str(), row.words, *row.genesis.as_bytes(), row.joined, row.at.0];
    execute(db, sql, params)?;
    Ok(())
}
