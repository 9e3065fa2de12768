"""The words of notifications: an operator's own texts, what cannot be used of them, and the choice of language."""

import json
import os
import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.commands import exits
from jobctl.commands.main import main
from jobctl.config.loader import load_text
from jobctl.config.notification import BUILT_IN as CONFIGURED
from jobctl.config.notification_settings import LanguageRule
from jobctl.controller.texts import BUILT_IN, TextLibrary
from jobctl.errors import ConfigError
from jobctl.mail.disposition import Disposition, Verdict
from jobctl.mail.entry import Attempt
from jobctl.mail.envelope import Envelope, Recipient
from jobctl.mail.xtext import decode_embedded, decode_xtext, embedded, xtext
from jobctl.notification.language import chosen
from jobctl.notification.notice import Kind, Original
from jobctl.notification.original import field, languages
from jobctl.notification.report import report
from jobctl.notification.texts import FILES, KIND_FILE, TextFault, Texts, parse_labels, parse_template
from tests.notification_case import case, read, text_of
from tests.notification_case import written as built_in_report

HEAD = '[channel.l]\nofficial_host_name = "mail.example.org"\n'


def folder(path, **files):
    """A folder of texts: ``de_return_failed="..."`` makes ``de/return_failed.txt``."""
    for name, text in files.items():
        language, _, rest = name.partition("_")
        place = path / language / (rest + (".opt" if rest == "return_option" else ".txt"))
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(text if isinstance(text, bytes) else text.encode())
    return TextLibrary(str(path))


def shown(library, language, **changes):
    """What people read."""
    texts = library.of(language)
    return text_of(read(report(case(**changes), texts, library.english).content))


def test_every_language_is_complete():
    """All languages that come with it have all texts, and the labels that English has."""
    library = TextLibrary()
    assert sorted(library.languages) == sorted(os.listdir(BUILT_IN)) == sorted(CONFIGURED)
    for language in library.languages:
        assert sorted(os.listdir(os.path.join(BUILT_IN, language))) == sorted(FILES)
        with open(os.path.join(BUILT_IN, language, "return_option.opt"), "rb") as file:
            assert parse_labels(file.read()).keys() == library.english.labels.keys()
    assert not library.faults


def test_a_text_of_ones_own_goes_before(tmp_path):
    """An operator replaces one text of one language; all others stay as they are."""
    library = folder(tmp_path, de_return_failed="Leider nicht:\n\n%R\n\n100 %% sicher, 50 % nicht, %Z.\n")
    text = shown(library, "de")
    assert "Leider nicht:" in text and "100 % sicher, 50 % nicht, %Z." in text
    assert "Empfängeradresse: bob@b.example" in text and "Dies ist ein automatischer Bericht" in text
    assert "Leider" not in shown(library, "de", kind=Kind.TIMEDOUT) + shown(library, "en")


def test_sequences_stand_for_what_the_manual_says(tmp_path):
    """%H %R %A %L %E %P %N %S are filled in."""
    library = folder(tmp_path, en_return_delayed="%R\n\n[%A|%L|%E|%P|%N|%S]\n\n%H")
    text = shown(library, "en", kind=Kind.DELAYED, until=case().now + 3 * 86400)
    filled = "[4 days|3 days|E1@mail.example.org|postmaster@mail.example.org|mail.example.org|ann@a.example]"
    assert filled in " ".join(text.split()) and text.count("Message-ID: <1@a.example>") == 2


@pytest.mark.parametrize(
    ("raw", "seen"),
    [
        ("Änn =?utf-8?q?M=C3=BCller?= <ann@box.de>", "Änn Müller <ann@box.de>"),
        ("=?utf-8?q?M=C3?=\r\n =?utf-8?q?=BCller?= =?iso-8859-1?b?/A==?= x", "Müllerü x"),
        ("=?unknown?q?x?= =?utf-8?b?!!!?= =?", "=?unknown?q?x?= =?utf-8?b?!!!?= =?"),
        ("a\t\x1b[31mb\u202ec\u2028d", "a [31mb c d"),
        ("y" * 500, "y" * 200 + "..."),
    ],
)
def test_header_fields_are_shown_as_people_write_them(raw, seen):
    """Encoded words are read where they are in order; what hides or turns round the rest is taken out."""
    assert field(b"X: y\r\nSubject: " + raw.encode() + b"\r\nY: z\r\n", "subject") == seen


