"""Vectors and what a judge has to say of each: verdict, code and phase."""

from __future__ import annotations

import json
import os
import unittest
from pathlib import Path
from typing import Any, Callable, Dict

from .standing import Refusal

TREE = Path(os.environ.get("LANDBRIDGE_TREE") or Path(__file__).resolve().parents[4])
#: Gives the verdict on a vector in which nothing is refused, or raises a refusal.
Judge = Callable[[Dict[str, Any]], str]


def vectors(folder: str) -> Dict[str, Dict[str, Any]]:
    """Each vector by its name, with what it takes from the folder's whole one."""
    files = sorted((TREE / "vectors" / folder).glob("*.json"))
    read = {file.stem: json.loads(file.read_text("utf-8")) for file in files}
    return {name: {**read["whole"], **own} for name, own in read.items()}


def data(said: Any) -> bytes:
    """Bytes that stand in a vector as a text, or as a list of texts and of `[text, how often]`."""
    parts = [said] if isinstance(said, str) else [one if isinstance(one, str) else one[0] * one[1] for one in said]
    return "".join(parts).encode("utf-8", "surrogatepass")


def hold(case: unittest.TestCase, folder: str, judge: Judge, at_least: int) -> None:
    """Holds a judge to every file of a folder, of which there are no fewer than there were."""
    read = vectors(folder)
    case.assertGreaterEqual(len(read), at_least, f"files of {folder}")
    for name, vector in read.items():
        with case.subTest(f"{folder}/{name}", clause=vector["clause"]):
            code, phase, why = None, "none", "nothing was refused"
            try:
                verdict = judge(vector)
            except Refusal as refusal:
                verdict, code, phase, why = refusal.verdict, refusal.code, refusal.phase, str(refusal)
            expected_code = code if vector["code"] is None else vector["code"]
            expected = (vector["verdict"], expected_code, vector["phase"])
            case.assertEqual((verdict, code, phase), expected, why)
