"""Nothing is accepted that would have to be returned at once: recipients are known when they are given."""

import os
from pathlib import Path
from typing import Any

import pytest

from jobctl.config.loader import load_text
from jobctl.config.settings import ChannelSettings
from jobctl.controller.recipients import KnownRecipients
from tests.tcp_support import channel

HEAD = """
[channel.l]
official_host_name = "m.example"
[channel.maildir]
maildir = "boxes/{local}"
"""


def settings(**changes: Any) -> ChannelSettings:
    return channel(smtp="nosmtp", **changes)


def test_a_list_of_recipients(tmp_path: Path) -> None:
    """Addresses, local parts and whole domains, whatever the case; a change counts as soon as it is looked at."""
    path = tmp_path / "known"
    path.write_text("# ours\nAnn@Here.example\nbob\n@all.example\n")
    now = [0.0]
    known = KnownRecipients(lambda: now[0])
    here = settings(recipients_file=str(path))
    good = ["ann@here.example", "ANN@HERE.EXAMPLE", "bob@anywhere.example", "x@all.example"]
    assert [known.knows(here, address) for address in good] == [True] * 4
    assert not known.knows(here, "carol@here.example")
    path.write_text("carol\n")
    os.utime(path, ns=(1, 1))
    now[0] = 10.0
    assert known.knows(here, "carol@here.example")
    assert not known.knows(here, "bob@here.example")
    path.unlink()
    now[0] = 20.0
    with pytest.raises(OSError, match="No such file"):
        known.knows(here, "carol@here.example")


def test_existing_maildirs(tmp_path: Path) -> None:
    """Only who has a mailbox; no address leads out of the folder."""
    (tmp_path / "ann").mkdir()
    (tmp_path / "secret").mkdir()
    known = KnownRecipients(lambda: 0.0)
    boxes = settings(existingmaildirs=True, maildir=f"{tmp_path}/{{local}}")
    assert known.knows(boxes, "ann@here.example")
    assert not known.knows(boxes, "bob@here.example")
    assert not known.knows(boxes, "../secret@here.example")
    assert known.knows(settings(maildir=f"{tmp_path}/{{local}}"), "bob@here.example")


@pytest.mark.parametrize(("text", "asks"), [("", False), ("existingmaildirs = true\n", True)])
def test_trusted_clients_are_asked_only_where_it_matters(text: str, asks: bool) -> None:
    """Without such lists nobody pays for a question about each recipient."""
    assert load_text(HEAD + text, "jobctl.toml").mta.asks_all is asks
