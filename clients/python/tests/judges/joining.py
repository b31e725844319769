"""How strangers come in: invites, pairings and admissions (`identity.md`, Membership and Pairing)."""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Any, Dict, List, Mapping, NamedTuple

from landbridge._form import digest, gateway_id, raw64, read, text64

from . import forms
from .operation import Operation, at_roots, operation
from .standing import CLOCK_SKEW_MS_MAX, Gateway, Refusal, envelope_of, formed, of_kind

INVITE_BYTES_MAX = 1_024
CHAIN_ROOTS_MAX = 256
_SPACE = str.maketrans("", "", " \t\n\f\r")
_TEXT = re.compile(r"gfp1:([A-Za-z0-9_-]*)\.([A-Za-z0-9_-]{6})")


def invite(text: str, now: int) -> Dict[str, Any]:
    """The document inside an invite's text (ID-73)."""
    found = _TEXT.fullmatch(text.translate(_SPACE))
    if found is None or found.end() > INVITE_BYTES_MAX:
        raise Refusal("ID-73", None, "text", "not the text of an invite")
    with formed("ID-73", "text", None):
        document = raw64(found[1])
    if text64(digest(b"GFP-INVITE-TEXT-v1\n", document))[:6] != found[2]:
        raise Refusal("ID-73", None, "text", "the check is not that of the document")
    with formed("ENV-19", "document", None):
        said: Dict[str, Any] = read(document)
        forms.invite(said)
    if said["expires"] <= now:
        raise Refusal("ID-73", None, "document", "the invite has expired")
    return said


def invited(said: Mapping[str, Any], roots: List[Any], now: int) -> None:
    """The chain at an invite's endpoint (ID-33)."""
    inviter = Gateway(gateway_id(raw64(said["genesis"])))
    envelopes = [envelope_of(root) for root in roots]
    with at_roots():
        inviter.walk(envelopes, now)
        inviter.fresh(now)
    if len(inviter.roots) < said["root_version"] or inviter.roots[said["root_version"] - 1].digest != raw64(said["root"]):
        raise Refusal("ID-33", "verification_failed", "root", "the chain does not pass through the root of the invite")


class Newcomer(NamedTuple):
    """A gateway of which nothing was known, as it shows itself, and what it asks."""

    gateway: Gateway
    said: Dict[str, Any]
    shown: Operation


def newcomer(data: bytes, kind: str, own_id: str, now: int) -> Newcomer:
    """Reads a pairing or an admission up to what it says of itself, in the order of `identity.md`."""
    shown = operation(data, kind, CHAIN_ROOTS_MAX)
    if not shown.roots:
        raise Refusal("ID-79", "malformed", "body", "no chain is shown")
    if kind == "admission" and len(shown.held) != 1:
        raise Refusal("ID-68", "malformed", "body", "not one membership")
    if kind == "admission":
        of_kind(shown.held[0], "membership")
    gateway = Gateway(gateway_id(shown.roots[0].digest))
    with at_roots():
        gateway.walk(shown.roots, now)
    # A last root that has expired has no key that is good, so nothing below verifies (ID-9).
    gateway.take_status(shown.status, now)
    said = gateway.verify(shown.request, kind, "request", now)
    clause, late = ("ID-34", "clock_skew") if kind == "pairing" else ("ID-68", "verification_failed")
    if said["iss"] != gateway.gid or said["aud"] != own_id:
        raise Refusal(clause, "verification_failed", kind, "of or for another gateway")
    if said["iat"] > now + CLOCK_SKEW_MS_MAX or said["exp"] < now - CLOCK_SKEW_MS_MAX:
        raise Refusal(clause, late, kind, "out of time")
    return Newcomer(gateway, said, shown)


def paired(said: Mapping[str, Any], invites: List[Mapping[str, Any]], now: int) -> None:
    """The proof of a pairing (ID-34)."""
    for given in invites:
        document = given["document"]
        secret = raw64(document["secret"])
        proof = hmac.new(secret, f"GFP-PAIRING-v1\n{said['aud']}\n{said['iss']}".encode(), hashlib.sha256).digest()
        if said["invite"] == text64(digest(b"GFP-INVITE-v1\n", secret)) and raw64(said["proof"]) == proof:
            if given["used_by"] is None and given["withdrawn"] is None and document["expires"] > now:
                return
    raise Refusal("ID-34", "verification_failed", "pairing", "no open invite for which the proof holds")
