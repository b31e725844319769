"""What a gateway holds of its own: its federation document."""

from __future__ import annotations

from typing import Any, Dict, Mapping

from .standing import Gateway, Refusal, envelope_of


def own_document(own: Gateway, vector: Mapping[str, Any]) -> Dict[str, Any]:
    """The federation document by which a gateway trusts (ID-27, ID-28)."""
    said: Dict[str, Any] = own.verify(envelope_of(vector["federation"]), "federation", "policy", vector["now"])
    if said["iss"] != own.gid:
        raise Refusal("ID-27", None, "payload", "another gateway's federation document")
    if said["version"] < vector.get("used", 0):
        raise Refusal("ID-28", None, "payload", "older than one that was used")
    return said
