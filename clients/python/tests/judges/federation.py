"""A gateway's own federation document: its form, and what may not stand in one beside each other (ID-27 to ID-29, ID-67, APR-5)."""

from __future__ import annotations

from collections import Counter
from typing import Any, Dict, List, Set

from landbridge import _ed25519
from landbridge._documents import bytes32, each, endpoint, gateway, has, integer, named, one, one_of, text, time, version, visible
from landbridge._form import Malformed, Refused, raw64

from . import forms
from .forms import DAY_MS, both, ordered, some, that

PROJECTION_LIFE_MS_MAX = 400 * DAY_MS

def _is_reserved(scope: str) -> bool:
    return scope == "operator" or scope.startswith("operator.")


_not_reserved = that(lambda scope: not _is_reserved(scope), "APR-5: a reserved scope")
_at_least_one = integer(1)
_disclosure = one_of("full", "digest", "none")
_grant = both(
    has(
        {
            "approval": has(quorum=integer(1, 16), scope=both(forms.scope, _not_reserved)), "bytes_max": _at_least_one, "concurrent_max": _at_least_one,
            "cost_micro_usd_per_day": _at_least_one, "frames_max": _at_least_one, "starts_per_second": _at_least_one,
            "tokens_per_day": _at_least_one,
        },
        agents=some(forms.agent, 0), asks=some(one_of("prompt", "toolCall", "approvalGrant", "approvalRequest")),
        deadline_ms_max=integer(1, DAY_MS), disclose=has(output=_disclosure, tool_args=_disclosure, tool_results=_disclosure),
        local=forms.tenant, modes=some(one_of("session", "turn", "subagent"), 0), remote=forms.tenant,
        tools=some(text(1, 128, visible), 0),
    ),
    that(lambda grant: bool(grant["tools"]) == ("toolCall" in grant["asks"]), "tools, where none may be called, or the reverse"),
    that(lambda grant: grant["agents"] or not {"prompt", "toolCall"} & set(grant["asks"]), "work without an agent"),
    that(lambda grant: grant["modes"] or "prompt" not in grant["asks"], "prompts without a mode"),
)  # fmt: skip

projection = both(
    has(
        constraints=has(
            max_ttl_ms=integer(1, DAY_MS), methods=some(forms.method), min_signers=integer(1, 16), observed=forms.boolean,
            subject_kinds=some(forms.subject_kind),
        ),
        entry=bytes32, exp=time, local=forms.tenant, local_scope=forms.scope, nbf=time, remote=forms.tenant, remote_scope=forms.scope,
    ),
    that(lambda said: 0 < said["exp"] - said["nbf"] <= PROJECTION_LIFE_MS_MAX, "APR-5: its life"),
    that(lambda said: not (_is_reserved(said["local_scope"]) or _is_reserved(said["remote_scope"])), "APR-5: a reserved scope"),
)  # fmt: skip
_projections = both(
    each(projection, 1, 64),
    ordered(lambda said: (said["local"], said["remote"], said["local_scope"], said["remote_scope"])),
)

_peer = both(
    has(
        {"projections": _projections},
        alias=forms.alias, endpoints=each(endpoint, 0, 8), genesis=bytes32, gid=gateway,
        grants=both(each(_grant, 0, 64), ordered(lambda grant: (grant["local"], grant["remote"]))), min_root_version=version,
        status=one_of("active", "suspended", "revoked"),
    ),
    that(lambda peer: forms.of_genesis(peer["genesis"], peer["gid"]), "ID-29: a genesis that is not the digest inside its gid"),
)  # fmt: skip


def _good_keys(root: Any) -> None:
    if not forms.own_ids(root["keys"]):
        raise Refused("ID-1: a key under another name")
    if not all(_ed25519.good_key(raw64(key["pub"])) for key in root["keys"].values()):
        raise Refused("ID-2: a key that is none")


_root = both(
    has(
        {"members": some(gateway, 1, 1_024)},
        keys=named(bytes32, forms.key, 1, 32), max_members=integer(1, 1_024), name=forms.alias, tenants=some(forms.tenant),
        threshold=integer(1, 32),
    ),
    that(lambda root: root["threshold"] <= len(root["keys"]), "more signatures than keys"),
    that(lambda root: all(key["nbf"] < key["exp"] for key in root["keys"].values()), "a key that is good at no time"),
    _good_keys,
)  # fmt: skip
_operator = has(keys=forms.operator_keys, name=forms.operator, scopes=some(forms.scope, 1, 64), tenant=forms.tenant)


def _no_conflict(said: Any) -> None:
    """ID-29: whom a peer, an agent and a key mean has to be clear."""
    peers: List[Dict[str, Any]] = said["peers"]
    if len({peer["alias"] for peer in peers}) != len(peers) or any(peer["gid"] == said["iss"] for peer in peers):
        raise Malformed("ID-29: one alias for two peers, or a gateway that is its own peer")
    grants = [grant for peer in peers if peer["status"] != "revoked" for grant in peer["grants"]]
    agents = Counter(agent for grant in grants for agent in {name.lower() for name in grant["agents"]})
    keys = Counter((person["tenant"], key["kid"]) for person in said.get("operators", []) for key in person["keys"])
    if any(count > 1 for count in [*agents.values(), *keys.values()]):
        raise Malformed("ID-29: one agent in two grants, or one key of two operators")


def _members(said: Any) -> None:
    """ID-67: who is a member of what."""
    peers = {peer["gid"]: peer for peer in said["peers"]}
    seen: Set[str] = set()
    for root in said["roots"]:
        members = set(root.get("members", []))
        if members & seen or not members <= peers.keys():
            raise Malformed("ID-67: a member of two roots, or one that is no peer")
        seen |= members
        present = [peers[gid] for gid in members if peers[gid]["status"] != "revoked"]
        if len(present) > root["max_members"]:
            raise Malformed("ID-67: more members than there may be")
        if any(grant["remote"] not in root["tenants"] for peer in present for grant in peer["grants"]):
            raise Malformed("ID-67: a grant of a tenant that the root lacks")


document = both(
    has(
        {"operators": both(each(_operator, 1, 128), ordered(lambda person: (person["tenant"], person["name"])))},
        iss=gateway, issued=time, peers=both(each(_peer, 0, 64), ordered(lambda peer: peer["gid"])),
        roots=both(each(_root, 0, 16), ordered(lambda root: root["name"])), v=one, version=version,
    ),
    _no_conflict,
    _members,
)  # fmt: skip
