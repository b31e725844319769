"""What a schema cannot see, by the reason: vectors. Every other one whose fault lies in the form of something is refused."""

LET_THROUGH = {
    "a text that says the same value in another spelling": """
        admissions/body_held_before_request admissions/body_with_space pairings/body_line_end_after
        pairings/body_roots_last pairings/body_space_inside
        envelopes/escaped_letter envelopes/escaped_slash envelopes/line_end_after envelopes/members_in_other_order
        envelopes/payload_twice envelopes/signature_members_in_other_order envelopes/signatures_first
        envelopes/signatures_twice envelopes/space_after envelopes/space_after_colon envelopes/space_after_comma
        envelopes/space_before envelopes/tab_inside
        requests/body_held_first requests/body_line_end_after requests/body_member_escaped
        requests/body_request_before_status requests/body_request_twice requests/body_roots_last
        requests/body_space_first requests/body_space_inside requests/body_status_twice
        requests/request_members_in_other_order requests/request_with_space
        transcripts/crlf transcripts/cut_in_last_line transcripts/white_space_in_line
        transcripts/frame_event_half_of_a_pair transcripts/frame_payload_escaped_letter
        transcripts/frame_payload_escaped_slash transcripts/frame_payload_half_of_a_pair
        transcripts/frame_payload_large_exponent transcripts/frame_payload_member_twice
        transcripts/frame_payload_minus_zero transcripts/frame_payload_not_sorted transcripts/frame_payload_upper_hex
    """,
    "an order": """
        approvals/credential_key_as_a_file_and_as_ssh approvals/credential_key_twice approvals/credential_keys_descend
        approvals/credential_scopes_descend approvals/webauthn_key_origins_descend
        asks/scopes_descend
        federations/agents_descend federations/asks_descend federations/grants_by_remote_first
        federations/grants_descend federations/members_descend federations/operator_twice federations/operators_descend
        federations/peers_descend federations/projection_methods_descend federations/projection_twice
        federations/projections_descend federations/root_twice federations/roots_descend federations/tenant_pair_twice
        federations/two_peers_of_one_gid memberships/tenants_descend
        catalogs/methods_descend catalogs/scope_twice catalogs/scopes_descend
        envelopes/one_key_for_two envelopes/signature_twice envelopes/signatures_descend
        requests/proto_descending requests/request_signed_twice_by_one_key
        statuses/revocation_twice statuses/revocation_twice_with_two_reasons statuses/revocations_descend
        transcripts/signature_twice transcripts/signatures_descend
        federations/modes_descend federations/operator_key_twice federations/operator_keys_descend
        federations/operator_scopes_descend federations/projection_subject_kinds_descend
        federations/projections_by_local_scope_before_remote federations/root_tenants_descend federations/tools_descend
        walks/keyids_descend walks/url_twice
    """,
    "one of several spellings of an address": """
        walks/url_of_a_mapped_address walks/url_of_a_mapped_address_in_hexadecimal walks/url_of_an_address_in_another_spelling
    """,
    "a relation between numbers": """
        approvals/catalog_life_too_long asks/life_longer_than_a_day asks/life_negative asks/life_zero
        admissions/life_negative admissions/life_too_long admissions/life_zero federations/projection_ends_as_it_begins
        federations/projection_ends_before_it_begins federations/projection_lives_too_long
        federations/root_threshold_of_more_keys_than_it_has pairings/life_negative pairings/life_too_long
        pairings/life_zero
        catalogs/life_negative catalogs/life_too_long catalogs/life_zero
        envelopes/status_life_a_day_and_more envelopes/status_life_zero envelopes/status_seq_not_issued
        federations/root_key_good_at_no_time
        requests/status_life_too_long
        statuses/incarnation_begins_after_it statuses/refresh_longer_than_the_life
        statuses/life_longer_than_a_day statuses/life_negative statuses/life_zero statuses/seq_after_issued
        statuses/seq_before_issued statuses/seq_one
        transcripts/status_life_too_long transcripts/status_life_zero transcripts/status_seq_is_not_issued
    """,
    "which kind a place wants, where the file names it": """
        admissions/a_seal_in_place_of_the_membership admissions/an_operation_in_its_place
        pairings/an_operation_in_its_place
        envelopes/expected_accept_got_status envelopes/expected_answer_got_status envelopes/expected_catalog_got_status
        envelopes/expected_operator-credential_got_status envelopes/expected_problem_got_status
        envelopes/expected_receipt_got_status envelopes/expected_request_got_status envelopes/expected_seal_got_status
        envelopes/expected_status_got_accept envelopes/expected_status_got_answer envelopes/expected_status_got_catalog
        envelopes/expected_status_got_operator-credential envelopes/expected_status_got_problem
        envelopes/expected_status_got_receipt envelopes/expected_status_got_request envelopes/expected_status_got_seal
        statuses/another_kind
    """,
    "how many of a thing a place wants": """
        admissions/with_two_memberships admissions/without_a_membership admissions/without_roots pairings/without_roots
        requests/thirty_three_roots requests/thirty_three_roots_that_are_known
    """,
    "what one part of a document says of another": """
        approvals/credential_key_under_another_name approvals/credential_with_a_second_key_of_small_order
        approvals/webauthn_key_under_another_name
        federations/genesis_of_another federations/gid_of_another federations/iss_of_another federations/itself_a_peer
        federations/member_is_itself federations/member_is_no_peer federations/member_of_two_roots
        federations/member_with_a_grant_of_another_tenant federations/more_members_than_may_be
        admissions/aud_is_iss pairings/aud_is_iss
        federations/one_key_of_two_operators federations/operator_key_of_small_order
        federations/older_than_one_used federations/one_agent_in_two_grants_of_a_peer
        federations/one_agent_of_a_peer_that_is_suspended federations/one_agent_of_two_peers
        federations/one_agent_of_two_peers_in_two_spellings federations/one_of_many_agents_twice
        federations/operator_key_under_another_name federations/root_key_of_small_order
        federations/root_key_under_another_name federations/two_peers_of_one_alias pairings/genesis_of_another
        pairings/iss_of_another
    """,
    "a size in bytes": """
        approvals/form_proof_longer_than_may_be approvals/form_ssh_proof_longer_than_may_be
        envelopes/document_too_large envelopes/request_too_large
        envelopes/bytes_as_many_as_may_be envelopes/bytes_too_many requests/body_too_large
    """,
    "what the text of a tool's arguments says": """
        requests/start_tool_args_depth_17 requests/start_tool_args_member_twice
        requests/start_tool_args_member_twice_escaped requests/start_tool_args_member_twice_inside
        requests/start_tool_args_two_objects
        transcripts/body_tool_call_args_deep transcripts/body_tool_call_args_half_of_a_pair
        transcripts/body_tool_call_args_member_twice transcripts/body_tool_call_args_member_twice_inside
        transcripts/body_tool_call_args_nan transcripts/body_tool_call_args_same_name_escaped
        transcripts/body_tool_call_args_trailing_comma transcripts/body_tool_call_args_two_texts
    """,
    "the depth of a payload": """
        transcripts/frame_payload_deeper
    """,
    "the lines around a line": """
        transcripts/accept_missing transcripts/accept_twice transcripts/empty_file transcripts/executor_root_missing
        transcripts/final_seal_missing transcripts/frame_missing transcripts/frame_text_changed transcripts/frame_twice
        transcripts/frames_swapped transcripts/header_run_is_another transcripts/header_run_missing
        transcripts/header_twice transcripts/receipt_before_seal transcripts/receipt_twice transcripts/request_missing
        transcripts/request_twice transcripts/root_twice transcripts/roots_in_other_order transcripts/seal_early
        transcripts/seal_twice transcripts/status_twice
    """,
    "what other documents say": """
        transcripts/accept_for_another transcripts/accept_key_is_another transcripts/accept_of_another
        transcripts/accept_of_unknown_root transcripts/accept_print_is_another transcripts/accept_proto_not_offered
        transcripts/accept_run_is_another transcripts/accept_tenant_is_another
        transcripts/final_seal_accept_is_another transcripts/final_seal_at_key_end transcripts/final_seal_before_key
        transcripts/final_seal_head_is_another transcripts/final_seal_is_not_final
        transcripts/final_seal_of_unknown_root transcripts/final_seal_run_is_another
        transcripts/final_seal_seq_is_another
        transcripts/lost_before_accept_with_head transcripts/receipt_accept_is_another
        transcripts/receipt_accept_missing
        transcripts/receipt_before_key transcripts/receipt_for_another transcripts/receipt_head_is_another
        transcripts/receipt_head_missing transcripts/receipt_key_is_another transcripts/receipt_lost_and_whole
        transcripts/receipt_of_another transcripts/receipt_of_unknown_root transcripts/receipt_run_is_another
        transcripts/receipt_seq_less transcripts/receipt_seq_more
        transcripts/request_before_key transcripts/request_for_another transcripts/request_of_another
        transcripts/seal_accept_is_another transcripts/seal_at_key_end transcripts/seal_before_key
        transcripts/seal_head_is_another transcripts/seal_is_final_early transcripts/seal_of_unknown_root
        transcripts/seal_run_is_another transcripts/seal_seq_is_another
        transcripts/status_before_key transcripts/status_of_another transcripts/status_of_unknown_root
        transcripts/status_root_digest_is_another
    """,
}
# The spellings of a payload that transcripts try on each of these.
LET_THROUGH["a text that says the same value in another spelling"] += " ".join(
    f"transcripts/{what}_{how}"
    for what in ("accept", "executor_status", "receipt", "request", "seal")
    for how in (
        "escaped_member", "member_twice", "not_sorted", "trailing", "with_exponent", "with_fraction", "with_white_space"
    )
)
