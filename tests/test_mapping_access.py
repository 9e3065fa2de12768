"""Mapping tables and the access tables, as policies of the old system are written."""

from typing import Any

import msgspec
import pytest

from jobctl.config.loader import load_text
from jobctl.errors import ConfigError
from jobctl.mail.envelope import Source
from jobctl.mapping import tables as table_module
from jobctl.mapping.access import from_access, port_access, recipient_access
from jobctl.mapping.tables import Tables, compiled, read_table

TRANSPORT = "TCP|192.0.2.1|25|198.51.100.7|40001"
SOURCE = Source("tcp_local", TRANSPORT, "SMTP/client.example", "ann")


def tables(**texts: str) -> Tables:
    for text in texts.values():
        assert read_table(text)[1] == []
    return compiled(texts)


@pytest.mark.parametrize(
    ("text", "probe", "result", "flags"),
    [
        ("! a comment\n\n* $Y", "x", "", "Y"),
        ("a*  first$0\n*  other$0", "abc", "firstbc", ""),
        ("a*  first$0\n*  other$0", "xyz", "otherxyz", ""),
        ("a*c  $$1$ is$ $0", "abc", "$1 is b", ""),
        ("a  $Cb\nb  $Yc", "a", "c", "Y"),
        ("b  $Yc\na  $Rb", "a", "c", "Y"),
        ("a  $Ra", "a", "a", ""),
        ("a  $Eb\nb  c", "a", "b", ""),
        ("*  $:Nno\n*  yes", "x", "yes", ""),
        ("*  $;Nno\n*  yes", "x", "no", ""),
        ("a$ b  c", "a b", "c", ""),
        ("*@*  $|HOSTS;$1|", "ann@b.example", "inside", ""),
        ("*@*  $|HOSTS;$1|\n*  plain", "ann@c.example", "plain", ""),
    ],
)
def test_templates(text: str, probe: str, result: str, flags: str) -> None:
    """Wildcards, flags, other tables, and going on with what was made."""
    found = tables(T=text, HOSTS="b.example  inside").probe("T", probe)
    assert (found.text, "".join(sorted(found.flags)), found.matched) == (result, flags, True)


def test_without_a_match_a_text_is_what_it_was() -> None:
    """A table that says nothing changes nothing."""
    found = tables(T="a  b").probe("T", "x")
    assert (found.text, found.matched, found.entry) == ("x", False, None)


def test_tables_that_ask_each_other_come_to_an_end() -> None:
    """A circle of tables answers nothing instead of never."""
    assert not tables(A="*  $|B;$0|", B="*  $|A;$0|").probe("A", "x").matched


def test_a_text_that_grows_with_each_round_ends() -> None:
    """A table that leads in circles and doubles the text is left, with a text that is still of a size."""
    assert len(tables(T="*  $0$0x$R").probe("T", "ab").text) < 20_000
    assert len(tables(T="*a*a*a*$0*  $R$0$1$2a").probe("T", "aaa" * 5).text) < 20_000


def test_many_questions_to_other_tables_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten levels, each asking the next twice, are not a thousand questions of a peer's making."""
    asked = []
    probe = table_module._Walk.probe

    def counted(walk: Any, name: str, *rest: Any) -> Any:
        asked.append(name)
        return probe(walk, name, *rest)

    monkeypatch.setattr(table_module._Walk, "probe", counted)
    table = "".join(f"{n}*  $|T;{n + 1}$0|$|T;{n + 1}$0|\n" for n in range(9)) + "9*  end\n"
    tables(T=table).probe("T", "0x")
    assert 100 < len(asked) <= 201


def test_a_table_may_be_long() -> None:
    """The last of many thousand entries is as good as the first."""
    table = "".join(f"host{n}.example  $N\n" for n in range(5000))
    assert tables(T=table).probe("T", "host4999.example").matched


