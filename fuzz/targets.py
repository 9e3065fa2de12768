"""
What each parser promises of any octets: the errors it names and no others, and where pieces are fed in,
the same outcome wherever they are cut. A target is a function of octets that raises when a promise is broken.
"""

import binascii
import contextlib
from collections.abc import Callable
from typing import Any

from twisted.names import dns

from jobctl.config.header_settings import HeaderRule
from jobctl.config.loader import load_text
from jobctl.config.options import read_option_text
from jobctl.errors import ConfigError, ProtocolViolation
from jobctl.jobprotocol.codec import encode, from_controller, from_program
from jobctl.mail.address import normal_domain, parse_path, split_address
from jobctl.mail.reply import Reply
from jobctl.mail.trace import received_count
from jobctl.mapping.tables import Tables, read_table
from jobctl.mime.address_fields import divided
from jobctl.mime.conversion import Conversion
from jobctl.mime.fields import folded
from jobctl.mime.header_section import HeaderSection
from jobctl.mime.trimming import trimmed
from jobctl.mime.unsendable import Unsendable
from jobctl.net import dns_lookup
from jobctl.net.dns_errors import DnsTrouble, NoSuchHost
from jobctl.net.proxy_header import read_header
from jobctl.sasl import client as sasl_client
from jobctl.sasl import server as sasl_server
from jobctl.sasl.password_file import read_password_file
from jobctl.sasl.secrets import matches, read_keys, scram_keys
from jobctl.selection.errors import SelectorError
from jobctl.selection.parser import parse
from jobctl.smtp.content import ChunkLines, DotStuffer, DotUnstuffer
from jobctl.smtp.lines import BadLine, CommandLines
from jobctl.smtp.long_lines import LongLines
from jobctl.smtp.parameters import BadArgument, mail_argument, rcpt_argument
from jobctl.smtp.replies import encode as encode_reply
from jobctl.smtp.reply_reader import ReplyReader

OFFERED = ("SMTPUTF8", "AUTH", "MT-PRIORITY", "FUTURERELEASE", "DELIVERBY")
KEYS = scram_keys("sesame", salt=b"salt", iterations=1)
RULES = ("truncatesmtplonglines", "wrapsmtplonglines", "rejectsmtplonglines")


def pieces(data: bytes) -> tuple[bytes, list[bytes]]:
    """The first octet says how long the pieces are into which the rest is cut."""
    size = data[0] % 16 + 1 if data else 1
    rest = data[1:]
    return rest, [rest[at : at + size] for at in range(0, len(rest), size)]


def text_of(data: bytes) -> str:
    """As text, whatever it is; lone surrogates are no text."""
    return data.decode("utf-8", "replace")


def command_lines(data: bytes) -> None:
    """Command lines do not depend on cuts, and what is not one is said to be a bad line."""
    rest, cut = pieces(data)
    for keyword in ("crlf", "crorlf", "lf", "cr"):
        assert _lines(keyword, [rest]) == _lines(keyword, cut)


def _lines(keyword: str, parts: list[bytes]) -> list[bytes | str]:
    lines, found = CommandLines(keyword), list[bytes | str]()
    for part in parts:
        lines.add(part)
        while True:
            try:
                line = lines.next()
            except BadLine as bad:
                found.append(bad.reply.text)
                continue
            if line is None:
                break
            found.append(line)
        assert lines.buffered < 4100
    return found


def parameters(data: bytes) -> None:
    """Arguments of MAIL and RCPT are understood or refused; what is understood fits into one line."""
    argument = text_of(data)
    if not argument.isprintable():
        return
    try:
        address, given = mail_argument(argument, lambda: OFFERED)
        for value in (address, given.envid, given.auth):
            assert value is None or value.isprintable()
    except BadArgument as bad:
        assert bad.reply.code >= 500
    try:
        recipient = rcpt_argument(argument)
        for value in (recipient.address, recipient.orcpt, recipient.notify):
            assert value is None or value.isprintable()
    except BadArgument as bad:
        assert bad.reply.code >= 500


def address(data: bytes) -> None:
    """A path is an address or a ValueError; an address taken out of one is one."""
    text = text_of(data)
    normal_domain(text)
    try:
        found = parse_path(text, True)
    except ValueError:
        return
    if found and text.isprintable():
        assert parse_path(f"<{found}>", False) == found
        split_address(found)


def replies(data: bytes) -> None:
    """Replies do not depend on cuts; what is none is a violation; a reply written is a reply read."""
    rest, cut = pieces(data)
    whole, parts = _replies([rest]), _replies(cut)
    assert whole == parts or None in (whole[-1:] + parts[-1:])
    for reply in whole:
        if reply is not None:
            wire = encode_reply(Reply(reply.code, reply.text))
            (again,) = _replies([wire])
            assert again is not None and again.code == reply.code


def _replies(parts: list[bytes]) -> list[Reply | None]:
    reader, found = ReplyReader(), list[Reply | None]()
    try:
        for part in parts:
            reader.add(part)
            while (reply := reader.next()) is not None:
                found.append(reply)
    except ProtocolViolation:
        found.append(None)
    return found


