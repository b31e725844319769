"""Catalogs, approval requests and decisions, as the gateway judges them that receives them (`spec/approvals.md`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Set

from landbridge import _ed25519
from landbridge._form import Envelope, digest, key_id, raw64, read, text64, utf8, write

from . import operators as form
from .proofs import prove

DAY = 86_400_000
SKEW = 60_000
PROOF_BYTES_MAX = 8192
#: What a proof has to be for each kind of key.
PROOFS = {"file": "APR-19", "ssh": "APR-20", "ssh_sk": "APR-20", "webauthn": "APR-21"}
