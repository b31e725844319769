#![allow(clippy::unwrap_used, reason = "tests")]
use super::*;
use crate::trust::testing::sign_bytes;

fn text(payload: &str, kind: &str, signatures: &str) -> Vec<u8> {
    format!(r#"{{"payload":"{payload}","payloadType":"{kind}","signatures":[{signatures}]}}"#)
        .into_bytes()
}

const TYPE: &str = "application/vnd.gfp.seal.v1+json";

fn signature(kid: char, sig: &str) -> String {
    format!(r#"{{"keyid":"{}","sig":"{sig}"}}"#, kid.to_string().repeat(43))
}

fn sig(bytes: usize) -> String {
    base64::encode(&vec![7; bytes])
}

#[test]
fn encoding_has_the_lengths_in_front() {
    let encoding = pre_authentication_encoding(Kind::Root, b"hello");
    assert_eq!(encoding, b"DSSEv1 32 application/vnd.gfp.root.v1+json 5 hello");
}

#[test]
fn bytes_round_trip_and_serde_agrees() {
    let envelope = sign_bytes(Kind::Root, b"{\"a\":1}", &[1, 2, 3]);
    let bytes = envelope.to_bytes();
    assert_eq!(Envelope::parse(&bytes).unwrap(), envelope);
    assert_eq!(canonical::to_vec(&envelope).unwrap(), bytes);
    assert_eq!(canonical::from_slice::<Envelope>(&bytes).unwrap(), envelope);
}

#[test]
fn every_flipped_bit_is_refused_or_changes_what_is_verified() {
    let envelope = sign_bytes(Kind::Seal, b"{\"a\":1}", &[1]);
    let bytes = envelope.to_bytes();
    for bit in 0..bytes.len() * 8 {
        let mut bad = bytes.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        if let Ok(other) = Envelope::parse(&bad) {
            let differs =
                other.digest() != envelope.digest() || other.signatures != envelope.signatures;
            assert!(differs, "bit {bit} changes nothing");
        }
    }
}

#[test]
fn other_spellings_are_refused() {
    let one = signature('A', &sig(64));
    assert!(Envelope::parse(&text("e30=", TYPE, &one)).is_ok());
    let two = format!("{one},{}", signature('B', &sig(64)));
    assert!(Envelope::parse(&text("e30=", TYPE, &two)).is_ok());
    let upper = TYPE.to_uppercase();
    let bad = [
        text("e30", TYPE, &one),
        text("e30=\\n", TYPE, &one),
        text("e31=", TYPE, &one),
        text("e3_=", TYPE, &one),
        text(" e30=", TYPE, &one),
        text("e30=", &upper, &one),
        text("e30=", "application/vnd.gfp.sеal.v1+json", &one),
        text("e30=", "", &one),
        text("e30=", "application/json", &one),
        text("e30=", TYPE, ""),
        text("e30=", TYPE, &signature('A', "")),
        text("e30=", TYPE, &signature('A', &sig(63))),
        text("e30=", TYPE, &signature('A', &sig(65))),
        text("e30=", TYPE, &format!("{one},{one}")),
        text("e30=", TYPE, &format!("{},{one}", signature('B', &sig(64)))),
        text("e30=", TYPE, &one.replace("\"sig\"", "\"jwk\":{},\"sig\"")),
        text("e30=", TYPE, &one.replace("AAA\"", "AA\"")),
        text("e30=\",\"payload\":\"e31=", TYPE, &one),
        [text("e30=", TYPE, &one), b"\n".to_vec()].concat(),
        [b"\xEF\xBB\xBF".to_vec(), text("e30=", TYPE, &one)].concat(),
    ];
    for bytes in bad {
        assert!(Envelope::parse(&bytes).is_err(), "{}", String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn counts_and_sizes_are_exact() {
    let many = |count: usize| {
        let one = |at: usize| signature(char::from(b'A' + u8::try_from(at).unwrap()), &sig(64));
        text("e30=", TYPE, &(0..count).map(one).collect::<Vec<_>>().join(","))
    };
    assert!(Envelope::parse(&many(limit::SIGNATURES_MAX)).is_ok());
    assert_eq!(
        Envelope::parse(&many(limit::SIGNATURES_MAX + 1)),
        Err(InvalidEnvelope::TooManySignatures { max: limit::SIGNATURES_MAX })
    );
    let long = vec![b' '; limit::ENVELOPE_BYTES_MAX + 1];
    assert_eq!(
        Envelope::parse(&long),
        Err(InvalidEnvelope::TooLong { max: limit::ENVELOPE_BYTES_MAX })
    );
    let largest = sign_bytes(Kind::Request, &vec![b'x'; limit::REQUEST_BYTES_MAX], &[1]);
    assert!(Envelope::parse(&largest.to_bytes()).is_ok());
}

#[test]
fn a_key_signs_once() {
    let one = sign_bytes(Kind::Root, b"{}", &[1]);
    assert_eq!(one.clone().join(one.clone()), Err(InvalidEnvelope::SignaturesUnsorted));
    let other = sign_bytes(Kind::Root, b"[]", &[2]);
    assert_eq!(one.clone().join(other), Err(InvalidEnvelope::DifferentPayloads));
    assert_eq!(one.join(sign_bytes(Kind::Root, b"{}", &[2])).unwrap().signatures().len(), 2);
}
