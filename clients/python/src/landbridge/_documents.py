"""What the documents of a transcript may hold: members, types, names and limits (ENV-19, ID-3)."""

from __future__ import annotations

import ipaddress
import re
from typing import Any, Callable, Mapping, Optional

from ._form import INTEGER_MAX, Malformed, raw64, utf8

Check = Callable[[Any], None]


def integer(low: int = 0, high: int = INTEGER_MAX) -> Check:
    def check(value: Any) -> None:
        if type(value) is not int or not low <= value <= high:
            raise Malformed("not an integer of this member")

    return check


def text(low: int = 0, high: int = INTEGER_MAX, alphabet: Optional[str] = None) -> Check:
    pattern = None if alphabet is None else re.compile(alphabet)

    def check(value: Any) -> None:
        if not isinstance(value, str) or not low <= len(utf8(value)) <= high:
            raise Malformed("not a text of this member")
        if pattern is not None and not pattern.fullmatch(value):
            raise Malformed("a character that the name may not have")

    return check


def one_of(*values: Any) -> Check:
    def check(value: Any) -> None:
        if not any(value == one and type(value) is type(one) for one in values):
            raise Malformed(f"not one of {values}")

    return check


def each(item: Check, low: int = 0, high: int = INTEGER_MAX, ascending: bool = False) -> Check:
    def check(value: Any) -> None:
        if not isinstance(value, list) or not low <= len(value) <= high:
            raise Malformed("not a list of this length")
        for one in value:
            item(one)
        if ascending and any(one >= two for one, two in zip(value, value[1:])):
            raise Malformed("not ascending")

    return check


def has(optional: Mapping[str, Check] = {}, **required: Check) -> Check:
    def check(value: Any) -> None:
        if not isinstance(value, dict):
            raise Malformed("not an object")
        for name in required:
            if name not in value:
                raise Malformed(f"{name} is missing")
        for name, one in value.items():
            member = required.get(name) or optional.get(name)
            if member is None:
                raise Malformed(f"{name} is not defined here")
            member(one)

    return check


def named(name: Check, item: Check, low: int = 0, high: int = INTEGER_MAX) -> Check:
    def check(value: Any) -> None:
        if not isinstance(value, dict) or not low <= len(value) <= high:
            raise Malformed("not an object of this size")
        for key, one in value.items():
            name(key)
            item(one)

    return check


def bytes32(value: Any) -> None:
    if not isinstance(value, str) or len(raw64(value)) != 32:
        raise Malformed("not 32 bytes")


def one(value: Any) -> None:
    one_of(1)(value)


def any_text(value: Any) -> None:
    text()(value)


def anything(value: Any) -> None:
    pass


time = integer()
version = integer(1)
gateway = text(56, 56, "gw1-[a-z2-7]{52}")
run = text(30, 30, "run-[a-z2-7]{26}")
_tenant_name = text(1, 64, "[a-z0-9][a-z0-9._-]*")
tenant = has(dst=_tenant_name, src=_tenant_name)
visible = "[\x21-\x7e]*"
key = text(16, 128, visible)
seen = has(n=integer(), seq=integer())

_role = has(keyids=each(bytes32, 1, 32, ascending=True), threshold=integer())
_LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_ORIGIN = re.compile(rf"https://(?:{_LABEL}(?:\.{_LABEL})*|\[(?P<six>[0-9a-f:.]+)\])(?::(?P<port>[1-9][0-9]{{0,4}}))?")


def origin(value: Any) -> None:
    """An `https` origin: scheme, host, port, nothing else."""
    text(9, 256)(value)
    found = _ORIGIN.fullmatch(value)
    if found is None or int(found["port"] or 1) > 65_535:
        raise Malformed("not an https origin")
    if found["six"] is not None:
        try:
            address = ipaddress.IPv6Address(found["six"])
        except ValueError:
            raise Malformed("not an address") from None
        if address.ipv4_mapped is not None or str(address) != found["six"]:
            raise Malformed("an address in another than its shortest form")


endpoint = has({"tls_spki": bytes32}, url=origin)


def root_endpoints(value: Any) -> None:
    each(endpoint, 0, 8)(value)
    if len({one["url"] for one in value}) != len(value):
        raise Malformed("an endpoint stands twice")


