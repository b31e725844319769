"""`python -m landbridge verify FILE --pin ID`."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from typing import List, NoReturn, Optional

from .verify import verify


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Wrong usage is 64 here, as in `landbridge` (STR-36)."""
        self.print_usage(sys.stderr)
        self.exit(64, f"{self.prog}: {message}\n")


def main(arguments: Optional[List[str]] = None) -> int:
    parser = _Parser(prog="python -m landbridge", description="Judge an exported run, offline.")
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("verify", help="check a transcript against the gateway that must have sealed it")
    command.add_argument("file", metavar="FILE", help="the transcript, or - for standard input")
    command.add_argument("--pin", required=True, metavar="ID", help="the gateway that must have sealed it")
    command.add_argument("--json", action="store_true", help="print the verdict as one JSON object")
    options = parser.parse_args(arguments)
    try:
        if options.file == "-":
            data = sys.stdin.buffer.read()
        else:
            with open(options.file, "rb") as file:
                data = file.read()
        verdict = verify(data, options.pin)
    except (OSError, ValueError) as fault:
        parser.error(str(fault))
    if options.json:
        print(json.dumps({**dataclasses.asdict(verdict), "exit": verdict.exit}))
        return verdict.exit
    if verdict.what is not None:
        where = f"line {verdict.line}: " if verdict.line else ""
        print(f"{verdict.verdict}: {where}{verdict.what}", file=sys.stderr)
    else:
        print(f"{verdict.verdict}: {verdict.frames} frames, outcome {verdict.outcome or 'unknown'}")
    for warning in verdict.warnings:
        print(f"note: {warning}", file=sys.stderr)
    return verdict.exit


if __name__ == "__main__":
    sys.exit(main())
