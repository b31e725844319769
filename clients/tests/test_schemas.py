"""The schemas of `spec/schemas/` take what vectors and examples call right, and refuse what they can tell is wrong."""

import base64
import binascii
import collections
import json
import os
import pathlib
import unittest
from collections.abc import Iterator

from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from schema_let_through import LET_THROUGH
from schema_samples import PREFIX, SAMPLES, SUFFIX

TREE = pathlib.Path(os.environ["LANDBRIDGE_TREE"])
FOLDER = TREE / "spec/schemas"
VECTORS = TREE / "vectors"

SCHEMAS = {
    path.name.removesuffix(".schema.json"): json.loads(path.read_text())
    for path in sorted(FOLDER.glob("*.schema.json"))
}
REGISTRY: Registry = Registry().with_resources(
    (schema["$id"], Resource.from_contents(schema)) for schema in SCHEMAS.values()
)
VALIDATORS = {name: Draft202012Validator(schema, registry=REGISTRY) for name, schema in SCHEMAS.items()}

# A part of a file: under which schema it stands, and its value; `None` as schema where there is no JSON value to judge.
Part = tuple[str | None, object]


class NoValue(Exception):
    """A text that is not JSON."""


def read(text: str | bytes) -> object:
    def constant(word: str) -> object:
        raise NoValue(word)

    try:
        return json.loads(text, parse_constant=constant)
    except (ValueError, RecursionError) as error:
        raise NoValue from error


def text_under(schema: str, text: str | bytes) -> Iterator[Part]:
    """A text, what it says, and everything inside."""
    try:
        value = read(text)
    except NoValue:
        yield None, text
        return
    yield schema, value
    yield from inside(value)


def payload_of(container: dict[str, object]) -> Iterator[Part]:
    kind = str(container["payloadType"]).removeprefix(PREFIX).removesuffix(SUFFIX)
    try:
        payload = base64.b64decode(str(container["payload"]), validate=True)
    except (binascii.Error, ValueError):
        return
    if kind in SCHEMAS:
        yield from text_under(kind, payload)


def inside(value: object) -> Iterator[Part]:
    """Everything in a value that has a schema of its own."""
    if isinstance(value, list):
        for item in value:
            yield from inside(item)
    if not isinstance(value, dict):
        return
    members = set(value)
    if {"payload", "payloadType", "signatures"} <= members:
        yield "envelope", value
        yield from payload_of(value)
    elif {"payload", "payloadType", "proof"} <= members:
        yield from payload_of(value)
    else:
        if {"approval", "credential"} <= members:
            yield "decision", value
        if value.get("type") == "frame" and isinstance(value.get("value"), str):
            yield from text_under("frame", value["value"])
        if value.get("type") == "body" and isinstance(value.get("value"), str):
            yield from text_under("start", value["value"])
        if value.get("op") == "start" and "body" in members:
            yield "start", value["body"]
        for item in value.values():
            yield from inside(item)


def invite_of(text: str) -> Iterator[Part]:
    """What an invite's text holds, as far as it can be found in it."""
    code = "".join(text.split()).removeprefix("gfp1:").partition(".")[0]
    try:
        document = base64.b64decode(code + "=" * (-len(code) % 4), b"-_", validate=True)
        yield from text_under("invite", document)
    except (binascii.Error, ValueError):
        yield None, text


def whole_text(text: str | list[object]) -> str:
    if isinstance(text, str):
        return text
    return "".join(piece if isinstance(piece, str) else piece[0] * piece[1] for piece in text)


def parts_of_file(folder: str, vector: dict[str, object], whole: dict[str, object]) -> Iterator[Part]:
    if folder == "transcripts":
        for line in vector["lines"]:
            line = whole["lines"][line - 1] if isinstance(line, int) else line
            yield from text_under("transcript-line", line)
        return
    for member, value in {**whole, **vector}.items():
        if member == "envelope":
            yield from text_under("envelope", whole_text(value))
        elif member == "body":
            yield from text_under("operation", whole_text(value))
        elif folder == "invites" and member == "text":
            yield from invite_of(value)
        else:
            yield from inside(value)


def judged(parts: Iterator[Part]) -> tuple[list[str], bool, int]:
    """What is wrong, whether something was no JSON at all, and how many values were judged."""
    wrong, no_value, count = [], False, 0
    for schema, value in parts:
        if schema is None:
            no_value = True
            continue
        count += 1
        for error in VALIDATORS[schema].iter_errors(value):
            wrong.append(f"{schema}: {error.json_path}: {error.message[:200]}")
    return wrong, no_value, count


