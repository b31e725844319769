"""The forms of payloads that a client does not read: members, types, names and limits (ENV-19, ID-3)."""

from __future__ import annotations

from typing import Any, Callable, Dict

from landbridge import _documents as client
from landbridge import _ed25519
from landbridge._documents import (
    Check, any_text, bytes32, each, endpoint, gateway, has, integer, named, one, one_of, text, time, version,
)  # fmt: skip
from landbridge._form import INTEGER_MAX, Envelope, Malformed, Refused, digest, gateway_id, raw64, text64

DAY_MS = 86_400_000
REQUEST_LIFE_MS_MAX = 300_000


def both(*checks: Check) -> Check:
    """A member to which several rules apply, in this order."""

    def check(value: Any) -> None:
        for rule in checks:
            rule(value)

    return check


def ordered(key: Callable[[Any], Any]) -> Check:
    """A list whose entries ascend by something, each once."""

    def check(value: Any) -> None:
        keys = [key(entry) for entry in value]
        if any(before >= after for before, after in zip(keys, keys[1:])):
            raise Malformed("the entries do not ascend")

    return check


def that(rule: Callable[[Any], bool], why: str) -> Check:
    """What members say of each other, once each of them has its form."""

    def check(value: Any) -> None:
        if not rule(value):
            raise Malformed(why)

    return check


def some(item: Check, low: int = 1, high: int = INTEGER_MAX) -> Check:
    """A set, written as a list that ascends."""
    return each(item, low, high, ascending=True)


def envelope(value: Any) -> None:
    """An envelope inside of a document."""
    Envelope.of(value)


def own_ids(keys: Dict[str, Any]) -> bool:
    """Each key stands under its own id (ID-1)."""
    return all(key_id(key["alg"], key["pub"]) == kid for kid, key in keys.items())


def key_id(algorithm: str, public: str) -> str:
    return text64(digest(b"GFP-KEY-v1\n", algorithm.encode(), b"\n", raw64(public)))


def of_genesis(genesis: str, gid: str) -> bool:
    return gateway_id(raw64(genesis)) == gid


boolean = one_of(True, False)
tenant = text(1, 64, "[a-z0-9][a-z0-9._-]*")
alias = text(1, 32, "[a-z0-9][a-z0-9-]*")
agent = text(1, 128, "[A-Za-z0-9][A-Za-z0-9._-]*")
scope = tenant
subject_kind = text(1, 32, "[a-z][a-z0-9_-]*")
method = one_of("file", "ssh", "ssh_sk", "webauthn")
operator = text(1, 64, "[a-z0-9][a-z0-9._@-]*")
jti = text(22, 64, "[A-Za-z0-9_-]*")
tenants = has(deciding=tenant, relying=tenant)

key = has(alg=one_of("ed25519"), exp=time, nbf=time, pub=bytes32)
_role = has(keyids=some(bytes32, 0, 32), threshold=integer())
#: Which roles there must be, how their keys stand to each other and which version this is, is for the walk to say (ID-4 to ID-7).
root = has(
    {"prev": bytes32},
    endpoints=client.root_endpoints, expires=time, issued=time, keys=named(bytes32, key, 1, 32), min_proto=version,
    roles=named(one_of("catalog", "operator-ca", "policy", "request", "root", "status", "stream"), _role), v=one,
    version=integer(),
)  # fmt: skip
status = both(
    client.status,
    that(lambda said: 1 <= said["expires"] - said["issued"] <= DAY_MS and said["seq"] == said["issued"], "ID-17: life or number"),
    that(lambda said: 1 <= said["refresh_ms"] <= said["expires"] - said["issued"], "it is not renewed within its life"),
    that(lambda said: said["incarnation"]["since"] <= said["issued"], "the incarnation begins after the status"),
    lambda said: ordered(lambda entry: entry["kid"])(said["revoked"]),
)


def operator_key(said: Any) -> None:
    """What a key has to tell follows from its kind (`approvals.md`)."""
    kind = said.get("kind") if isinstance(said, dict) else None
    more: Dict[str, Check] = {}
    if kind == "ssh_sk":
        more = {"application": text(1, 256)}
    if kind == "webauthn":
        more = {"origins": some(text(1, 256), 1, 8), "rp_id": text(1, 256)}
    algorithm = one_of("ed25519", "es256") if kind == "webauthn" else one_of("ed25519")
    has({}, alg=algorithm, kid=bytes32, kind=method, pub=any_text, **more)(said)
    public = raw64(said["pub"])
    if said["alg"] == "ed25519" and not _ed25519.good_key(public):
        raise Refused("ID-2: not a good key")
    if said["alg"] == "es256" and not (len(public) == 65 and public[0] == 4):
        raise Malformed("not an uncompressed point")
    if said["kid"] != key_id(said["alg"], said["pub"]):
        raise Refused("ID-1: a key under another name")