def content(data: bytes) -> None:
    """Content is stuffed, unstuffed and cut into chunks the same wherever pieces end, and survives the way."""
    rest, cut = pieces(data)
    stuffer, whole = DotStuffer(), DotStuffer()
    wire = b"".join(map(stuffer.feed, cut)) + stuffer.finish()
    assert wire == whole.feed(rest) + whole.finish()
    _again, after = DotUnstuffer().feed(wire)
    assert after == b"" and wire.count(b"\r\n.\r\n") <= 1
    chunks, one = ChunkLines(), ChunkLines()
    lined = b"".join(chunks.feed(part)[0] for part in cut) + chunks.finish()
    assert lined == one.feed(rest)[0] + one.finish() and chunks.bare == one.bare
    # Lines are looked at when bare CR and LF are gone and the last one is closed.
    closing = ChunkLines("crorlf")
    proper = closing.feed(rest)[0] + closing.finish()
    size = len(cut[0]) if cut else 1
    for rule in RULES:
        some, all_ = LongLines(rule), LongLines(rule)
        parts = [proper[at : at + size] for at in range(0, len(proper), size)]
        assert b"".join(map(some.feed, parts)) + some.finish() == all_.feed(proper) + all_.finish()
    received_count(rest)


def received(data: bytes) -> None:
    """What follows 354 ends where CRLF.CRLF does and nowhere else, wherever it is cut."""
    rest, cut = pieces(data)
    for keyword in ("crlf", "crorlf", "lf", "cr"):
        first, second = DotUnstuffer(keyword), DotUnstuffer(keyword)
        got, after = first.feed(rest + b"\r\n.\r\nQUIT")
        parts, left = b"", None
        for part in [*cut, b"\r\n.\r\nQUIT"]:
            if left is None:
                more, left = second.feed(part)
                parts += more
            else:
                left += part
        assert (got, after, first.bare) == (parts, left, second.bare)
        assert after is not None and after == (b"\r\n" + rest + b"\r\n.\r\nQUIT").split(b"\r\n.\r\n", 1)[1]


def conversion(data: bytes) -> None:
    """What is made fit for seven bits is the same wherever it is cut, and needs no further conversion."""
    rest, cut = pieces(data)
    closing = DotStuffer(dots=False)
    proper = closing.feed(rest) + closing.finish()
    size = len(cut[0]) if cut else 1
    out = _converted([proper])
    assert out == _converted([proper[at : at + size] for at in range(0, len(proper), size)])
    assert out is None or _converted([out]) == out


def _converted(parts: list[bytes]) -> bytes | None:
    passing = Conversion(eight=True, longest=100)
    try:
        return b"".join(map(passing.feed, parts)) + passing.finish()
    except Unsendable:
        return None


def header_fields(data: bytes) -> None:
    """Header options act the same wherever the header is cut; what is folded is the same unfolded."""
    rest, cut = pieces(data)
    rules = [HeaderRule(field="to", name="To", maxchars=40, linelength=20, precedence=-1)]
    some, whole = (HeaderSection(lambda fields: trimmed(fields, rules)) for _ in range(2))
    out = whole.feed(rest) + whole.finish()
    assert out == b"".join(map(some.feed, cut)) + some.finish()
    for line in rest.split(b"\r\n"):
        field = b"To: " + line.replace(b"\n", b" ") + b"\r\n"
        assert folded(field, 20).replace(b"\r\n", b"") == field.replace(b"\r\n", b"")
        for part in divided(field, 2, 60):
            assert part.startswith(b"To: ") and part.endswith(b"\r\n")


def job_frames(data: bytes) -> None:
    """What comes over a job's pipe is frames or a violation, the same wherever it is cut."""
    rest, cut = pieces(data)
    for reader in (from_program, from_controller):
        whole, parts = _frames(reader(), [rest]), _frames(reader(), cut)
        assert whole == parts
        for frame in whole:
            if frame is not None:
                ((_, content),) = reader().feed(encode(*frame))
                assert content == frame[1]


def _frames(reader: Any, parts: list[bytes]) -> list[Any]:
    found: list[Any] = []
    try:
        for part in parts:
            for each in reader.frames(part):
                found.append(each)
    except ProtocolViolation:
        found.append(None)
    return found


def proxy_header(data: bytes) -> None:
    """A PROXY header is one, goes on, or is a ValueError; it never takes more than has come."""
    try:
        found = read_header(data)
    except ValueError:
        return
    if found is not None:
        assert 0 < found[1] <= len(data)


def mapping(data: bytes) -> None:
    """A mapping table is read or its mistakes are named; a probe ends, with a text that is bounded."""
    table, _, probe = text_of(data).partition("\x00")
    entries, wrong = read_table(table)
    assert all(number > 0 and words for number, words in wrong)
    result = Tables({"T": entries}).probe("T", probe[:200])
    assert len(result.text) < 1_000_000


