#![allow(clippy::unwrap_used, reason = "tests")]
use super::*;
use crate::trust::signer::sign_typed;
use crate::trust::testing::{HOUR_MS, Holders, NOW, chain_of, peer, signer};
use crate::wire::document::{EndpointUrl, raw};
use crate::wire::kind::Role;
use crate::wire::name::Jti;

fn secret(byte: u8) -> InviteSecret {
    InviteSecret::from_entropy(&Zeroizing::new([byte; 32]))
}

/// An invite of the gateway with base 10.
fn invite() -> Invite {
    let chain = chain_of(&Holders::new(10).first());
    let url = EndpointUrl::new("https://127.0.0.1:7443").unwrap();
    Invite {
        endpoint: Endpoint { tls_spki: Some(Digest::of(b"spki", &[])), url },
        expires: NOW.plus_ms(HOUR_MS),
        genesis: chain.genesis_digest(),
        root: chain.digest(),
        root_version: 1,
        secret: secret(7),
        v: FormVersion,
    }
}

/// The joiner with base 30 answers.
fn answer(change: impl FnOnce(&mut raw::PairingRequest)) -> Verified<PairingRequest> {
    let joiner = peer(30);
    let mut raw = raw::PairingRequest {
        aud: invite().inviter(),
        exp: NOW.plus_ms(60_000),
        genesis: joiner.chain().genesis_digest(),
        iat: NOW,
        invite: invite().id(),
        iss: joiner.gateway().clone(),
        jti: Jti::new("j".repeat(22)).unwrap(),
        proof: secret(7).proof(&invite().inviter(), joiner.gateway()),
        v: FormVersion,
    };
    change(&mut raw);
    let request = PairingRequest::try_from(raw).unwrap();
    let envelope = sign_typed(&signer(32, Role::Request), &request).unwrap();
    joiner.verify(&envelope, NOW).unwrap()
}

fn judge(request: &Verified<PairingRequest>, now: Timestamp) -> Result<(), PairingRefusal> {
    invite().check_joiner(request, peer(30).gateway(), now)
}

#[test]
fn text_round_trips_and_damage_is_noticed() {
    let text = invite().to_text().unwrap();
    assert!(text.starts_with("gfp1:") && text.len() < limit::INVITE_BYTES_MAX);
    let read = Invite::parse(&format!("  {}\n", *text)).unwrap();
    assert_eq!(read.id(), invite().id());
    assert_eq!(*read.to_text().unwrap(), *text);
    assert_eq!(Invite::parse("gfp2:abc").unwrap_err(), InvalidInvite::NoPrefix);
    assert!(Invite::parse(&format!("{}=", *text)).is_err());
    assert!(Invite::parse(&format!("gfp1:{}", "A".repeat(2000))).is_err());
}

//= ID-73
#[test]
fn every_cut_and_every_changed_character_of_an_invite_is_noticed() {
    let text = invite().to_text().unwrap();
    for end in 0..text.len() {
        assert!(Invite::parse(&text[..end]).is_err(), "{end} characters");
        assert!(Invite::parse(&text[end + 1..]).is_err(), "without its first {end}");
    }
    for at in 0..text.len() {
        let other = if &text[at..=at] == "A" { "B" } else { "A" };
        let changed = format!("{}{other}{}", &text[..at], &text[at + 1..]);
        assert!(Invite::parse(&changed).is_err(), "character {at}");
    }
    // What a mail program does to a long line changes nothing.
    let (one, two) = text.split_at(70);
    assert!(Invite::parse(&format!("{one}\r\n  {two}\n")).is_ok());
}

#[test]
fn the_secret_is_not_printed() {
    let text = format!("{:?}", invite());
    assert!(text.contains("InviteSecret(secret)"), "{text}");
    assert!(!text.contains(&base64::encode_url(&[7; 32])) && !text.contains("7, 7"), "{text}");
}

#[test]
fn a_joiner_with_the_secret_is_admitted() {
    assert_eq!(judge(&answer(|_| {}), NOW), Ok(()));
}

