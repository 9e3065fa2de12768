"""How a password is kept: salted keys that check a password or a SCRAM exchange, or a scrypt hash."""

import base64
import hashlib
import hmac
import secrets

import msgspec

# RFC 7677 section 4 has 4096 as the least; checking one password takes some 50 ms with this many.
ITERATIONS = 120_000
# RFC 7914 section 2; some 60 ms and 32 MiB.
_SCRYPT_LOG_N = 15
_SCRYPT_R = 8
_SCRYPT_P = 1
# More would let a line of the password file keep a processor busy for minutes.
_MOST_ITERATIONS = 10_000_000
_MOST_LOG_N = 20


class ScramKeys(msgspec.Struct, frozen=True):
    """
    What SCRAM-SHA-256 keeps of a password (RFC 5802 section 3); nobody can log in elsewhere with it.

    Written as ``SCRAM-SHA-256$iterations:salt$stored key:server key``, base64 (RFC 5803).
    """

    iterations: int
    salt: bytes
    stored_key: bytes
    server_key: bytes


def scram_keys(password: str, salt: bytes | None = None, iterations: int = ITERATIONS) -> ScramKeys:
    """Make the keys of a password."""
    salt = salt if salt is not None else secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", prepared(password).encode(), salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    return ScramKeys(
        iterations,
        salt,
        hashlib.sha256(client_key).digest(),
        hmac.digest(salted, b"Server Key", "sha256"),
    )


def scram_line(keys: ScramKeys) -> str:
    """Keys as they stand in a password file."""
    return (
        f"SCRAM-SHA-256${keys.iterations}:{_b64(keys.salt)}${_b64(keys.stored_key)}:{_b64(keys.server_key)}"
    )


def scrypt_line(password: str) -> str:
    """A hash that checks passwords only: slower to guess, of no use for SCRAM (RFC 7914)."""
    salt = secrets.token_bytes(16)
    found = _scrypt(password, salt, _SCRYPT_LOG_N, _SCRYPT_R, _SCRYPT_P)
    return f"$scrypt$ln={_SCRYPT_LOG_N},r={_SCRYPT_R},p={_SCRYPT_P}${_b64(salt)}${_b64(found)}"


def read_keys(line: str) -> ScramKeys | None:
    """
    The SCRAM keys of a line, ``None`` where it has none.

    :raises ValueError: It begins like keys and is none.
    """
    if not line.startswith("SCRAM-SHA-256$"):
        return None
    try:
        _, cost, keys = line.split("$")
        iterations, salt = cost.split(":")
        stored, server = keys.split(":")
        found = ScramKeys(
            int(iterations), *(base64.b64decode(part, validate=True) for part in (salt, stored, server))
        )
    except ValueError:
        raise ValueError("malformed SCRAM-SHA-256 keys") from None
    if (
        not 1 <= found.iterations <= _MOST_ITERATIONS
        or len(found.stored_key) != 32
        or len(found.server_key) != 32
    ):
        raise ValueError("malformed SCRAM-SHA-256 keys")
    return found


def known_form(line: str) -> bool:
    """Whether a line of a password file is a hash that can be checked."""
    try:
        return read_keys(line) is not None or _scrypt_parts(line) is not None
    except ValueError:
        return False


def matches(line: str, password: str) -> bool:
    """
    Whether a password is the one that was kept; takes a while on purpose, so call it in a thread.

    :raises ValueError: The line is none of the known forms.
    """
    keys = read_keys(line)
    if keys is not None:
        return hmac.compare_digest(
            scram_keys(password, keys.salt, keys.iterations).stored_key, keys.stored_key
        )
    parts = _scrypt_parts(line)
    if parts is None:
        raise ValueError("not a hash made by jobctl passwd")
    log_n, r, p, salt, kept = parts
    return hmac.compare_digest(_scrypt(password, salt, log_n, r, p), kept)


def prepared(text: str) -> str:
    """
    A password or user name as SCRAM compares it: SASLprep (RFC 4013), as far as it changes what people type.

    Compatibility forms are unified (NFKC), other blanks become blanks, invisible marks go.
    """
    if text.isascii():
        return text
    # Late: nearly all passwords are ASCII.
    import stringprep
    import unicodedata

    mapped = "".join(
        " " if stringprep.in_table_c12(letter) else letter
        for letter in text
        if not stringprep.in_table_b1(letter)
    )
    return unicodedata.normalize("NFKC", mapped)


def _scrypt_parts(line: str) -> tuple[int, int, int, bytes, bytes] | None:
    words = line.split("$")
    if len(words) != 5 or words[:2] != ["", "scrypt"]:
        return None
    try:
        cost = {name: int(value) for name, value in (word.split("=") for word in words[2].split(","))}
        log_n, r, p = cost["ln"], cost["r"], cost["p"]
        salt, kept = (base64.b64decode(word, validate=True) for word in words[3:])
    except (ValueError, KeyError):
        raise ValueError("malformed scrypt hash") from None
    if not (1 <= log_n <= _MOST_LOG_N and 1 <= r <= 64 and 1 <= p <= 16 and kept):
        raise ValueError("malformed scrypt hash")
    return log_n, r, p, salt, kept


def _scrypt(password: str, salt: bytes, log_n: int, r: int, p: int) -> bytes:
    n = 1 << log_n
    return hashlib.scrypt(
        prepared(password).encode(), salt=salt, n=n, r=r, p=p, maxmem=256 * n * r + 1024 * 1024, dklen=32
    )


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