def selection(data: bytes) -> None:
    """A selector is understood or the mistake is shown; what is shown of it is understood the same."""
    text = text_of(data)
    try:
        found = parse(text)
    except SelectorError:
        return
    assert str(parse(str(found))) == str(found)


def configuration(data: bytes) -> None:
    """A configuration file is settings or its mistakes, never anything else."""
    with contextlib.suppress(ConfigError):
        load_text(text_of(data), "jobctl.toml", directory="/nonexistent")


def option_file(data: bytes) -> None:
    """An option file is options or its mistakes."""
    with contextlib.suppress(ConfigError):
        read_option_text(text_of(data), "options")


def sasl_exchanges(data: bytes) -> None:
    """An exchange as the server takes steps, is malformed, or is over; nobody is proved without keys."""
    parts = data.split(b"\xff")
    for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "OAUTHBEARER", "XOAUTH2", "PLAIN", "LOGIN"):
        exchange = sasl_server.begin(mechanism, ("tls-exporter", b"x"))
        try:
            for part in parts[:6]:
                step: Any = exchange.respond(part or None)
                if isinstance(step, sasl_server.KeysClaim):
                    step = exchange.keys(KEYS)
                assert not (isinstance(step, sasl_server.Proved) and step.user)
                if not isinstance(step, sasl_server.Challenge):
                    break
        except (sasl_server.Malformed, ValueError):
            pass


def sasl_answers(data: bytes) -> None:
    """A server's challenges make our side answer or give up; it never believes a server that proves nothing."""
    for mechanism in ("SCRAM-SHA-256", "OAUTHBEARER", "XOAUTH2", "PLAIN", "LOGIN"):
        credentials = sasl_client.Credentials("ann", "sesame", mechanism)
        exchange = sasl_client.Exchange(mechanism, credentials, None)
        exchange.initial()
        try:
            for part in data.split(b"\xff")[:6]:
                exchange.respond(part)
        except (sasl_client.Failed, ValueError, binascii.Error):
            pass
        assert not (exchange.proved and mechanism.startswith("SCRAM"))


def password_file(data: bytes) -> None:
    """A password file is users and what is wrong with the other lines; no hash is believed by accident."""
    users, wrong = read_password_file(text_of(data))
    assert all(number > 0 and words for number, words in wrong)
    for kept in list(users.values())[:2]:
        keys = read_keys(kept)
        if keys is not None and keys.iterations < 10_000:
            assert not matches(kept, "no such password")


def dns_answers(data: bytes) -> None:
    """Any answer of a name server is records of the name asked for, or trouble; the work is bounded."""
    message = dns.Message()
    try:
        message.fromStr(data)
    except Exception:  # Twisted's to mend: its caller drops what it cannot read
        return
    for kind in (dns.MX, dns.A, dns.AAAA):
        try:
            found, lifetime = dns_lookup._chosen("mx.example", kind, message.answers[:1000])
        except DnsTrouble:
            continue
        assert lifetime >= 0
        assert isinstance(found, tuple)
    with contextlib.suppress(NoSuchHost):
        dns_lookup.wire_name(text_of(data))


def server_dialogue(data: bytes) -> None:
    """Whatever a client sends, the server says replies, and stays bounded."""
    from tests.smtp_dialogues import Server

    _rest, cut = pieces(data)
    server = Server(smtp="crlf", config={"tls": "may", "auth": ("PLAIN", "LOGIN"), "plaintext_auth": True})
    for part in cut:
        server.dialogue.receive(part)
        server.settle()
    for line in server.dialogue.take_output().split(b"\r\n")[:-1]:
        assert line[:3].isdigit() and line[3:4] in b" -" and len(line) < 600


def client_dialogue(data: bytes) -> None:
    """Whatever a server says, each message has one outcome and nothing is taken that was not sent."""
    from jobctl.smtp.events import Done, NeedContent
    from tests.smtp_dialogues import Client, short_chunks

    rest, cut = pieces(data)
    fed = 0
    with short_chunks():
        client = Client("PIPELINING\nCHUNKING" if len(rest) % 2 else "8BITMIME")
        client.begin("b@d", "c@d", octets=len(rest) % 3 * 4)
        for part in cut:
            client.take(part)
            if fed < 3 and any(isinstance(each, NeedContent) for each in client.events):
                fed += 1
                client.dialogue.feed(b"abc\r\n")
            elif fed == 3:
                fed += 1
                client.dialogue.finish()
            client.said()
    client.dialogue.lost("over")
    client.said()
    (done,) = [each for each in client.events if isinstance(each, Done)]
    assert len(done.dispositions) == 2


TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target
    for target in (
        *(command_lines, parameters, address, replies, content, received, job_frames, proxy_header),
        *(mapping, selection, configuration, option_file, sasl_exchanges, sasl_answers, password_file),
        *(dns_answers, server_dialogue, client_dialogue, conversion, header_fields),
    )
}