def test_a_new_language_and_a_dialect(tmp_path):
    """A folder makes a language; a dialect has what its language has; the rest is English."""
    library = folder(
        tmp_path,
        it_return_failed="Non consegnato:\n\n%R",
        it_return_option="REASON=Motivo:\nsubject_failed = Consegna: fallita\n",
        **{"de-AT_return_failed": "Leider nicht, Servus:\n\n%R"},
    )
    italian = shown(library, "it-CH")
    assert "Non consegnato:" in italian and "Motivo: " in italian and "Recipient address:" in italian
    assert library.of("it").label("SUBJECT_FAILED") == "Consegna: fallita"
    austrian = shown(library, "de-at")
    assert "Servus" in austrian and "Empfängeradresse:" in austrian
    assert "Servus" not in shown(library, "de")
    assert library.of("xx").language == "en"


@pytest.mark.parametrize(
    ("files", "why"),
    [
        (
            {"de_return_failed": b"K\xf6nnte Latin-1 sein\n%R"},
            "de/return_failed.txt: line 1 is not UTF-8 text",
        ),
        ({"de_return_failed": "nobody is named"}, "has no %R"),
        ({"de_return_failed": "  \n\n"}, "is empty"),
        ({"de_return_suffix": "bell\a"}, "line 1 has a control character"),
        ({"de_return_option": "REASON=x\nnot a line\n"}, "return_option.opt: line 2 is not NAME=text"),
    ],
)
def test_a_text_that_cannot_be_used_is_told_and_not_used(tmp_path, files, why):
    """It is logged with file and line, the built-in text stands in, and the notification goes out."""
    library = folder(tmp_path, **files)
    assert len(library.faults) == 1 and why in library.faults[0]
    assert shown(library, "de") == shown(TextLibrary(), "de")


def test_a_folder_that_cannot_be_read(tmp_path):
    """Texts that have gone since the start are no reason to lose a notification."""
    library = TextLibrary(str(tmp_path / "gone"))
    assert "cannot be read" in library.faults[0]
    assert shown(library, "en") == shown(TextLibrary(), "en")
    (tmp_path / "de" / "return_failed.txt").mkdir(parents=True)
    assert "cannot be read" in TextLibrary(str(tmp_path)).faults[0]


@pytest.mark.parametrize(
    ("rules", "header", "language"),
    [
        ([], b"", "en"),
        ([], b"Accept-Language: xx, de-AT;q=0.8, fr\r\n", "de"),
        ([], b"Content-Language: fr\r\nAccept-Language: es\r\n", "es"),
        ([], b"Content-Language: =?bad?q?x?=, \r\n", "en"),
        ([("sender", "*.example", "fr")], b"Accept-Language: de\r\n", "fr"),
        ([("sender", "a.example", "de"), ("sender", "*", "fr")], b"", "de"),
        ([("sender", "ann@a.example", "de")], b"", "de"),
        ([("sender", "eve@*", "de")], b"", "en"),
        ([("recipient", "xn--bcher-kva.example", "de")], b"", "de"),
        ([("channel", "tcp_*", "es")], b"", "es"),
        ([("channel", "l", "es")], b"", "en"),
    ],
)
def test_the_language_is_chosen(rules, header, language):
    """By sender, recipient or channel as the operator says; else as the original's header says; else the default."""
    found = chosen(
        [LanguageRule(*rule) for rule in rules],
        "Ann@A.example",
        ["x@y.example", "z@bücher.example"],
        "tcp_local",
        languages(header),
        {"de", "en", "es", "fr"},
        "en",
    )
    assert found == language


