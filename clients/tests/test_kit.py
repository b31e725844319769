"""Does the conformance kit bite clients? One that is wrong in many ways, and ours with one fault at a time."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
PYTHON = pathlib.Path(HERE, "../python").resolve()
#: What it does well. A case that passes besides has lost its teeth.
RIGHT = {"start-attached", "follow", "follow-from-cursor", "dribbled", "cancel-requested"}

#: A text of the Python client, what stands there instead, and the case that has to notice.
PLANTED = [
    ("_exchange.py", "frames?after={after}", "frames?after=0", "cut-after-each-frame"),
    ("_exchange.py", "if frame.seq != after + 1:", "if frame.seq <= after:", "frames-gap"),
    ("_exchange.py", "if frame.seq != after + 1:", "if frame.seq > after + 1:", "frames-twice"),
    ("_exchange.py", "if media != accept:", "if False:", "start-content-type"),
    ("_exchange.py", "if media != accept:", "if False:", "frames-content-type"),
    ("_exchange.py", 'problem = media == "application/problem+json"', "problem = True", "refused-by-another"),
    ("_exchange.py", "if not fits(told):", "if False:", "start-not-json"),
    ("_exchange.py", "if not fits(told):", "if False:", "list-cut"),
    ("_exchange.py", '.rstrip(b"\\r")', "", "event-forms"),
    ("_exchange.py", '("receive", SILENCE_S)', '("receive", SILENCE_S / 5)', "heartbeats"),
    ("_exchange.py", "problem, max(pause, (problem.retry_after_ms or 0) / 1000)", "problem, pause", "refused-passing"),
    ("_exchange.py", "if not problem.retryable:", "if False:", "refused-cursor"),
    ("_exchange.py", "if not problem.retryable:", "if True:", "broken-off-passing"),
    ("_exchange.py", 'if event[0] == "problem":', "if False:", "broken-off"),
    ("_exchange.py", 'why: Exception = Cut("the stream ended without a terminal")', "return", "end-without-terminal"),
    ("_exchange.py", 'raise Cut("the connection was cut")', "self._left = 0", "transcript-cut"),
    ("types.py", "type(seq) is int", "isinstance(seq, int)", "frames-not"),
    ("types.py", 'self.event == "terminal"', "False", "follow-after-terminal"),
    ("types.py", "after if type(after) is int else None", "None", "refused-rate-limited"),
    ("client.py", "idempotencyKey=key", 'idempotencyKey=f"{key}-{time.monotonic()}"', "start-answer-lost"),
    ("client.py", "gateway=gateway", 'mode="session", gateway=gateway', "start"),
    ("client.py", 'cursor = page["next"]', "cursor = None", "list-pages"),
    ("client.py", '(self._cancel(run))["state"]', '(self._cancel(run)) and "requested"', "cancel-already-terminal"),
    ("client.py", '"Authorization"', '"X-Authorization"', "follow"),
    ("client.py", "self._frames(run, after)", "self._frames(run, 0)", "follow-from-cursor"),
    ("client.py", 'Cut(f"{type(broken).__name__}: {broken}")', 'Cut(f"{broken} {talk.gi_frame.f_locals}")', "nobody"),
]


class Kit(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if "LANDBRIDGE_KIT" not in os.environ:
            raise RuntimeError("LANDBRIDGE_KIT does not name the kit: `cargo xtask ci --only clients` sets it")

    def passed(self, client, *further, **environment):
        command = [os.environ["LANDBRIDGE_KIT"], "local-client", "--json", "--client", client, *further]
        done = subprocess.run(command, stdout=subprocess.PIPE, env={**os.environ, **environment})
        cases = json.loads(done.stdout)["cases"]
        self.assertEqual((done.returncode, {case["verdict"] for case in cases} - {"pass"}), (1, {"fail"}))
        return {case["id"] for case in cases if case["verdict"] == "pass"}

    def test_a_naive_client_passes_only_where_it_is_right(self):
        self.assertEqual(self.passed(f"'{sys.executable}' '{os.path.join(HERE, 'naive.py')}'"), RIGHT)

    def test_a_client_that_does_nothing_passes_nothing(self):
        self.assertEqual(self.passed("""echo '{"end":"ok"}'"""), set())
        # Where nobody listens that is the answer.
        self.assertEqual(self.passed("""echo '{"end":"unknown"}'"""), {"nobody"})

    def test_each_planted_fault_is_found_by_its_case(self):
        client = f"'{sys.executable}' '{PYTHON / 'tests/driver.py'}'"
        for name, text, instead, case in PLANTED:
            with self.subTest(case, instead=instead), tempfile.TemporaryDirectory() as place:
                shutil.copytree(PYTHON / "src", place, dirs_exist_ok=True)
                path = pathlib.Path(place, "landbridge", name)
                source = path.read_text()
                self.assertIn(text, source)
                path.write_text(source.replace(text, instead))
                self.passed(client, "--only", case, PYTHONPATH=place)


if __name__ == "__main__":
    unittest.main()
