"""What a gateway verifies of catalogs, approval requests and decisions, against the vectors."""

import unittest

from judges import approvals
from judges.hold import hold


class Vectors(unittest.TestCase):
    def test_every_catalog_is_judged_as_it_must(self):
        hold(self, "catalogs", approvals.catalog, 50)

    def test_every_approval_request_is_judged_as_it_must(self):
        hold(self, "asks", approvals.ask, 70)

    def test_every_decision_is_judged_as_it_must(self):
        hold(self, "approvals", approvals.decision, 289)

    def test_every_tally_ends_as_it_must(self):
        hold(self, "tallies", approvals.tally, 50)


if __name__ == "__main__":
    unittest.main()
