"""The verifier against the specification's example and the vectors."""

import json
import os
import subprocess
import sys
import unittest
from pathlib import Path

from landbridge import verify

TREE = Path(os.environ.get("LANDBRIDGE_TREE") or Path(__file__).resolve().parents[3])
EXAMPLE = (TREE / "spec/examples/transcript.jsonl").read_bytes()
PIN = "gw1-a4lrqvnpoc2v2gctdhusmusyrkwlnvywgi4ngdktzne3b45lhvnq"


class Example(unittest.TestCase):
    def test_it_verifies(self):
        verdict = verify(EXAMPLE, PIN)
        self.assertEqual((verdict.verdict, verdict.exit, verdict.frames), ("verified", 0, 3))
        self.assertEqual((verdict.outcome, verdict.run), ("succeeded", "run-aaaqeayeaudaocajbifqydiob4"))
        self.assertTrue(verify(EXAMPLE.decode(), PIN).ok)

    def test_another_pin_is_another_gateway(self):
        self.assertEqual(verify(EXAMPLE, verify(EXAMPLE, PIN).caller).exit, 3)

    def test_a_pin_that_is_none_is_wrong_usage(self):
        with self.assertRaises(ValueError):
            verify(EXAMPLE, "gw1-x")

    def test_a_flipped_bit_anywhere_is_refused(self):
        """Each byte of the header, the first seal and the frames; each seventh of all others."""
        lines = EXAMPLE.splitlines(keepends=True)
        at = 0
        for number, line in enumerate(lines, 1):
            every = 1 if number in (1, 8, 9, 10, 11) else 7
            for offset in range(0, len(line) - 1, every):
                data = bytearray(EXAMPLE)
                data[at + offset] ^= 1
                verdict = verify(bytes(data), PIN)
                self.assertIn(verdict.exit, (2, 4), f"byte {offset} of line {number}: {verdict}")
                self.assertGreaterEqual(verdict.line, 2 if verdict.exit == 2 else number)
            at += len(line)

    def test_a_cut_anywhere_is_no_whole_run(self):
        ends = [at + 1 for at, byte in enumerate(EXAMPLE) if byte == 10]
        for cut in list(range(0, len(EXAMPLE), 61)) + ends[:11]:
            expected = 5 if cut in ends else 4
            self.assertEqual(verify(EXAMPLE[:cut], PIN).exit, expected, f"cut at {cut}")

    def test_the_command_ends_like_the_verdict(self):
        def run(*arguments, data=b""):
            command = [sys.executable, "-m", "landbridge", *arguments]
            return subprocess.run(command, input=data, capture_output=True, env={**os.environ})

        done = run("verify", "-", "--pin", PIN, "--json", data=EXAMPLE)
        self.assertEqual((done.returncode, json.loads(done.stdout)["verdict"]), (0, "verified"))
        self.assertEqual(run("verify", "-", "--pin", PIN, data=EXAMPLE.replace(b"triage", b"Triage")).returncode, 2)
        self.assertEqual(run("verify", "-", "--pin", PIN, data=b"hello\n").returncode, 4)
        self.assertEqual(run("verify", "-", "--pin", "x", data=EXAMPLE).returncode, 64)
        self.assertEqual(run("verify", "/no/such/file", "--pin", PIN).returncode, 64)
        self.assertEqual(run("what").returncode, 64)


if __name__ == "__main__":
    unittest.main()
