//! Signatures that hold by a looser equation than the one that the specification names.

use anyhow::Result;
use curve25519_dalek::{EdwardsPoint, Scalar, constants};
use sha2::{Digest as _, Sha512};

use super::{Case, bent};
use crate::caller::Caller;
use crate::wire;

pub(super) const CASES: &[Case] = &[
    Case {
        id: "signature-small-order",
        clauses: &["ENV-12"],
        about: "a signature whose R is the neutral point, which needs no secret, is refused",
        run: |caller| {
            let neutral = EdwardsPoint::default().compress().to_bytes();
            made(caller, neutral, Scalar::ZERO)
        },
    },
    Case {
        id: "signature-two-spellings",
        clauses: &["ENV-12"],
        about: "a signature whose R is not spelt canonically is refused",
        run: |caller| {
            // The neutral point's y is 1; this is p + 1, which a lenient reader reduces to it.
            let mut other = [0xff; 32];
            (other[0], other[31]) = (0xee, 0x7f);
            made(caller, other, Scalar::ZERO)
        },
    },
    Case {
        id: "signature-cofactor",
        clauses: &["ENV-12"],
        about: "a signature that holds only after a multiplication by the cofactor is refused",
        run: |caller| {
            let nonce = Scalar::from_bytes_mod_order(wire::random()?);
            let shifted = EdwardsPoint::mul_base(&nonce) + constants::EIGHT_TORSION[1];
            made(caller, shifted.compress().to_bytes(), nonce)
        },
    },
];

/// A good start, signed by the caller's key with this commitment.
fn made(caller: &Caller, commitment: [u8; 32], nonce: Scalar) -> Result<()> {
    let key = caller.key("request")?;
    bent(caller, "verification_failed", |signed| {
        let hash = Sha512::new()
            .chain_update(commitment)
            .chain_update(key.point())
            .chain_update(wire::pae(&signed.media, &signed.payload));
        let challenge = Scalar::from_bytes_mod_order_wide(&hash.finalize().into());
        let answer = nonce + challenge * key.scalar();
        signed.signatures[0].1 = [commitment, answer.to_bytes()].concat();
    })
}
