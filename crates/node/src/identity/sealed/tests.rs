#![allow(clippy::unwrap_used, reason = "tests")]
use super::*;
use crate::clock::SeededEntropy;
use landbridge_proto::trust::key::SecretKey;

fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(Zeroizing::new(text.to_owned())).unwrap()
}

fn seed() -> Seed {
    Seed::new([7; 32])
}

fn line() -> String {
    let kid = SecretKey::from_seed(&seed()).kid().clone();
    let entropy = SeededEntropy::new(3);
    seal(&seed(), Role::Root.into(), &kid, &passphrase(GOOD), Cost::LEAST, &entropy).unwrap()
}

fn opened(line: &str, with: &str) -> Result<Seed, SealFault> {
    Sealed::parse(line)?.0.open(&passphrase(with))
}

const GOOD: &str = "correct horse battery staple";

#[test]
fn a_sealed_key_opens_with_its_passphrase_and_no_other() {
    let line = line();
    assert_eq!(opened(&line, GOOD).unwrap(), seed());
    for other in
        ["correct horse battery stapl", "Correct horse battery staple", "another one at all"]
    {
        assert_eq!(opened(&line, other), Err(SealFault::NotOpened), "{other}");
    }
    let (_, role, kid) = Sealed::parse(&line).unwrap();
    assert_eq!((role, &kid), (Role::Root.into(), SecretKey::from_seed(&seed()).kid()));
    assert!(!line.contains(&BASE64URL_NOPAD.encode(&*seed())));
}

#[test]
fn every_changed_byte_is_refused() {
    let line = line();
    for at in 0..line.len() {
        for flip in [1_u8, 4, 0x20] {
            let mut bytes = line.clone().into_bytes();
            bytes[at] ^= flip;
            // What is not text never gets as far as here.
            let Ok(changed) = String::from_utf8(bytes) else { continue };
            assert!(opened(&changed, GOOD).is_err(), "byte {at}: {changed}");
        }
    }
    for cut in 0..line.len() {
        assert_eq!(opened(&line[..cut], GOOD), Err(SealFault::Malformed), "cut at {cut}");
    }
    assert_eq!(opened(&format!("{line}\n"), GOOD), Err(SealFault::Malformed));
}

#[test]
fn role_key_id_and_cost_are_bound_to_what_is_sealed() {
    let line = line();
    let kid = SecretKey::from_seed(&seed()).kid().to_string();
    let other = SecretKey::from_seed(&Zeroizing::new([8; 32])).kid().to_string();
    assert!(opened(&line, GOOD).is_ok());
    for (from, to) in [(" root ", " policy "), (kid.as_str(), other.as_str())] {
        let changed = line.replacen(from, to, 1);
        assert_ne!(changed, line);
        assert_eq!(opened(&changed, GOOD), Err(SealFault::NotOpened), "{changed}");
    }
    for cost in ["argon2id,m=8192,t=2,p=1", "argon2id,m=8193,t=1,p=1", "argon2id,m=8192,t=1,p=2"] {
        let changed = line.replacen(&Cost::LEAST.to_string(), cost, 1);
        assert_ne!(changed, line);
        assert_eq!(opened(&changed, GOOD), Err(SealFault::NotOpened), "{cost}");
    }
}

#[test]
fn a_file_does_not_say_how_much_memory_this_machine_gives_it() {
    let line = line();
    let with =
        |cost: &str| Sealed::parse(&line.replacen(&Cost::LEAST.to_string(), cost, 1)).map(drop);
    assert_eq!(with("argon2id,m=262144,t=10,p=16"), Ok(()));
    for cost in [
        "argon2id,m=262145,t=1,p=1",
        "argon2id,m=4294967295,t=1,p=1",
        "argon2id,m=8191,t=1,p=1",
        "argon2id,m=8192,t=11,p=1",
        "argon2id,m=8192,t=0,p=1",
        "argon2id,m=8192,t=1,p=0",
        "argon2id,m=8192,t=1,p=17",
    ] {
        assert_eq!(with(cost), Err(SealFault::CostUnbounded), "{cost}");
    }
    for cost in [
        "argon2id,m=08192,t=1,p=1",
        "argon2id,m=+8192,t=1,p=1",
        "argon2id,m=99999999999,t=1,p=1",
        "argon2id,m=8192,t=1",
        "argon2id,m=8192,t=1,p=1,x=1",
        "argon2i,m=8192,t=1,p=1",
    ] {
        assert_eq!(with(cost), Err(SealFault::Malformed), "{cost}");
    }
}

#[test]
fn two_sealings_of_one_key_have_nothing_in_common() {
    let kid = SecretKey::from_seed(&seed()).kid().clone();
    let entropy = SeededEntropy::new(4);
    let again = || {
        seal(&seed(), Role::Root.into(), &kid, &passphrase(GOOD), Cost::LEAST, &entropy).unwrap()
    };
    let (one, two) = (again(), again());
    let tail = |line: &str| line.rsplit(' ').map(str::to_owned).take(2).collect::<Vec<_>>();
    assert!(tail(&one).iter().zip(tail(&two)).all(|(one, two)| *one != two));
    assert_eq!(opened(&one, GOOD).unwrap(), opened(&two, GOOD).unwrap());
}

#[test]
fn a_passphrase_that_can_be_guessed_is_none_and_none_is_ever_printed() {
    let made = |text: &str| Passphrase::new(Zeroizing::new(text.to_owned()));
    assert_eq!(made("").unwrap_err(), InvalidPassphrase::TooShort { min: 12 });
    assert_eq!(made("elevenchars").unwrap_err(), InvalidPassphrase::TooShort { min: 12 });
    assert!(made("twelve chars").is_ok() && made("zwölf Zeichen").is_ok());
    assert_eq!(made(&"x".repeat(1025)).unwrap_err(), InvalidPassphrase::TooLong { max: 1024 });
    assert_eq!(made("two lines\nof text").unwrap_err(), InvalidPassphrase::ControlCharacter);
    assert_eq!(format!("{:?}", made("twelve chars").unwrap()), "Passphrase(secret)");
}
