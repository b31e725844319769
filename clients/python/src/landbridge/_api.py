"""What the local API takes and tells. Made from `spec/openapi/local-3.2.json` by `clients/generate.py`; do not edit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, List, Literal, Optional, TypedDict

if TYPE_CHECKING:
    from typing_extensions import NotRequired


class CallerIdentity(TypedDict):
    """On whose behalf a caller asks. A claim that its gateway vouches for."""

    #: The caller's own labels.
    labels: NotRequired[Dict[str, str]]
    #: A person or service of the caller.
    principal: str
    #: A step of the workflow.
    step: NotRequired[Optional[str]]
    #: A workflow of the caller.
    workflow: NotRequired[Optional[str]]


class StartLimits(TypedDict):
    """What one run may use at most, as its caller asks. At least one member, each at least 1."""

    #: Frame bytes.
    bytes: NotRequired[Optional[int]]
    #: Millionths of a dollar.
    costMicroUsd: NotRequired[Optional[int]]
    #: Frames, the terminal included.
    frames: NotRequired[Optional[int]]
    #: Model tokens of every kind.
    tokens: NotRequired[Optional[int]]


#: How a run uses a session. `session`: A fresh session. `subagent`: A child run under a session that the same owner
#: started. `turn`: One more turn of a session that the same owner started.
Mode = Literal["session", "subagent", "turn"]


class CallTool(TypedDict):
    """`toolCall` of a start."""

    #: Its arguments.
    args: NotRequired[Dict[str, Any]]
    #: The tool, as the executor's gateway names it.
    tool: str


class StartRun(TypedDict):
    """`POST /v1/runs`: start a run at another gateway."""

    #: The agent; needed unless the route names one.
    agent: NotRequired[Optional[str]]
    #: On whose behalf.
    callerIdentity: NotRequired[Optional[CallerIdentity]]
    #: How long the run may take, such as `"10m"`.
    deadline: NotRequired[Optional[str]]
    #: The logical gateway id, a route of the configuration or a peer's alias.
    gateway: str
    #: The caller's name for this decision; the same key and body give the same run.
    idempotencyKey: str
    #: Labels to find it by; kept here, and sent with the caller identity only when put there.
    labels: NotRequired[Dict[str, str]]
    #: What the run may use at most; it can only lower what the peer's grant allows.
    limits: NotRequired[Optional[StartLimits]]
    #: In which session; a fresh one by default.
    mode: NotRequired[Mode]
    #: The text for the agent; exactly one of this and `toolCall` is given.
    prompt: NotRequired[Optional[str]]
    #: The client's own id of the run, sent along and echoed in `started`; never interpreted.
    remoteRunId: NotRequired[Optional[str]]
    #: The session of an earlier run, for `turn` and `subagent`.
    session: NotRequired[Optional[str]]
    #: One tool to call, without a model.
    toolCall: NotRequired[Optional[CallTool]]
    #: The client's W3C trace context, sent along with each request of the run; never interpreted.
    traceparent: NotRequired[Optional[str]]


#: Why a key is disowned. `compromised`: Somebody else may have it. `superseded`: Another key took its place.
#: `retired`: Its role is gone.
RevocationReason = Literal["compromised", "superseded", "retired"]


class DisputeView(TypedDict):
    """Why what was received of a run is disputed."""

    #: The first frame that it puts in doubt; 0: the accept, and all frames.
    fromFrame: int
    #: The executor's key.
    kid: str
    #: Why it was revoked, in its owner's words.
    reason: RevocationReason
    #: When the revocation arrived here.
    received: str
    #: Since when, in its owner's words.
    since: str


class TenantPair(TypedDict):
    """(caller's tenant, executor's tenant): the unit of ownership, grants and quotas."""

    #: The executor's tenant.
    dst: str
    #: The caller's tenant.
    src: str


class RunView(TypedDict):
    """A run, as its client sees it."""

    #: The agent.
    agent: NotRequired[Optional[str]]
    #: This answer attached to a run that the key had started before.
    attached: bool
    #: A cancel was asked for.
    cancelRequested: bool
    #: How the connection to the executor does, while the run is open: one sentence.
    connection: Optional[str]
    #: When it was invoked.
    created: str
    #: When it must have ended.
    deadline: str
    #: That a key which signed for this run was revoked by its owner with effect from before what it signed arrived
    #: here; absent where that is not so. What was received stands.
    disputed: NotRequired[Optional[DisputeView]]
    #: When it ended here.
    ended: Optional[str]
    #: Frames received so far.
    frames: int
    #: The logical gateway id.
    gateway: str
    #: The key.
    idempotencyKey: str
    #: Labels.
    labels: Dict[str, str]
    #: `succeeded`, `failed`, `cancelled`, `rejected`, `expired` or `lost`, once settled.
    outcome: Optional[Literal["succeeded", "failed", "cancelled", "rejected", "expired", "lost"]]
    #: The executor.
    peer: str
    #: `awaitAccept`, `streaming` or `settled`.
    phase: Literal["awaitAccept", "streaming", "settled"]
    #: The executor's name of the run.
    remoteRun: Optional[str]
    #: The run, as this bridge names it.
    run: str
    #: The session that it is led in.
    session: Optional[str]
    #: The tenant pair.
    tenant: TenantPair


class RunList(TypedDict):
    """`GET /v1/runs`."""

    #: Pass as `cursor`, with the same filters, for the next page; `null` on the last.
    next: Optional[str]
    #: Newest first.
    runs: List[RunView]


class CancelView(TypedDict):
    """`POST /v1/runs/{run}/cancel`."""

    #: The run.
    run: str
    #: `requested` or `alreadyTerminal`.
    state: Literal["requested", "alreadyTerminal"]


#: How a caller may try again. `resign_same_key`: Sign a new request, with the same idempotency key. Never a verdict
#: on the run. `new_key`: A new decision is needed: another idempotency key. `after_change`: Something must be
#: changed first, by a person or a configuration.
RetryMode = Literal["resign_same_key", "new_key", "after_change"]


#: What may have happened in the world. `none`: Nothing was started, so nothing happened. `possible`: Work was
#: started; its tools may have acted. `unknown`: It cannot be known.
SideEffects = Literal["none", "possible", "unknown"]


class ProblemView(TypedDict):
    """What a local client reads when something went wrong; `code` may be the contract's or local."""

    #: The code.
    code: str
    #: What happened this time, one sentence.
    detail: NotRequired[Optional[str]]
    #: The newest root version that the receiver has, with `root_unknown`.
    have: NotRequired[Optional[int]]
    #: Wait at least so long before trying again, in milliseconds.
    retryAfterMs: NotRequired[Optional[int]]
    #: How to try again.
    retryMode: NotRequired[Optional[RetryMode]]
    #: Whether trying again can help.
    retryable: bool
    #: What may have happened in the world.
    sideEffects: SideEffects
    #: The HTTP status.
    status: int
    #: One sentence for people, with local codes; the registry explains the contract's.
    title: NotRequired[Optional[str]]
    #: `urn:gfp:problem:` or `urn:landbridge:problem:`, and the code.
    type: str


