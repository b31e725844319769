//! Verifiers that accept too much, as libraries have shipped them. Only in builds that can have bugs.

use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use ed25519_dalek::Verifier as _;
use landbridge_planted::planted;
use sha2::{Digest as _, Sha512};

use super::{BadSignature, PublicKey};

/// What the planted verifier says; `None` when there is none.
pub(super) fn check(
    key: &PublicKey,
    signed: &[u8],
    sig: &[u8; 64],
) -> Option<Result<(), BadSignature>> {
    if planted!("small_order_commitment") {
        let signature = ed25519_dalek::Signature::from_bytes(sig);
        return Some(key.0.verify(signed, &signature).map_err(|_| BadSignature));
    }
    if planted!("scalar_reduced") {
        let signature = ed25519_dalek::Signature::from_bytes(&reduced(sig));
        return Some(key.0.verify_strict(signed, &signature).map_err(|_| BadSignature));
    }
    if planted!("cofactored") || planted!("commitment_as_a_point") {
        let gap = gap(key, signed, sig)?;
        let zero = if planted!("cofactored") { gap.is_small_order() } else { gap == gap - gap };
        return Some(if zero { Ok(()) } else { Err(BadSignature) });
    }
    None
}

fn reduced(sig: &[u8; 64]) -> [u8; 64] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(&sig[32..]);
    let mut sig = *sig;
    sig[32..].copy_from_slice(Scalar::from_bytes_mod_order(bytes).as_bytes());
    sig
}

/// `sB - R - kA`, with `R` as a point and not as the bytes that were sent.
fn gap(key: &PublicKey, signed: &[u8], sig: &[u8; 64]) -> Option<EdwardsPoint> {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(&sig[..32]);
    let r = CompressedEdwardsY(bytes).decompress()?;
    bytes.copy_from_slice(&sig[32..]);
    let s = Option::<Scalar>::from(Scalar::from_canonical_bytes(bytes))?;
    let hash =
        Sha512::new().chain_update(&sig[..32]).chain_update(key.as_bytes()).chain_update(signed);
    let k = Scalar::from_bytes_mod_order_wide(&hash.finalize().into());
    Some(ED25519_BASEPOINT_POINT * s - r - key.0.to_edwards() * k)
}
