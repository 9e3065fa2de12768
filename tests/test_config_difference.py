"""What has changed between two configurations, and which line is responsible for a value."""

import os

import pytest

from jobctl.config.difference import differences, with_fixed
from jobctl.config.loader import control_socket, load, load_text
from jobctl.config.places import of_channel, of_pool, of_program, place_of

BASE = """\
[job_controller]
queue_directory = "q"
job_limit = 3
[job_controller.channel_class."tcp_*"]
master_command = "tcp_smtp_client"
[channel.l]
official_host_name = "mail.example.org"
notices = [1, 2]
[defaults]
Backoff = ["PT1M"]
[channel.tcp_a]
official_host_name = "a"
smtp = true
daemon = "gate.example"
options = { MAX_CLIENT_THREADS = 5 }
[channel.tcp_b]
official_host_name = "b"
urgentbackoff = ["PT5M"]
maxjobs = 2
[rewrite]
"a.example" = "tcp_a"
"." = "tcp_b"
"""


def settings(text=BASE):
    return load_text(text, "jobctl.toml", exists=lambda path: True)


def changed(*changes: tuple[str, str]):
    text = BASE
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return {one.key: one for one in differences(settings(), settings(text))}


@pytest.mark.parametrize(
    ("old", "new", "key", "values", "line"),
    [
        ("maxjobs = 2", "maxjobs = 9", "channel.tcp_b.maxjobs", (2, 9), 19),
        ('"gate.example"', '"other.example"', "channel.tcp_a.daemon", ("gate.example", "other.example"), 14),
        ("THREADS = 5", "THREADS = 6", "channel.tcp_a.options.max_client_threads", (5, 6), 15),
        ('"." = "tcp_b"', '"." = "tcp_a"', 'rewrite."."', (("tcp_b",), ("tcp_a",)), 22),
        ('"a.example" = "tcp_a"\n', "", 'rewrite."a.example"', (("tcp_a",), None), 0),
    ],
)
def test_a_key_that_changed(old, new, key, values, line):
    """Its name as in the file, both values, and its line in the new file."""
    found = changed((old, new))
    assert list(found) == [key]
    assert (found[key].old, found[key].new, found[key].line) == (*values, line)
    assert not found[key].restart


def test_a_default_that_changed_is_a_change_of_each_channel():
    """By the line in [defaults]."""
    found = changed(("PT1M", "PT2M"))
    assert set(found) == {"channel.l.backoff", "channel.tcp_a.backoff", "channel.tcp_b.backoff"}
    assert {one.line for one in found.values()} == {10}


def test_sections_that_come_and_go():
    """One difference each, not one for each key of theirs."""
    found = changed(
        ('[channel.tcp_b]\nofficial_host_name = "b"', '[channel.tcp_c]\nofficial_host_name = "b"'),
        ('"tcp_b"', '"tcp_c"'),
    )
    assert {"channel.tcp_b", "channel.tcp_c"} <= found.keys()
    assert found["channel.tcp_b"].new is None and found["channel.tcp_c"].old is None


def test_keys_that_the_settings_have_elsewhere():
    """They are named as in the file."""
    text = BASE + '[mta]\nlog_format = 4\n[mapping]\nORIG_SEND_ACCESS = "  *  $Y"\n'
    assert {one.key for one in differences(settings(), settings(text))} == {
        "mta.log_format",
        "mapping.ORIG_SEND_ACCESS",
    }


def test_lines_that_moved_are_no_change():
    """Remarks and blank lines do not matter."""
    assert differences(settings(), settings("# a remark\n\n" + BASE)) == []


def test_what_needs_a_restart_stays():
    """And what is made of it; everything else is as the new file has it."""
    old, new = settings(), settings(BASE.replace('"q"', '"other"').replace("maxjobs = 2", "maxjobs = 9"))
    found = {one.key: one.restart for one in differences(old, new)}
    assert found == {"job_controller.queue_directory": True, "channel.tcp_b.maxjobs": False}
    kept = with_fixed(old, new)
    assert kept.controller.queue_directory == old.controller.queue_directory
    assert (kept.mta.loop, kept.channels["tcp_b"].maxjobs) == (old.mta.loop, 9)


def test_places():
    """The channel's own line, else that of [defaults] or of channel l, else that it is a default."""
    given = settings()
    assert (
        of_channel(given, "tcp_b", "urgentbackoff", "backoff").text
        == "jobctl.toml:18: channel.tcp_b.urgentbackoff"
    )
    assert of_channel(given, "tcp_a", "urgentbackoff", "backoff").text == "jobctl.toml:10: defaults.backoff"
    assert of_channel(given, "tcp_a", "notices").text == "jobctl.toml:8: channel.l.notices"
    assert of_channel(given, "tcp_a", "maxjobs").text == "channel.tcp_a.maxjobs (default)"
    assert of_pool(given, "DEFAULT").text == "jobctl.toml:3: job_controller.job_limit"
    assert of_program(given, "tcp_a", "master_command").line == 5
    assert place_of(given, ("mta", "postmaster")).line == 0


def test_a_file_is_named_as_it_was_at_the_start(tmp_path, monkeypatch):
    """Wherever the daemon is by now."""
    (tmp_path / "jobctl.toml").write_text(BASE)
    monkeypatch.chdir("/")
    found = load(str(tmp_path / "jobctl.toml"), "jobctl.toml")
    assert found.path == "jobctl.toml" and found.controller.queue_directory == str(tmp_path / "q")


def test_the_socket_of_a_wrong_file(tmp_path):
    """A running daemon can be reached although its file has become wrong; not if it is no TOML any more."""
    path = tmp_path / "jobctl.toml"
    path.write_text(
        BASE.replace("[job_controller]\n", '[job_controller]\nnonsense = 1\ncontrol_socket = "s"\n')
    )
    assert control_socket(str(path)) == os.path.join(tmp_path, "s")
    path.write_text("[channel.l]\n")
    assert control_socket(str(path)) == os.path.join(tmp_path, "var/control.sock")
    for text in ("[job_controller", "job_controller = 5\n", "[job_controller]\ncontrol_socket = 5\n"):
        path.write_text(text)
        assert control_socket(str(path)) is None
    assert control_socket(str(tmp_path / "none")) is None
