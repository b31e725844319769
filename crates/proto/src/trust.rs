//! Proof.
pub mod key;
pub mod signer;
pub mod verified;
