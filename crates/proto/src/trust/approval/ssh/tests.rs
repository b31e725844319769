#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::wire::approval::OperatorPublic;

/// Made by `ssh-keygen` (OpenSSH 9.2): `-t ed25519`, then `-Y sign -n NAMESPACE -O hashalg=HASH` over
/// `message`. Those of a security key (`sk_`) are made by hand as `PROTOCOL.u2f` says, and
/// `ssh-keygen -Y verify` takes the good ones.
macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("fixtures/", $name))
    };
}

const MESSAGE: &[u8] = fixture!("message").as_bytes();

fn key(line: &str) -> OperatorKey {
    OperatorKey::try_from(public_key(line).unwrap()).unwrap()
}

fn judge_bytes(line: &str, sshsig: &[u8], message: &[u8]) -> Result<(), BadSsh> {
    let key = key(line);
    let OperatorPublic::Ed25519(public) = key.public() else { unreachable!() };
    check(message, &key, public, sshsig)
}

fn judge(line: &str, armoured: &str) -> Result<(), BadSsh> {
    judge_bytes(line, &without_armour(armoured).unwrap(), MESSAGE)
}

/// Attack 90, the part of SSH.
//= APR-20
#[test]
fn signatures_of_ssh_keygen_are_judged_by_what_they_were_made_for() {
    let alice = fixture!("alice.pub");
    assert_eq!(judge(alice, fixture!("good.sig")), Ok(()));
    for other in [fixture!("git.sig"), fixture!("file.sig"), fixture!("longer.sig")] {
        assert_eq!(judge(alice, other), Err(BadSsh::Namespace));
    }
    assert_eq!(judge(alice, fixture!("sha256.sig")), Err(BadSsh::Hash));
    assert_eq!(judge(alice, fixture!("mallory.sig")), Err(BadSsh::OtherKey));
    assert_eq!(judge(fixture!("mallory.pub"), fixture!("mallory.sig")), Ok(()));
    assert_eq!(judge(alice, fixture!("ecdsa.sig")), Err(BadSsh::Algorithm));
    let good = without_armour(fixture!("good.sig")).unwrap();
    assert_eq!(judge_bytes(alice, &good, b"another message"), Err(BadSsh::Forged));
}

/// Attack 90: a security key that nobody touched.
//= APR-20
#[test]
fn a_security_key_must_have_been_touched_for_its_own_application() {
    let sk = fixture!("sk.pub");
    assert_eq!(judge(sk, fixture!("sk_good.sig")), Ok(()));
    assert_eq!(judge(sk, fixture!("sk_verified.sig")), Ok(()));
    assert_eq!(judge(sk, fixture!("sk_untouched.sig")), Err(BadSsh::NobodyPresent));
    assert_eq!(judge(sk, fixture!("sk_other_application.sig")), Err(BadSsh::Application));
    assert_eq!(judge(sk, fixture!("sk_git.sig")), Err(BadSsh::Namespace));
    assert_eq!(judge(sk, fixture!("sk_sha256.sig")), Err(BadSsh::Hash));
    // Neither kind of key stands in for the other.
    assert_eq!(judge(sk, fixture!("good.sig")), Err(BadSsh::Algorithm));
    assert_eq!(judge(fixture!("alice.pub"), fixture!("sk_good.sig")), Err(BadSsh::Algorithm));
}

#[test]
fn no_changed_bit_and_no_other_length_is_taken() {
    for (line, sig) in [
        (fixture!("alice.pub"), fixture!("good.sig")),
        (fixture!("sk.pub"), fixture!("sk_good.sig")),
    ] {
        let good = without_armour(sig).unwrap();
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(judge_bytes(line, &bad, MESSAGE).is_err(), "bit {bit}");
        }
        for end in 0..good.len() {
            assert!(judge_bytes(line, &good[..end], MESSAGE).is_err(), "{end} bytes");
        }
        let longer = [good.as_slice(), b"\0"].concat();
        assert_eq!(judge_bytes(line, &longer, MESSAGE), Err(BadSsh::Form { what: "signature" }));
    }
}

#[test]
fn public_keys_are_read_as_ssh_writes_them() {
    let alice = key(fixture!("alice.pub"));
    assert_eq!((alice.kind, &alice.application), (KeyMethod::Ssh, &None));
    let sk = key(fixture!("sk.pub"));
    assert_eq!((sk.kind, sk.application.as_deref()), (KeyMethod::SshSk, Some("ssh:")));
    assert_eq!(public_key(fixture!("ecdsa.pub")), Err(BadSsh::Algorithm));
    let blob = fixture!("alice.pub").split(' ').nth(1).unwrap();
    for bad in ["", "ssh-ed25519", "ssh-ed25519 AAAA", &format!("ssh-rsa {blob}")] {
        assert!(public_key(bad).is_err(), "{bad}");
    }
}

#[test]
fn only_whole_armour_is_taken_off() {
    let good = fixture!("good.sig");
    assert!(without_armour(good).is_ok());
    for bad in [
        "",
        BEGIN,
        &good.replace(END, ""),
        &good.replace(BEGIN, ""),
        &format!("{good}x"),
        &good.replacen('U', "!", 1),
    ] {
        assert!(without_armour(bad).is_err(), "{bad}");
    }
}
