"""A whole transcript, and what is told with it. CC0 1.0."""

import copy

from make.base import NOW, Gateway, b64u, dsse_digest, jcs, sha, sign

CASES = []


def case(name, clause, phase, exit):
    """Registers a story. `make` changes it, and may give lines, or the bytes of the file, itself."""

    def keep(make):
        CASES.append((name, clause, phase, exit, make))
        return make

    return keep


def set_in(part, **members):
    """A story in which a part has other members; None takes one away."""

    def make(story):
        def edit(document):
            for name, value in members.items():
                if value is None:
                    document.pop(name, None)
                else:
                    document[name] = value

        story.change[part] = edit

    return make


def part_case(name, clause, exit, part, phase="payload", **members):
    case(name, clause, phase, exit)(set_in(part, **members))


def raw_case(name, clause, part, edit, exit=2):
    """A part whose payload has other bytes than its document, rightly signed."""

    def make(story):
        story.change[part] = lambda document: edit(jcs(document))

    case(name, clause, "payload", exit)(make)


def root_case(name, clause, exit=2):
    """A story in which B's first root has something wrong; its id follows, and so does the pin."""

    def keep(edit):
        case(name, clause, "root", exit)(lambda story: edit(story, story.b, story.b.document))
        return edit

    return keep


def text_case(name, clause, exit=4):
    def keep(edit):
        case(name, clause, "line", exit)(lambda story: edit([jcs(line) for line in story.lines()]))
        return edit

    return keep


def envelope_case(name, clause, exit=4, at="accept"):
    """The envelope of one line, changed after it was signed."""

    def keep(edit):
        def make(story):
            lines = story.lines()
            for line in lines:
                if line["type"] == at:
                    line["value"] = edit(line["value"]) or line["value"]
                    break
            return [jcs(line) for line in lines]

        case(name, clause, "envelope" if exit == 4 else "signature", exit)(make)
        return edit

    return keep


class Story:
    """A whole transcript, every part of which can be changed before the parts that follow from it are made."""

    RUN = "run-aaaqeayeaudaocajbifqydiob4"

    def __init__(self):
        self.a, self.b = Gateway(1, "https://a.example:7443"), Gateway(17, "https://b.example:7443")
        self.later = {"caller": [], "executor": []}
        self.statuses = {"caller": None, "executor": None}
        self.body = {
            "agentTarget": {"agent": "triage", "mode": "session"},
            "callerIdentity": {"principal": "ci@acme"},
            "idempotencyKey": "example-2023-11-14",
            "invokedAt": NOW + 1000,
            "prompt": "Say hello.",
        }
        self.frames = [
            ("started", {"agent": "triage", "session": "s-1", "software": "example 1"}),
            ("output", {"channel": "answer", "text": "Hello."}),
            ("terminal", {"by": "executor", "outcome": "succeeded", "result": "Hello.", "sideEffects": "possible"}),
        ]
        #: After how many frames a seal stands, and when it was signed.
        self.seals = [(2, NOW + 2000), (3, NOW + 13_000)]
        self.change = {}
        self.keys = {}
        self.lost = None

    def made(self, name, document, *keys):
        """Signs what a part became after this story's change of it. The last word of its name is its kind."""
        kind, edit = name.split()[-1], self.change.get(name)
        if edit is not None:
            changed = copy.deepcopy(document)
            document = edit(changed) or changed
        return sign(kind, document, *(self.keys.get(name) or keys))

    def lines(self):
        a, b = self.a, self.b
        for side in (a, b):
            side.found()
        out = [{"caller": a.gid, "executor": b.gid, "run": self.RUN, "type": "header", "v": 1}]
        for of, side in (("caller", a), ("executor", b)):
            out += [{"of": of, "type": "root", "value": root} for root in [side.root] + self.later[of]]
        for of, side in (("caller", a), ("executor", b)):
            listed = self.statuses[of]
            documents = [side.status()] if listed is None else listed
            made = [self.made(f"{of} status", one, side.key["status"]) for one in documents]
            out += [{"of": of, "type": "status", "value": one} for one in made]
        request = self.made("request", {
            "aud": b.gid, "body": self.body, "exp": NOW + 61_000, "iat": NOW + 1000, "iss": a.gid,
            "jti": "AAECAwQFBgcICQoLDA0ODw", "op": "start", "proto": [1], "seen": {"n": 1, "seq": NOW},
            "tenant": {"dst": "ops", "src": "acme"}, "v": 1,
        }, a.key["request"])
        out.append({"type": "request", "value": request})
        accept = self.made("accept", {
            "aud": a.gid, "deadline": NOW + 601_000, "iss": b.gid, "key": "example-2023-11-14",
            "print": b64u(sha(b"GFP-BODY-v1\n", jcs(self.body))), "proto": 1, "root_version": 1, "run": self.RUN,
            "seen": {"n": 1, "seq": NOW}, "tenant": {"dst": "ops", "src": "acme"}, "v": 1,
        }, b.key["stream"])
        out.append({"type": "accept", "value": accept})
        accepted = b64u(dsse_digest(accept))
        head, seq = sha(b"GFP-STREAM-v1\n", dsse_digest(accept)), 0
        seals = dict(self.seals)
        for event, payload in self.frames:
            seq += 1
            line = payload if isinstance(payload, bytes) else (
                b'{"seq":%d,"event":%b,"payload":%b}' % (seq, jcs(event), jcs(payload)))
            head = sha(b"GFP-CHAIN-v1\n", head, seq.to_bytes(8, "big"), sha(b"GFP-LEAF-v1\n", line))
            out.append({"type": "frame", "value": line.decode()})
            if seq in seals:
                seal = {"accept": accepted, "final": event == "terminal", "head": b64u(head), "root_version": 1,
                        "run": self.RUN, "seq": seq, "t": seals[seq], "v": 1}
                name = "final seal" if seal["final"] else "seal"
                out.append({"type": "seal", "value": self.made(name, seal, b.key["stream"])})
        receipt = {"accept": accepted, "aud": b.gid, "head": b64u(head), "iss": a.gid, "key": "example-2023-11-14",
                   "root_version": 1, "run": self.RUN, "seq": seq, "t": NOW + 14_000, "v": 1}
        if self.lost:
            receipt["lost"] = self.lost
        out.append({"type": "receipt", "value": self.made("receipt", receipt, a.key["request"])})
        return out


def transcripts():
    """Each vector's file name and text."""
    from make import story_lines, story_parts  # noqa: F401 - they fill CASES

    def bytes_of(make):
        story = Story()
        made = make(story)
        if not isinstance(made, (list, bytes)):
            made = [jcs(line) for line in story.lines()]
        return story, made if isinstance(made, bytes) else b"".join(line + b"\n" for line in made)

    story, whole = bytes_of(lambda story: None)
    pin = story.b.gid
    base = whole.splitlines(keepends=True)
    numbers = {line: number for number, line in enumerate(base, 1)}
    for name, clause, phase, code, make in CASES:
        story, data = bytes_of(make)
        lines = [numbers.get(line, line.decode()) for line in data.splitlines(keepends=True)]
        if name == "whole":
            lines = [line.decode() for line in base]
        own = phase == "root" and not name.startswith(("second", "new")) or name == "accept_key_valid_after_request"
        if code in (0, 5):
            phase = "none"
        yield name, {"clause": clause, "phase": phase, "exit": code, "pin": story.b.gid if own else pin, "lines": lines}
