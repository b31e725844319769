//! How two gateways begin to trust each other.
//!
//! One makes an invite, one line of text that a person carries over. It pins the inviter's first root
//! and its newest, so that neither the network nor a thief of retired keys can put another gateway in
//! its place, and it holds a secret that the joiner proves to know without sending it. Then two people
//! compare twelve words, which stand for both identities and this one invite. Whether an invite was
//! used before is the store's to know.

use std::fmt;

use bip39::Language;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use landbridge_planted::planted;

use super::root::{RootError, TrustedRoot};
use super::verified::Verified;
use crate::wire::base64::{self, InvalidBase64};
use crate::wire::digest::{Digest, tag};
use crate::wire::document::{Endpoint, FormVersion, PairingRequest, gateway_id};
use crate::wire::json::{InvalidJson, canonical};
use crate::wire::limit;
use crate::wire::name::{GatewayId, Timestamp};

const PREFIX: &str = "gfp1:";
/// 36 bits: a slip is noticed but for one in 69 billion.
const TEXT_CHECK_CHARS: usize = 6;

/// An invitation to pair.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Invite {
    /// Where the inviter listens, and the certificate that it shows there.
    pub endpoint: Endpoint,
    /// When the invite stops being good.
    pub expires: Timestamp,
    /// The digest of the inviter's first root.
    pub genesis: Digest,
    /// The digest of its newest root, through which its chain must pass.
    pub root: Digest,
    /// The newest root's version.
    #[cfg_attr(any(test, feature = "schemas"), schemars(range(min = 1)))]
    pub root_version: u64,
    /// What the joiner proves to know.
    #[cfg_attr(
        any(test, feature = "schemas"),
        schemars(schema_with = "crate::wire::schema::digest")
    )]
    pub secret: InviteSecret,
    /// The form's version.
    pub v: FormVersion,
}

/// The one-time secret of an invite. Zeroized when dropped, never printed.
#[derive(Clone, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(try_from = "String", into = "String")]
pub struct InviteSecret([u8; 32]);

