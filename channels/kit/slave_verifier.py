"""PAM and HTTP verifiers for a program without a reactor: asked in a thread, heard on the loop."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from channels.kit.log_stream import say
from channels.kit.loop import Loop, read_some
from jobctl.config.settings import ServiceSettings
from jobctl.mail.reply import Reply
from jobctl.net.verifier_settings import read_client, trust
from jobctl.sasl.verifier import (
    NO,
    Verdict,
    WebAnswer,
    WebQuestion,
    password_question,
    password_verdict,
    token_question,
    token_verdict,
    unknown,
)
from jobctl.smtp.questions import PasswordGiven, TokenGiven
from jobctl.smtp.replies import AUTH_FAILED, AUTH_LATER

Decided = Callable[[Reply, str], None]


class Verifier:
    """
    One claim at a time, as a session has them.

    A thread that hangs keeps nobody: whoever asked gives up, its late answer is dropped, and it ends
    with the program.

    :ivar asking: A claim is open.
    """

    def __init__(self, loop: Loop, service: ServiceSettings) -> None:
        self._service = service
        self._trust = trust(service.auth_ca_file) if _uses_tls(service) else None
        self._decided: Decided | None = None
        self._claim = ""
        self._number = 0
        self._verdicts: dict[int, Verdict] = {}
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._reading, False)
        loop.reading(self._reading, self._ready)

    @property
    def asking(self) -> bool:
        return self._decided is not None

    def serves(self, claim: PasswordGiven | TokenGiven) -> bool:
        """Whether this is the one who knows."""
        service = self._service
        if isinstance(claim, TokenGiven):
            return service.introspection_url is not None
        return service.pam_service is not None or service.auth_url is not None

    def ask(self, claim: PasswordGiven | TokenGiven, decided: Decided) -> None:
        """
        Find out whether it is true.

        :param decided: Called from the loop, or by :meth:`give_up`, with a reply and whose claim it is.
        """
        self._decided = decided
        self._claim = f"{claim.mechanism} of {claim.user!r}"
        self._number += 1
        threading.Thread(target=self._in_thread, args=(self._number, claim), daemon=True).start()

    def give_up(self, why: str) -> None:
        """Nobody can tell, for this time."""
        if self._decided is not None:
            self._number += 1
            self._conclude(unknown(why))

    def _in_thread(self, number: int, claim: PasswordGiven | TokenGiven) -> None:
        try:
            verdict = self._verdict(claim)
        except OSError as why:
            verdict = unknown(f"{type(why).__name__}: {why}")
        except Exception as why:
            # Its text may have anything in it, a secret too.
            verdict = unknown(type(why).__name__)
        self._verdicts[number] = verdict
        os.write(self._writing, b".")

    def _verdict(self, claim: PasswordGiven | TokenGiven) -> Verdict:
        service = self._service
        if isinstance(claim, TokenGiven):
            try:
                asked = token_question(claim.token, read_client(service.introspection_client_file))
            except ValueError as why:
                return unknown(str(why))
            assert service.introspection_url is not None  # else it is not we who serve
            answer = self._fetch(service.introspection_url, asked)
            return token_verdict(claim.user, answer, service.introspection_user)
        if service.pam_service is not None:
            from jobctl.net.pam import ask_pam

            return ask_pam(service.pam_service, claim.user, claim.password)
        assert service.auth_url is not None
        question = password_question(claim.user, claim.password)
        if question is None:
            return NO
        return password_verdict(claim.user, self._fetch(service.auth_url, question))

    def _fetch(self, url: str, question: WebQuestion) -> WebAnswer:
        # Late: PAM has no need of it.
        from jobctl.net.web_blocking import ask

        return ask(url, question, self._trust, self._service.auth_timeout)

    def _ready(self) -> None:
        read_some(self._reading)
        verdict = self._verdicts.pop(self._number, None)
        for late in [number for number in list(self._verdicts) if number < self._number]:
            del self._verdicts[late]
        if verdict is not None and self._decided is not None:
            self._conclude(verdict)

    def _conclude(self, verdict: Verdict) -> None:
        decided, self._decided = self._decided, None
        assert decided is not None
        if verdict.good is None:
            say(f"AUTH {self._claim} cannot be checked: {verdict.trouble}")
            decided(AUTH_LATER, "")
        elif verdict.good:
            decided(Reply(235), verdict.user)
        else:
            decided(AUTH_FAILED, "")


def _uses_tls(service: ServiceSettings) -> bool:
    return any(
        url is not None and url.lower().startswith("https:")
        for url in (service.auth_url, service.introspection_url)
    )