@pytest.mark.parametrize(
    ("table", "code", "text"),
    [
        (
            "TCP|*|*|198.51.100.*|*  $N500$ Do$ not$ connect$ to$ this$ machine",
            500,
            "Do not connect to this machine",
        ),
        ("TCP|*|*|$(198.51.100.0/24)|*  $F", 421, "4.7.1 Connection refused."),
        ("TCP|*|*|*|*  $N421$ 4.7.1$ one~two", 421, "4.7.1 one\ntwo"),
        ("TCP|*|*|203.0.113.*|*  $N500$ no", None, ""),
        ("TCP|*|*|*|*  $Y", None, ""),
    ],
)
def test_port_access(table: str, code: int | None, text: str) -> None:
    """Who may not connect is told what the table says."""
    refusal = port_access(tables(PORT_ACCESS=table), TRANSPORT).refusal
    assert (refusal and (refusal.code, refusal.text)) == (None if code is None else (code, text))


def test_port_access_may_ask_for_patience() -> None:
    """$D: hundredths of a second before the banner."""
    assert port_access(tables(PORT_ACCESS="TCP|*  $D150"), TRANSPORT).delay == 150


@pytest.mark.parametrize(
    ("template", "reply", "recorded", "site", "delay"),
    [
        ("$N$T500$ 5.7.1$ no", "500 5.7.1 no", True, "", 0),
        ("$N500$ 5.7.1$ no||blocked$ net", "500 5.7.1 no", False, "blocked net", 0),
        ("$T$N||list$ 7", "421 4.7.1 Connection refused.", True, "list 7", 0),
        ("$Y||partner", None, False, "partner", 0),
        ("$D50||slow$ one", None, False, "slow one", 50),
        ("$T", None, False, "", 0),
    ],
)
def test_port_access_has_a_say_in_the_log(template, reply, recorded, site, delay) -> None:
    """$T: a refusal has a record of its own; what stands behind || is for the log, never for the client."""
    found = port_access(tables(PORT_ACCESS=f"TCP|*  {template}"), TRANSPORT)
    assert (found.refusal and str(found.refusal)) == reply
    assert (found.recorded, found.site, found.delay) == (recorded, site, delay)


def test_probes_have_their_fields_in_place() -> None:
    """Each table is asked with the fields of the reference, in its order; what is not known is empty."""
    seen = tables(FROM_ACCESS=f"{TRANSPORT}|SMTP/client.example|MAIL|tcp_local|a@b.example|ann  $Nyes")
    assert from_access(seen, SOURCE, "a@b.example").refusal is not None
    local = tables(FROM_ACCESS="TCP|||||" + "|MAIL|l||  $Nyes")
    assert from_access(local, Source("l"), "").refusal is not None
    assert from_access(tables(), SOURCE, "a@b.example").refusal is None


@pytest.mark.parametrize(
    ("name", "probe"),
    [
        ("ORIG_SEND_ACCESS", "tcp_local|a@b.example|maildir|alias@here.example"),
        ("SEND_ACCESS", "tcp_local|a@b.example|maildir|bob@here.example"),
        (
            "ORIG_MAIL_ACCESS",
            f"{TRANSPORT}|SMTP/client.example|MAIL|tcp_local|a@b.example|maildir|alias@here.example",
        ),
        (
            "MAIL_ACCESS",
            f"{TRANSPORT}|SMTP/client.example|MAIL|tcp_local|a@b.example|maildir|bob@here.example",
        ),
    ],
)
def test_recipient_tables(name: str, probe: str) -> None:
    """Original and rewritten recipients, with and without what is known of the connection."""

    def ask(text: str) -> object:
        return recipient_access(
            tables(**{name: text}), SOURCE, "a@b.example", "alias@here.example", "bob@here.example", "maildir"
        )

    assert ask(f"{probe}  $N").refusal.text.startswith("5.7.1 ")  # type: ignore[attr-defined]
    assert ask(f"x{probe}  $N").refusal is None  # type: ignore[attr-defined]
    assert ask(f"{probe}  $H").hold  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("bits", "with_it"),
    [(0, ""), (1, "os OS om OM"), (2, "os"), (4, "OS"), (8, "om"), (16, "OM"), (18, "os OM")],
)
def test_the_original_recipient_in_probes(bits: int, with_it: str) -> None:
    """``access_orcpt``: each bit has its table; who gave no ORCPT has said the recipient itself."""
    names = {"ORIG_SEND_ACCESS": "os", "SEND_ACCESS": "OS", "ORIG_MAIL_ACCESS": "om", "MAIL_ACCESS": "OM"}
    for name, short in names.items():
        for orcpt, shown in (
            ("rfc822;first@x.example", "rfc822;first@x.example"),
            ("", "rfc822;al@b.example"),
        ):
            resolved = "al@b.example" if name.startswith("ORIG_") else "bob@b.example"
            end = f"|maildir|{resolved}" + (f"|{shown}" if short in with_it.split() else "")
            found = recipient_access(
                tables(**{name: f"*tcp_local|a@b.example{end}  $N"}),
                SOURCE,
                "a@b.example",
                "al@b.example",
                "bob@b.example",
                "maildir",
                orcpt,
                bits,
            )
            assert found.refusal is not None, (name, bits, orcpt)


