"""Promises of the manual: the page of options is the tables, and the examples work."""

import re
from pathlib import Path

import pytest

from jobctl.config.keys_controller import CHANNEL_CLASS, CONTROLLER, POOL
from jobctl.config.keys_mta import MTA
from jobctl.config.keys_service import SERVICE
from jobctl.config.keywords import KEYWORDS
from jobctl.config.loader import DEFAULT, load_text
from jobctl.config.manual import options_page
from jobctl.config.notification import NOTIFICATION
from jobctl.config.tcp_options import OPTIONS
from jobctl.errors import ConfigError
from jobctl.routing.router import Router

DOCS = Path(__file__).resolve().parent.parent / "docs"
MANUAL = (DOCS / "configuration.md").read_text(encoding="utf-8")
PAGES = (MANUAL, (DOCS / "notifications.md").read_text(encoding="utf-8"))
EXAMPLES = [example for page in PAGES for example in re.findall(r"```toml\n(.*?)```", page, re.DOTALL)]


def test_the_page_of_options_is_what_the_loader_knows() -> None:
    """docs/options.md lists each keyword and option with its status, exactly as the loader treats it."""
    page = (DOCS / "options.md").read_text(encoding="utf-8")
    assert page == options_page(), "make it anew: the command stands at its top"
    for table in (KEYWORDS, OPTIONS, CONTROLLER, POOL, CHANNEL_CLASS, SERVICE, MTA, NOTIFICATION):
        assert all(f"| `{key.name}`" in page for key in table)


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_examples_work(number: int) -> None:
    """Every example of the manual is accepted; parts are completed with the embedded one."""
    example = EXAMPLES[number]
    if "[channel.l]" not in example:
        embedded = Path(DEFAULT).read_text(encoding="utf-8")
        kept = embedded.split("[rewrite]")[0] if "[rewrite]" in example else embedded
        example = example + "\n" + _without_repeated(kept, example)
    settings = load_text(example, "/etc/jobctl.toml", exists=lambda path: True)
    Router(settings)


def _without_repeated(text: str, example: str) -> str:
    """The sections of ``text`` that the example does not have itself."""
    sections = re.split(r"(?m)^(?=\[)", text)
    given = set(re.findall(r"(?m)^\[.*?\]", example))
    return "".join(
        part for part in sections if part.startswith("[") and part.partition("]")[0] + "]" not in given
    )


def test_messages_in_the_manual_are_real() -> None:
    """The mistakes that the manual shows are told in just these words."""
    shown = re.search(r"```\n(jobctl\.toml:.*?)```", MANUAL, re.DOTALL)
    wrong = re.search(r"```toml-with-mistakes\n(.*?)```", MANUAL, re.DOTALL)
    assert shown is not None
    assert wrong is not None
    with pytest.raises(ConfigError) as caught:
        load_text(wrong[1], "jobctl.toml")
    assert "\n".join(caught.value.problems) + "\n" == shown[1]
