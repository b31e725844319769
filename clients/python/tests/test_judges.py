"""What a gateway verifies, against the vectors: each folder to its verdicts, codes and phases."""

import unittest

from landbridge._form import digest, read, text64

from judges.documents import own_document
from judges.hold import data, hold
from judges.joining import invite as read_invite
from judges.joining import invited, newcomer, paired
from judges.members import admitted, counted
from judges.requests import Executor
from judges.standing import Gateway, envelope_in, envelope_of

#: The kinds that stand alone, and the role that signs each.
ROLES = {
    "status": "status", "request": "request", "receipt": "request", "accept": "stream", "seal": "stream", "answer": "stream",
    "problem": "stream", "catalog": "catalog", "operator-credential": "operator-ca", "federation": "policy",
}  # fmt: skip


def own(vector):
    return Gateway.known(vector["roots"], vector["now"])


def envelope(vector):
    own(vector).verify(envelope_in(data(vector["envelope"])), vector["kind"], ROLES[vector["kind"]], vector["now"])
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
    if vector["remembered"] is not None:
        count, at = vector["remembered"]["count"], vector["remembered"]["at"]
        known.revoked.update((text64(digest(str(number).encode())), at) for number in range(1, count + 1))
    known.take_status(vector["status"], vector["now"])
    if vector["then"] is not None:
        known.verify(envelope_of(vector["then"]["envelope"]), "seal", "stream", vector["then"]["at"])
    return "accepted"


def federation(vector):
    own_document(own(vector), vector)
    return "accepted"


def invite(vector):
    invited(read_invite(vector["text"], vector["now"]), vector["roots"], vector["now"])
    return "accepted"


def pairing(vector):
    asked = newcomer(data(vector["body"]), "pairing", own(vector).gid, vector["now"])
    paired(asked.said, vector["invites"], vector["now"])
    return "accepted"


def membership(vector):
    counted(envelope_of(vector["membership"]), own_document(own(vector), vector), vector["now"])
    return "accepted"


def admission(vector):
    now, document = vector["now"], own_document(own(vector), vector)
    asked = newcomer(data(vector["body"]), "admission", own(vector).gid, now)
    kept = vector["kept"] and read(envelope_of(vector["kept"]).payload)
    admitted(asked.said, asked.shown.held[0], document, kept, now)
    return "accepted"


def request(vector):
    return Executor(vector).judge(data(vector["body"]), vector["route"])


class Judges(unittest.TestCase):
    def test_every_envelope_is_judged_as_it_must(self):
        hold(self, "envelopes", envelope, 310)

    def test_every_walk_ends_as_it_must(self):
        hold(self, "walks", walk, 154)

    def test_every_status_is_judged_as_it_must(self):
        hold(self, "statuses", status, 116)

    def test_every_federation_document_is_judged_as_it_must(self):
        hold(self, "federations", federation, 172)

    def test_every_invite_is_judged_as_it_must(self):
        hold(self, "invites", invite, 71)

    def test_every_pairing_is_judged_as_it_must(self):
        hold(self, "pairings", pairing, 100)

    def test_every_membership_is_judged_as_it_must(self):
        hold(self, "memberships", membership, 50)

    def test_every_admission_is_judged_as_it_must(self):
        hold(self, "admissions", admission, 69)

    def test_every_request_is_judged_as_it_must(self):
        hold(self, "requests", request, 271)


if __name__ == "__main__":
    unittest.main()