_key = has(alg=one_of("ed25519"), exp=time, nbf=time, pub=bytes32)
root = has(
    {"prev": bytes32},
    endpoints=root_endpoints, expires=time, issued=time, keys=named(bytes32, _key, 1, 32),
    min_proto=version, v=one, version=version,
    roles=has(
        {"catalog": _role, "operator-ca": _role},
        root=_role, stream=_role, request=_role, status=_role, policy=_role,
    ),
)  # fmt: skip

_revocation = has(kid=bytes32, reason=one_of("compromised", "retired", "superseded"), since=time)
status = has(
    audit=has(head=bytes32, size=integer()), expires=time, incarnation=has(n=version, since=time), iss=gateway,
    issued=time, refresh_ms=integer(), revoked=each(_revocation, 0, 256), root=bytes32, root_version=version,
    seq=integer(), v=one,
)  # fmt: skip

request = has(
    {"traceparent": text(0, 55)},
    aud=gateway, body=anything, exp=time, iat=time, iss=gateway, jti=text(22, 64, "[A-Za-z0-9_-]*"),
    op=one_of("start", "attach", "cancel", "inspect", "catalog"), proto=each(version, 1), seen=seen, tenant=tenant,
    v=one,
)  # fmt: skip

_claim = text(0, 256)
_labels = named(text(1, 63, "[A-Za-z0-9._/-]*"), _claim, 1, 32)
_agent = text(1, 128, "[A-Za-z0-9][A-Za-z0-9._-]*")
_mode = one_of("session", "turn", "subagent")
#: What a start asks. `approvalGrant` and `approvalRequest` are taken as they are: their form is not this file's.
start = has(
    {
        "approvalGrant": anything,
        "approvalRequest": anything,
        "deadline": time,
        "limits": named(one_of("bytes", "costMicroUsd", "frames", "tokens"), integer(1), 1),
        "prompt": any_text,
        "remoteRunId": _claim,
        "toolCall": has(args=text(0, 262_144), tool=text(1, 128, visible)),
    },
    agentTarget=has({"session": text(1, 128, visible)}, agent=_agent, mode=_mode),
    callerIdentity=has({"labels": _labels, "step": _claim, "workflow": _claim}, principal=text(1, 256)),
    idempotencyKey=key,
    invokedAt=time,
)
WORK = ("prompt", "toolCall", "approvalGrant", "approvalRequest")

accept = has(
    aud=gateway, deadline=time, iss=gateway, key=key, print=bytes32, proto=version, root_version=version, run=run,
    seen=seen, tenant=tenant, v=one,
)  # fmt: skip
seal = has(
    accept=bytes32, final=one_of(True, False), head=bytes32, root_version=version, run=run, seq=integer(), t=time, v=one
)  # fmt: skip
_effects = one_of("none", "possible", "unknown")
receipt = has(
    {"accept": bytes32, "head": bytes32, "lost": has(code=text(1), side_effects=_effects), "run": run},
    aud=gateway, iss=gateway, key=key, root_version=version, seq=integer(), t=time, v=one,
)  # fmt: skip

_usage = has(
    {"costMicroUsd": integer(), "model": any_text},
    input=integer(), output=integer(), cacheRead=integer(), cacheWrite=integer(), total=integer(),
)  # fmt: skip
_problem = has(
    {
        "detail": text(0, 512),
        "have": integer(),
        "retryAfterMs": integer(),
        "retryMode": one_of("resign_same_key", "new_key", "after_change"),
    },
    code=text(1), retryable=one_of(True, False), sideEffects=_effects, status=integer(),
)  # fmt: skip
_terminal = {
    "by": one_of("executor", "caller"),
    "outcome": one_of("succeeded", "failed", "cancelled", "expired", "rejected", "lost"),
    "sideEffects": _effects,
}
_terminal_too = {"digest": bytes32, "problem": _problem, "result": any_text, "size": integer(), "usage": _usage}


def terminal(payload: Any) -> None:
    """What a terminal has to say; what else it says is its executor's, and sealed like the rest."""
    known = {name: value for name, value in payload.items() if name in _terminal or name in _terminal_too}
    has(_terminal_too, **_terminal)(known)
