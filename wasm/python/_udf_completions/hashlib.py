"""Key derivation, which CPython has from OpenSSL. Signatures and errors are those of the originals."""

import _operator
import hashlib
import hmac

import _udf

# What OpenSSL lets scrypt use unless `maxmem` allows more.
_SCRYPT_BYTES = 32 * 2**20


def pbkdf2_hmac(hash_name, password, salt, iterations, dklen=None):
    """Password based key derivation function 2 (PKCS #5 v2.0) with HMAC as pseudorandom function."""
    if not isinstance(hash_name, str):
        raise TypeError(f"pbkdf2_hmac() argument 'hash_name' must be str, not {type(hash_name).__name__}")
    iterations = _operator.index(iterations)
    if iterations < 1:
        raise ValueError("iteration value must be greater than 0.")
    digest_size = hashlib.new(hash_name).digest_size
    length = digest_size if dklen is None else _operator.index(dklen)
    if length < 1:
        raise ValueError("key length must be greater than 0.")
    inner, outer = hashlib.new(hash_name), hashlib.new(hash_name)
    password, salt = bytes(password), bytes(salt)
    if len(password) > inner.block_size:
        password = hashlib.new(hash_name, password).digest()
    password = password.ljust(inner.block_size, b"\0")
    inner.update(password.translate(hmac.trans_36))
    outer.update(password.translate(hmac.trans_5C))
    start_inner, start_outer = inner.copy, outer.copy

    def pseudorandom(message):  # `hmac` takes twice the time
        inner, outer = start_inner(), start_outer()
        inner.update(message)
        outer.update(inner.digest())
        return outer.digest()

    key = b""
    for block in range(1, -(-length // digest_size) + 1):
        digest = pseudorandom(salt + block.to_bytes(4))
        combined = int.from_bytes(digest)
        for _ in range(iterations - 1):
            digest = pseudorandom(digest)
            combined ^= int.from_bytes(digest)
        key += combined.to_bytes(digest_size)
    return key[:length]


def scrypt(password, *, salt=None, n=None, r=None, p=None, maxmem=0, dklen=64):
    """Scrypt password-based key derivation function."""
    if salt is None:
        raise TypeError("salt is required")
    for name, value in (("n", n), ("r", r), ("p", p)):
        if value is None or not isinstance(value, int):
            raise TypeError(f"{name} is required and must be an unsigned int")
    if n < 2 or n & (n - 1):
        raise ValueError("n must be a power of 2.")
    if not 0 <= maxmem < 2**31:
        raise ValueError(f"maxmem must be positive and smaller than {2**31 - 1}")
    if not 1 <= dklen < 2**31:
        raise ValueError(f"dklen must be greater than 0 and smaller than {2**31 - 1}")
    if r < 1 or p < 1 or r * p >= 2**30 or 128 * r * (n + p) + 64 * 4 > (maxmem or _SCRYPT_BYTES):
        raise ValueError("Invalid parameter combination for n, r, p, maxmem.")
    blocks = pbkdf2_hmac("sha256", password, salt, 1, 128 * r * p)
    mixed = b"".join(
        [_udf.scrypt_mix(blocks[start : start + 128 * r], n, r) for start in range(0, len(blocks), 128 * r)]
    )
    return pbkdf2_hmac("sha256", password, mixed, 1, dklen)


for _function in (pbkdf2_hmac, scrypt):
    _function.__module__ = "hashlib"
    setattr(hashlib, _function.__name__, _function)
hashlib.__all__ += ("pbkdf2_hmac", "scrypt")
