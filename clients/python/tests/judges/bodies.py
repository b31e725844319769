"""A request and what stands in its body, for each operation (`request.md`)."""

from __future__ import annotations

from typing import Any, Dict

from landbridge import _documents as client
from landbridge._documents import Check, has, integer, text
from landbridge._form import Malformed, is_object

from . import forms, proofs
from .forms import both, some, that

TARGET = {"agent": "operators", "mode": "session"}

_named_run: Dict[str, Check] = {"idempotencyKey": client.key, "run": client.run}
_one_run = that(lambda body: ("run" in body) != ("idempotencyKey" in body), "not one name of a run")


def _decision(said: Any) -> None:
    proofs.decision(said)
    forms.envelope(said["catalog"])
    forms.envelope(said["credential"])


_approval_grant = has(approval=forms.approval_id, decision=_decision)
_approval_request = has(request=forms.envelope, subject=text(0, 65_536))


def _start(body: Any) -> None:
    client.start(body)
    work = [name for name in client.WORK if name in body]
    if len(work) != 1:
        raise Malformed("REQ-8: not one kind of work")
    target = body["agentTarget"]
    if ("session" in target) != (target["mode"] != "session"):
        raise Malformed("REQ-8: a session that does not fit its mode")
    if work == ["toolCall"] and (target["mode"] != "session" or not is_object(body["toolCall"]["args"])):
        raise Malformed("REQ-40: a tool call in a conversation, or arguments that are not one object")
    if work == ["approvalGrant"]:
        _approval_grant(body["approvalGrant"])
    if work == ["approvalRequest"]:
        _approval_request(body["approvalRequest"])
    if work[0] in ("approvalGrant", "approvalRequest") and target != TARGET:
        raise Malformed("APR-32: an approval is for the operators")


BODIES: Dict[str, Check] = {
    "start": _start,
    "attach": both(has(_named_run, after=integer()), _one_run),
    "cancel": both(has({**_named_run, "reason": text(0, 256)}), _one_run),
    "inspect": both(has(_named_run), _one_run),
    "catalog": has(),
}
request = both(
    client.request,
    lambda said: some(client.version, 1, 16)(said["proto"]),
    lambda said: BODIES[said["op"]](said["body"]),
)
