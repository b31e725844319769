#!/usr/bin/env python3
"""Makes the clients' types of the local API from its description, so that none of them is a guess.

    python3 clients/generate.py            writes them, and copies of the licences
    python3 clients/generate.py --check    fails when one on disk differs
"""

import json
import sys
import textwrap
from pathlib import Path

TREE = Path(__file__).resolve().parent.parent
SOURCE = "spec/openapi/local-3.2.json"
#: What the clients take and give; what these name is made too.
TYPES = ["StartRun", "RunView", "RunList", "CancelView", "ProblemView", "RouteView"]
MADE = f"Made from `{SOURCE}` by `clients/generate.py`; do not edit."

API = json.loads((TREE / SOURCE).read_text())
SCHEMAS = API["components"]["schemas"]


def filters():
    """The query of the list of runs, as the clients take it: labels by name, and pages are theirs to turn."""
    asked = API["paths"]["/v1/runs"]["get"]["parameters"]
    members = {one["name"]: {"description": one.get("description", ""), **one["schema"]} for one in asked}
    del members["cursor"], members["label"]
    labels = {"type": "object", "additionalProperties": {"type": "string"}, "description": "A run has all of them."}
    return {"type": "object", "description": "Which runs to list.", "properties": {**members, "labels": labels}}


def options():
    """What a start may say besides its work, its gateway and its key: keyword arguments, in Python."""
    left_out = ("gateway", "idempotencyKey", "prompt", "toolCall")
    members = {name: one for name, one in SCHEMAS["StartRun"]["properties"].items() if name not in left_out}
    return {"type": "object", "description": "What a start may say besides.", "properties": members}


class TypeScript:
    path = "clients/typescript/src/api.ts"
    plain = {"string": "string", "integer": "number", "boolean": "boolean", "null": "null"}
    extra = {"Filters": filters(), "Frame": SCHEMAS["Frame"]}
    head = f"/** What the local API takes and tells. {MADE} */\n"

    either = staticmethod(" | ".join)

    @staticmethod
    def constant(value):
        return f"'{value}'"

    @staticmethod
    def several(item):
        return f"({item})[]" if " " in item else f"{item}[]"

    @staticmethod
    def mapping(value):
        return f"Record<string, {value or 'unknown'}>"

    @staticmethod
    def comment(text, indent=""):
        return "\n".join(fill(f"/** {text} */", indent, " * "))

    def alias(self, name, text, about):
        return f"{self.comment(about)}\nexport type {name} = {text};\n"

    def record(self, name, about, members):
        lines = [self.comment(about), f"export interface {name} {{"]
        for member, text, needed, description in members:
            lines += [self.comment(description, "  ")] if description else []
            lines += [f"  {member}{'' if needed else '?'}: {text};"]
        return "\n".join([*lines, "}\n"])


class Python:
    path = "clients/python/src/landbridge/_api.py"
    plain = {"string": "str", "integer": "int", "boolean": "bool", "null": "None"}
    extra = {"Filters": filters(), "StartOptions": options()}
    # The standard library has NotRequired from 3.11 on; nothing here is looked at when a program runs.
    head = f'''"""What the local API takes and tells. {MADE}"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, List, Literal, Optional, TypedDict

if TYPE_CHECKING:
    from typing_extensions import NotRequired
'''

    @staticmethod
    def either(texts):
        if all(text.startswith("Literal[") for text in texts):
            return f"Literal[{', '.join(text[8:-1] for text in texts)}]"
        if len(texts) == 1:
            return texts[0]
        return f"Optional[{Python.either([text for text in texts if text != 'None'])}]"

    @staticmethod
    def constant(value):
        return f'Literal["{value}"]'

    @staticmethod
    def several(item):
        return f"List[{item}]"

    @staticmethod
    def mapping(value):
        return f"Dict[str, {value or 'Any'}]"

    @staticmethod
    def alias(name, text, about):
        return "\n".join(["", *fill(f"#: {about}", "", "#: ")]) + f"\n{name} = {text}\n"

    @staticmethod
    def record(name, about, members):
        lines = ["", f"class {name}(TypedDict):", *fill(f'"""{about}"""', "    ", ""), ""]
        for member, text, needed, description in members:
            lines += fill(f"#: {description}", "    ", "#: ") if description else []
            lines += [f"    {member}: {text if needed else f'NotRequired[{text}]'}"]
        return "\n".join([*lines, ""])


def fill(text, indent, go_on):
    return textwrap.wrap(text, 116, initial_indent=indent, subsequent_indent=indent + go_on, break_on_hyphens=False)


class Made:
    """One language's file."""

    def __init__(self, language):
        self.language, self.done = language, {}
        for name in TYPES:
            self.declare(name, SCHEMAS[name])
        for name, schema in language.extra.items():
            self.declare(name, schema)

    def declare(self, name, schema):
        if name in self.done:
            return
        about = schema.get("description", "")
        if "properties" in schema:
            # What it names comes first: Python reads from the top.
            members = [
                (member, self.text(one), member in schema.get("required", ()), one.get("description", ""))
                for member, one in schema["properties"].items()
            ]
            self.done[name] = self.language.record(name, about, members)
        else:
            # The meaning of each value is told once, where they are listed.
            values = " ".join(f"`{one['const']}`: {one['description']}" for one in schema["oneOf"])
            self.done[name] = self.language.alias(name, self.text(schema), f"{about} {values}")

    def text(self, schema):
        """A schema as a type."""
        language = self.language
        if "$ref" in schema:
            name = schema["$ref"].rsplit("/", 1)[1]
            named = SCHEMAS[name]
            if "properties" not in named and "oneOf" not in named:
                return self.text(named)
            self.declare(name, named)
            return name
        if "const" in schema:
            return language.constant(schema["const"])
        if "enum" in schema:
            words = [language.constant(value) for value in schema["enum"] if value is not None]
            return language.either(words + [language.plain["null"]] * (None in schema["enum"]))
        for several in ("anyOf", "oneOf"):
            if several in schema:
                return language.either([self.text(one) for one in schema[several]])
        kind = schema["type"]
        if isinstance(kind, list):
            return language.either([self.text({**schema, "type": one}) for one in kind])
        if kind == "array":
            return language.several(self.text(schema["items"]))
        if kind == "object":
            of = schema.get("additionalProperties")
            return language.mapping(self.text(of) if isinstance(of, dict) else None)
        return language.plain[kind]

    def file(self):
        return "\n".join([self.language.head, *self.done.values()])


def files():
    """What is made: the types, and the licences, which a package holds itself to be published with them."""
    for language in (TypeScript(), Python()):
        yield language.path, Made(language).file()
    for package in ("python", "typescript"):
        for licence in ("LICENSE-APACHE", "LICENSE-MIT"):
            yield f"clients/{package}/{licence}", (TREE / licence).read_text()


def main():
    check = sys.argv[1:] == ["--check"]
    differ = []
    for name, made in files():
        path = TREE / name
        if not path.exists() or path.read_text() != made:
            differ.append(name)
            if not check:
                path.write_text(made)
    if check and differ:
        sys.exit(f"made anew these differ, see clients/generate.py: {', '.join(differ)}")


main()
