//! The planted bugs that refuse everything.
//!
//! A test that only sees refusals also passes where nobody is served at all. Each of these bugs stands at the end of
//! one way in, behind the checks: what was refused before is refused as before, and what would have been taken is
//! refused too. A test that fails with it therefore asserts that something honest is taken.
//!
//! Elsewhere such a bug breaks what a test builds before it begins, which shows nothing: so each counts only for the
//! tests that are about its way in.

/// One bug that refuses everything.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refusal {
    /// Its name, as in the list of all planted bugs.
    pub(crate) bug: &'static str,
    /// How the tests begin for which it counts, as `docs/attacks.toml` names them.
    within: &'static [&'static str],
}

impl Refusal {
    /// Whether a test is about what is refused.
    pub(crate) fn counts_for(&self, test: &str) -> bool {
        self.within.iter().any(|begin| test.starts_with(begin))
    }
}

const fn refusal(bug: &'static str, within: &'static [&'static str]) -> Refusal {
    Refusal { bug, within }
}

/// Tests of bridges that talk to each other.
const TALKS: &[&str] = &["node::federation ", "bridge-tests::bridges "];

/// All of them, what is nearest to a test's own subject first.
pub(crate) const REFUSALS: &[Refusal] = &[
    refusal("no_base64_is_read", &["proto wire::base64::"]),
    refusal("no_json_is_read", &["proto wire::json::"]),
    refusal("no_arguments_are_read", &["proto wire::tool_args::"]),
    refusal("no_name_is_good", &["proto wire::name::"]),
    refusal("no_payload_type_is_known", &["proto wire::kind::"]),
    refusal("no_envelope_is_read", &["proto wire::envelope::"]),
    refusal("no_key_is_admitted", &["proto wire::key::tests::key"]),
    refusal("no_signature_holds", &["proto wire::key::", "proto trust::approval::ssh::"]),
    refusal("no_line_is_read", &["proto wire::sse::"]),
    refusal("no_frame_is_read", &["proto wire::stream::"]),
    refusal("no_refusal_is_a_verdict", &["proto wire::problem::"]),
    refusal(
        "no_root_fits",
        &["proto trust::root::tests::roots_that_do_not_fit_together_are_refused"],
    ),
    refusal("no_root_follows_another", &["proto trust::root::", "proto trust::draft::"]),
    refusal("nothing_verifies_at_all", &["proto trust::verified::"]),
    refusal("no_status_is_taken", &["proto trust::status::"]),
    refusal("nothing_of_a_peer_verifies", &["proto trust::peer::"]),
    refusal("no_invite_is_good", &["proto trust::pairing::"]),
    refusal("no_pairing_is_made", &["proto trust::pairing::", "node::federation pairing::"]),
    refusal("no_membership_counts", &["proto trust::membership::"]),
    refusal("no_federation_document_opens", &["proto trust::federation::"]),
    refusal("every_log_went_back", &["proto trust::witness::"]),
    refusal("no_passkey_is_good", &["proto trust::approval::webauthn::"]),
    refusal("no_audit_row_follows", &["proto machine::audit::"]),
    refusal("nothing_is_disclosed", &["proto machine::framing::"]),
    refusal("no_request_is_admitted", &["proto::machine gate::"]),
    refusal("no_start_is_admitted", &["proto::machine start::"]),
    refusal("no_accept_is_taken", &["proto::machine tables::"]),
    refusal("no_seal_covers_anything", &["proto::machine stream::", "proto::machine transcript::"]),
    refusal("no_decision_counts", &["proto::machine approvals::"]),
    refusal("no_guard_holds", &["store::store "]),
    refusal("no_seat_is_given", &["node seats::"]),
    refusal("no_token_is_good", &["node local::auth::"]),
    refusal("nothing_local_is_answered", &["node local::gate::"]),
    refusal("no_endpoint_is_read", &["node net::endpoint::"]),
    refusal("nothing_is_dialled", &["node net::endpoint::", "node net::connect::"]),
    refusal("no_private_file_is_read", &["node identity::key_file::", "node identity::offline::"]),
    refusal("no_sealed_key_opens", &["node identity::sealed::"]),
    refusal("no_key_is_in_use", &["node identity::online::"]),
    refusal("nobody_is_served", &["node::net_transport "]),
    refusal(
        "no_response_is_taken",
        &["node::net_transport round_trip::a_redirect_is_an_answer_and_not_followed"],
    ),
    refusal("no_session_opens", &["openclaw names::"]),
    refusal("no_scope_is_asked", &["openclaw connection::"]),
    refusal("no_root_follows_another", &["node::federation learning::"]),
    refusal("no_status_is_taken", &["node::federation learning::", "node::federation standing::"]),
    refusal("no_start_is_admitted", TALKS),
    refusal("no_request_is_admitted", TALKS),
    refusal("no_accept_is_taken", TALKS),
    refusal("no_seal_covers_anything", TALKS),
    refusal("nothing_of_a_peer_verifies", TALKS),
    refusal("nothing_local_is_answered", TALKS),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_counts_for_tests_of_its_way_in_alone() {
        let one = refusal("no_name_is_good", &["proto wire::name::"]);
        assert!(one.counts_for("proto wire::name::tests::a_name"));
        assert!(!one.counts_for("proto wire::key::tests::a_key"));
        assert!(!one.counts_for("node wire::name::tests::a_name"));
    }
}
