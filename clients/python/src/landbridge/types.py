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
        if not isinstance(value, dict) or not {"seq", "event", "payload"} <= set(value):
            raise ValueError("not a frame")
        return cls(value["seq"], value["event"], value["payload"], line)


class Problem(Exception):
    """A refusal of the bridge; `code` says what happened, and `docs/operating/errors/` what to do."""

    def __init__(self, status: int, body: Dict[str, Any]) -> None:
        self.status, self.body = status, body
        self.code: str = str(body.get("code", "unknown"))
        self.detail: Optional[str] = body.get("detail")
        self.retryable: bool = body.get("retryable") is True
        self.retry_mode: Optional[str] = body.get("retryMode")
        self.retry_after_ms: Optional[int] = body.get("retryAfterMs")
        super().__init__(f"{self.code}: {self.detail}" if self.detail else self.code)

    @classmethod
    def read(cls, status: int, data: bytes) -> "Problem":
        """Reads a problem; what is none becomes one with the code `unknown`."""
        try:
            body = json.loads(data)
        except ValueError:
            body = None
        return cls(status, body if isinstance(body, dict) else {})
