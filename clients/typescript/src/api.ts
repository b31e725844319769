/** What the local API takes and tells. Made from `spec/openapi/local-3.2.json` by `clients/generate.py`; do not edit. */

/** On whose behalf a caller asks. A claim that its gateway vouches for. */
export interface CallerIdentity {
  /** The caller's own labels. */
  labels?: Record<string, string>;
  /** A person or service of the caller. */
  principal: string;
  /** A step of the workflow. */
  step?: string | null;
  /** A workflow of the caller. */
  workflow?: string | null;
}

/** What one run may use at most, as its caller asks. At least one member, each at least 1. */
export interface StartLimits {
  /** Frame bytes. */
  bytes?: number | null;
  /** Millionths of a dollar. */
  costMicroUsd?: number | null;
  /** Frames, the terminal included. */
  frames?: number | null;
  /** Model tokens of every kind. */
  tokens?: number | null;
}

/** How a run uses a session. `session`: A fresh session. `subagent`: A child run under a session that the same
 * owner started. `turn`: One more turn of a session that the same owner started. */
export type Mode = 'session' | 'subagent' | 'turn';

/** `toolCall` of a start. */
export interface CallTool {
  /** Its arguments. */
  args?: Record<string, unknown>;
  /** The tool, as the executor's gateway names it. */
  tool: string;
}

/** `POST /v1/runs`: start a run at another gateway. */
export interface StartRun {
  /** The agent; needed unless the route names one. */
  agent?: string | null;
  /** On whose behalf. */
  callerIdentity?: CallerIdentity | null;
  /** How long the run may take, such as `"10m"`. */
  deadline?: string | null;
  /** The logical gateway id, a route of the configuration or a peer's alias. */
  gateway: string;
  /** The caller's name for this decision; the same key and body give the same run. */
  idempotencyKey: string;
  /** Labels to find it by; kept here, and sent with the caller identity only when put there. */
  labels?: Record<string, string>;
  /** What the run may use at most; it can only lower what the peer's grant allows. */
  limits?: StartLimits | null;
  /** In which session; a fresh one by default. */
  mode?: Mode;
  /** The text for the agent; exactly one of this and `toolCall` is given. */
  prompt?: string | null;
  /** The client's own id of the run, sent along and echoed in `started`; never interpreted. */
  remoteRunId?: string | null;
  /** The session of an earlier run, for `turn` and `subagent`. */
  session?: string | null;
  /** One tool to call, without a model. */
  toolCall?: CallTool | null;
  /** The client's W3C trace context, sent along with each request of the run; never interpreted. */
  traceparent?: string | null;
}

/** Why a key is disowned. `compromised`: Somebody else may have it. `superseded`: Another key took its place.
 * `retired`: Its role is gone. */
export type RevocationReason = 'compromised' | 'superseded' | 'retired';

/** Why what was received of a run is disputed. */
export interface DisputeView {
  /** The first frame that it puts in doubt; 0: the accept, and all frames. */
  fromFrame: number;
  /** The executor's key. */
  kid: string;
  /** Why it was revoked, in its owner's words. */
  reason: RevocationReason;
  /** When the revocation arrived here. */
  received: string;
  /** Since when, in its owner's words. */
  since: string;
}

/** (caller's tenant, executor's tenant): the unit of ownership, grants and quotas. */
export interface TenantPair {
  /** The executor's tenant. */
  dst: string;
  /** The caller's tenant. */
  src: string;
}

/** A run, as its client sees it. */
export interface RunView {
  /** The agent. */
  agent?: string | null;
  /** This answer attached to a run that the key had started before. */
  attached: boolean;
  /** A cancel was asked for. */
  cancelRequested: boolean;
  /** How the connection to the executor does, while the run is open: one sentence. */
  connection: string | null;
  /** When it was invoked. */
  created: string;
  /** When it must have ended. */
  deadline: string;
  /** That a key which signed for this run was revoked by its owner with effect from before what it signed arrived
   * here; absent where that is not so. What was received stands. */
  disputed?: DisputeView | null;
  /** When it ended here. */
  ended: string | null;
  /** Frames received so far. */
  frames: number;
  /** The logical gateway id. */
  gateway: string;
  /** The key. */
  idempotencyKey: string;
  /** Labels. */
  labels: Record<string, string>;
  /** `succeeded`, `failed`, `cancelled`, `rejected`, `expired` or `lost`, once settled. */
  outcome: 'succeeded' | 'failed' | 'cancelled' | 'rejected' | 'expired' | 'lost' | null;
  /** The executor. */
  peer: string;
  /** `awaitAccept`, `streaming` or `settled`. */
  phase: 'awaitAccept' | 'streaming' | 'settled';
  /** The executor's name of the run. */
  remoteRun: string | null;
  /** The run, as this bridge names it. */
  run: string;
  /** The session that it is led in. */
  session: string | null;
  /** The tenant pair. */
  tenant: TenantPair;
}

