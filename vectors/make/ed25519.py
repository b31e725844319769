"""Just enough of Ed25519 to sign in ways that no library signs. CC0 1.0."""

import hashlib

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT = pow(2, (P - 1) // 4, P)


def add(one, two):
    (a, b), (c, d) = one, two
    m = D * a * b * c * d
    x = (a * d + b * c) * pow(1 + m, P - 2, P)
    y = (b * d + a * c) * pow(1 - m, P - 2, P)
    return x % P, y % P


def times(scalar, point):
    out = (0, 1)
    while scalar:
        if scalar & 1:
            out = add(out, point)
        point, scalar = add(point, point), scalar >> 1
    return out


def encode(point):
    return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")


def decode(raw):
    """The point of canonical bytes; None where there is none."""
    y = int.from_bytes(raw, "little")
    sign, y = y >> 255, y & (1 << 255) - 1
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * ROOT % P
    if x * x % P != square:
        return None
    return (P - x if x & 1 != sign else x), y


BASE = decode((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def torsion():
    """A point of order 8."""
    y = 2
    while True:
        point = decode(y.to_bytes(32, "little"))
        if point is not None:
            small = times(L, point)
            if times(4, small) != (0, 1):
                return small
        y += 1


def scalar_of(seed):
    raw = bytearray(hashlib.sha512(bytes([seed]) * 32).digest()[:32])
    raw[0] &= 248
    raw[31] = raw[31] & 63 | 64
    return int.from_bytes(raw, "little")


def sign_with(seed, public, message, r, nonce):
    """A signature whose R is the bytes `r`, and whose S is `nonce` and the challenge times the secret."""
    k = int.from_bytes(hashlib.sha512(r + public + message).digest(), "little")
    return r + ((nonce + k * scalar_of(seed)) % L).to_bytes(32, "little")
