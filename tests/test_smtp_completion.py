"""Addresses without a domain: which one they get."""

from typing import Any

import pytest

from jobctl.config.settings import ChannelSettings
from jobctl.smtp.completion import completed_recipient, completed_sender


def channel(**changes: Any) -> ChannelSettings:
    return ChannelSettings(name="c", official_host_name="c", local_host="mail.example.org", **changes)


@pytest.mark.parametrize(
    ("how", "sender"),
    [
        ({}, "ann@mail.example.org"),
        ({"defaulthost": ("h1.example", "h2.example")}, "ann@h1.example"),
        ({"remotehost": "remotehost"}, "ann@pc.example"),
        ({"remotehost": "remotehost", "defaulthost": ("h1.example",)}, "ann@pc.example"),
        ({"remotehost": "authhost"}, "ann@users.example"),
    ],
)
def test_senders(how: dict[str, Any], sender: str) -> None:
    """By the name of the client, the domain of the user, that of the channel, or the name of this host."""
    assert completed_sender("ann", channel(**how), "pc.example", "bob@users.example") == sender
    assert (
        completed_sender("ann@a.example", channel(**how), "pc.example", "bob@users.example")
        == "ann@a.example"
    )
    assert completed_sender("", channel(**how), "pc.example", None) == ""


def test_names_that_are_none() -> None:
    """A client that calls itself by nonsense, or a user without a domain, completes nothing."""
    given = channel(remotehost="remotehost", defaulthost=("h1.example",))
    assert completed_sender("ann", given, "no domain!", None) == "ann@h1.example"
    assert completed_sender("ann", given, "[192.0.2.1]", None) == "ann@[192.0.2.1]"
    assert completed_sender("ann", channel(remotehost="authhost"), "pc", "bob") == "ann@mail.example.org"
    assert completed_sender("ann", channel(remotehost="authhost"), "pc", None) == "ann@mail.example.org"


def test_recipients() -> None:
    """The second domain is theirs; the first too where submissions are taken; else this host, as the postmaster's."""
    two = channel(defaulthost=("h1.example", "h2.example"))
    one = channel(defaulthost=("h1.example",))
    submit = channel(defaulthost=("h1.example",), submit=True)
    assert completed_recipient("bob", two) == "bob@h2.example"
    assert completed_recipient("bob", one) == "bob"
    assert completed_recipient("bob", submit) == "bob@h1.example"
    assert completed_recipient("Postmaster", two) == "Postmaster"
    assert completed_recipient("bob@b.example", two) == "bob@b.example"
    assert completed_recipient("bob", channel()) == "bob"
