"""What a gateway verifies, against the vectors: each folder to its verdicts, codes and phases."""

import unittest

from judges.documents import own_document
from judges.hold import data, hold
from judges.standing import Gateway, envelope_in, envelope_of

#: The kinds that stand alone, and the role that signs each.
ROLES = {
    "status": "status", "request": "request", "receipt": "request", "accept": "stream", "seal": "stream", "answer": "stream",
    "problem": "stream", "catalog": "catalog", "operator-credential": "operator-ca", "federation": "policy",
}  # fmt: skip


def envelope(vector):
    signer = Gateway.known(vector["roots"], vector["now"])
    signer.verify(envelope_in(data(vector["envelope"])), vector["kind"], ROLES[vector["kind"]], vector["now"])
    return "accepted"


def walk(vector):
    walked = Gateway(vector["gateway"])
    for roots in vector["updates"]:
        walked.update(roots, vector["now"])
    if vector["version"] is not None and vector["version"] != len(walked.roots):
        return f"accepted up to root {len(walked.roots)}"
    return "accepted"


def status(vector):
    known = Gateway.known(vector["roots"], vector["now"], min_root_version=vector["min_root_version"])
    for step in vector["before"]:
        if "roots" in step:
            known.update(step["roots"], step["at"])
        if "status" in step:
            known.take_status(step["status"], step["at"])
    known.take_status(vector["status"], vector["now"])
    if vector["then"] is not None:
        known.verify(envelope_of(vector["then"]["envelope"]), "seal", "stream", vector["then"]["at"])
    return "accepted"


def federation(vector):
    own_document(vector)
    return "accepted"


class Judges(unittest.TestCase):
    def test_every_envelope_is_judged_as_it_must(self):
        hold(self, "envelopes", envelope, 306)

    def test_every_walk_ends_as_it_must(self):
        hold(self, "walks", walk, 126)

    def test_every_status_is_judged_as_it_must(self):
        hold(self, "statuses", status, 96)

    def test_every_federation_document_is_judged_as_it_must(self):
        hold(self, "federations", federation, 147)


if __name__ == "__main__":
    unittest.main()
