"""What operators change in the running Job Controller, laid over the configuration."""

import pytest

from jobctl.config.loader import load_text
from jobctl.config.overlay import Change, checked, effective

TEXT = """
[job_controller.channel_class."tcp_*"]
master_command = "client"
slave_command = "server"
[channel.l]
official_host_name = "mail.example.org"
[channel.tcp_local]
official_host_name = "tcp-daemon"
maxjobs = 7
[channel.tcp_fast]
official_host_name = "fast-daemon"
master_command = "mine"
"""
SETTINGS = load_text(TEXT, "jobctl.toml", exists=lambda path: True)


def change(option, value, channel="", template="", **more):
    scope = "channel" if channel else "template" if template else "global"
    return Change(scope=scope, name=channel or template, option=option, value=str(value), **more)


def of(name, *changes):
    return effective(SETTINGS, changes).channels[name]


def test_nothing_changed():
    """Without changes the configuration counts as it is."""
    assert effective(SETTINGS, ()) == SETTINGS


def test_each_option():
    """Every option that can be changed reaches the setting it names, and nothing else."""
    assert of("tcp_local", change("job_limit", 3, "tcp_local")).maxjobs == 3
    assert of("tcp_local", change("thread_depth", 4, "tcp_local")).threaddepth == 4
    assert of("tcp_local", change("master_job", "a 'b c'", "tcp_local")).master_command == ("a", "b c")
    assert of("tcp_local", change("slave_job", "IMTA_BIN:x", "tcp_local")).slave_command == ("x",)
    assert of("tcp_local", change("master_debug", "1", "tcp_local")).master_debug is True
    assert of("tcp_local", change("slave_debug", "1", "tcp_local")).slave_debug is True
    assert effective(SETTINGS, [change("max_messages", 50)]).controller.max_cache_messages == 50
    assert effective(SETTINGS, [change("debug", 5)]).controller.debug == 5
    assert of("tcp_fast", change("job_limit", 3, "tcp_local")) == SETTINGS.channels["tcp_fast"]


def test_class():
    """A class's program goes to the channels that have theirs from it, not to one with its own."""
    new = effective(SETTINGS, [change("master_job", "other", template="tcp_*")]).channels
    assert new["tcp_local"].master_command == ("other",)
    assert new["tcp_fast"].master_command == ("mine",)
    assert new["l"].master_command == ()
    new = effective(SETTINGS, [change("slave_job", "other", template="tcp_*")]).channels
    assert new["tcp_fast"].slave_command == ("other",)


def test_new_class():
    """A pattern that is no class yet makes one, if it is more specific; the most specific one counts."""
    wide = change("slave_job", "wide", template="*")
    close = change("slave_job", "close", template="tcp_l*", since=1)
    exact = change("slave_job", "exact", template="tcp_local")
    assert of("tcp_local", close, wide).slave_command == ("close",)
    assert of("tcp_local", exact, close, wide).slave_command == ("exact",)
    assert of("tcp_fast", close, wide).slave_command == ("server",)
    assert of("l", wide).slave_command == ("wide",)


def test_channel_is_stronger_than_class():
    """What is set for one channel is stronger than what is set for its class later."""
    channel = change("master_job", "one", "tcp_local", since=1)
    later = change("master_job", "all", template="tcp_*", since=2)
    assert of("tcp_local", channel, later).master_command == ("one",)


def test_survives_another_configuration():
    """After a reload the changes lie over the new configuration; those of a channel that is gone do nothing."""
    text = TEXT.replace("tcp_local", "tcp_other").replace("maxjobs = 7", "maxjobs = 9")
    new = load_text(text, "jobctl.toml", exists=lambda path: True)
    changes = [change("job_limit", 3, "tcp_local"), change("master_job", "x", template="tcp_*")]
    found = effective(new, changes).channels
    assert found["tcp_other"].maxjobs == 9 and found["tcp_other"].master_command == ("x",)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (change("job_limit", 0, "tcp_local"), "job_limit of channel tcp_local: 0 is out of range"),
        (change("job_limit", "many", "tcp_local"), "not an integer"),
        (change("job_limit", 5, "tcp_locl"), "did you mean tcp_local"),
        (change("job_limit", 5), "nothing called job_limit can be changed globally"),
        (change("max_messages", 5), "at least 10"),
        (change("thread_depth", 5, template="tcp_*"), "nothing called thread_depth"),
        (change("master_job", "'x", "l"), "cannot be split"),
        (change("master_job", "x", template="pipe*"), "no channel is of the class"),
        (change("master_debug", "yes", "l"), "not 1 or 0"),
        (Change(scope="host", name="x", option="job_limit", value="1"), "nothing called"),
    ],
)
def test_refused(wrong, why):
    """What will not do is told with what and why."""
    with pytest.raises(ValueError, match=why):
        checked(SETTINGS, wrong)


def test_what_cannot_be_read_does_nothing():
    """A value kept by another release that this one does not understand is left out, not fatal."""
    assert effective(SETTINGS, [change("job_limit", "x", "l"), change("odd", 1, "l")]) == SETTINGS
