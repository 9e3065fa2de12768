"""jobctl passwd: users of a service's password file."""

import io
import stat
from pathlib import Path

import pytest

from jobctl.commands.main import main
from jobctl.sasl.password_file import read_password_file
from jobctl.sasl.secrets import matches


def run(monkeypatch: pytest.MonkeyPatch, password: str, *words: str) -> int:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{password}\n"))
    return main(["passwd", *words])


def test_a_user_is_added_changed_and_taken_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other lines and comments stay as they are; the password itself stands nowhere."""
    path = tmp_path / "users"
    path.write_text("# our users\nbob:$scrypt$whatever\n")
    path.chmod(0o640)
    assert run(monkeypatch, "sesame", str(path), "ann") == 0
    assert run(monkeypatch, "open", "--scheme", "scrypt", str(path), "carol") == 0
    text = path.read_text()
    assert text.startswith("# our users\nbob:$scrypt$whatever\nann:SCRAM-SHA-256$")
    assert "sesame" not in text
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    users, wrong = read_password_file(text)
    assert [number for number, _ in wrong] == [2]
    assert matches(users["ann"], "sesame") and not matches(users["ann"], "other")
    assert matches(users["carol"], "open") and not matches(users["carol"], "sesame")
    assert run(monkeypatch, "new", str(path), "ann") == 0
    assert matches(read_password_file(path.read_text())[0]["ann"], "new")
    assert run(monkeypatch, "", "--delete", str(path), "ann") == 0
    assert set(read_password_file(path.read_text())[0]) == {"carol"}


def test_a_new_file_is_its_owners_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else can read a password file that jobctl made."""
    assert run(monkeypatch, "sesame", str(tmp_path / "users"), "ann") == 0
    assert stat.S_IMODE((tmp_path / "users").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("words", "password", "status", "said"),
    [
        (("{file}", "a:b"), "x", 65, "not a user name"),
        (("{file}", "ann"), "", 65, "empty password"),
        (("--delete", "{file}", "nobody"), "", 66, "there is no user nobody"),
        (("{folder}/no/users", "ann"), "x", 74, "No such file"),
        (("--delete", "{folder}/other", "ann"), "", 74, "No such file"),
    ],
)
def test_mistakes_change_nothing(
    words: tuple[str, ...],
    password: str,
    status: int,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One line says what is wrong, and the file is as it was."""
    path = tmp_path / "users"
    path.write_text("bob:$scrypt$whatever\n")
    given = [word.format(file=path, folder=tmp_path) for word in words]
    assert run(monkeypatch, password, *given) == status
    complaint = capsys.readouterr().err
    assert said in complaint
    assert complaint.count("\n") == 1
    assert path.read_text() == "bob:$scrypt$whatever\n"
