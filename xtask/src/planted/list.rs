//! Every planted bug: what it takes away, and which test must notice.
//!
//! Sorted by what is built together: package and target.

/// One planted bug.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plant {
    /// Its name, `cfg!(planted = "…")`.
    pub(super) bug: &'static str,
    /// What does not hold any more.
    pub(super) removes: &'static str,
    /// The package with the test.
    pub(super) package: &'static str,
    /// The target with the test.
    pub(super) target: Target,
    /// The test that must fail.
    pub(super) test: &'static str,
}

/// A target of a package.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Target {
    /// Its own unit tests.
    Lib,
    /// A test of its own.
    Test(&'static str),
}

/// All of them.
pub(super) const PLANTS: &[Plant] = &[
    Plant {
        bug: "forged_trusted",
        removes: "a signature is checked",
        package: "landbridge-proto",
        target: Target::Lib,
        test: "trust::verified::tests::every_flipped_bit_is_refused",
    },
    Plant {
        bug: "threshold_unchecked",
        removes: "as many keys sign as the role needs",
        package: "landbridge-proto",
        target: Target::Lib,
        test: "trust::verified::tests::a_threshold_counts_distinct_keys",
    },
    Plant {
        bug: "revoked_trusted",
        removes: "a revoked key signs nothing more",
        package: "landbridge-proto",
        target: Target::Lib,
        test: "trust::peer::tests::a_revoked_key_is_refused_from_its_arrival_on",
    },
    Plant {
        bug: "stale_trusted",
        removes: "nothing is verified under a stale status",
        package: "landbridge-proto",
        target: Target::Lib,
        test: "trust::peer::tests::nothing_verifies_without_a_fresh_status",
    },
    Plant {
        bug: "discloses_all",
        removes: "frames show what the grant says and no more",
        package: "landbridge-proto",
        target: Target::Lib,
        test: "machine::framing::tests::disclosure_hides_what_it_says",
    },
    Plant {
        bug: "duplicate_tool_args",
        removes: "a tool's arguments name no member twice",
        package: "landbridge-proto",
        target: Target::Lib,
        test: "wire::tool_args::tests::arguments_are_one_object_that_every_parser_reads_alike",
    },
    Plant {
        bug: "issuer_unchecked",
        removes: "the request names the peer whose keys verified it",
        package: "landbridge-proto",
        target: Target::Test("machine"),
        test: "gate::a_request_of_or_for_another_gateway_is_refused",
    },
    Plant {
        bug: "audience_unchecked",
        removes: "the request is for this gateway",
        package: "landbridge-proto",
        target: Target::Test("machine"),
        test: "gate::a_request_of_or_for_another_gateway_is_refused",
    },
    Plant {
        bug: "route_unchecked",
        removes: "the operation is that of the route",
        package: "landbridge-proto",
        target: Target::Test("machine"),
        test: "gate::an_operation_on_another_route_is_malformed",
    },
    Plant {
        bug: "tenant_unchecked",
        removes: "the tenant pair is one that the peer has",
        package: "landbridge-proto",
        target: Target::Test("machine"),
        test: "gate::a_tenant_pair_that_is_not_listed_is_not_granted",
    },
    Plant {
        bug: "clock_unchecked",
        removes: "the request is of this minute",
        package: "landbridge-proto",
        target: Target::Test("machine"),
        test: "gate::a_request_outside_the_clocks_tolerance_is_skewed",
    },
    Plant {
        bug: "rollback_unnoticed",
        removes: "a bridge notices that it was rolled back",
        package: "landbridge-proto",
        target: Target::Test("machine"),
        test: "gate::a_bridge_that_is_shown_more_than_it_remembers_was_rolled_back",
    },
    Plant {
        bug: "print_unchecked",
        removes: "one key stands for one body",
        package: "landbridge-proto",
        target: Target::Test("machine"),
        test: "start::a_known_key_with_another_print_is_a_conflict",
    },
    Plant {
        bug: "agent_unchecked",
        removes: "the grant names the agent",
        package: "landbridge-proto",
        target: Target::Test("machine"),
        test: "start::a_new_start_needs_a_grant_for_all_that_it_asks",
    },
    Plant {
        bug: "stale_released",
        removes: "what was decided on old facts is not acted upon",
        package: "landbridge-proto",
        target: Target::Test("machine"),
        test: "step::a_stale_step_is_not_released_and_names_its_guard",
    },
    Plant {
        bug: "starts_again",
        removes: "a run of an earlier process is looked for, not started",
        package: "landbridge-proto",
        target: Target::Test("machine"),
        test: "tables::executor_table",
    },
    Plant {
        bug: "ends_twice",
        removes: "nothing follows a run's end",
        package: "landbridge-proto",
        target: Target::Test("machine"),
        test: "tables::executor_table",
    },
    Plant {
        bug: "accept_unchecked",
        removes: "the accept answers what was asked",
        package: "landbridge-proto",
        target: Target::Test("machine"),
        test: "tables::an_accept_that_is_not_the_invocations_is_refused",
    },
    Plant {
        bug: "released_unsealed",
        removes: "no frame is released before its seal verifies",
        package: "landbridge-proto",
        target: Target::Test("machine"),
        test: "stream::no_flipped_bit_is_released",
    },
    Plant {
        bug: "head_unchecked",
        removes: "the seal covers the very frames that came",
        package: "landbridge-proto",
        target: Target::Test("machine"),
        test: "stream::no_flipped_bit_is_released",
    },
    Plant {
        bug: "order_unchecked",
        removes: "frames come in their order",
        package: "landbridge-proto",
        target: Target::Test("machine"),
        test: "stream::a_line_that_is_no_frame_is_not_released_although_it_is_sealed",
    },
    Plant {
        bug: "frames_after_terminal",
        removes: "no frame follows the terminal",
        package: "landbridge-proto",
        target: Target::Test("machine"),
        test: "stream::nothing_follows_the_terminal",
    },
    Plant {
        bug: "evidence_leaves_unchecked",
        removes: "evidence joins two seals by the leaves between them",
        package: "landbridge-proto",
        target: Target::Test("machine"),
        test: "evidence::no_changed_byte_and_no_missing_line_is_proven",
    },
    Plant {
        bug: "store_skip_guard",
        removes: "a request id is taken once",
        package: "landbridge-store",
        target: Target::Test("store"),
        test: "suite::runs::on_sqlite::a_request_id_is_accepted_once",
    },
    Plant {
        bug: "store_epoch_unguarded",
        removes: "an earlier driver writes nothing",
        package: "landbridge-store",
        target: Target::Test("store"),
        test: "suite::groups::on_sqlite::a_run_guard_checks_epoch_and_revision",
    },
    Plant {
        bug: "store_same_revision",
        removes: "a row that was read before a change is old",
        package: "landbridge-store",
        target: Target::Test("store"),
        test: "suite::runs::on_sqlite::a_put_run_is_read_whole_and_one_revision_later",
    },
    Plant {
        bug: "store_keep_stale",
        removes: "a stale batch writes nothing",
        package: "landbridge-store",
        target: Target::Test("store"),
        test: "suite::groups::on_sqlite::a_stale_batch_writes_nothing_and_names_its_guard",
    },
    Plant {
        bug: "store_ack_before_commit",
        removes: "what is acknowledged is durable",
        package: "landbridge-store",
        target: Target::Test("store"),
        test: "crash::acknowledged_batches_survive_kill_9_whole",
    },
    Plant {
        bug: "store_synchronous_off",
        removes: "a commit is flushed to the disk",
        package: "landbridge-store",
        target: Target::Test("store"),
        test: "open::everything_is_there_after_reopening",
    },
    Plant {
        bug: "store_reserve_for_all",
        removes: "the reserve is for ends alone",
        package: "landbridge-store",
        target: Target::Test("store"),
        test: "full::ends_have_room_and_it_ends_too",
    },
    Plant {
        bug: "store_ack_when_full",
        removes: "what finds no room is not acknowledged",
        package: "landbridge-store",
        target: Target::Test("store"),
        test: "full::ends_have_room_and_it_ends_too",
    },
    Plant {
        bug: "verb_unchecked",
        removes: "a token does what its verbs say",
        package: "landbridge-node",
        target: Target::Lib,
        test: "local::auth::tests::a_token_does_what_its_verbs_say_and_never_administers",
    },
    Plant {
        bug: "origin_served",
        removes: "a web page asks in vain",
        package: "landbridge-node",
        target: Target::Lib,
        test: "local::gate::tests::a_web_page_is_refused_even_from_our_own_origin",
    },
    Plant {
        bug: "seats_first_come",
        removes: "places for runs are shared among owners",
        package: "landbridge-node",
        target: Target::Lib,
        test: "seats::tests::the_greedy_share_equally_and_leave_one_share_free",
    },
    Plant {
        bug: "operator_token_heeded",
        removes: "a token of HTTP is nothing on the federation plane",
        package: "landbridge-node",
        target: Target::Test("federation"),
        test: "refusals::credentials_of_http_open_nothing_and_close_nothing",
    },
    Plant {
        bug: "jti_forgotten",
        removes: "a request is acted upon once",
        package: "landbridge-node",
        target: Target::Test("federation"),
        test: "refusals::the_same_request_twice_is_a_replay_and_reaches_the_run_once",
    },
    Plant {
        bug: "owner_unchecked",
        removes: "a run exists for its owner alone",
        package: "landbridge-node",
        target: Target::Test("federation"),
        test: "refusals::a_run_of_another_tenant_pair_looks_like_none",
    },
    Plant {
        bug: "revoked_token_taken",
        removes: "a revoked token opens nothing",
        package: "landbridge-node",
        target: Target::Test("federation"),
        test: "local_api::tokens_may_what_they_say_until_they_are_revoked",
    },
    Plant {
        bug: "token_sees_other_tenants",
        removes: "a token sees the runs of its own tenants alone",
        package: "landbridge-node",
        target: Target::Test("federation"),
        test: "tokens::what_a_token_does_not_see_does_not_exist_for_it",
    },
    Plant {
        bug: "revoked_token_keeps_streams",
        removes: "a revoked token loses its open streams",
        package: "landbridge-node",
        target: Target::Test("federation"),
        test: "tokens::a_revoked_or_expired_token_loses_its_open_streams_within_a_second",
    },
    Plant {
        bug: "tool_result_as_output",
        removes: "a tool's answer is shown as tool results are",
        package: "landbridge-node",
        target: Target::Test("federation"),
        test: "tools::the_result_is_shown_as_tool_results_are",
    },
    Plant {
        bug: "turns_at_once",
        removes: "turns of a session are led one at a time",
        package: "landbridge-node",
        target: Target::Test("federation"),
        test: "sessions::turns_are_led_in_order_one_at_a_time",
    },
    Plant {
        bug: "leaves_starts_in_flight",
        removes: "a stop waits until the gateway has taken a run",
        package: "landbridge-bridge-tests",
        target: Target::Test("bridges"),
        test: "lifecycle::drain::a_stop_between_the_intent_and_the_start_waits_for_the_gateway_to_take_the_run",
    },
    Plant {
        bug: "token_quota_unguarded",
        removes: "a token's open runs are counted where they are written",
        package: "landbridge-bridge-tests",
        target: Target::Test("bridges"),
        test: "scripts::a_quota_of_open_runs_is_guarded_where_they_are_written",
    },
];
