"""Does the conformance kit bite? A client that is wrong in many ways passes only where it is right."""

import json
import os
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
#: What it does well. A case that passes besides has lost its teeth.
RIGHT = {"start-attached", "follow", "follow-from-cursor", "dribbled", "cancel-requested"}


@unittest.skipUnless("LANDBRIDGE_KIT" in os.environ, "LANDBRIDGE_KIT does not name the kit")
class Kit(unittest.TestCase):
    def passed(self, client):
        command = [os.environ["LANDBRIDGE_KIT"], "local-client", "--json", "--client", client]
        done = subprocess.run(command, stdout=subprocess.PIPE)
        cases = json.loads(done.stdout)["cases"]
        self.assertEqual((done.returncode, {case["verdict"] for case in cases} - {"pass"}), (1, {"fail"}))
        return {case["id"] for case in cases if case["verdict"] == "pass"}

    def test_a_naive_client_passes_only_where_it_is_right(self):
        self.assertEqual(self.passed(f"'{sys.executable}' '{os.path.join(HERE, 'naive.py')}'"), RIGHT)

    def test_a_client_that_does_nothing_passes_nothing(self):
        self.assertEqual(self.passed("""echo '{"end":"ok"}'"""), set())
        # Where nobody listens that is the answer.
        self.assertEqual(self.passed("""echo '{"end":"unknown"}'"""), {"nobody"})


if __name__ == "__main__":
    unittest.main()