/** `GET /v1/runs`. */
export interface RunList {
  /** Pass as `cursor`, with the same filters, for the next page; `null` on the last. */
  next: string | null;
  /** Newest first. */
  runs: RunView[];
}

/** `POST /v1/runs/{run}/cancel`. */
export interface CancelView {
  /** The run. */
  run: string;
  /** `requested` or `alreadyTerminal`. */
  state: 'requested' | 'alreadyTerminal';
}

/** How a caller may try again. `resign_same_key`: Sign a new request, with the same idempotency key. Never a
 * verdict on the run. `new_key`: A new decision is needed: another idempotency key. `after_change`: Something must
 * be changed first, by a person or a configuration. */
export type RetryMode = 'resign_same_key' | 'new_key' | 'after_change';

/** What may have happened in the world. `none`: Nothing was started, so nothing happened. `possible`: Work was
 * started; its tools may have acted. `unknown`: It cannot be known. */
export type SideEffects = 'none' | 'possible' | 'unknown';

/** What a local client reads when something went wrong; `code` may be the contract's or local. */
export interface ProblemView {
  /** The code. */
  code: string;
  /** What happened this time, one sentence. */
  detail?: string | null;
  /** The newest root version that the receiver has, with `root_unknown`. */
  have?: number | null;
  /** Wait at least so long before trying again, in milliseconds. */
  retryAfterMs?: number | null;
  /** How to try again. */
  retryMode?: RetryMode | null;
  /** Whether trying again can help. */
  retryable: boolean;
  /** What may have happened in the world. */
  sideEffects: SideEffects;
  /** The HTTP status. */
  status: number;
  /** One sentence for people, with local codes; the registry explains the contract's. */
  title?: string | null;
  /** `urn:gfp:problem:` or `urn:landbridge:problem:`, and the code. */
  type: string;
}

/** An attempt that gave nothing usable. */
export interface ContactError {
  /** When. */
  at: string;
  /** Why. */
  detail: string;
}

/** What this side saw of a peer; nobody was asked for it. */
export interface HealthView {
  /** When something of it last verified. */
  lastContact: string | null;
  /** The last attempt that gave nothing usable, however long ago. */
  lastError: ContactError | null;
  /** Whether the last attempt reached it; `null`: there was none since this bridge started. */
  reachable: boolean | null;
  /** Until when that status is good. */
  statusExpires: string | null;
  /** What it signs can be verified now, without asking it anew. */
  statusFresh: boolean;
  /** When its newest known status was issued. */
  statusIssued: string | null;
}

/** What this side allows a run by a route. What the peer grants is for the peer to say. */
export interface GatewayLimits {
  /** The deadline of a run that names none. */
  deadlineDefault: string;
  /** The longest deadline. */
  deadlineMax: string;
  /** The largest prompt, in bytes. */
  promptBytesMax: number | null;
}

/** A tenant pair of a peer, from our side. */
export interface TenantLink {
  /** Our tenant. */
  local: string;
  /** The peer's tenant. */
  remote: string;
}

/** `GET /v1/gateways`: what may be reached. */
export interface RouteView {
  /** The agent, where the route names one. */
  agent: string | null;
  /** Why not, or what is worth knowing. */
  detail: string;
  /** The logical gateway id. */
  gateway: string;
  /** What this side saw of the peer. */
  health: HealthView;
  /** What this side allows a run by this route. */
  limits: GatewayLimits;
  /** The peer behind it, as we call it. */
  peer: string;
  /** Who that is; `null` when there is no such peer. */
  peerGateway: string | null;
  /** `active`, `suspended`, `revoked`, `quarantined`, or `unknown` when there is no such peer. */
  peerStatus: string;
  /** Our tenant and its tenant. */
  tenant: TenantLink;
  /** The peering works as far as we know: active, root valid, endpoint known. */
  usable: boolean;
}

/** Which runs to list. */
export interface Filters {
  /** A logical gateway. */
  gateway?: string;
  state?: 'open' | 'settled';
  outcome?: 'succeeded' | 'failed' | 'cancelled' | 'rejected' | 'expired' | 'lost';
  /** Invoked at this time or later. */
  since?: string;
  /** Invoked before this time. */
  until?: string;
  /** Runs in a page, 50 where it is absent. */
  limit?: number;
  /** A run has all of them. */
  labels?: Record<string, string>;
}

/** One frame, as its line was sealed; the payload of each event is in spec/schemas/frame.schema.json. */
export interface Frame {
  /** The event's name, known or not. */
  event: string;
  /** What is told. */
  payload: Record<string, unknown>;
  /** Its number, from 1. */
  seq: number;
}
