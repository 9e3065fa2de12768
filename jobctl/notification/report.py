"""A notification as mail: ``multipart/report`` (RFC 6522) with texts for people and programs, and the original."""

import re
from binascii import b2a_qp
from email.header import Header

import msgspec

from jobctl.mail.trace import rfc5322_date
from jobctl.notification.human import human_text
from jobctl.notification.notice import Notice
from jobctl.notification.original import COPY_FIELD, message_id, quotable_header
from jobctl.notification.status import status_text
from jobctl.notification.texts import Texts
from jobctl.notification.wording import clean, fold

# Longer lines of text are encoded (RFC 5322 section 2.1.1).
_LONGEST_LINE = 998
_PREAMBLE = b"This is a report in the format of RFC 3464.\r\n\r\n"
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]*")


class Report(msgspec.Struct, frozen=True):
    """
    :ivar content: Header and body, CRLF line ends.
    :ivar smtputf8: An address in its header is not ASCII, so only SMTPUTF8 can carry it (RFC 6531).
    """

    content: bytes
    smtputf8: bool = False

    @property
    def body(self) -> str | None:
        """The BODY parameter with which it is to be sent (RFC 6152)."""
        return None if self.content.isascii() else "8BITMIME"


class _Part(msgspec.Struct, frozen=True):
    fields: tuple[str, ...]
    content: bytes


def report(case: Notice, texts: Texts, english: Texts) -> Report:
    """
    Write a notification; the caller sends it with an empty envelope sender (RFC 3464 section 2).

    :param texts: In the language of its reader, complete; ``english`` for what is not translated.
    """
    boundary = f"Boundary_(ID_{case.unique})"
    # RFC 6533: only who sent it with SMTPUTF8 can be expected to read what is made of UTF-8.
    unicode = case.envelope.smtputf8 and not _plain(case)
    parts = [_for_people(case, texts), _for_programs(case, english, unicode)]
    original = _original(case)
    if original is not None:
        parts.append(original)
    header = _header(case, texts, boundary, any(not part.content.isascii() for part in parts))
    pieces = [header.encode("utf-8"), b"\r\n", _PREAMBLE]
    for part in parts:
        pieces.append(f"--{boundary}\r\n".encode())
        pieces += [f"{name}\r\n".encode() for name in part.fields]
        pieces += [b"\r\n", part.content, b"\r\n"]
    pieces.append(f"--{boundary}--\r\n".encode())
    return Report(b"".join(pieces), smtputf8=not header.isascii())


def _plain(case: Notice) -> bool:
    """Whether every address in it is ASCII."""
    return all(
        (one.address + (one.intermediate or "") + (one.orcpt or "")).isascii()
        and r"\x{" not in (one.orcpt or "")
        for one in case.envelope.recipients
    )


def _header(case: Notice, texts: Texts, boundary: str, eight: bool) -> str:
    personal = clean(case.personal) or texts.label("RETURN_PERSONAL")
    subject = texts.label(f"SUBJECT_{case.kind.name}")
    if case.copy:
        subject = f"{texts.label('SUBJECT_COPY')} {subject}"
    fields = [
        f"Date: {rfc5322_date(case.now)}",
        fold(f"From: {_phrase(personal)} <{clean(case.postmaster)}>"),
        fold(f"To: {clean(case.to)}"),
        f"Subject: {_unstructured(subject, 'Subject')}",
        f"Message-ID: <{case.unique}@{case.local_host}>",
    ]
    answered = message_id(quotable_header(case.original.content))
    if answered:
        fields += [f"In-Reply-To: {answered}", f"References: {answered}"]
    # RFC 3834 section 5.
    fields.append("Auto-Submitted: auto-replied")
    if case.copy:
        fields.append(f"{COPY_FIELD}: {case.local_host}")
    fields += [
        "MIME-Version: 1.0",
        f'Content-Type: multipart/report; report-type=delivery-status;\r\n boundary="{boundary}"',
    ]
    if eight:
        fields.append("Content-Transfer-Encoding: 8bit")
    return "".join(f"{field}\r\n" for field in fields)


def _phrase(text: str) -> str:
    if not text.isascii():
        return _unstructured(text, "From")
    if _ATOMS.fullmatch(text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _unstructured(text: str, name: str) -> str:
    """As encoded words where it is not ASCII (RFC 2047)."""
    if text.isascii():
        return fold(f"{name}: {text}").removeprefix(f"{name}: ")
    return Header(text, "utf-8", header_name=name).encode(linesep="\r\n")


def _for_people(case: Notice, texts: Texts) -> _Part:
    text = human_text(case, texts)
    language = f"Content-Language: {texts.language}"
    if text.isascii() and max(map(len, text.split("\r\n"))) <= _LONGEST_LINE:
        return _Part(("Content-Type: text/plain; charset=us-ascii", language), text.encode())
    fields = (
        "Content-Type: text/plain; charset=utf-8",
        "Content-Transfer-Encoding: quoted-printable",
        language,
    )
    return _Part(fields, b2a_qp(text.encode("utf-8"), istext=True))


def _for_programs(case: Notice, english: Texts, unicode: bool) -> _Part:
    text = status_text(case, english, unicode).encode("utf-8")
    if not unicode:
        return _Part(("Content-Type: message/delivery-status",), text)
    fields = ("Content-Type: message/global-delivery-status", "Content-Transfer-Encoding: 8bit")
    return _Part(fields, text)


def _original(case: Notice) -> _Part | None:
    """The original, whole or only its header, octet for octet; ``None`` when there is nothing of it."""
    content = case.original.content
    header = quotable_header(content)
    # RET is about failures; nothing else brings more than the header back (RFC 3461 section 4.3).
    whole = case.whole and case.kind.failure and case.envelope.ret != "HDRS" and len(content) == case.octets
    quoted = content if whole else header
    if not quoted:
        return None
    if not quoted.endswith(b"\r\n"):
        quoted += b"\r\n"
    international = case.envelope.smtputf8 and not header.isascii()
    if international:
        kind = "message/global" if whole else "message/global-headers"
    else:
        kind = "message/rfc822" if whole else "text/rfc822-headers"
    fields = [f"Content-Type: {kind}"]
    if not quoted.isascii():
        fields.append("Content-Transfer-Encoding: 8bit")
    return _Part(tuple(fields), quoted)
