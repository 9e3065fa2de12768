"""A question to an HTTP verifier, for programs without a reactor: the caller waits, so call it in a thread."""

import http.client
import ssl
from urllib.parse import urlsplit

from jobctl.sasl.verifier import LONGEST_ANSWER, WebAnswer, WebQuestion


def ask(url: str, question: WebQuestion, context: ssl.SSLContext | None, seconds: float) -> WebAnswer:
    """
    Redirections are answers like others: a secret goes to the URL that was configured, and nowhere else.

    :param context: Whom to trust, for https.
    :param seconds: For each step of it.
    :raises OSError: No answer, or none that is HTTP.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        connection = http.client.HTTPSConnection(host, parts.port, timeout=seconds, context=context)
    else:
        connection = http.client.HTTPConnection(host, parts.port, timeout=seconds)
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request(question.method, path, question.body or None, question.headers)
        answer = connection.getresponse()
        kind = answer.headers.get("Content-Type", "")
        body = answer.read(LONGEST_ANSWER + 1)
        if answer.length and len(body) <= LONGEST_ANSWER:
            raise OSError("the answer breaks off")
        return WebAnswer(answer.status, kind, body)
    except http.client.HTTPException as why:
        raise OSError(f"no HTTP: {type(why).__name__} {why}") from None
    finally:
        connection.close()
