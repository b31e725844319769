//! Programs that must not compile, and their twins that must.

#[test]
fn proofs_cannot_be_made_up() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/ui/verified_by_verify.rs");
    cases.compile_fail("tests/ui/verified_by_hand.rs");
    cases.compile_fail("tests/ui/verified_by_deserialize.rs");
    cases.compile_fail("tests/ui/payload_before_verify.rs");
    cases.compile_fail("tests/ui/role_keys_by_hand.rs");
    cases.compile_fail("tests/ui/secret_key_signs_bare_bytes.rs");
    cases.compile_fail("tests/ui/root_by_hand.rs");
}