def vectors() -> Iterator[tuple[str, str, dict[str, object], dict[str, object]]]:
    for folder in sorted(path for path in VECTORS.iterdir() if (path / "whole.json").exists()):
        whole = json.loads((folder / "whole.json").read_text())
        for path in sorted(folder.glob("*.json")):
            yield folder.name, path.stem, json.loads(path.read_text()), whole


# Phases in which the fault is one of form, where it is known before anything is compared.
FORM = {"line", "envelope", "payload", "body"}
# Readers take it, since they look into no frame but `terminal`; an executor of this version never writes it.
NEVER_WRITTEN = {"transcripts/started_payload_unknown_member"}


# Values with the same members that are changed in every way.
ALIKE_MAX = 1
# Characters of a key's id.
ID_LENGTH = 43
# What may be absent where it stands in the values that are tried. Everything else may not.
OPTIONAL = {
    "answer": ".result.cancel .result.run",
    "approval-request": ".run",
    "federation": """
        .operators .peers.endpoints.tls_spki .peers.grants.approval .peers.grants.frames_max .peers.projections
        .roots.members
    """,
    "frame": """
        .payload.args .payload.costMicroUsd .payload.digest .payload.error .payload.evidence .payload.model
        .payload.problem.retryMode .payload.replace .payload.result .payload.size .payload.text .payload.truncated
        .payload.usage .payload.usage.costMicroUsd .payload.usage.model
    """,
    "invite": ".endpoint.tls_spki",
    "operation": ".held .roots",
    "problem": ".problem.detail .problem.retryMode",
    "problem-object": ".detail .retryAfterMs .retryMode",
    "receipt": ".accept .head .lost .run",
    "request": """
        .body.callerIdentity.labels .body.callerIdentity.step .body.callerIdentity.workflow .body.limits .body.reason
        .body.remoteRunId .traceparent
    """,
    "root": ".endpoints.tls_spki .keys.* .roles.catalog .roles.operator-ca",
    "start": """
        .callerIdentity.labels .callerIdentity.step .callerIdentity.workflow .deadline .limits .remoteRunId
    """,
    "stream-event": ".data.payload.text",
    "transcript-line": ".run",
}


def is_good(vector: dict[str, object]) -> bool:
    return vector["exit"] in (0, 5) if "exit" in vector else vector["verdict"] != "refused"


# Objects whose members nobody names: labels, and what stands under `ext` and in frames of later versions.
FREE = {"labels", "ext"}


def faults(value: object, at: str = "") -> Iterator[tuple[str, object]]:
    """Copies of a value with one fault in each: an unknown member, a null, or a value of another type."""
    if isinstance(value, dict):
        if at.rpartition(".")[2] not in FREE:
            yield f"{at}+zz", {**value, "zz": 1}
        for name, member in value.items():
            for where, wrong in faults(member, f"{at}.{name}"):
                yield where, {**value, name: wrong}
    elif isinstance(value, list):
        for index, item in enumerate(value):
            for where, wrong in faults(item, f"{at}.{index}"):
                yield where, [*value[:index], wrong, *value[index + 1 :]]
    yield f"{at}=null", None
    yield f"{at}=type", 1 if isinstance(value, str) else "1"
    if isinstance(value, int) and not isinstance(value, bool):
        yield f"{at}=fraction", value + 0.5
        yield f"{at}=large", 2**53
        yield f"{at}=true", True


def without_one(value: object, at: str = "") -> Iterator[tuple[str, object]]:
    """Copies of a value with one member less, and where it was; a key's own id is `*`."""
    if isinstance(value, dict):
        for name, member in value.items():
            where = f"{at}.{'*' if len(name) == ID_LENGTH else name}"
            yield where, {key: other for key, other in value.items() if key != name}
            for inner, less in without_one(member, where):
                yield inner, {**value, name: less}
    elif isinstance(value, list):
        for index, item in enumerate(value):
            for inner, less in without_one(item, at):
                yield inner, [*value[:index], less, *value[index + 1 :]]


def stream_events(text: str) -> Iterator[Part]:
    for block in text.split("\n\n")[:-1]:
        event: dict[str, object] = {"data": []}
        for line in block.split("\n"):
            field, _, value = line.partition(": ")
            if field == "data":
                parsed = read(value)
                yield from inside(parsed)
                event["data"].append(parsed)
            else:
                event[field] = int(value) if field == "id" else value
        yield "stream-event", event


def examples() -> Iterator[Part]:
    folder = TREE / "spec/examples"
    yield from text_under("operation", (folder / "operation.json").read_text())
    yield from stream_events((folder / "stream.sse").read_text())
    for name, schema in (("transcript", "transcript-line"), ("evidence", "evidence-line")):
        for line in (folder / f"{name}.jsonl").read_text().splitlines():
            yield from text_under(schema, line)


