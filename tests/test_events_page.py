"""Every event of the daemon's log stands in the manual."""

from tests.events_page import ROOT, page


def test_every_event_is_documented() -> None:
    """docs/events.md has each sentence that the log can say, with its level and its fields."""
    written = (ROOT / "docs" / "events.md").read_text(encoding="utf-8")
    assert written == page(), "make it anew: python -m tests.events_page > docs/events.md"
    assert "the ledger does not balance: {what}" in written
