"""How two gateways are introduced, as the one that invites, and what a person then decides (identity.md, Pairing)."""

import hmac
import json
import os
import re
import secrets
import sys

import wire
from executor import CHAIN_ROOTS_MAX, DAY, DEADLINE, Asked
from wire import SKEW, Envelope, Key, Problem, Root, b64u, malformed, sha, unb64u, unverified


def invite(executor):
    """A line for the other side's person, good for one gateway and one day."""
    secret, now, root = secrets.token_bytes(32), executor.now(), executor.root
    document = wire.write({
        "endpoint": root.doc["endpoints"][0], "expires": now + DAY, "genesis": b64u(root.digest), "root": b64u(root.digest),
        "root_version": root.version, "secret": b64u(secret), "v": 1})
    with executor.store.tx() as db:
        db.execute("INSERT INTO invite VALUES (?, ?, ?, NULL)", (b64u(sha(b"GFP-INVITE-v1\n", secret)), secret, now + DAY))
    return "gfp1:" + b64u(document) + "." + b64u(sha(b"GFP-INVITE-TEXT-v1\n", document))[:6]


def pair(executor, data):
    """Answers a pairing: the same body as an operation, from a gateway that is nobody yet, so no refusal is signed."""
    if executor.store.meta("halted"):
        raise Problem("halted")  # ID-64
    roots, status, request, _ = wire.read_operation(data)
    for envelope in roots:
        envelope.expect("root")
    status.expect("status")
    request.expect("pairing")
    if len(roots) > CHAIN_ROOTS_MAX:
        raise Problem("too_large", "roots")
    if not roots:
        raise malformed("a pairing without its chain")
    gid, now, chain = wire.gateway_id(roots[0].digest), executor.now(), []
    for envelope in roots:
        chain.append(Root(envelope).check(chain[-1] if chain else None, gid, now))
    request.verify(chain[-1].keys("request"), chain[-1].threshold("request"), now)
    said = wire.read(request.payload)
    wire.PAIRING(said)
    if wire.gateway_id(unb64u(said["genesis"])) != said["iss"] or said["aud"] == said["iss"]:
        raise malformed("the gateways of a pairing")
    if not 1 <= said["exp"] - said["iat"] <= wire.REQUEST_LIFE_MAX:
        raise malformed("a pairing's life")
    if said["iss"] != gid or said["aud"] != executor.gid:
        raise unverified("not that gateway, or not for us")
    if said["iat"] > now + SKEW or said["exp"] < now - SKEW:
        raise Problem("clock_skew")
    store = executor.store
    with store.lock:
        row = store.one("SELECT * FROM invite WHERE id = ?", said["invite"])
        proof = row and hmac.digest(row["secret"], f"GFP-PAIRING-v1\n{executor.gid}\n{gid}".encode(), "sha256")
        if proof is None or not hmac.compare_digest(proof, unb64u(said["proof"])):
            raise unverified("no such invite")  # ID-34
        if row["gid"] not in (None, gid) or row["gid"] is None and row["expires"] <= now:
            raise unverified("the invite is used, or expired")
        if store.one("SELECT 1 FROM jti WHERE gid = ? AND jti = ?", gid, said["jti"]):
            raise Problem("replayed")
        executor.take_roots(gid, roots, CHAIN_ROOTS_MAX)
        executor.take_status(gid, status, 1)
        if executor.revoked(gid) & {kid for kid, _ in request.signatures}:
            raise unverified("a revoked key")  # ID-22
        with store.tx() as db:
            db.execute("INSERT INTO jti VALUES (?, ?, ?)", (gid, said["jti"], said["exp"]))
            if row["gid"] is None:
                db.execute("UPDATE invite SET gid = ? WHERE id = ?", (gid, row["id"]))  # ID-35
                store.audit(f"paired {gid}")
    accepted = executor.peers().get(gid, {}).get("status") == "active"
    return executor.answer(Asked(gid, None, request, []), {"pairing": "accepted" if accepted else "pending"})  # ID-74


def words(executor, row):
    """The twelve words of a pairing, for two people to compare."""
    from mnemonic import Mnemonic  # for its list of words, BIP 39's English one, and nothing else
    listed, genesis = Mnemonic("english").wordlist, executor.chain(row["gid"])[0].digest
    bits = int.from_bytes(sha(b"GFP-WORDS-v1\n", executor.root.digest, genesis, unb64u(row["id"])), "big")
    return [listed[bits >> (256 - 11 * at) & 2047] for at in range(1, 13)]


def federate(executor, change):
    """Signs the next federation document. It needs the policy key, which the daemon never reads."""
    with open(os.path.join(executor.home, "offline.json"), encoding="utf-8") as file:
        policy = Key(bytes.fromhex(json.load(file)["policy"]))
    with executor.store.tx():
        document = wire.read(Envelope(json.loads(executor.store.meta("federation"))).payload)
        peers = {peer["gid"]: peer for peer in document["peers"]}
        change(peers)
        agents = [agent.lower() for peer in peers.values() for grant in peer["grants"] for agent in grant["agents"]]
        aliases = [peer["alias"] for peer in peers.values()]
        if len(set(agents)) != len(agents) or len(set(aliases)) != len(aliases):
            sys.exit("An alias, or an agent, belongs to one peer alone.")  # ID-29
        document.update(issued=executor.now(), peers=[peers[gid] for gid in sorted(peers)], version=document["version"] + 1)
        executor.store.put(federation=wire.sign("federation", document, policy).text)


def accept(executor, options):
    """Shows a person the twelve words, and trusts the other gateway once they are the same on both sides (ID-36)."""
    joined = executor.store.all("SELECT * FROM invite WHERE gid IS NOT NULL")
    waiting = [row for row in joined if row["gid"] not in executor.peers()]
    if len(waiting) != 1:
        sys.exit(f"{len(waiting)} gateways wait to be accepted.")
    shown, gid = words(executor, waiting[0]), waiting[0]["gid"]
    print(f"{gid} has joined. Do both sides read the same twelve words?\n\n  {' '.join(shown)}\n")
    told = options.words or input("Type them as the other side reads them out: ")
    if told.split() != shown:
        sys.exit("These are not the words. Nobody was accepted.")
    if not re.fullmatch("[a-z0-9][a-z0-9._-]{0,31}", options.alias):
        sys.exit("This is not a name for a peer.")
    for name, form in ((options.src, wire.TENANT), (options.dst, wire.TENANT), *((agent, wire.AGENT) for agent in options.agent)):
        form(name)
    grant = {"agents": options.agent, "asks": ["prompt"], "concurrent_max": options.concurrent, "deadline_ms_max": DEADLINE,
             "disclose": dict.fromkeys(("output", "tool_args", "tool_results"), options.disclose), "local": options.dst,
             "modes": options.mode or ["session", "turn"], "remote": options.src, "tools": []}
    chain = executor.chain(gid)
    federate(executor, lambda peers: peers.update({gid: {
        "alias": options.alias, "endpoints": chain[-1].doc["endpoints"], "genesis": b64u(chain[0].digest), "gid": gid,
        "grants": [grant], "min_root_version": len(chain), "status": "active"}}))
    print(f"{options.alias} may ask {', '.join(options.agent)}")


def become(executor, alias, status):
    """Suspends, revokes or lets a peer go on. What was revoked stays so (ID-63)."""
    def change(peers):
        peer = next((peer for peer in peers.values() if peer["alias"] == alias), None)
        if peer is None or peer["status"] == "revoked":
            sys.exit("There is no such peer that can change.")
        peer.update(status=status, grants=[] if status == "revoked" else peer["grants"])
    federate(executor, change)
