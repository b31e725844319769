//! Envelopes: their spelling, their kind, and who signed them.

use anyhow::{Context, Result};

use super::{Case, bent, unheard};
use crate::caller::Caller;
use crate::wire::{self, Key};

pub(super) const CASES: &[Case] = &[
    Case {
        id: "envelope-white-space",
        clauses: &["ENV-1", "ENV-2"],
        about: "an envelope with white space is malformed",
        run: |caller| spelt(caller, |text| text.replacen(':', ": ", 1)),
    },
    Case {
        id: "envelope-order",
        clauses: &["ENV-1", "ENV-2"],
        about: "an envelope with its members in another order is malformed",
        run: |caller| {
            spelt(caller, |text| {
                let kind = format!(r#""payloadType":"{}","#, wire::media("request"));
                format!("{{{kind}{}", text[1..].replacen(&kind, "", 1))
            })
        },
    },
    Case {
        id: "envelope-member-twice",
        clauses: &["ENV-2"],
        about: "an envelope with a member twice is malformed",
        run: |caller| spelt(caller, |text| text.replacen('{', r#"{"payload":"","#, 1)),
    },
    Case {
        id: "envelope-unknown-member",
        clauses: &["ENV-2"],
        about: "an envelope with a member that is not defined is malformed",
        run: |caller| spelt(caller, |text| text.replacen("]}", r#"],"x":1}"#, 1)),
    },
    Case {
        id: "envelope-base64-alphabet",
        clauses: &["ENV-3"],
        about: "base64 of the other alphabet, or without its padding, is malformed",
        run: |caller| {
            spelt(caller, |text| text.replacen("==\"}]", "\"}]", 1))?;
            spelt(caller, |text| {
                let at = text.find("\"sig\":\"").unwrap_or_default() + 7;
                format!("{}-{}", &text[..at], &text[at + 1..])
            })
        },
    },
    Case {
        id: "envelope-base64-stray-bits",
        clauses: &["ENV-3"],
        about: "base64 that does not encode back to the same characters is malformed",
        run: |caller| {
            spelt(caller, |text| {
                // 64 bytes leave four bits of the last character before the padding at zero.
                let at = text.rfind("==\"").unwrap_or(1) - 1;
                let stray = char::from(text.as_bytes()[at] + 1);
                format!("{}{stray}{}", &text[..at], &text[at + 1..])
            })
        },
    },
    Case {
        id: "envelope-unsigned",
        clauses: &["ENV-4"],
        about: "an envelope without a signature is malformed",
        run: |caller| bent(caller, "malformed", |signed| signed.signatures.clear()),
    },
    Case {
        id: "envelope-many-signatures",
        clauses: &["ENV-4"],
        about: "an envelope with 17 signatures is malformed",
        run: |caller| {
            bent(caller, "malformed", |signed| {
                for seed in 0..16 {
                    let key = Key::of([seed; 32]);
                    let sig = key.sign(&wire::pae(&signed.media, &signed.payload));
                    signed.signatures.push((key.kid, sig.to_vec()));
                }
                signed.signatures.sort();
            })
        },
    },
    Case {
        id: "envelope-key-twice",
        clauses: &["ENV-5"],
        about: "a key that signs twice is malformed",
        run: |caller| {
            bent(caller, "malformed", |signed| signed.signatures.push(signed.signatures[0].clone()))
        },
    },
    Case {
        id: "envelope-signature-length",
        clauses: &["ENV-6"],
        about: "a signature of 63 or 65 bytes is malformed",
        run: |caller| {
            bent(caller, "malformed", |signed| signed.signatures[0].1.truncate(63))?;
            bent(caller, "malformed", |signed| signed.signatures[0].1.push(0))
        },
    },
    Case {
        id: "kind-other",
        clauses: &["ENV-8"],
        about: "a request that is signed as a receipt, by the right key, is verification_failed",
        run: |caller| kind(caller, &wire::media("receipt"), "verification_failed"),
    },
    Case {
        id: "kind-unknown",
        clauses: &["ENV-8"],
        about: "a media type that no kind has, or in another letter case, is malformed",
        run: |caller| {
            kind(caller, "application/vnd.gfp.nothing.v1+json", "malformed")?;
            kind(caller, "application/vnd.gfp.Request.v1+json", "malformed")?;
            kind(caller, "application/vnd.gfp.request.v2+json", "malformed")
        },
    },
    Case {
        id: "signature-flipped-bit",
        clauses: &["ENV-10", "PRB-2", "PRB-4"],
        about: "a signature with one flipped bit is verification_failed",
        run: |caller| {
            for at in [0, 31, 32, 60] {
                bent(caller, "verification_failed", |signed| signed.signatures[0].1[at] ^= 1)?;
            }
            Ok(())
        },
    },
    Case {
        id: "signature-of-another-request",
        clauses: &["ENV-10"],
        about: "the signature of one request under another is verification_failed",
        run: |caller| {
            let other = caller.sign(&caller.start()?)?;
            bent(caller, "verification_failed", |signed| signed.signatures = other.signatures)
        },
    },
    Case {
        id: "signature-without-kind",
        clauses: &["ENV-8", "ENV-10"],
        about: "a signature over the payload alone, or under another kind, is verification_failed",
        run: |caller| {
            let key = caller.key("request")?;
            bent(caller, "verification_failed", |signed| {
                signed.signatures[0].1 = key.sign(&signed.payload).to_vec();
            })?;
            bent(caller, "verification_failed", |signed| {
                let other = wire::pae(&wire::media("receipt"), &signed.payload);
                signed.signatures[0].1 = key.sign(&other).to_vec();
            })
        },
    },
    Case {
        id: "signer-of-another-role",
        clauses: &["ENV-9"],
        about: "a request signed by the caller's key of another role is verification_failed",
        run: |caller| {
            for role in ["status", "stream", "root", "policy"] {
                signed_by(caller, &caller.key(role)?)?;
            }
            Ok(())
        },
    },
    Case {
        id: "signer-unknown",
        clauses: &["ENV-9", "ENV-14"],
        about: "a request signed by a key that no root names is verification_failed",
        run: |caller| signed_by(caller, &Key::of(wire::random()?)),
    },
    Case {
        id: "signer-under-another-name",
        clauses: &["ENV-10"],
        about: "a stranger's signature under the name of the caller's key is verification_failed",
        run: |caller| {
            let stranger = Key::of(wire::random()?);
            bent(caller, "verification_failed", |signed| {
                let bytes = wire::pae(&signed.media, &signed.payload);
                signed.signatures[0].1 = stranger.sign(&bytes).to_vec();
            })
        },
    },
    Case {
        id: "signer-beside",
        clauses: &["ENV-9"],
        about: "a stranger's signature beside a good one is verification_failed",
        run: |caller| {
            let stranger = Key::of(wire::random()?);
            bent(caller, "verification_failed", |signed| {
                let bytes = wire::pae(&signed.media, &signed.payload);
                signed.signatures.push((stranger.kid.clone(), stranger.sign(&bytes).to_vec()));
                signed.signatures.sort();
            })
        },
    },
    Case {
        id: "signature-scalar",
        clauses: &["ENV-12"],
        about: "a signature whose S is not below the group order is verification_failed",
        run: |caller| {
            bent(caller, "verification_failed", |signed| {
                let mut carry = 0;
                for (byte, order) in signed.signatures[0].1[32..].iter_mut().zip(ORDER) {
                    let sum = u16::from(*byte) + u16::from(order) + carry;
                    *byte = (sum & 0xff) as u8;
                    carry = sum >> 8;
                }
            })
        },
    },
];

/// The order of the group, least significant byte first.
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

fn signed_by(caller: &Caller, key: &Key) -> Result<()> {
    let start = caller.start()?;
    let signed = key.seal("request", &wire::bytes_of(&start));
    unheard(caller, &start, &caller.operation(&signed), "verification_failed")
}

fn kind(caller: &Caller, media: &str, code: &str) -> Result<()> {
    let key = caller.key("request")?;
    bent(caller, code, |signed| {
        media.clone_into(&mut signed.media);
        signed.signatures[0].1 = key.sign(&wire::pae(media, &signed.payload)).to_vec();
    })
}

/// The envelope of a good start in another spelling, which is malformed.
fn spelt(caller: &Caller, spell: impl FnOnce(&str) -> String) -> Result<()> {
    let start = caller.start()?;
    let text = caller.sign(&start)?.text();
    let other = spell(&text);
    (other != text).then_some(()).context("the kit did not change the spelling")?;
    let body = format!(r#"{{"status":{},"request":{other}}}"#, caller.status().text());
    unheard(caller, &start, &body, "malformed")
}
