"""What a gateway verifies of catalogs, approval requests and decisions, against the vectors."""

import unittest

from judges import approvals
from judges.hold import hold

#: Faults of a credential and not of a proof. In other files of the folder, which differ in the kind of the key alone, they are
#: where they stand here: in the form of the payload (`ssh_key_with_an_application`), or in what the credential says
#: (`credential_key_under_another_name`, `key_not_listed`).
PHASES = {
    "ssh_with_a_kid_of_nobody": "approval",
    "webauthn_by_a_key_that_is_not_listed": "approval",
    "webauthn_key_a_compressed_point": "payload",
    "webauthn_key_of_another_algorithm": "payload",
    "webauthn_key_under_another_name": "approval",
    "webauthn_key_with_an_application": "payload",
    "webauthn_key_with_no_origin": "payload",
    "webauthn_key_without_origins": "payload",
    "webauthn_key_without_rp_id": "payload",
}


class Vectors(unittest.TestCase):
    def test_every_catalog_is_judged_as_it_must(self):
        hold(self, "catalogs", approvals.catalog, 38)

    def test_every_approval_request_is_judged_as_it_must(self):
        hold(self, "asks", approvals.ask, 55)

    def test_every_decision_is_judged_as_it_must(self):
        hold(self, "approvals", approvals.decision, 201, PHASES)

    def test_every_tally_ends_as_it_must(self):
        hold(self, "tallies", approvals.tally, 34)


if __name__ == "__main__":
    unittest.main()