def test_the_configuration_of_languages():
    """The section is read in the order of the file, with a folder of one's own."""
    settings = load_text(
        HEAD + '[notification]\ndirectory = "texts"\nlanguage = "de"\n[notification.language_for]\n'
        '"sender *.FR" = "fr"\n"channel tcp_*" = "de-AT"\n',
        "/etc/jobctl.toml",
        exists=lambda path: path == "/etc/texts",
    ).notification
    assert (settings.directory, settings.language) == ("/etc/texts", "de")
    assert settings.rules == (LanguageRule("sender", "*.fr", "fr"), LanguageRule("channel", "tcp_*", "de-AT"))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('language = "it"', ":4: notification.language: there are no texts for 'it'"),
        ('language = "English"', "is not a language such as en"),
        ('directory = "gone"', ":4: notification.directory: there is no folder '/etc/gone'"),
        ('language_for = {"from *.de" = "de"}', "is sender, recipient, channel and a pattern"),
        ('language_for = {"sender *.de" = "deutsch"}', 'notification.language_for."sender *.de"'),
        ('languages = "de"', "there is no such key of [notification]; did you mean language?"),
    ],
)
def test_mistakes_are_told(text, problem):
    """What cannot be is told with its line before anything starts."""
    with pytest.raises(ConfigError) as caught:
        load_text(f"{HEAD}[notification]\n{text}\n", "/etc/jobctl.toml", exists=lambda path: False)
    assert problem in caught.value.problems[0]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[channel.x]\nnotificationchannel = "y"', "'y' is not a channel"),
        ('[mta]\npostmaster = "two words@x"', "is not an address"),
        ("[channel.x]\nsendpost = true\nnosendpost = true", "contradicts sendpost"),
    ],
)
def test_mistakes_elsewhere_are_told(text, problem):
    """Channels that are not there, and addresses that are none."""
    with pytest.raises(ConfigError) as caught:
        load_text(f"{HEAD}{text}\n", "/etc/jobctl.toml")
    assert problem in caught.value.problems[0]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "2 seconds"),
        (5, "5 seconds"),
        (60, "1 minute"),
        (3599, "60 minutes"),
        (86400, "24 hours"),
        (2 * 86400 - 0.5, "2 days"),
        (7 * 86400, "7 days"),
    ],
)
def test_ages(seconds, words):
    """An age is told in whole units, and a rounding error does not make two days of three."""
    assert TextLibrary().english.age(seconds) == words


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("5.1.1", "there is no such address at the destination"),
        ("4.2.2", "the mailbox is full"),
        ("5.7.99", "the destination has refused the message for reasons of security or policy"),
        ("5.9.9", ""),
        ("", ""),
    ],
)
def test_reasons(status, words):
    """A status is told in words, by its subject where the detail is not known."""
    assert TextLibrary().english.reason(status) == words


@given(st.text())
def test_text_that_takes_only_ascii_keeps_all(text):
    """xtext and the ASCII form of an international address give back what went in."""
    text = text.encode("utf-8", "replace").decode()
    assert xtext(text).isascii() and decode_xtext(xtext(text)) == text
    assert embedded(text).isascii() and decode_embedded(embedded(text)) == text


@given(st.binary(max_size=300))
def test_any_header_can_be_shown(octets):
    """Whatever stands in a header, what is shown of it is one printable line."""
    found = field(b"X: y\r\nSubject: " + octets + b"\r\n", "Subject")
    assert found.isprintable() and len(found) <= 203