class Schemas(unittest.TestCase):
    def refused(self, schema: str, value: object) -> bool:
        return not VALIDATORS[schema].is_valid(value)

    def test_they_are_schemas_and_refer_to_each_other(self) -> None:
        for name, schema in SCHEMAS.items():
            Draft202012Validator.check_schema(schema)
            self.assertEqual(schema["$id"], f"urn:gfp:1:{name}")
            self.assertTrue(schema["title"] and schema["description"], name)
            for reference in references(schema):
                REGISTRY.resolver(schema["$id"]).lookup(reference)

    def test_what_is_right_is_taken(self) -> None:
        counts: collections.Counter[str] = collections.Counter()
        sources = [("examples", examples())]
        sources += [
            (f"{folder}/{name}", parts_of_file(folder, vector, whole))
            for folder, name, vector, whole in vectors()
            if is_good(vector)
        ]
        refused = set()
        for source, parts in sources:
            for schema, value in parts:
                self.assertIsNotNone(schema, f"{source}: {value!r}")
                counts[schema] += 1
                if self.refused(schema, value):
                    refused.add(source)
                    if source not in NEVER_WRITTEN:
                        self.fail(f"{source}: {next(VALIDATORS[schema].iter_errors(value))}")
        self.assertEqual(refused, NEVER_WRITTEN)
        for schema, value in SAMPLES:
            counts[schema] += 1
            VALIDATORS[schema].validate(value)
        print(f"\n{counts.total()} values of {len(sources)} files and {len(SAMPLES)} samples are taken")
        self.assertEqual(set(SCHEMAS) - set(counts), {"federation-block"}, "every schema judges something")

    def test_what_has_another_form_is_refused(self) -> None:
        passed, counts = set(), collections.Counter()
        for folder, name, vector, whole in vectors():
            if is_good(vector) or vector["phase"] not in FORM:
                continue
            wrong, no_value, _ = judged(parts_of_file(folder, vector, whole))
            if name.startswith(("start_", "body_")) and any("request: $.body" in line for line in wrong):
                self.assertTrue(any(line.startswith("start: ") for line in wrong), f"{folder}/{name}: {wrong}")
            counts["refused" if wrong else "no JSON" if no_value else "let through"] += 1
            if not wrong and not no_value:
                passed.add(f"{folder}/{name}")
        print(f"\nof {counts.total()} faults of form: {dict(counts)}")
        self.assertEqual(passed, set(" ".join(LET_THROUGH.values()).split()))

    def test_a_member_that_nobody_knows_or_of_another_type_is_refused(self) -> None:
        tried = 0
        for schema, value in a_few_good():
            for where, wrong in faults(value):
                tried += 1
                self.assertTrue(self.refused(schema, wrong), f"{schema}{where}")
        print(f"\n{tried} values with one fault are refused")

    def test_a_missing_member_is_refused_but_for_those_that_may_be_absent(self) -> None:
        tried, passed = 0, collections.defaultdict(set)
        for schema, value in a_few_good():
            for where, less in without_one(value):
                tried += 1
                if not self.refused(schema, less):
                    passed[schema].add(where)
        print(f"\n{tried} values without one member are judged")
        self.assertEqual(passed, {schema: set(text.split()) for schema, text in OPTIONAL.items()})


def a_few_good() -> Iterator[tuple[str, object]]:
    """Good values: of each schema, some of each set of members and each word that says what they are."""
    sources = [iter(SAMPLES), examples()]
    sources += [
        parts_of_file(folder, vector, whole)
        for folder, name, vector, whole in vectors()
        if is_good(vector) and f"{folder}/{name}" not in NEVER_WRITTEN
    ]
    seen = collections.Counter[str]()
    for parts in sources:
        for schema, value in parts:
            alike = f"{schema} {members_of(value)}"
            seen[alike] += 1
            # An event that nobody knows has any payload.
            if seen[alike] <= ALIKE_MAX and not is_novel(schema, value):
                yield schema, value


def is_novel(schema: str, value: object) -> bool:
    return schema == "frame" and f"payload-{value['event']}" not in SCHEMAS["frame"]["$defs"]


def members_of(value: object) -> object:
    if isinstance(value, dict):
        words = [value[name] for name in ("event", "type", "op", "payloadType") if name in value]
        return words, sorted((name, members_of(member)) for name, member in value.items() if name not in FREE)
    return None


def references(schema: object) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"]
        for member in schema.values():
            yield from references(member)
    elif isinstance(schema, list):
        for item in schema:
            yield from references(item)


if __name__ == "__main__":
    unittest.main()