/// Why a text is not an [`Invite`].
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidInvite {
    /// Does not begin as invites do.
    #[error("an invite begins with gfp1:")]
    NoPrefix,
    /// Longer than any invite.
    #[error("an invite has at most {max} characters")]
    TooLong {
        /// The most allowed.
        max: usize,
    },
    /// The check at its end does not fit: a character is wrong, or an end is missing.
    #[error("the invite is damaged: a part of it is missing or changed")]
    Damaged,
    /// Not base64url in its one spelling.
    #[error("the invite is damaged: it has a character that does not belong there")]
    NotBase64(#[source] InvalidBase64),
    /// Not the one spelling of an invite.
    #[error("the invite is not one that this version reads")]
    NotCanonical(#[source] InvalidJson),
    /// A secret of another length than 32 bytes.
    #[error("an invite's secret has 32 bytes")]
    BadSecret,
    /// Root version 0.
    #[error("roots are numbered from 1")]
    RootVersionZero,
}

/// Why a joiner is not paired with.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PairingRefusal {
    /// The invite has expired.
    #[error("the invite expired at {expires}")]
    InviteExpired {
        /// When.
        expires: Timestamp,
    },
    /// The request is meant for another gateway.
    #[error("the request is meant for {aud}")]
    ForAnotherGateway {
        /// The gateway meant.
        aud: GatewayId,
    },
    /// The request names another invite.
    #[error("the request names another invite")]
    ForAnotherInvite,
    /// The request was signed too long ago, or in the future.
    #[error("the request is not of this time")]
    OutOfTime,
    /// The joiner does not know the invite's secret.
    #[error("the proof of the invite's secret does not hold")]
    WrongProof,
    /// The inviter's chain is not the one that the invite pins.
    #[error("the chain of roots is not the one that the invite pins")]
    ForeignChain(#[source] RootError),
}

impl InviteSecret {
    /// A secret of 32 bytes of entropy.
    #[must_use]
    pub fn from_entropy(entropy: &Zeroizing<[u8; 32]>) -> Self {
        Self(**entropy)
    }

    /// The invite's public id, which does not give the secret away.
    #[must_use]
    pub fn invite_id(&self) -> Digest {
        Digest::of(tag::INVITE, &[&self.0])
    }

    /// The proof that `joiner` knows the secret that `inviter` gave out.
    #[must_use]
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    pub fn proof(&self, inviter: &GatewayId, joiner: &GatewayId) -> Digest {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("a key of 32 bytes");
        mac.update(tag::PAIRING);
        mac.update(inviter.as_str().as_bytes());
        mac.update(b"\n");
        mac.update(joiner.as_str().as_bytes());
        Digest::from_bytes(mac.finalize().into_bytes().into())
    }
}

impl Invite {
    /// Reads an invite from its text. White space in and around it is forgiven, because people paste it
    /// and programs wrap it.
    ///
    /// # Errors
    ///
    /// Returns what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, InvalidInvite> {
        let characters = text.chars().filter(|c| !c.is_ascii_whitespace());
        let text = Zeroizing::new(characters.take(limit::INVITE_BYTES_MAX + 1).collect::<String>());
        //= ID-73
        if text.len() > limit::INVITE_BYTES_MAX {
            return Err(InvalidInvite::TooLong { max: limit::INVITE_BYTES_MAX });
        }
        let body = text.strip_prefix(PREFIX).ok_or(InvalidInvite::NoPrefix)?;
        //= ID-73
        let (body, shown) = body.rsplit_once('.').ok_or(InvalidInvite::Damaged)?;
        let bytes = Zeroizing::new(base64::decode_url(body).map_err(InvalidInvite::NotBase64)?);
        if shown != text_check(&bytes) && !planted!("invite_check_unread") {
            return Err(InvalidInvite::Damaged);
        }
        let invite: Self = canonical::from_slice(&bytes).map_err(InvalidInvite::NotCanonical)?;
        if invite.root_version == 0 {
            return Err(InvalidInvite::RootVersionZero);
        }
        if planted!("no_invite_is_good") {
            return Err(InvalidInvite::Damaged);
        }
        Ok(invite)
    }

    /// The invite as the one line of text that a person carries over. It holds the secret.
    ///
    /// # Errors
    ///
    /// [`InvalidInvite::NotCanonical`] when a number has no place in control JSON.
    pub fn to_text(&self) -> Result<Zeroizing<String>, InvalidInvite> {
        let bytes = Zeroizing::new(canonical::to_vec(self).map_err(InvalidInvite::NotCanonical)?);
        let check = text_check(&bytes);
        Ok(Zeroizing::new(format!("{PREFIX}{}.{check}", base64::encode_url(&bytes))))
    }

    /// The inviting gateway.
    #[must_use]
    pub fn inviter(&self) -> GatewayId {
        gateway_id(&self.genesis)
    }

    /// The invite's public id.
    #[must_use]
    pub fn id(&self) -> Digest {
        self.secret.invite_id()
    }

    /// The joiner's side: checks that the inviter's chain is the one that the invite pins, and good.
    ///
    /// # Errors
    ///
    /// [`PairingRefusal::InviteExpired`] or [`PairingRefusal::ForeignChain`].
    pub fn check_inviter(&self, chain: &TrustedRoot, now: Timestamp) -> Result<(), PairingRefusal> {
        self.check_time(now)?;
        let (expected, found) = (self.inviter(), chain.gateway().clone());
        if expected != found && !planted!("genesis_unchecked") {
            //= ID-33
            return Err(PairingRefusal::ForeignChain(RootError::ForeignGenesis {
                expected,
                found,
            }));
        }
        chain
            .check_pin(self.root_version, &self.root)
            .and_then(|()| chain.check_current(now))
            .map_err(PairingRefusal::ForeignChain)?;
        if planted!("no_pairing_is_made") {
            return Err(PairingRefusal::OutOfTime);
        }
        Ok(())
    }

    /// The inviter's side: checks that a joiner was given this invite.
    ///
    /// # Errors
    ///
    /// Says why not. The caller then still has to see that the invite was not used before.
    pub fn check_joiner(
        &self,
        request: &Verified<PairingRequest>,
        joiner: &GatewayId,
        now: Timestamp,
    ) -> Result<(), PairingRefusal> {
        let request = request.value();
        self.check_time(now)?;
        let inviter = self.inviter();
        if request.aud != inviter && !planted!("pairing_audience_unchecked") {
            return Err(PairingRefusal::ForAnotherGateway { aud: request.aud.clone() });
        }
        if request.invite != self.id() {
            return Err(PairingRefusal::ForAnotherInvite);
        }
        if !is_timely(request.iat, request.exp, now) {
            return Err(PairingRefusal::OutOfTime);
        }
        let proof = self.secret.proof(&inviter, joiner);
        let proven = request.iss == *joiner && proof.eq_secret(&request.proof);
        if !proven && !planted!("invite_proof_unchecked") {
            //= ID-34
            return Err(PairingRefusal::WrongProof);
        }
        if planted!("no_pairing_is_made") {
            return Err(PairingRefusal::OutOfTime);
        }
        Ok(())
    }

    /// The twelve words that both people compare.
    #[must_use]
    pub fn words(&self, joiner_genesis: &Digest) -> [&'static str; 12] {
        words(&self.genesis, joiner_genesis, &self.id())
    }

    /// Checks that the invite has not expired.
    ///
    /// # Errors
    ///
    /// [`PairingRefusal::InviteExpired`].
    pub fn check_time(&self, now: Timestamp) -> Result<(), PairingRefusal> {
        if now >= self.expires && !planted!("invite_expiry_unchecked") {
            return Err(PairingRefusal::InviteExpired { expires: self.expires });
        }
        Ok(())
    }
}

/// Whether what was signed at `iat` to be good until `exp` is of this time, as far as clocks agree.
//= REQ-14
#[must_use]
pub const fn is_timely(iat: Timestamp, exp: Timestamp, now: Timestamp) -> bool {
    iat.since_ms(now) <= limit::CLOCK_SKEW_MS_MAX && now.since_ms(exp) <= limit::CLOCK_SKEW_MS_MAX
}

/// What stands at the end of an invite's text, so that a slip of the hand is noticed before anybody is
/// asked: the first six characters of a digest.
fn text_check(document: &[u8]) -> String {
    let mut text = base64::encode_url(Digest::of(tag::INVITE_TEXT, &[document]).as_bytes());
    text.truncate(TEXT_CHECK_CHARS);
    text
}

/// Twelve words for one pairing: 132 bits over both first roots and the invite's id.
#[must_use]
pub fn words(
    inviter_genesis: &Digest,
    joiner_genesis: &Digest,
    invite: &Digest,
) -> [&'static str; 12] {
    let digest = Digest::of(
        tag::WORDS,
        &[inviter_genesis.as_bytes(), joiner_genesis.as_bytes(), invite.as_bytes()],
    );
    let list = Language::English.word_list();
    std::array::from_fn(|word| {
        let index = (word * 11..word * 11 + 11).fold(0, |index, bit| {
            index << 1 | usize::from(digest.as_bytes()[bit / 8] >> (7 - bit % 8) & 1)
        });
        list[index]
    })
}

impl TryFrom<String> for InviteSecret {
    type Error = InvalidInvite;

    fn try_from(text: String) -> Result<Self, InvalidInvite> {
        let text = Zeroizing::new(text);
        let bytes = Zeroizing::new(base64::decode_url(&text).map_err(InvalidInvite::NotBase64)?);
        <[u8; 32]>::try_from(bytes.as_slice()).map(Self).map_err(|_| InvalidInvite::BadSecret)
    }
}

impl From<InviteSecret> for String {
    fn from(secret: InviteSecret) -> Self {
        base64::encode_url(&secret.0)
    }
}

impl fmt::Debug for InviteSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InviteSecret(secret)")
    }
}

#[cfg(test)]
mod tests;
