//! Seals whose envelope is bent: spelling, kind and signatures. What is sealed is the run's own.

use anyhow::Result;
use data_encoding::BASE64;
use serde_json::json;

use super::dropped;
use super::seals::{bad_seal, resealed, said};
use crate::cases::Case;
use crate::stage::Stage;
use crate::wire::{self, Key};

pub(super) const CASES: &[Case<Stage>] = &[
    Case {
        id: "seal-flipped-bit",
        clauses: &["STR-10", "ENV-10"],
        about: "a bit of the seal's signature is another",
        run: |stage| {
            bad_seal(stage, |seal| {
                seal.signatures[0].1[7] ^= 4;
                Ok(())
            })
        },
    },
    Case {
        id: "seal-by-status-key",
        clauses: &["STR-10", "ENV-9"],
        about: "a seal by the key of another role",
        run: |stage| resealed(stage, &stage.host().key("status")?),
    },
    Case {
        id: "seal-by-stranger",
        clauses: &["STR-10", "ENV-9", "ENV-14"],
        about: "a seal by a key that no root names",
        run: |stage| resealed(stage, &Key::of(wire::random::<32>()?)),
    },
    Case {
        id: "seal-and-stranger",
        clauses: &["ENV-9"],
        about: "a stranger's signature beside the executor's",
        run: |stage| {
            let stranger = Key::of(wire::random::<32>()?);
            bad_seal(stage, |seal| {
                let beside = stranger.seal("seal", &seal.payload);
                seal.signatures.extend(beside.signatures);
                seal.signatures.sort();
                Ok(())
            })
        },
    },
    Case {
        id: "seal-unsigned",
        clauses: &["ENV-4", "STR-10"],
        about: "a seal without a signature",
        run: |stage| {
            bad_seal(stage, |seal| {
                seal.signatures.clear();
                Ok(())
            })
        },
    },
    Case {
        id: "seal-of-another-kind",
        clauses: &["ENV-8"],
        about: "a seal's words, signed as an answer",
        run: |stage| {
            bad_seal(stage, |seal| {
                *seal = stage.host().stream_key()?.seal("answer", &seal.payload);
                Ok(())
            })
        },
    },
    Case {
        id: "seal-spelling",
        clauses: &["ENV-16"],
        about: "a seal whose payload has a space in it, well signed",
        run: |stage| {
            bad_seal(stage, |seal| {
                let text =
                    String::from_utf8(seal.payload.clone())?.replace(",\"run\"", ", \"run\"");
                *seal = stage.host().stream_key()?.seal("seal", text.as_bytes());
                Ok(())
            })
        },
    },
    Case {
        id: "seal-member",
        clauses: &["ENV-19"],
        about: "a seal with a member that nobody defined, well signed",
        run: |stage| said(stage, |seal| seal["note"] = json!("trust me")),
    },
    Case {
        id: "seal-white-space",
        clauses: &["ENV-2"],
        about: "an envelope with a space in it",
        run: |stage| respelled(stage, |text| text.replace(",\"payloadType\"", ", \"payloadType\"")),
    },
    Case {
        id: "seal-base64",
        clauses: &["ENV-3"],
        about: "base64 that does not encode back",
        run: |stage| {
            respelled(stage, |text| {
                // 64 bytes leave four bits of the last character unused.
                let end = text.rfind("==").unwrap_or_default();
                let last = text.as_bytes()[end - 1];
                let alphabet = BASE64.specification().symbols;
                let at = alphabet.bytes().position(|byte| byte == last).unwrap_or_default();
                let other = alphabet.as_bytes()[at ^ 1] as char;
                format!("{}{other}{}", &text[..end - 1], &text[end..])
            })
        },
    },
    Case {
        id: "seal-key-twice",
        clauses: &["ENV-5"],
        about: "the executor's own signature twice",
        run: |stage| {
            bad_seal(stage, |seal| {
                seal.signatures.push(seal.signatures[0].clone());
                Ok(())
            })
        },
    },
    Case {
        id: "seal-signature-length",
        clauses: &["ENV-6"],
        about: "a signature of 63 bytes",
        run: |stage| {
            bad_seal(stage, |seal| {
                seal.signatures[0].1.pop();
                Ok(())
            })
        },
    },
    Case {
        id: "seal-scalar",
        clauses: &["ENV-12"],
        about: "a signature whose S is not below the group order",
        run: |stage| {
            bad_seal(stage, |seal| {
                let mut carry = 0;
                for (byte, order) in seal.signatures[0].1[32..].iter_mut().zip(ORDER) {
                    let sum = u16::from(*byte) + u16::from(order) + carry;
                    *byte = (sum & 0xff) as u8;
                    carry = sum >> 8;
                }
                Ok(())
            })
        },
    },
];

/// The seal over the third frame is written in another way.
fn respelled(stage: &Stage, change: impl FnOnce(String) -> String) -> Result<()> {
    dropped(stage, |run, open| {
        let seal = change(run.script()?.seal(stage.host(), 3)?.text());
        open.write(crate::script::batch(3, &run.script()?.frames[2..3], &seal))
    })
}

/// The order of the group, least significant byte first.
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];
