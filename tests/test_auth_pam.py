"""Passwords checked by real PAM services, in both server programs; pam_wrapper keeps the system's out of it."""

import os
import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from twisted.cred.credentials import UsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.task import Clock

from jobctl.net.pam_checker import PamUsers
from jobctl.net.password_checker import CannotTell
from jobctl.sasl.verifier import NO, Verdict
from tests.auth_case import KINDS, Asked, at_once, b64, plain, start_fails

each = pytest.mark.parametrize("kind", KINDS)
FAILED = "535 5.7.8 Bad username or password."
LATER = "454 4.7.0 Temporary authentication failure."
# user:password:service, as pam_matrix reads it.
FINDS_WRAPPER = """
import ctypes.util
find = ctypes.util.find_library
ctypes.util.find_library = lambda name: "libpam_wrapper.so" if name == "pam" else find(name)
"""
# Results of pam_debug, and what a client hears.
AUTH = {
    **{"auth_err": FAILED, "user_unknown": FAILED, "maxtries": FAILED, "perm_denied": FAILED},
    **{"authinfo_unavail": LATER, "cred_insufficient": LATER, "system_err": LATER, "service_err": LATER},
}
ACCOUNT = {
    **{"acct_expired": FAILED, "new_authtok_reqd": FAILED, "perm_denied": FAILED, "cred_expired": FAILED},
    **{"authinfo_unavail": LATER, "buf_err": LATER, "success": "235 2.7.0 PLAIN authentication successful."},
}
USERS = "ann:sesame:smtp\nbob:öffne dich:smtp\ncarol:sesame:other\n"


def library(name: str) -> str:
    """Where a shared object of pam_wrapper is, or the reason to skip."""
    for folder in (*sorted(Path("/usr/lib").glob("*-linux-gnu")), Path("/usr/lib64"), Path("/usr/lib")):
        if (folder / name).exists():
            return str(folder / name)
    pytest.skip("pam_wrapper is not installed (Debian: libpam-wrapper)")


@pytest.fixture
def pam(tmp_path: Path) -> dict[str, str]:
    """The environment of a program that sees services of ours: ``smtp``, ``permit``, ``deny`` ..."""
    matrix = f"{library('pam_wrapper/pam_matrix.so')} passdb={tmp_path}/users"
    (tmp_path / "users").write_text(USERS)
    services = {
        "smtp": f"auth required {matrix}\naccount required {matrix}\n",
        **{f"auth_{what}": f"auth required pam_debug.so auth={what}\n" for what in AUTH},
        **{
            f"acct_{what}": f"auth required pam_permit.so\naccount required pam_debug.so acct={what}\n"
            for what in ACCOUNT
        },
        "broken": "auth required pam_no_such_module.so\n",
        "hangs": f"auth required pam_exec.so quiet /bin/cat {tmp_path}/fifo\n",
    }
    os.mkfifo(tmp_path / "fifo")
    folder = tmp_path / "pam.d"
    folder.mkdir()
    for name, text in services.items():
        (folder / name).write_text(text)
    # Symbols that are looked up in libpam itself pass a preloaded library by.
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(FINDS_WRAPPER)
    return {
        "PYTHONPATH": str(site),
        "LD_PRELOAD": library("libpam_wrapper.so"),
        "PAM_WRAPPER": "1",
        "PAM_WRAPPER_SERVICE_DIR": str(folder),
    }


@each
def test_users_of_pam(kind: str, pam: dict[str, str]) -> None:
    """pam_service: whom PAM lets in may send, by PLAIN and LOGIN; nobody else may."""
    with Asked(kind, pam, pam_service="smtp") as asked:
        assert asked.mechanisms == ["PLAIN", "LOGIN"]
        assert asked.say(plain("ann", "wrong")) == FAILED
        assert asked.event().text == FAILED
        assert asked.say(plain("carol", "sesame")) == FAILED
        assert asked.event().user == "carol"
        assert asked.say("AUTH LOGIN").startswith("334")
        assert asked.say(b64("bob")).startswith("334")
        assert asked.say(b64("öffne dich")).startswith("235")
        assert asked.event().user == "bob"


@each
@pytest.mark.parametrize("failing", [FAILED, LATER, "235"])
def test_results_of_pam(kind: str, failing: str, pam: dict[str, str]) -> None:
    """What is about the user is 535, an account that has expired too; trouble of the system is 454."""
    cases = {f"auth_{what}": said for what, said in AUTH.items()}
    cases |= {f"acct_{what}": said for what, said in ACCOUNT.items()} | {"broken": LATER}

    def ask(name: str) -> None:
        with Asked(kind, pam, pam_service=name) as asked:
            assert (name, asked.say(plain("ann", "x"))) == (name, cases[name])

    at_once(ask, [name for name, said in cases.items() if said.startswith(failing)])


@each
def test_a_module_that_hangs(kind: str, pam: dict[str, str], tmp_path: Path) -> None:
    """A directory server that does not answer costs auth_timeout, and neither other users nor the end."""
    try:
        with Asked(kind, pam, pam_service="hangs", auth_timeout=0.5) as asked:
            assert asked.say(plain("ann", "sesame")) == LATER
            assert asked.event().text == LATER
            assert asked.say("NOOP").startswith("250")
            asked.send("QUIT")
            assert asked.reply().startswith("221")
            assert asked.ended() == 0
    finally:
        # What PAM has started reads to the end of it, and ends.
        os.close(os.open(tmp_path / "fifo", os.O_RDWR))


@each
def test_without_the_library(kind: str, tmp_path: Path) -> None:
    """A program that cannot ask PAM says what to install, and exits 78."""
    (tmp_path / "pamela.py").write_text("raise ImportError\n")
    status, words = start_fails(kind, {"PYTHONPATH": str(tmp_path)}, pam_service="smtp")
    assert status == 78
    assert "pam_service needs libpam and the package pamela: pip install 'jobctl[pam]'" in words


class Reactor(Clock):
    """Time that is told, and what threads have to say, one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.said: queue.Queue[Callable[[], Any]] = queue.Queue()

    def callFromThread(self, call: Callable[..., Any], *args: Any) -> None:
        self.said.put(lambda: call(*args))

    def hear(self, count: int) -> None:
        for _ in range(count):
            self.said.get(timeout=20)()


def test_threads_are_bounded() -> None:
    """Ten users are checked at a time and a hundred wait; further ones are told to come again, at once."""
    reactor, go, running = Reactor(), threading.Event(), threading.Semaphore(0)

    def ask(service: str, user: str, password: str) -> Verdict:
        running.release()
        go.wait(20)
        return NO if password == "wrong" else Verdict(True, user)

    users = PamUsers(reactor, "smtp", 20, ask)
    results: list[Any] = []

    def check(password: str) -> None:
        users.requestAvatarId(UsernamePassword(b"ann", password.encode())).addBoth(results.append)

    for _ in range(10):
        check("x")
        assert running.acquire(timeout=20)
    for _ in range(100):
        check("wrong")
    assert not running.acquire(blocking=False) and results == []
    check("x")
    assert results.pop().check(CannotTell)
    reactor.advance(21)
    assert [result.type for result in results] == [CannotTell] * 110
    # Threads that are still PAM's count until they are free.
    check("x")
    assert results.pop().check(CannotTell)
    go.set()
    reactor.hear(220)
    del results[:]
    check("wrong")
    reactor.hear(2)
    assert results.pop().check(UnauthorizedLogin)
    users._pool.stop()
