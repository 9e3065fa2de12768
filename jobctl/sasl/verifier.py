"""What an HTTP verifier is asked about passwords and tokens, and what its answers mean."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote_plus

import msgspec

from jobctl.sasl.secrets import prepared

# No answer needs more; what follows is not read.
LONGEST_ANSWER = 64 * 1024


class Verdict(msgspec.Struct, frozen=True):
    """
    What somebody who knows says of a claim.

    :ivar good: ``None``: nothing can be said now, for the reason ``trouble``; never to be taken for a no.
    :ivar user: Who the client is, where it is good.
    :ivar until: Epoch seconds at which a good token ends, ``None``: not told.
    """

    good: bool | None
    user: str = ""
    trouble: str = ""
    until: float | None = None


NO = Verdict(False)


def unknown(trouble: str) -> Verdict:
    """Nothing can be said now; the text goes to the log and has no secret in it."""
    return Verdict(None, trouble=trouble)


class WebQuestion(msgspec.Struct, frozen=True):
    """A request; it stands in no ``repr``, for the secret in it."""

    method: str
    headers: dict[str, str]
    body: bytes = b""

    def __repr__(self) -> str:
        return f"WebQuestion({self.method})"


class WebAnswer(msgspec.Struct, frozen=True):
    """:ivar body: At most :data:`LONGEST_ANSWER` octets and one."""

    status: int
    kind: str
    body: bytes


def password_question(user: str, password: str) -> WebQuestion | None:
    """HTTP Basic (RFC 7617); ``None``: a name that it cannot carry, so nobody has it."""
    if ":" in user or not user.isprintable() or not password.isprintable():
        return None
    return WebQuestion("GET", {"Authorization": _basic(user, password), "Accept": "application/json, */*"})


def token_question(token: str, client: str) -> WebQuestion:
    """
    Token introspection (RFC 7662 section 2.1).

    :param client: Who we are there: ``id:secret``, a bearer token, or ``""``: nobody in particular.
    """
    name, colon, secret = client.partition(":")
    headers = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
    if colon:
        # RFC 6749 section 2.3.1.
        headers["Authorization"] = _basic(quote_plus(name), quote_plus(secret))
    elif client:
        headers["Authorization"] = f"Bearer {client}"
    return WebQuestion("POST", headers, f"token={quote_plus(token)}&token_type_hint=access_token".encode())


def password_verdict(user: str, answer: WebAnswer) -> Verdict:
    """200 and 204: yes, unless the answer names somebody else; 401 and 403: no."""
    if answer.status in (401, 403):
        return NO
    if answer.status not in (200, 204):
        return unknown(f"it answers {answer.status}")
    if answer.kind.partition(";")[0].strip().lower() != "application/json" or answer.status == 204:
        return Verdict(True, user)
    said = _members(answer)
    if said is None:
        return unknown("its answer is no JSON object")
    named = said.get("username", user)
    return _agreed(user, named if isinstance(named, str) else "")


def token_verdict(user: str, answer: WebAnswer, member: str) -> Verdict:
    """
    Whose the token is (RFC 7662 section 2.2).

    :param user: Whom the client says to be, ``""``: the token tells.
    :param member: Of the answer, has the user's name.
    """
    if answer.status != 200:
        # 401 and 403 too: they are about us, not about the token.
        return unknown(f"it answers {answer.status}")
    said = _members(answer)
    if said is None or not isinstance(said.get("active"), bool):
        return unknown("its answer is not one of token introspection")
    if not said["active"]:
        return NO
    named, until = said.get(member), said.get("exp")
    if not isinstance(named, str) or not named:
        return unknown(f"its answer has no {member}: see introspection_user")
    return _agreed(user, named, float(until) if isinstance(until, int | float) else None)


def _agreed(claimed: str, named: str, until: float | None = None) -> Verdict:
    """Nobody is somebody else than who the verifier says."""
    if not claimed:
        claimed = named
    return Verdict(True, claimed, until=until) if prepared(claimed) == prepared(named) else NO


def _members(answer: WebAnswer) -> dict[str, object] | None:
    if len(answer.body) > LONGEST_ANSWER:
        return None
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _basic(user: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"
