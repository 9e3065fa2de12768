"""Header options in the configuration."""

import pytest

from jobctl.config.header_settings import HeaderRule
from jobctl.config.loader import load_text
from jobctl.config.settings import ChannelSettings, Settings
from jobctl.errors import ConfigError

HEAD = '[channel.l]\nofficial_host_name = "mail.example.org"\n[channel.tcp_x]\n'


def load(text: str) -> Settings:
    return load_text(HEAD + text, "/etc/jobctl.toml")


def channel(text: str) -> ChannelSettings:
    return load(text).channels["tcp_x"]


def test_tables() -> None:
    """A table for each field, its name as it is to be written; options in either case."""
    found = channel(
        '[channel.tcp_x.headertrim."X-Mailer"]\nMAXIMUM = -1\n'
        '[channel.tcp_x.headertrim.Organization]\nfill = "Example"\nPRECEDENCE = -2\n'
        "[channel.tcp_x.headerread]\nX-Old.RELABEL = 'X-New'\n"
    )
    assert found.headertrim == (
        HeaderRule(field="x-mailer", name="X-Mailer", maximum=-1),
        HeaderRule(field="organization", name="Organization", fill="Example", precedence=-2),
    )
    assert found.headerread == (HeaderRule(field="x-old", name="X-Old", relabel="X-New"),)


def test_defaults_and_own() -> None:
    """A channel's table takes the place of the one in [defaults]."""
    before = "[defaults.headertrim.X-A]\nMAXIMUM = 0\n"
    assert load(before).channels["tcp_x"].headertrim[0].field == "x-a"
    own = load(before + "[channel.tcp_x.headertrim.X-B]\nMAXIMUM = 0\n").channels["tcp_x"]
    assert [rule.field for rule in own.headertrim] == ["x-b"]


def test_received_fields_stay_on_arrival() -> None:
    """What is said of all fields that come in does not remove those by which loops are found."""
    rules = channel("headerread.Defaults.MAXIMUM = 0").headerread
    assert rules[1] == HeaderRule(field="received", name="Received")
    assert len(channel("headertrim.Defaults.MAXIMUM = 0").headertrim) == 1


def test_a_mistake_that_channels_share_is_told_once() -> None:
    """What [defaults] says wrongly is wrong in one place."""
    with pytest.raises(ConfigError) as caught:
        load("[defaults]\nheadertrim.To.MAXCHARS = 0\nheadertrim.Defaults.ADD = 'x'\n")
    assert len(caught.value.problems) == 2


def test_other_options_say_that_they_do_not_act() -> None:
    """GROUP is known, and does nothing here."""
    (note,) = load("headertrim.To.GROUP = 1").notes
    assert (note.line, note.key) == (4, "channel.tcp_x.headertrim.To.GROUP") and "PRECEDENCE" in note.text


@pytest.mark.parametrize(
    ("text", "key", "words"),
    [
        ("headertrim = true", "headertrim", "is a table"),
        ("headertrim.To = 3", "headertrim.To", "must be a table"),
        ("headertrim.To.MAXIMUN = 3", "headertrim.To.MAXIMUN", "did you mean MAXIMUM?"),
        ("headertrim.To.MAXIMUM = -2", "headertrim.To.MAXIMUM", "at least -1"),
        ("headertrim.To.MAXCHARS = 0", "headertrim.To.MAXCHARS", "at least 1"),
        ("headertrim.'X Y'.MAXIMUM = 0", 'headertrim."X Y"', "is not the name of a header field"),
        ("headertrim.'To:'.MAXIMUM = 0", 'headertrim."To:"', "is not the name of a header field"),
        ("headertrim.To.RELABEL = 'Cc:'", "headertrim.To.RELABEL", "is not the name of a header field"),
        ("headertrim.Other.MAXIMUM = 0", "headertrim.Other", 'write "Defaults"'),
        ("headertrim.Defaults.ADD = 'x'", "headertrim.Defaults.ADD", "a field of its own"),
        ('headertrim.X-A.ADD = "x\\r\\nBcc: y"', "headertrim.X-A.ADD", "must be one line"),
        ("headertrim.X-A.FILL = 'ü'", "headertrim.X-A.FILL", "RFC 2047"),
        (f"headertrim.X-A.FILL = '{'x' * 901}'", "headertrim.X-A.FILL", "900"),
        ("headertrim.To.MAXIMUM = 0\nheadertrim.TO.MAXIMUM = 1", "headertrim.TO", "already given"),
        ("headerread.Received.MAXIMUM = 3", "headerread.Received.MAXIMUM", "headertrim"),
    ],
)
def test_mistakes(text: str, key: str, words: str) -> None:
    """Each mistake is told with file, line and key, and says what to do."""
    with pytest.raises(ConfigError) as caught:
        load(text)
    (found,) = caught.value.problems
    line = 3 + len(text.splitlines())
    assert found.startswith(f"/etc/jobctl.toml:{line}: channel.tcp_x.{key}: ") and words in found


def test_mailboxes_get_content_as_it_came() -> None:
    """What would act on the way out by SMTP is pointed out where nothing goes out that way."""
    (note,) = load('[channel.maildir]\nmaildir = "var"\nmaxheaderaddrs = 3\n').notes
    assert (note.line, note.key) == (6, "channel.maildir.maxheaderaddrs") and "mailboxes" in note.text
