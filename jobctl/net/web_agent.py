"""A question to an HTTP verifier, on a reactor."""

from __future__ import annotations

from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from twisted.internet import ssl
from twisted.internet.defer import Deferred, succeed
from twisted.internet.protocol import Protocol
from twisted.web.client import Agent, ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IBodyProducer, IPolicyForHTTPS
from zope.interface import implementer

from jobctl.sasl.verifier import LONGEST_ANSWER, WebAnswer, WebQuestion


class Web:
    """
    Asks over connections of their own: claims are rare, and none fails because an idle connection was closed.

    Redirections are answers like others: a secret goes to the URL that was configured, and nowhere else.

    :param ca_file: Trust anchors for https (PEM), ``None``: those of the system.
    :param seconds: That all of it may take.
    :raises ValueError: The file has no certificates.
    """

    def __init__(self, reactor: Any, ca_file: str | None, seconds: float) -> None:
        self._reactor = reactor
        self._seconds = seconds
        self._agent = Agent(reactor, contextFactory=_Trust(ca_file))

    def ask(self, url: str, question: WebQuestion) -> Deferred[WebAnswer]:
        """:return: Fails, with whatever reason, when there is no answer in time."""
        asked = self._agent.request(
            question.method.encode(),
            url.encode("ascii"),
            Headers({name: [value] for name, value in question.headers.items()}),
            _Body(question.body) if question.body else None,
        )
        return asked.addCallback(_answer).addTimeout(self._seconds, self._reactor)


def _answer(response: Any) -> Deferred[WebAnswer]:
    kind = (response.headers.getRawHeaders("content-type") or [""])[0]
    reader = _Reader(response.code, kind)
    response.deliverBody(reader)
    return reader.done


class _Reader(Protocol):
    """Collects an answer, and hangs up on one that does not end."""

    def __init__(self, status: int, kind: str) -> None:
        self._status, self._kind = status, kind
        self._body = b""
        self.done: Deferred[WebAnswer] = Deferred(lambda _: self._hang_up())

    def dataReceived(self, data: bytes) -> None:
        if self.done.called:
            return
        self._body += data
        if len(self._body) > LONGEST_ANSWER:
            self.done.callback(WebAnswer(self._status, self._kind, self._body[: LONGEST_ANSWER + 1]))
            self._hang_up()

    def connectionLost(self, reason: Any = None) -> None:
        if self.done.called:
            return
        # PotentialDataLoss: an answer without a length ends with its connection.
        if reason.check(ResponseDone, PotentialDataLoss):
            self.done.callback(WebAnswer(self._status, self._kind, self._body))
        else:
            self.done.errback(reason)

    def _hang_up(self) -> None:
        if self.transport is not None:
            self.transport.loseConnection()


@implementer(IBodyProducer)
class _Body:
    """The octets of a question."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self.length = len(body)

    def startProducing(self, consumer: Any) -> Deferred[None]:
        consumer.write(self._body)
        return succeed(None)

    def pauseProducing(self) -> None:
        """All was written at once."""

    def resumeProducing(self) -> None:
        """All was written at once."""

    def stopProducing(self) -> None:
        """All was written at once."""


@implementer(IPolicyForHTTPS)
class _Trust:
    """A verifier has to prove the name in its URL."""

    def __init__(self, ca_file: str | None) -> None:
        self._root: Any = ssl.platformTrust()
        if ca_file is not None:
            with open(ca_file, "rb") as file:
                certificates = x509.load_pem_x509_certificates(file.read())
            self._root = ssl.trustRootFromCertificates(
                [ssl.Certificate.loadPEM(one.public_bytes(Encoding.PEM)) for one in certificates]
            )

    def creatorForNetloc(self, hostname: bytes, port: int) -> Any:
        return ssl.optionsForClientTLS(hostname.decode("ascii"), trustRoot=self._root)