@pytest.mark.parametrize(
    ("template", "code", "text"),
    [
        ("$N", 550, "5.7.1 you are not allowed to use this address"),
        ("$Nno$ way", 550, "5.7.1 no way"),
        ("$N4.7.1$ come$ later", 450, "4.7.1 come later"),
        ("$N452$ 4.2.2$ full", 452, "4.2.2 full"),
        ("$X$N5.7.2|not$ for$ you", 550, "5.7.2 not for you"),
    ],
)
def test_what_a_refusal_says(template: str, code: int, text: str) -> None:
    """A table may choose code, enhanced code and words; what it leaves out is the usual."""
    refusal = from_access(tables(FROM_ACCESS=f"*  {template}"), SOURCE, "a@b.example").refusal
    assert refusal is not None
    assert (refusal.code, refusal.text) == (code, text)


HEAD = '[channel.l]\nofficial_host_name = "m.example"\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[mapping]\nT = """\nonly$\n"""', "entry on its line 1"),
        ('[mapping]\nT = """\n* $(x)\n"""', "is not there"),
        ('[mapping]\nT = """\n* $|X;y|\n"""', "there is no table X"),
        ("[mapping]\nT = 5", "write its entries as text"),
    ],
)
def test_mistakes_are_told(text: str, words: str) -> None:
    """A table that cannot be understood is refused with its entry."""
    with pytest.raises(ConfigError, match=words.replace("(", r"\(")):
        load_text(HEAD + text, "jobctl.toml")


def test_a_table_nobody_asks_is_noted() -> None:
    """A name with a slip of the pen does not act, and that is said."""
    found = load_text(HEAD + '[mapping]\nPORT_ACESS = "* $Y"\n', "jobctl.toml")
    assert "is not used" in found.notes[0].text


def test_port_access_permits_private_commands() -> None:
    """``$V``: for this client, whatever the options say."""
    table = tables(PORT_ACCESS="TCP|*|*|198.51.100.*|*  $V$Y\nTCP|*  $Y")
    assert port_access(table, TRANSPORT).private
    assert not port_access(table, TRANSPORT.replace("198.51", "203.0")).private


def test_tables_know_the_command_of_the_sender() -> None:
    """``SEND``, ``SAML`` and ``SOML`` stand where ``MAIL`` does."""
    source = msgspec.structs.replace(SOURCE, submit_type="SAML")
    table = tables(
        FROM_ACCESS="*|*|SAML|*  $Nno\n*|*|*|*|*|*|SAML|*  $Nno", MAIL_ACCESS="*|SAML|*  $Nno$ terminals"
    )
    assert from_access(table, source, "a@b").refusal is not None
    assert from_access(table, SOURCE, "a@b").refusal is None
    assert recipient_access(table, source, "a@b", "c@d", "c@d", "out").refusal is not None
    assert recipient_access(table, SOURCE, "a@b", "c@d", "c@d", "out").refusal is None
