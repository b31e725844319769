//! Every limit of the contract, in one place (`spec/limits.md` publishes the same table).
//!
//! Sizes are in bytes, times in milliseconds. A limit is negotiated down only.

/// A gateway alias, in characters.
pub const ALIAS_BYTES_MAX: usize = 32;
/// An agent name, in characters.
pub const AGENT_BYTES_MAX: usize = 128;
/// A tenant, in characters.
pub const TENANT_BYTES_MAX: usize = 64;
/// A tool name, in characters.
pub const TOOL_BYTES_MAX: usize = 128;
/// A session handle, in characters.
pub const SESSION_BYTES_MAX: usize = 128;
/// An idempotency key, in characters: short keys are guessed and reused.
pub const KEY_BYTES_MIN: usize = 16;
/// An idempotency key, in characters.
pub const KEY_BYTES_MAX: usize = 128;
/// A request's random id, in characters: 16 random bytes make 22.
pub const JTI_BYTES_MIN: usize = 22;
/// A request's random id, in characters.
pub const JTI_BYTES_MAX: usize = 64;
/// A caller-chosen text such as a principal, a workflow or a step, in bytes.
pub const CLAIM_BYTES_MAX: usize = 256;
/// Protocol versions that a request offers.
pub const PROTO_VERSIONS_MAX: usize = 16;
/// A W3C trace context, in characters.
pub const TRACEPARENT_BYTES_MAX: usize = 55;
/// A problem's detail, in bytes.
pub const DETAIL_BYTES_MAX: usize = 512;
/// Labels of one run.
pub const LABELS_MAX: usize = 32;
/// A label's name, in characters.
pub const LABEL_NAME_BYTES_MAX: usize = 63;
/// A label's value, in bytes.
pub const LABEL_VALUE_BYTES_MAX: usize = 256;

/// A trust document's payload.
pub const DOCUMENT_BYTES_MAX: usize = 64 * 1024;
/// A request's payload.
pub const REQUEST_BYTES_MAX: usize = 1024 * 1024;
/// The HTTP body of an operation: base64 of a request, its status and a root chain.
pub const OPERATION_BYTES_MAX: usize = 4 * 1024 * 1024;
/// One envelope: base64 of the longest payload, and its signatures.
pub const ENVELOPE_BYTES_MAX: usize = REQUEST_BYTES_MAX.div_ceil(3) * 4 + 8 * 1024;
/// One line of a transcript: an envelope, or a frame in which every byte had to be escaped.
pub const TRANSCRIPT_LINE_BYTES_MAX: usize = ENVELOPE_BYTES_MAX + 1024;
/// One line of evidence: a start's body in which every byte had to be escaped.
pub const EVIDENCE_LINE_BYTES_MAX: usize = 2 * REQUEST_BYTES_MAX + 1024;
/// Nesting of control JSON.
pub const JSON_DEPTH_MAX: usize = 16;
/// Signatures of one envelope.
pub const SIGNATURES_MAX: usize = 16;
/// The largest integer of a control document: 2^53 - 1.
pub const INTEGER_MAX: i64 = 9_007_199_254_740_991;

