"""The schemas of `spec/schemas/` take what the vectors and the examples say is right, and refuse what a schema can tell is wrong."""

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

TREE = pathlib.Path(os.environ["LANDBRIDGE_TREE"])
FOLDER = TREE / "spec/schemas"
VECTORS = TREE / "vectors"
PREFIX = "application/vnd.gfp."
SUFFIX = ".v1+json"

SCHEMAS = {path.name.removesuffix(".schema.json"): json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.schema.json"))}
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
        if {"approval", "catalog", "credential"} <= members:
            yield "decision", value
        if value.get("type") == "frame" and isinstance(value.get("value"), str):
            yield from text_under("frame", value["value"])
        if value.get("type") == "body" and isinstance(value.get("value"), str):
            yield from text_under("start", value["value"])
        if value.get("op") == "start" and "body" in members:
            yield "start", value["body"]
        for item in value.values():
            yield from inside(item)


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
        elif folder == "requests" and member == "body":
            yield from text_under("operation", value)
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
