"""The example executor against the vectors of requests, up to what a start's key means, and of pairings: verdict and code."""

import json
import os
import sys
import tempfile
import unittest
from pathlib import Path

TREE = Path(os.environ.get("LANDBRIDGE_TREE") or Path(__file__).resolve().parents[2])
sys.path.insert(0, str(TREE / "examples/executor"))

import executor  # noqa: E402
import pairing  # noqa: E402
import wire  # noqa: E402
from server import OPERATION_BYTES_MAX  # noqa: E402
from store import Store  # noqa: E402

#: The receiver's online keys, as `vectors/make/base.py` has them: each seed is one byte.
SEEDS = {"stream": 18, "request": 19, "status": 20}
#: What this executor does not offer, and therefore refuses where others begin work.
NOT_OFFERED = {
    **dict.fromkeys(("start_tool_args_depth_16", "start_tool_args_empty_object", "start_tool_args_with_space"), ("refused", "not_granted")),
    "tool_call_whatever_the_modes": ("refused", "not_granted"),
    # It offers no approvals, and does not read what stands inside of them.
    **dict.fromkeys(("start_asked_of_an_unsigned_request", "start_grant_of_a_proof_of_no_kind", "start_grant_of_an_id_that_is_short",
                     "start_grant_with_an_envelope_as_approval"), ("refused", "not_granted")),
    # It has led no session yet, and here as elsewhere only what a start asks for by itself is judged.
    **dict.fromkeys(("start_subagent", "start_turn"), ("refused", "session_unknown")),
}


class Receiver(executor.Executor):
    """The executor at one moment, as a vector describes it. It leads no run."""

    def __init__(self, home, vector):
        store = Store(home)
        with store.tx() as db:
            text = {name: wire.write(value) for name, value in (("root", vector["roots"][0]), ("federation", vector["federation"]))}
            store.put(incarnation=vector["incarnation"]["n"], since=vector["incarnation"]["since"], **text)
            db.execute("INSERT INTO own_status VALUES (?, ?)", (vector["issued"]["seq"], b"{}"))
            for kept in vector["keys"]:
                row = (kept["caller"], kept["tenant"]["src"], kept["tenant"]["dst"], kept["key"])
                db.execute("INSERT INTO key VALUES (?, ?, ?, ?, ?, ?, ?)", (*row, *map(kept.get, ("print", "run", "blocked"))))
        store.db.close()
        with open(os.path.join(home, "online.json"), "w", encoding="utf-8") as file:
            json.dump({role: (bytes([seed]) * 32).hex() for role, seed in SEEDS.items()}, file)
        self.at = vector["now"]
        super().__init__(home)
        for peer in vector["peers"]:
            self.at = peer["at"]
            self.take_roots(peer["gateway"], [wire.Envelope(root) for root in peer["roots"]], executor.CHAIN_ROOTS_MAX)
            self.take_status(peer["gateway"], wire.Envelope(peer["status"]), 1)
        self.at = vector["now"]

    def now(self):
        return self.at

    def lead(self, run):
        pass


def request(receiver, vector, data):
    asked = receiver.authenticate(data)
    receiver.admit(asked, vector["route"])
    run = receiver.decide(asked)[0] if vector["route"] == "start" else None
    return "known" if run and run in [kept.get("run") for kept in vector["keys"]] else "accepted"


def pair(receiver, vector, data):
    for one in vector["invites"]:
        if one["withdrawn"] is None:  # an invite that is withdrawn is one that there is not
            with receiver.store.tx() as db:
                secret = wire.unb64u(one["document"]["secret"])
                db.execute("INSERT INTO invite VALUES (?, ?, ?, ?)", (one["id"], secret, one["document"]["expires"], one["used_by"]))
    pairing.pair(receiver, data)
    return "accepted"


def judged(judge, receiver, vector):
    said = vector["body"]
    data = said if isinstance(said, str) else "".join(one if isinstance(one, str) else one[0] * one[1] for one in said)
    data = data.encode("utf-8", "surrogatepass")
    try:
        if len(data) > OPERATION_BYTES_MAX:
            raise wire.Problem("too_large")
        return judge(receiver, vector, data), None
    except wire.Problem as problem:
        return "refused", problem.code


def vectors(folder):
    """Each vector by its name, with what it takes from the folder's whole one."""
    read = {file.stem: json.loads(file.read_text("utf-8")) for file in (TREE / "vectors" / folder).glob("*.json")}
    return {name: {**read["whole"], **own} for name, own in sorted(read.items())}


class Vectors(unittest.TestCase):
    def hold(self, name, judge, vector):
        with self.subTest(name, clause=vector["clause"]), tempfile.TemporaryDirectory() as home:
            executor.KEY_WINDOW = vector["key_window_ms"]
            receiver = Receiver(home, vector)
            found = judged(judge, receiver, vector)
            receiver.store.db.close()
            wanted = NOT_OFFERED.get(name, (vector["verdict"], vector["code"]))
            self.assertEqual((found[0], None) if wanted == ("refused", None) else found, wanted)

    def test_every_request_is_judged_as_it_must(self):
        found = vectors("requests")
        self.assertGreaterEqual(len(found), 270)
        for name, vector in found.items():
            if not name.startswith("member_"):  # it trusts no federation root, and so has no member
                self.hold(name, request, vector)

    def test_every_pairing_is_judged_as_it_must(self):
        found, otherwise = vectors("pairings"), {**vectors("requests")["whole"], "peers": []}
        self.assertGreaterEqual(len(found), 100)
        for name, vector in found.items():
            self.hold(name, pair, {**otherwise, **vector})


if __name__ == "__main__":
    unittest.main()
