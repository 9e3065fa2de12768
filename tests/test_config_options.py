"""Promises of the TCP/IP-channel-specific options, in the configuration and in option files."""

import pytest

from jobctl.config.keys import Kind, Status
from jobctl.config.loader import load_text
from jobctl.config.options import read_option_text
from jobctl.config.tcp_options import OPTIONS
from jobctl.config.tcp_settings import TcpOptions
from jobctl.errors import ConfigError


def problems_of(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read_option_text(text, "/etc/x_option")
    return caught.value.problems


def test_option_file() -> None:
    """An option file has option=value lines, names in either case, other bases, fractions and comments."""
    options = read_option_text(
        "! the time out in the field is long\n"
        "\n"
        "TIMEOUT_MULTIPLIER=1\n"
        "  Command_Receive_Time = 2.5 \n"
        "MAX_CLIENT_THREADS=16%1f\n"
        "BANNER_ADDITION=No = spam|please\n"
        "552_PERMANENT_ERROR_STRING=5.2.2 full|5.3.4 big\n"
        "DISABLE_SEND=1\n"
        "# also a comment\n",
        "x_option",
    )
    assert options.seconds("command_receive_time") == 2.5
    assert options.max_client_threads == 31
    assert options.banner_addition == "No = spam|please"
    assert options.permanent_552 == ("5.2.2 full", "5.3.4 big")


def test_option_file_goes_over_what_is_configured() -> None:
    """What the file does not say stays as the channel has it."""
    base = TcpOptions(max_mx_records=3, hide_verify=1)
    options = read_option_text("MAX_MX_RECORDS=5", "x", base)
    assert (options.max_mx_records, options.hide_verify) == (5, 1)
    assert read_option_text("", "x") == TcpOptions()


def test_mistakes_in_an_option_file_are_told_at_once() -> None:
    """Every line that is wrong is named, with its number and what is meant."""
    found = problems_of(
        "BANER_HOST=x\nTRACE_LEVEL=3\nnonsense\nMAX_B_ENTRIES=ten\nMAX_J_ENTRIES=1\nmax_j_entries=2\n"
        "DOT_TRANSMIT_TIME=nan\nMAX_MX_RECORDS=33\nSESSION_TIME=99%1\nMAX_A_RECORDS=40%1\nBANNER_HOST=\n"
    )
    assert [problem.split(":")[1] for problem in found] == [
        "1",
        "2",
        "3",
        "4",
        "6",
        "7",
        "8",
        "9",
        "10",
        "11",
    ]
    assert "did you mean BANNER_HOST?" in found[0]
    assert "at most 2" in found[1]
    assert "option=value" in found[2]
    assert "already given on line 5" in found[4]
    assert "base before %" in found[8]


def _sample(kind: Kind) -> object:
    return {Kind.INTEGER: 1, Kind.NUMBER: 1.5, Kind.HOST: "h.example", Kind.TEXT: "text", Kind.PIECES: "a|b"}[
        kind
    ]


@pytest.mark.parametrize("key", list(OPTIONS), ids=lambda key: key.name)
def test_no_option_is_silently_ignored(key: object) -> None:
    """Each option sets its field, or is noted with the reason why it does not act yet."""
    from jobctl.config.keys import Key

    assert isinstance(key, Key)
    value = _sample(key.kind)
    head = '[channel.l]\nofficial_host_name = "m.example"\n[channel.tcp_x]\n'
    written = f'"{value}"' if isinstance(value, str) else value
    settings = load_text(f"{head}options.{key.name.lower()} = {written}\n", "/x")
    options = settings.channels["tcp_x"].options
    reason = key.reason if key.status is Status.INERT else key.inert.get(str(value))
    if reason:
        assert reason in settings.notes[0].text
        assert (settings.notes[0].line, settings.notes[0].key) == (
            4,
            f"channel.tcp_x.options.{key.name.lower()}",
        )
    else:
        assert settings.notes == ()
    if key.field:
        assert getattr(options, key.field) == (("a", "b") if key.kind is Kind.PIECES else value)
    assert read_option_text(f"{key.name}={value}", "x") == options


def test_bits_of_use_permanent_error() -> None:
    """16 acts; other bits are said to do nothing."""
    head = '[channel.l]\nofficial_host_name = "m.example"\n[mta]\nuse_permanent_error = '
    settings = load_text(f"{head}16\n", "/x")
    assert settings.mta.use_permanent_error == 16 and settings.notes == ()
    (note,) = load_text(f"{head}21\n", "/x").notes
    assert note.line == 4 and note.text == "does not act yet: 5; 16 alone has a meaning here"


def test_private_commands_are_disabled_by_default() -> None:
    """Each has a switch of its own; true and false are 1 and 0."""
    head = '[channel.l]\nofficial_host_name = "m.example"\n'
    options = (
        load_text(head + "options = { DISABLE_GENERAL = false, HIDE_VERIFY = true }\n", "/x")
        .channels["l"]
        .options
    )
    assert (options.disable_general, options.hide_verify) == (0, 1)
    assert (options.disable_circuit, options.disable_address, options.disable_status) == (1, 1, 1)


def test_every_field_of_the_options_has_a_name() -> None:
    """There is no option in the settings that cannot be configured, and none configured without effect."""
    assert {key.field for key in OPTIONS if key.field} == set(TcpOptions.__struct_fields__)
