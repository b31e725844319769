"""The schema of the `federation` block takes what its page shows, and nothing that its rules exclude."""

import copy
import json
import os
import pathlib
import unittest

from jsonschema import Draft202012Validator

SPEC = pathlib.Path(os.environ["LANDBRIDGE_TREE"], "spec")
SCHEMA = json.loads((SPEC / "schemas/federation-block.schema.json").read_text())

BLOCK = {
    "version": 1,
    "gateways": {"eu": {"agent": "triage", "deadline": "30m"}, "plant": {"route": "on-prem-7"}},
}
INVOKE = {"gateway": "eu", "prompt": "Summarise the incident."}
APPROVE = {"scope": "sre-lead", "kind": "restart", "subject": "Restart press 4 of line 2."}


def valid(part: str, value: object) -> bool:
    schema = {"$schema": SCHEMA["$schema"], "$defs": SCHEMA["$defs"], "$ref": f"#/$defs/{part}"}
    return Draft202012Validator(schema).is_valid(value)


def changed(value: dict, **members: object) -> dict:
    """A copy with other members; `None` takes one away."""
    copied = {**copy.deepcopy(value), **members}
    return {name: member for name, member in copied.items() if member is not None}


class Schema(unittest.TestCase):
    def test_it_is_a_schema(self) -> None:
        Draft202012Validator.check_schema(SCHEMA)

    def test_the_whole_document_is_the_block(self) -> None:
        validator = Draft202012Validator(SCHEMA)
        self.assertTrue(validator.is_valid(BLOCK))
        self.assertFalse(validator.is_valid({"gateways": {}}))

    def test_the_block(self) -> None:
        self.assertTrue(valid("federation", BLOCK))
        self.assertTrue(valid("federation", changed(BLOCK, deadline="5m")))
        for wrong in (
            changed(BLOCK, version=2),
            changed(BLOCK, version=None),
            changed(BLOCK, gateways={}),
            changed(BLOCK, gateways={"EU": {}}),
            changed(BLOCK, gateways={"-eu": {}}),
            changed(BLOCK, gateways={"e" * 33: {}}),
            # Nothing of a peer is said in a file.
            changed(BLOCK, gateways={"eu": {"url": "https://eu.example"}}),
            changed(BLOCK, gateways={"eu": {"tenant": "acme"}}),
            changed(BLOCK, token="secret"),
            changed(BLOCK, deadline="0s"),
            changed(BLOCK, deadline="5"),
        ):
            self.assertFalse(valid("federation", wrong), wrong)

    def test_an_invoke(self) -> None:
        tool = {"name": "restart_press", "args": {"line": 2}}
        for good in (
            INVOKE,
            changed(INVOKE, prompt=None, tool=tool),
            changed(INVOKE, mode="session"),
            changed(INVOKE, mode="turn", session="fed-abc"),
            changed(INVOKE, mode="subagent", session="fed-abc"),
            changed(INVOKE, onUnknown="ask", **{"with": {"anything": "of the language"}}),
        ):
            self.assertTrue(valid("invoke", good), good)
        for wrong in (
            changed(INVOKE, gateway=None),
            changed(INVOKE, prompt=None),
            changed(INVOKE, tool=tool),
            changed(INVOKE, mode="turn"),
            changed(INVOKE, mode="subagent"),
            changed(INVOKE, session="fed-abc"),
            changed(INVOKE, mode="session", session="fed-abc"),
            changed(INVOKE, prompt=None, tool=tool, mode="session"),
            changed(INVOKE, prompt=None, tool={"name": "x", "args": []}),
            changed(INVOKE, onUnknown="again"),
            changed(INVOKE, agent="tri age"),
        ):
            self.assertFalse(valid("invoke", wrong), wrong)

    def test_an_approve(self) -> None:
        self.assertTrue(valid("approve", changed(APPROVE, quorum=2, expiresIn="10m")))
        for wrong in (
            changed(APPROVE, subject=None),
            changed(APPROVE, quorum=0),
            changed(APPROVE, quorum=17),
            changed(APPROVE, scope="Sre"),
            # Whose word counts is not the file's to say.
            changed(APPROVE, gateway="eu"),
        ):
            self.assertFalse(valid("approve", wrong), wrong)


if __name__ == "__main__":
    unittest.main()