@given(st.binary())
def test_any_file_is_a_text_or_a_fault(octets):
    """No file of an operator's can break more than itself."""
    for parse in (parse_labels, lambda given_: parse_template(KIND_FILE[Kind.FAILED], given_)):
        try:
            found = parse(octets)
        except TextFault:
            continue
        texts = found if isinstance(found, dict) else {}
        own = Texts("x", {} if texts else {KIND_FILE[Kind.FAILED]: str(found)}, texts)
        library = TextLibrary()
        content = report(case(), own.over(library.english), library.english).content
        assert content.count(b"--Boundary_(ID_N1)") == built_in_report().content.count(b"--Boundary_(ID_N1)")


@pytest.fixture
def greenwich(monkeypatch):
    """Dates are in UTC."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


def test_the_sample_in_the_manual_is_real(greenwich):
    """docs/notifications.md shows a notification just as it would be sent."""
    manual = (Path(__file__).parent.parent / "docs" / "notifications.md").read_text(encoding="utf-8")
    shown_there = re.search(r"```\n(From: .*?)```", manual, re.DOTALL)[1]
    arrived = 1795284000.0
    replies = ("451 4.7.1 Greylisted", *["452 4.2.2 Over quota"] * 17)
    original = (
        b"Date: Sat, 21 Nov 2026 18:00:00 +0000\r\nFrom: Ann <ann@example.com>\r\nTo: bob@example.net\r\n"
        b"Subject: Meeting\r\nMessage-ID: <4711@example.com>\r\n\r\n"
    )
    times = (arrived + 2, *(arrived + 3610 + 18_000 * n for n in range(17)))
    history = tuple(
        Attempt(when, "deferred", reply, "bob@example.net", "", "mx.example.net")
        for when, reply in zip(times, replies, strict=True)
    )
    late = Disposition("bob@example.net", Verdict.FAILED, "4.4.7", replies[-1], "mx.example.net")
    made = built_in_report(
        kind=Kind.TIMEDOUT,
        to="ann@example.com",
        envelope=Envelope("ann@example.com", (Recipient("bob@example.net"),)),
        verdicts=(late,),
        original=Original(original, history),
        arrived=arrived,
        now=arrived + 4 * 86400,
        envelope_id="LOYW3V28A8EAD6A543@mail.example.org",
    )
    message = read(made.content)
    header = "".join(f"{name}: {message[name]}\n" for name in ("From", "To", "Subject"))
    assert f"{header}\n{text_of(message)}" == shown_there


def test_a_sample_can_be_looked_at(tmp_path, capsys):
    """jobctl test notification shows the configured words, and names what cannot be used."""
    path = tmp_path / "jobctl.toml"
    path.write_text(f'{HEAD}[notification]\nlanguage = "de"\ndirectory = "texts"\n')
    (tmp_path / "texts" / "fr").mkdir(parents=True)
    (tmp_path / "texts" / "fr" / "return_suffix.txt").write_text("Bonne journée !")

    def sample(*words):
        status = main(["--config", str(path), "test", "notification", *words])
        return status, *capsys.readouterr()

    for kind in Kind:
        status, out, err = sample("--kind", kind.value)
        assert (status, err) == (exits.OK, "")
        assert "Dies ist ein automatischer Bericht" in out and "bob@example.net" in out
    status, out, _ = sample("--language", "fr", "--copy")
    assert status == exits.OK and out.startswith(
        "From: Remise du courrier <postmaster@mail.example.org>\nTo: postmaster@"
    )
    assert "Bonne journée !" in sample("--language", "fr-CA")[1]
    assert "\nContent-Type: message/delivery-status\n" in sample("--source")[1]
    assert json.loads(sample("--json")[1])["language"] == "de"
    status, _, err = sample("--language", "it")
    assert status == exits.CONFIG and "there are no texts for 'it'; there are: de, en, es, fr" in err
    (tmp_path / "texts" / "fr" / "return_failed.txt").write_text("no names")
    status, out, err = sample()
    assert status == exits.CONFIG and "has no %R" in err and "bob@example.net" in out
    assert main(["--config", str(path), "test", "config"]) == exits.OK
    assert "return_failed.txt: has no %R" in capsys.readouterr().out
