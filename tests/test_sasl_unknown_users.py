"""Users that there are not look like users, whoever asks, however often."""

from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock

from channels.kit import slave_security
from channels.kit.slave_security import SlaveSecurity
from jobctl.mail.reply import Reply
from jobctl.net.password_checker import PasswordFile
from jobctl.sasl.password_file import read_password_file, scram_keys_of
from jobctl.sasl.secrets import matches, scram_keys, scram_line, scrypt_line
from jobctl.smtp.questions import PasswordGiven
from tests.smtp_dialogues import channel
from tests.tcp_support import service

FILE = f"sam:{scrypt_line('open')}\nann:{scram_line(scram_keys('sesame', iterations=4097))}\n"
USERS, _ = read_password_file(FILE)


def test_scram_of_nobody_looks_like_scram_of_somebody() -> None:
    """Salt and iterations as users have them, the same each time, others for others, and no password fits."""
    ann, nobody, else_one = (scram_keys_of(USERS, name) for name in ("ann", "nobody", "else"))
    assert matches(scram_line(ann), "sesame")
    assert (nobody.iterations, len(nobody.salt)) == (4097, len(ann.salt))
    assert nobody == scram_keys_of(dict(USERS), "nobody")
    assert len({ann.salt, nobody.salt, else_one.salt}) == 3
    assert nobody.stored_key not in (nobody.server_key, bytes(32))
    # A hash of another kind serves PLAIN alone, which SCRAM does not tell.
    assert scram_keys_of(USERS, "sam").iterations == 4097
    assert scram_keys_of({}, "ann") == scram_keys_of({}, "ann")


def test_another_user_changes_nothing() -> None:
    """Nobody stays nobody when somebody is added."""
    more, _ = read_password_file(FILE + f"bob:{scrypt_line('x')}\n")
    assert scram_keys_of(more, "nobody") == scram_keys_of(USERS, "nobody")


def test_both_programs_give_the_same(tmp_path: Path) -> None:
    """A generic slave is another process each time, and several servers share a port."""
    path = tmp_path / "users"
    path.write_text(FILE)
    how = service(password_file=str(path), plaintext_auth=True)
    unused: Any = None
    given = [
        SlaveSecurity(channel(keywords={"maysaslserver": True}), how, unused).keys("nobody"),
        PasswordFile(Clock(), str(path), print).keys("nobody"),
    ]
    assert given == [scram_keys_of(USERS, "nobody")] * 2


@pytest.mark.parametrize(("user", "code"), [("ann", 235), ("nobody", 535)])
def test_a_hash_is_made_for_nobody_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: str, code: int
) -> None:
    """PLAIN with the generic slave takes as long for a user that there is not."""
    path = tmp_path / "users"
    path.write_text(FILE)
    made: list[str] = []

    def counted(kept: str, password: str) -> bool:
        made.append(password)
        return matches(kept, password)

    monkeypatch.setattr(slave_security, "matches", counted)
    how = service(password_file=str(path), plaintext_auth=True)
    unused: Any = None
    security = SlaveSecurity(channel(keywords={"maysaslserver": True}), how, unused)
    said: list[Reply] = []
    security.check(PasswordGiven("PLAIN", user, "sesame"), lambda reply, who: said.append(reply))
    assert [reply.code for reply in said] == [code]
    assert made == ["sesame"]
