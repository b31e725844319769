"""Members of a federation root: which membership counts (ID-32), and who shows one (ID-68, ID-72)."""

from __future__ import annotations

from typing import Any, Dict, Mapping, Optional

from landbridge._form import Envelope, read, text64

from . import forms
from .standing import CLOCK_SKEW_MS_MAX, Refusal, formed, good_keys, of_kind, signed

MEMBERSHIP_LIFE_MS_MAX = 7 * forms.DAY_MS


def _not_counted(why: str) -> Refusal:
    return Refusal("ID-32", "verification_failed", "membership", why)


def counted(envelope: Envelope, document: Mapping[str, Any], now: int) -> Dict[str, Any]:
    """A membership that counts now. It names the root whose keys sign it, so its form is read first."""
    of_kind(envelope, "membership")
    with formed("ENV-16", "json", "verification_failed"):
        said: Dict[str, Any] = read(envelope.payload)
    with formed("ENV-19", "payload", "verification_failed"):
        forms.membership(said)
    root = next((root for root in document["roots"] if root["name"] == said["federation"]), None)
    if root is None:
        raise _not_counted("its federation root is not known")
    signed(envelope, good_keys(root["keys"], now), root["threshold"])
    if not 1 <= said["expires"] - said["issued"] <= MEMBERSHIP_LIFE_MS_MAX:
        raise _not_counted("its life")
    if said["expires"] <= now or said["issued"] > now + CLOCK_SKEW_MS_MAX:
        raise _not_counted("it is expired, or of the future")
    if not forms.of_genesis(said["genesis"], said["member"]):
        raise _not_counted("its genesis is not that of its member")
    if not set(said["tenants"]) <= set(root["tenants"]):
        raise _not_counted("a tenant that the root lacks")
    status = {peer["gid"]: peer["status"] for peer in document["peers"]}
    places = {gid for gid in root.get("members", []) if status[gid] != "revoked"} | {said["member"]}
    if len(places) > root["max_members"]:
        raise _not_counted("no place is free")
    return said


def admitted(
    admission: Mapping[str, Any], membership: Envelope, document: Mapping[str, Any], kept: Optional[Mapping[str, Any]], now: int
) -> None:
    """An admission whose signer and audience were checked, and the membership that it shows."""
    if admission["membership"] != text64(membership.digest):
        raise Refusal("ID-68", "verification_failed", "admission", "of another membership than the one shown")
    said = counted(membership, document, now)
    if said["member"] != admission["iss"]:
        raise Refusal("ID-68", "verification_failed", "admission", "shown by another than its member")
    if kept is not None and said["issued"] < kept["issued"]:
        raise Refusal("ID-72", "verification_failed", "membership", "issued before one that was taken")
