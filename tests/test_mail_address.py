"""The address parser."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobctl.mail.address import normal_domain, parse_path, split_address


@pytest.mark.parametrize(
    ("text", "mailbox"),
    [
        ("<ann@example.org>", "ann@example.org"),
        ("ann@example.org", "ann@example.org"),
        ("<Ann.B+tag@Example.ORG>", "Ann.B+tag@Example.ORG"),
        ("<ann@example.org.>", "ann@example.org"),
        ("<@relay.example,@x.example:ann@example.org>", "ann@example.org"),
        ("<postmaster>", "postmaster"),
        ('<"a b\\"@>"@example.org>', '"a b\\"@>"@example.org'),
        ("<ann@[192.0.2.1]>", "ann@[192.0.2.1]"),
        ("<ann@[IPv6:2001:db8::1]>", "ann@[IPv6:2001:db8::1]"),
        ("<ann@[x400:weird]>", "ann@[x400:weird]"),
        ("<a..b.@docomo.example>", "a..b.@docomo.example"),
        ("<!#$%&'*+/=?^_`{|}~-@example.org>", "!#$%&'*+/=?^_`{|}~-@example.org"),
        ("<under_score@host_name.example>", "under_score@host_name.example"),
        ("<jürgen@münchen.example>", "jürgen@münchen.example"),
        ("<" + "v" * 200 + "@example.org>", "v" * 200 + "@example.org"),
    ],
)
def test_mailbox_is_taken_out_of_a_path(text: str, mailbox: str) -> None:
    """Every form of address in use is understood; brackets and source routes do not become part of it."""
    assert parse_path(text, null_ok=False) == mailbox


@pytest.mark.parametrize(
    "text",
    [
        *("", "<", ">", "<>", "< >", "<a@b", "a@b>", "<a b@c>", "<a@b c>", "<@>", "<a@>", "<@b>", "<a@b@c>"),
        *("<a@b..c>", "<a@.b>", "<a@b>x", "<a@b\r\nRCPT TO:x>", "<a\x00@b>", "<a@b\n>", "<a,b@c>", "<a@b,c>"),
        *('<"a@b>', '<"a"b@c>', '<a"b@c>', '<"a\x01"@b>', "<a@[1.2.3]>", "<a@[1.2.3.4>", "<a@[IPv6:zz]>"),
        *(
            "<a@[]>",
            "<a@[fe80::1%eth0]>",
            "<a@b;c>",
            "<a@b<c>",
            "<" + "a" * 300 + "@b>",
            "<a@" + "b" * 300 + ">",
        ),
        *("<a\u2028b@c>", "<@x.example:>", "@x:"),
    ],
)
def test_illegal_addresses_are_refused(text: str) -> None:
    """What is no address is refused in words, whatever it could do to those who read it later."""
    with pytest.raises(ValueError, match=r"^[a-z ]+$"):
        parse_path(text, null_ok=False)


def test_null_path_only_where_it_may_stand() -> None:
    """``<>`` is a sender, never a recipient."""
    assert parse_path("<>", null_ok=True) == ""
    with pytest.raises(ValueError, match="empty address"):
        parse_path("<>", null_ok=False)


@settings(deadline=None, max_examples=300)
@given(st.text(st.sampled_from('ab@<>."\\[]:,; \r\n\x00é%!'), max_size=20), st.booleans())
def test_whatever_is_accepted_cannot_break_a_line(text: str, null_ok: bool) -> None:
    """No address that passes holds a control character, and it is read back as itself."""
    try:
        mailbox = parse_path(text, null_ok)
    except ValueError:
        return
    assert mailbox.isprintable()
    if mailbox:
        assert parse_path(f"<{mailbox}>", False) == mailbox


def test_local_part_and_domain() -> None:
    """An address falls into local part and domain, also when the local part has an @ in quotes."""
    assert split_address("ann@example.org") == ("ann", "example.org")
    assert split_address('"a@b"@example.org') == ('"a@b"', "example.org")
    assert split_address("postmaster") == ("postmaster", "")
    assert split_address('"a@b"') == ('"a@b"', "")


def test_domains_compare_in_one_form() -> None:
    """Case, a final dot and the way a name is encoded do not make two destinations of one."""
    assert normal_domain("Example.ORG.") == "example.org"
    assert normal_domain("Bücher.example") == "xn--bcher-kva.example"
    assert normal_domain("[192.0.2.1]") == "[192.0.2.1]"
    assert normal_domain("-\u2028.example") == "-\u2028.example"
