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
    def test_a_naive_client_passes_only_where_it_is_right(self):
        client = f"'{sys.executable}' '{os.path.join(HERE, 'naive.py')}'"
        command = [os.environ["LANDBRIDGE_KIT"], "local-client", "--json", "--client", client]
        done = subprocess.run(command, stdout=subprocess.PIPE)
        cases = json.loads(done.stdout)["cases"]
        self.assertEqual((done.returncode, {case["verdict"] for case in cases}), (1, {"pass", "fail"}))
        self.assertEqual({case["id"] for case in cases if case["verdict"] == "pass"}, RIGHT)


if __name__ == "__main__":
    unittest.main()
