"""The verifier against the vectors."""

import json
import os
import unittest
from pathlib import Path

from landbridge import verify

TREE = Path(os.environ.get("LANDBRIDGE_TREE") or Path(__file__).resolve().parents[3])


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


if __name__ == "__main__":
    unittest.main()
