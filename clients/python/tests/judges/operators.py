"""What the documents around an approval may hold (ENV-19, ID-3), as `spec/approvals.md` tells it."""

from __future__ import annotations

import re
from typing import Any, Mapping

from landbridge._documents import (
    Check, any_text, anything, bytes32, each, gateway, has, integer, one, one_of, run, text, time, version,
)  # fmt: skip
from landbridge._form import Malformed, _standard64, raw64

METHODS = ("file", "ssh", "ssh_sk", "webauthn")
MEDIA = "application/vnd.gfp.approval.v1+json"

_tenant = text(1, 64, "[a-z0-9][a-z0-9._-]*")
_scope_name = text(1, 64, "[a-z0-9][a-z0-9._-]*")
_scopes = each(_scope_name, 1, 64, ascending=True)
_operator = text(1, 64, "[a-z0-9][a-z0-9._@-]*")
_tenants = has(deciding=_tenant, relying=_tenant)
_count = integer(1, 16)


def _point(value: Any) -> None:
    point = raw64(value) if isinstance(value, str) else b""
    if len(point) != 65 or point[0] != 4:
        raise Malformed("not an uncompressed point")


def _by(member: str, forms: Mapping[str, Check]) -> Check:
    """The form that one member of a value chooses."""

    def check(value: Any) -> None:
        chosen = value.get(member) if isinstance(value, dict) else None
        if not isinstance(chosen, str) or chosen not in forms:
            raise Malformed(f"{member} is none that is known")
        forms[chosen](value)

    return check


def _key(pub: Check = bytes32, alg: str = "ed25519", **more: Check) -> Check:
    return has(alg=one_of(alg), kid=bytes32, kind=anything, pub=pub, **more)


#: A key of an operator: its members are those of its kind.
key = _by(
    "kind",
    {
        "file": _key(),
        "ssh": _key(),
        "ssh_sk": _key(application=any_text),
        "webauthn": _by(
            "alg",
            {
                "ed25519": _key(origins=each(any_text), rp_id=any_text),
                "es256": _key(_point, "es256", origins=each(any_text), rp_id=any_text),
            },
        ),
    },
)

_scope = has(
    {"deprecated": one_of(True)},
    assurance=has(methods=each(one_of(*METHODS)), min_signers=_count), description=text(0, 512), name=_scope_name,
)  # fmt: skip
catalog = has(expires=time, iss=gateway, issued=time, scopes=each(_scope, 0, 64), tenant=_tenant, v=one, version=version)

credential = has(
    expires=time, iss=gateway, issued=time, keys=each(key, 1, 8), scopes=_scopes, sub=_operator, tenant=_tenant, v=one
)

approval_request = has(
    {"run": run},
    aud=gateway, expires=time, id=text(30, 30, "apr-[a-z2-7]{26}"), iss=gateway, issued=time, quorum=_count,
    requester=has(gateway=gateway, principal=text(1, 256)), scope=_scope_name, scopes=_scopes,
    subject=has(
        binding=one_of("exact", "observed"), digest=bytes32, kind=text(1, 32, "[a-z][a-z0-9_-]*"), media=text(0, 128),
        size=integer(0, 65_536),
    ),
    tenant=_tenants, v=one,
)  # fmt: skip

approval = has(
    aud=gateway, credential=bytes32, decision=one_of("approve", "deny"), exp=time, iat=time, iss=gateway,
    jti=text(22, 64, "[A-Za-z0-9_-]*"), max_uses=one, request=bytes32, scope=_scope_name, sub=_operator,
    subject=bytes32, tenant=_tenants, v=one,
)  # fmt: skip

_signed = has(kid=bytes32, kind=anything, sig=_standard64)
_proof = _by(
    "kind",
    {
        **dict.fromkeys(("file", "ssh", "ssh_sk"), _signed),
        "webauthn": has(
            authenticator_data=_standard64, client_data=_standard64, kid=bytes32, kind=anything, sig=_standard64
        ),
    },
)
decision = has(
    approval=has(payload=_standard64, payloadType=one_of(MEDIA), proof=_proof), catalog=anything, credential=anything
)