//= ID-34
#[test]
fn a_joiner_without_the_secret_is_refused() {
    let joiner = peer(30).gateway().clone();
    let inviter = invite().inviter();
    let guessed = answer(|raw| raw.proof = secret(8).proof(&inviter, &joiner));
    assert_eq!(judge(&guessed, NOW), Err(PairingRefusal::WrongProof));
    // A proof that another joiner made, or one for another inviter.
    let borrowed = answer(|raw| raw.proof = secret(7).proof(&inviter, peer(50).gateway()));
    assert_eq!(judge(&borrowed, NOW), Err(PairingRefusal::WrongProof));
    let reflected = answer(|raw| raw.proof = secret(7).proof(&joiner, &inviter));
    assert_eq!(judge(&reflected, NOW), Err(PairingRefusal::WrongProof));
    let found = invite().check_joiner(&answer(|_| {}), peer(50).gateway(), NOW);
    assert_eq!(found, Err(PairingRefusal::WrongProof));
}

//= ID-34
#[test]
fn wrong_addressee_invite_and_time_are_refused() {
    let other = peer(50).gateway().clone();
    let found = judge(&answer(|raw| raw.aud = other.clone()), NOW);
    assert_eq!(found, Err(PairingRefusal::ForAnotherGateway { aud: other }));
    let found = judge(&answer(|raw| raw.invite = secret(8).invite_id()), NOW);
    assert_eq!(found, Err(PairingRefusal::ForAnotherInvite));
    let expires = NOW.plus_ms(HOUR_MS);
    assert_eq!(judge(&answer(|_| {}), expires), Err(PairingRefusal::InviteExpired { expires }));
    assert_eq!(judge(&answer(|_| {}), NOW.plus_ms(120_000)), Ok(()));
    assert_eq!(judge(&answer(|_| {}), NOW.plus_ms(120_001)), Err(PairingRefusal::OutOfTime));
    assert_eq!(judge(&answer(|_| {}), NOW.plus_ms(-60_000)), Ok(()));
    assert_eq!(judge(&answer(|_| {}), NOW.plus_ms(-60_001)), Err(PairingRefusal::OutOfTime));
}

//= ID-33
#[test]
fn the_inviters_chain_must_pass_through_the_pin() {
    let holders = Holders::new(10);
    let first = holders.first();
    let second = holders.next(2, &first, &[10]);
    let forked = Holders::new(10).with(Role::Stream, 77).next(2, &first, &[10]);
    let walk = |next| chain_of(&first).advance(&[next], NOW).unwrap();
    let invite = Invite { root: second.digest(), root_version: 2, ..invite() };
    assert_eq!(invite.check_inviter(&walk(second.clone()), NOW), Ok(()));
    let missed = PairingRefusal::ForeignChain(RootError::PinMissed { version: 2 });
    assert_eq!(invite.check_inviter(&walk(forked), NOW), Err(missed.clone()));
    assert_eq!(invite.check_inviter(&chain_of(&first), NOW), Err(missed));
    let stranger = chain_of(&Holders::new(50).first());
    assert!(matches!(
        invite.check_inviter(&stranger, NOW),
        Err(PairingRefusal::ForeignChain(RootError::ForeignGenesis { .. }))
    ));
}

#[test]
fn words_stand_for_both_sides_and_the_invite() {
    let joiner = peer(30).chain().genesis_digest();
    let same = invite().words(&joiner);
    assert_eq!(same, words(&invite().genesis, &joiner, &invite().id()));
    assert_ne!(same, invite().words(&peer(50).chain().genesis_digest()));
    assert_ne!(same, Invite { secret: secret(8), ..invite() }.words(&joiner));
    assert_ne!(same, words(&joiner, &invite().genesis, &invite().id()));
    // The first and the last of the eleven-bit groups, by hand.
    let digest = Digest::of(
        tag::WORDS,
        &[invite().genesis.as_bytes(), joiner.as_bytes(), invite().id().as_bytes()],
    );
    let bytes = digest.as_bytes();
    let first = usize::from(bytes[0]) << 3 | usize::from(bytes[1]) >> 5;
    let last = (usize::from(bytes[15]) << 8 | usize::from(bytes[16])) >> 4 & 0x7ff;
    assert_eq!(same[0], Language::English.word_list()[first]);
    assert_eq!(same[11], Language::English.word_list()[last]);
}

#[test]
fn a_gateway_does_not_pair_with_itself() {
    let joiner = peer(30);
    let raw = raw::PairingRequest::from(answer(|_| {}).into_value());
    let itself = raw::PairingRequest { aud: joiner.gateway().clone(), ..raw.clone() };
    assert!(PairingRequest::try_from(itself).is_err());
    let foreign = raw::PairingRequest { genesis: peer(50).chain().genesis_digest(), ..raw };
    assert!(PairingRequest::try_from(foreign).is_err());
}
