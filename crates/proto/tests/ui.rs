//! Programs that must not compile, and their twins that must.

#[test]
fn proofs_cannot_be_made_up() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/ui/verified_by_verify.rs");
    cases.compile_fail("tests/ui/verified_by_hand.rs");
    cases.compile_fail("tests/ui/verified_by_deserialize.rs");
    //= ENV-15
    cases.compile_fail("tests/ui/payload_before_verify.rs");
    //= ENV-14
    cases.compile_fail("tests/ui/role_keys_by_hand.rs");
    cases.compile_fail("tests/ui/secret_key_signs_bare_bytes.rs");
    cases.compile_fail("tests/ui/root_by_hand.rs");
}

#[test]
fn nothing_is_done_before_its_commit() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/ui/step_by_commit.rs");
    cases.compile_fail("tests/ui/receipt_by_hand.rs");
    cases.compile_fail("tests/ui/receipt_twice.rs");
    cases.compile_fail("tests/ui/held_without_receipt.rs");
}

#[test]
fn nothing_unverified_or_unsealed_is_used() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/ui/admitted_by_hand.rs");
    cases.compile_fail("tests/ui/unverified_accept.rs");
    cases.compile_fail("tests/ui/sealed_batch_by_hand.rs");
    cases.compile_fail("tests/ui/sealed_by_hand.rs");
    cases.compile_fail("tests/ui/judged_by_hand.rs");
}