operator_keys = both(each(operator_key, 1, 8), ordered(lambda key: key["kid"]))
_assurance = has(methods=some(method), min_signers=integer(1, 16))
_scope = has({"deprecated": one_of(True)}, assurance=_assurance, description=text(1, 512), name=scope)
catalog = has(expires=time, iss=gateway, issued=time, scopes=each(_scope), tenant=tenant, v=one, version=version)
operator_credential = has(
    expires=time, iss=gateway, issued=time, keys=operator_keys, scopes=some(scope, 1, 64), sub=operator, tenant=tenant, v=one
)  # fmt: skip
subject = has(
    binding=one_of("exact", "observed"), digest=bytes32, kind=subject_kind, media=text(1, 128), size=integer(1, 65_536)
)  # fmt: skip
approval_id = text(30, 30, "apr-[a-z2-7]{26}")
approval_request = has(
    {"run": client.run},
    aud=gateway, expires=time, id=approval_id, iss=gateway, issued=time, quorum=integer(1, 16),
    requester=has(gateway=gateway, principal=text(1, 256)), scope=scope, scopes=some(scope, 1, 64), subject=subject,
    tenant=tenants, v=one,
)  # fmt: skip
approval = has(
    aud=gateway, credential=bytes32, decision=one_of("approve", "deny"), exp=time, iat=time, iss=gateway, jti=jti, max_uses=one,
    request=bytes32, scope=scope, sub=operator, subject=bytes32, tenant=tenants, v=one,
)  # fmt: skip

membership = has(
    expires=time, federation=alias, genesis=bytes32, issued=time, member=gateway, tenants=some(tenant), v=one
)  # fmt: skip
_lives = that(lambda said: 1 <= said["exp"] - said["iat"] <= REQUEST_LIFE_MS_MAX, "REQ-15: its life")
_not_itself = that(lambda said: said["aud"] != said["iss"], "a gateway that asks itself")
admission = both(has(aud=gateway, exp=time, iat=time, iss=gateway, membership=bytes32, v=one), _not_itself, _lives)
pairing = both(
    has(aud=gateway, exp=time, genesis=bytes32, iat=time, invite=bytes32, iss=gateway, jti=jti, proof=bytes32, v=one),
    that(lambda said: of_genesis(said["genesis"], said["iss"]), "the genesis is not that of its sender"),
    _not_itself,
    _lives,
)
invite = has(
    endpoint=endpoint, expires=time, genesis=bytes32, root=bytes32, root_version=version, secret=bytes32, v=one
)  # fmt: skip

_outcome = one_of("succeeded", "failed", "cancelled", "expired", "rejected", "lost")
answer = has(
    aud=gateway, iss=gateway, request=bytes32, root_version=version, t=time, v=one,
    result=has({
        "accept": bytes32, "cancel": one_of("requested", "already_terminal", "blocked"), "deadline": time, "head": bytes32,
        "outcome": _outcome, "pairing": one_of("pending", "accepted"), "run": client.run, "seq": integer(),
        "state": one_of("running", "terminal"),
    }),
)  # fmt: skip
_problem = has(
    {
        "detail": text(0, 512, "[^\x00-\x1f]*"), "have": integer(), "retryAfterMs": integer(),
        "retryMode": one_of("resign_same_key", "new_key", "after_change"),
    },
    code=text(1), retryable=boolean, sideEffects=one_of("none", "possible", "unknown"), status=integer(0, 65_535),
)  # fmt: skip
problem = has(aud=gateway, iss=gateway, problem=_problem, request=bytes32, root_version=version, t=time, v=one)

#: What a payload of each kind has to be.
KINDS: Dict[str, Check] = {
    "status": status, "accept": client.accept, "seal": client.seal, "receipt": client.receipt,
    "answer": answer, "problem": problem, "catalog": catalog, "operator-credential": operator_credential,
    "approval-request": approval_request, "approval": approval, "membership": membership, "pairing": pairing, "admission": admission,
}  # fmt: skip
