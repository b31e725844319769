#!/usr/bin/env python3
"""Makes the vectors. CC0 1.0: take them.

Written from `spec/` and independent of every implementation: it does not import one, and signs with keys
whose seeds are one byte, 32 times. What stands in a folder is told in the modules of `make/`.

    python3 vectors/build.py            writes vectors/<folder>/*.json
    python3 vectors/build.py --check    fails when a file on disk differs
"""

import json
import os
import sys

sys.dont_write_bytecode = True

from make import (  # noqa: E402
    approvals, asks, envelopes, federations, invites, members, pairings, proofs, requests, statuses, story, tallies, walks)

HERE = os.path.dirname(os.path.abspath(__file__))
#: Each folder, and what gives the names and the contents of its files.
FOLDERS = {
    "transcripts": story.transcripts,
    "envelopes": envelopes.CASES,
    "walks": walks.CASES,
    "statuses": statuses.CASES,
    "requests": requests.CASES,
    "catalogs": approvals.CATALOGS,
    "approvals": proofs.CASES,
    "tallies": tallies.CASES,
    "asks": asks.CASES,
    "federations": federations.CASES,
    "invites": invites.CASES,
    "pairings": pairings.CASES,
    "memberships": members.MEMBERSHIPS,
    "admissions": members.ADMISSIONS,
}


def differences(name, check):
    """Makes a folder; returns what differed on disk."""
    folder, made, differ = os.path.join(HERE, name), {}, []
    os.makedirs(folder, exist_ok=True)
    for file, vector in FOLDERS[name]():
        if file + ".json" in made:
            raise SystemExit(f"{name}/{file} stands twice")
        made[file + ".json"] = json.dumps(vector, ensure_ascii=False, indent=1) + "\n"
    for file in sorted(set(os.listdir(folder)) | set(made)):
        path = os.path.join(folder, file)
        there = open(path, encoding="utf-8", newline="").read() if os.path.exists(path) else None
        if there == made.get(file):
            continue
        differ.append(f"{name}/{file}")
        if check:
            continue
        if file not in made:
            os.remove(path)
        else:
            with open(path, "w", encoding="utf-8", newline="") as out:
                out.write(made[file])
    wrong = sum(json.loads(text)["phase"] != "none" for text in made.values())
    print(f"{name}: {len(made)} vectors, {wrong} of them wrong on purpose")
    return differ


def main():
    check = "--check" in sys.argv[1:]
    differ = [file for name in FOLDERS for file in differences(name, check)]
    if check and differ:
        raise SystemExit("differ from what this program makes: " + ", ".join(differ))


if __name__ == "__main__":
    main()
