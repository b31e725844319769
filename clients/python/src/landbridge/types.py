"""What a client hands on: the frames of a run, and refusals."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Dict, Optional


@dataclass(frozen=True)
class Frame:
    """One event of a run."""

    seq: int
    event: str
    payload: Dict[str, Any]
    #: The line exactly as it was sealed; its bytes can be hashed.
    line: str = field(repr=False)

    @property
    def terminal(self) -> bool:
        """Whether the run ends with it."""
        return self.event == "terminal"

    @classmethod
    def read(cls, line: str) -> "Frame":
        """Reads a frame line; ValueError when it is none."""
        value = json.loads(line)
        if isinstance(value, dict):
            seq, event, payload = value.get("seq"), value.get("event"), value.get("payload")
            # `true` would be a number otherwise.
            if type(seq) is int and isinstance(event, str) and isinstance(payload, dict):
                return cls(seq, event, payload, line)
        raise ValueError("not a frame")


class Problem(Exception):
    """A refusal of the bridge; `code` says what happened, and `docs/operating/errors/` what to do."""

    def __init__(self, status: int, body: Dict[str, Any]) -> None:
        self.status, self.body = status, body

        def text(name: str) -> Optional[str]:
            return body[name] if isinstance(body.get(name), str) else None

        self.code: str = text("code") or "unknown"
        self.detail, self.retry_mode = text("detail"), text("retryMode")
        self.retryable: bool = body.get("retryable") is True
        after = body.get("retryAfterMs")
        self.retry_after_ms: Optional[int] = after if type(after) is int else None
        super().__init__(f"{self.code}: {self.detail}" if self.detail else self.code)

    @classmethod
    def read(cls, status: int, data: bytes) -> "Problem":
        """Reads a problem; what is none becomes one with the code `unknown`."""
        try:
            body = json.loads(data)
        except ValueError:
            body = None
        return cls(status, body if isinstance(body, dict) else {})
