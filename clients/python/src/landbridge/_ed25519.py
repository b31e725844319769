"""The strict Ed25519 rule (ENV-12, ID-2): what a library leaves open is decided here, the same everywhere.

The signature equation itself is the platform's. Libraries differ in what else they accept: an `S` that is
not reduced, points that are spelled in two ways, points of small order. Two verifiers that differ there
judge one transcript in two ways, so none of it is left to the library.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Optional, Tuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
SQRT_M1 = pow(2, (P - 1) // 4, P)

Point = Tuple[int, int, int, int]
IDENTITY: Point = (0, 1, 1, 0)


def _decode(encoded: bytes) -> Optional[Point]:
    """Gives the point, or None where the bytes are not the one canonical spelling of a point."""
    y = int.from_bytes(encoded, "little")
    sign, y = y >> 255, y & ((1 << 255) - 1)
    if len(encoded) != 32 or y >= P:
        return None
    u, v = (y * y - 1) % P, (D * y * y + 1) % P
    x = u * pow(v, 3, P) * pow(u * pow(v, 7, P), (P - 5) // 8, P) % P
    if v * x * x % P == P - u:
        x = x * SQRT_M1 % P
    if v * x * x % P != u % P or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = P - x
    return x, y, 1, x * y % P


def _add(one: Point, two: Point) -> Point:
    a = (one[1] - one[0]) * (two[1] - two[0]) % P
    b = (one[1] + one[0]) * (two[1] + two[0]) % P
    c = 2 * D * one[3] * two[3] % P
    d = 2 * one[2] * two[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def _times(scalar: int, point: Point) -> Point:
    result = IDENTITY
    while scalar:
        if scalar & 1:
            result = _add(result, point)
        point, scalar = _add(point, point), scalar >> 1
    return result


def _is_identity(point: Point) -> bool:
    return point[0] % P == 0 and (point[1] - point[2]) % P == 0


@lru_cache(maxsize=1024)
def good_key(public: bytes) -> bool:
    """Tells whether a key is canonical, of large order and torsion-free (ID-2)."""
    point = _decode(public)
    return point is not None and not _is_identity(point) and _is_identity(_times(L, point))


def verify(public: bytes, signature: bytes, message: bytes) -> bool:
    """Verifies a signature under the strict rule (ENV-12)."""
    if len(signature) != 64 or int.from_bytes(signature[32:], "little") >= L:
        return False
    for encoded in (public, signature[:32]):
        point = _decode(encoded)
        if point is None or _is_identity(_times(8, point)):
            return False
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except InvalidSignature:
        return False
    return True
