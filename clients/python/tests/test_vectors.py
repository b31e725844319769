"""The verifier against the vectors: transcripts, and what it does with envelopes, roots and statuses alone."""

import json
import os
import unittest
from pathlib import Path

from landbridge import _documents as form
from landbridge import verify
from landbridge._form import Envelope, Malformed, Refused, gateway_id, read
from landbridge.verify import _Side

TREE = Path(os.environ.get("LANDBRIDGE_TREE") or Path(__file__).resolve().parents[3])
#: The kinds of a transcript, and who signs them.
ROLES = {"status": "status", "request": "request", "accept": "stream", "seal": "stream", "receipt": "request"}


def vectors(folder):
    """Each vector by its name, with what it takes from the folder's whole one."""
    files = sorted((TREE / "vectors" / folder).glob("*.json"))
    read_one = {file.stem: json.loads(file.read_text("utf-8")) for file in files}
    return {name: {**read_one["whole"], **own} for name, own in read_one.items()}


def parts(said):
    return said if isinstance(said, str) else "".join(one if isinstance(one, str) else one[0] * one[1] for one in said)


def expected(kind, value):
    envelope = Envelope.of(value)
    if envelope.kind != kind:
        raise Refused("another kind")
    return envelope


def side(roots, gid=None):
    one = _Side(gid or gateway_id(Envelope.of(roots[0]).digest))
    for root in roots:
        one.take_root(expected("root", root))
    return one


def envelope(vector):
    known, kind = side(vector["roots"]), vector["kind"]
    said = expected(kind, read(parts(vector["envelope"]).encode("utf-8", "surrogatepass")))
    known.verify(said, len(known.roots), ROLES[kind], vector["now"])
    if kind == "status":
        known.take_status(said)
    else:
        getattr(form, kind)(read(said.payload))


def walk(vector):
    walked = side([root for update in vector["updates"] for root in update], vector["gateway"])
    assert vector["version"] in (None, len(walked.roots))


def status(vector):
    known = side(vector["roots"])
    for step in vector["before"]:
        for root in step.get("roots", []):
            known.take_root(expected("root", root))
        if "status" in step:
            known.take_status(expected("status", step["status"]))
    known.take_status(expected("status", vector["status"]))
    if vector["then"]:
        known.verify(expected("seal", vector["then"]["envelope"]), len(known.roots), "stream", vector["then"]["at"])


def judged(judge, vector):
    try:
        judge(vector)
        return "accepted", None
    except Malformed:
        return "refused", "malformed"
    except Refused:
        return "refused", "verification_failed"


class Vectors(unittest.TestCase):
    def test_every_vector_ends_as_it_must(self):
        folder = TREE / "vectors/transcripts"
        whole = json.loads((folder / "whole.json").read_text("utf-8"))["lines"]
        files = sorted(folder.glob("*.json"))
        self.assertGreater(len(files), 300)
        for file in files:
            vector = json.loads(file.read_text("utf-8"))
            lines = (whole[line - 1] if isinstance(line, int) else line for line in vector["lines"])
            verdict = verify("".join(lines), vector["pin"])
            told = f"{file.stem} ({vector['clause']}): line {verdict.line}: {verdict.what}"
            self.assertEqual(verdict.exit, vector["exit"], told)

    def hold(self, folder, judge, at_least, codes=True):
        """A verifier knows two codes. What it cannot know is listed, and is listed only where it differs."""
        listed = json.loads((TREE / "clients/tests/offline.json").read_text("utf-8")).get(folder, {})
        offline, count = {name for names in listed.values() for name in names}, 0
        for name, vector in vectors(folder).items():
            if vector.get("kind", "status") not in ROLES:
                continue
            count += 1
            found, told = judged(judge, vector), f"{folder}/{name} ({vector['clause']})"
            right = found[0] == vector["verdict"]
            if codes and vector["code"] in ("malformed", "verification_failed"):
                right = right and found[1] == vector["code"]
            self.assertEqual(right, name not in offline, f"{told}: {found}")
        self.assertGreaterEqual(count, at_least)

    def test_every_envelope_is_judged_as_it_must(self):
        self.hold("envelopes", envelope, 250)

    def test_every_walk_ends_as_it_must(self):
        # Whatever is wrong with a root is one code (ID-7), and a verifier does not need it.
        self.hold("walks", walk, 150, codes=False)

    def test_every_status_is_judged_as_it_must(self):
        self.hold("statuses", status, 115)


if __name__ == "__main__":
    unittest.main()
