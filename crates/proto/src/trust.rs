//! Proof.
//!
//! Start at [`verified`]: the one door from signed bytes to a value. [`root`] and [`status`] say which
//! keys open it, [`peer`] puts both together for one gateway, [`federation`] holds whom this gateway
//! trusts, [`approval`] says whose decisions count for what, and [`pairing`] and [`membership`] are how it
//! begins. [`witness`] compares what a gateway tells of its audit log. [`draft`] is the next root before enough keys signed
//! it. Everything that learns returns a new value and leaves the
//! old one as it was, so that a caller persists the new one before it uses it.

pub mod approval;
pub mod claimed;
pub mod draft;
pub mod federation;
pub mod key;
pub mod membership;
pub mod pairing;
pub mod peer;
pub mod recorded;
pub mod root;
pub mod signer;
pub mod status;
pub mod verified;
pub mod witness;

#[cfg(test)]
pub(crate) mod testing;