/// One frame line.
pub const FRAME_BYTES_MAX: usize = 256 * 1024;
/// Text in one `output` frame; JSON escaping can grow it sixfold and it still fits a frame.
pub const OUTPUT_TEXT_BYTES_MAX: usize = 32 * 1024;
/// Tool arguments or a tool result kept in one frame; more is cut, with digest and size of the whole.
pub const TOOL_TEXT_BYTES_MAX: usize = 32 * 1024;
/// The authoritative result text in `terminal`; more is cut, and the frames hold the whole.
pub const RESULT_TEXT_BYTES_MAX: usize = 32 * 1024;
/// The arguments of a direct tool call, JSON text.
pub const TOOL_ARGS_BYTES_MAX: usize = 256 * 1024;
/// Frames of one batch.
pub const BATCH_FRAMES_MAX: usize = 64;
/// Frame bytes of one batch.
pub const BATCH_BYTES_MAX: usize = 512 * 1024;
/// One SSE event: a batch, its field names and its seal.
pub const EVENT_BYTES_MAX: usize = BATCH_BYTES_MAX + 64 * 1024;
/// Frames of one run.
pub const RUN_FRAMES_MAX: u64 = 100_000;
/// Frame bytes of one run.
pub const RUN_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Difference of two clocks that is still tolerated.
pub const CLOCK_SKEW_MS_MAX: i64 = 60_000;
/// Life of a signed request.
pub const REQUEST_LIFE_MS_MAX: i64 = 300_000;
/// Default life of a status.
pub const STATUS_LIFE_MS: i64 = 3_600_000;
/// Life of a status.
pub const STATUS_LIFE_MS_MAX: i64 = 24 * 3_600_000;
/// Life of a root.
pub const ROOT_LIFE_MS_MAX: i64 = 400 * 24 * 3_600_000;
/// Life of an online key.
pub const ONLINE_KEY_LIFE_MS_MAX: i64 = 180 * 24 * 3_600_000;
/// Roots walked in one update.
pub const ROOT_STEPS_MAX: usize = 32;
/// Roots of a chain that is shown whole: to a gateway that knows none of them.
pub const CHAIN_ROOTS_MAX: usize = 256;
/// Envelopes of the receiver's own that one operation shows.
pub const HELD_MAX: usize = 3;
/// Life of a membership.
pub const MEMBERSHIP_LIFE_MS_MAX: i64 = 7 * 24 * 3_600_000;
/// Default deadline of a run.
pub const DEADLINE_MS: i64 = 10 * 60_000;
/// Deadline of a run.
pub const DEADLINE_MS_MAX: i64 = 24 * 3_600_000;
/// After the deadline the executor has this long to end the run, and then ends it itself.
pub const DEADLINE_GRACE_MS: i64 = 30_000;
/// After the deadline the caller waits this long for a sealed terminal before it writes `lost`.
pub const LOST_GRACE_MS: i64 = 120_000;
/// An `alive` seal is sent this often on a quiet stream.
pub const ALIVE_EVERY_MS: i64 = 10_000;
/// A caller leaves a stream that was silent for this long, and attaches again.
pub const SILENCE_MS_MAX: i64 = 30_000;
/// Keys are remembered for this long after the terminal frame.
pub const KEY_WINDOW_MS: i64 = 7 * 24 * 3_600_000;
/// The least a key window may be configured to.
pub const KEY_WINDOW_MS_MIN: i64 = 24 * 3_600_000;
/// An invite is good for this long unless it says less.
pub const INVITE_LIFE_MS: i64 = 24 * 3_600_000;

/// Peers of one federation document.
pub const PEERS_MAX: usize = 64;
/// Grants of one peer.
pub const GRANTS_MAX: usize = 64;
/// Federation roots of one federation document.
pub const FEDERATION_ROOTS_MAX: usize = 16;
/// Members that one federation root may vouch for.
pub const MEMBERS_MAX: u32 = 1024;
/// An endpoint's URL.
pub const URL_BYTES_MAX: usize = 256;
/// An invite's text.
pub const INVITE_BYTES_MAX: usize = 1024;
/// Endpoints of one root.
pub const ENDPOINTS_MAX: usize = 8;
/// Keys of one root.
pub const KEYS_MAX: usize = 32;
/// Revocations of one status.
pub const REVOCATIONS_MAX: usize = 256;
/// Revocations of one gateway, of ids that none of its roots names, that are remembered.
pub const REVOCATIONS_KEPT_MAX: usize = 4_096;

/// A scope's name.
pub const SCOPE_BYTES_MAX: usize = 64;
/// A scope's description.
pub const DESCRIPTION_BYTES_MAX: usize = 512;
/// Scopes of one catalog.
pub const SCOPES_MAX: usize = 64;
/// Life of a catalog.
pub const CATALOG_LIFE_MS_MAX: i64 = 24 * 3_600_000;
/// Projections below one peer.
pub const PROJECTIONS_MAX: usize = 64;
/// Life of a projection.
pub const PROJECTION_LIFE_MS_MAX: i64 = 400 * 24 * 3_600_000;
/// An operator's name.
pub const OPERATOR_BYTES_MAX: usize = 64;
/// Operators of one federation document.
pub const OPERATORS_MAX: usize = 128;
/// Keys of one operator.
pub const OPERATOR_KEYS_MAX: usize = 8;
/// Life of an operator's credential.
pub const CREDENTIAL_LIFE_MS_MAX: i64 = 24 * 3_600_000;
/// Life of an approval request, and of an approval.
pub const APPROVAL_LIFE_MS_MAX: i64 = 24 * 3_600_000;
/// An approval request ends this long before the gateway's own question does.
pub const APPROVAL_MARGIN_MS: i64 = 5_000;
/// Approvals that one request may need.
pub const QUORUM_MAX: u32 = 16;
/// A subject: what is approved.
pub const SUBJECT_BYTES_MAX: usize = 65_536;
/// One line of an approval's record: a subject in which every byte had to be escaped.
pub const APPROVAL_LINE_BYTES_MAX: usize = 6 * SUBJECT_BYTES_MAX + 1024;
/// A subject's kind.
pub const SUBJECT_KIND_BYTES_MAX: usize = 32;
/// A subject's media type.
pub const MEDIA_BYTES_MAX: usize = 128;
/// The proof of an approval, decoded: an SSHSIG, or the parts of a WebAuthn assertion together.
pub const PROOF_BYTES_MAX: usize = 8_192;