class ContactError(TypedDict):
    """An attempt that gave nothing usable."""

    #: When.
    at: str
    #: Why.
    detail: str


class HealthView(TypedDict):
    """What this side saw of a peer; nobody was asked for it."""

    #: When something of it last verified.
    lastContact: Optional[str]
    #: The last attempt that gave nothing usable, however long ago.
    lastError: Optional[ContactError]
    #: Whether the last attempt reached it; `null`: there was none since this bridge started.
    reachable: Optional[bool]
    #: Until when that status is good.
    statusExpires: Optional[str]
    #: What it signs can be verified now, without asking it anew.
    statusFresh: bool
    #: When its newest known status was issued.
    statusIssued: Optional[str]


class GatewayLimits(TypedDict):
    """What this side allows a run by a route. What the peer grants is for the peer to say."""

    #: The deadline of a run that names none.
    deadlineDefault: str
    #: The longest deadline.
    deadlineMax: str
    #: The largest prompt, in bytes.
    promptBytesMax: Optional[int]


class TenantLink(TypedDict):
    """A tenant pair of a peer, from our side."""

    #: Our tenant.
    local: str
    #: The peer's tenant.
    remote: str


class RouteView(TypedDict):
    """`GET /v1/gateways`: what may be reached."""

    #: The agent, where the route names one.
    agent: Optional[str]
    #: Why not, or what is worth knowing.
    detail: str
    #: The logical gateway id.
    gateway: str
    #: What this side saw of the peer.
    health: HealthView
    #: What this side allows a run by this route.
    limits: GatewayLimits
    #: The peer behind it, as we call it.
    peer: str
    #: Who that is; `null` when there is no such peer.
    peerGateway: Optional[str]
    #: `active`, `suspended`, `revoked`, `quarantined`, or `unknown` when there is no such peer.
    peerStatus: str
    #: Our tenant and its tenant.
    tenant: TenantLink
    #: The peering works as far as we know: active, root valid, endpoint known.
    usable: bool


class Filters(TypedDict):
    """Which runs to list."""

    #: A logical gateway.
    gateway: NotRequired[str]
    state: NotRequired[Literal["open", "settled"]]
    outcome: NotRequired[Literal["succeeded", "failed", "cancelled", "rejected", "expired", "lost"]]
    #: Invoked at this time or later.
    since: NotRequired[str]
    #: Invoked before this time.
    until: NotRequired[str]
    #: Runs in a page, 50 where it is absent.
    limit: NotRequired[int]
    #: A run has all of them.
    labels: NotRequired[Dict[str, str]]


class StartOptions(TypedDict):
    """What a start may say besides."""

    #: The agent; needed unless the route names one.
    agent: NotRequired[Optional[str]]
    #: On whose behalf.
    callerIdentity: NotRequired[Optional[CallerIdentity]]
    #: How long the run may take, such as `"10m"`.
    deadline: NotRequired[Optional[str]]
    #: Labels to find it by; kept here, and sent with the caller identity only when put there.
    labels: NotRequired[Dict[str, str]]
    #: What the run may use at most; it can only lower what the peer's grant allows.
    limits: NotRequired[Optional[StartLimits]]
    #: In which session; a fresh one by default.
    mode: NotRequired[Mode]
    #: The client's own id of the run, sent along and echoed in `started`; never interpreted.
    remoteRunId: NotRequired[Optional[str]]
    #: The session of an earlier run, for `turn` and `subagent`.
    session: NotRequired[Optional[str]]
    #: The client's W3C trace context, sent along with each request of the run; never interpreted.
    traceparent: NotRequired[Optional[str]]
