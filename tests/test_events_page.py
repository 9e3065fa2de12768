"""The events of the daemon's log stand in the manual."""

from tests.events_page import ROOT, events, page


def test_what_operators_are_woken_for_is_documented() -> None:
    """docs/events.md has every critical sentence that the log can say, and is made as its top says."""
    written = (ROOT / "docs" / "events.md").read_text(encoding="utf-8")
    assert written.startswith(page().partition("\n## ")[0])
    critical = {
        sentence
        for path in (ROOT / "jobctl").rglob("*.py")
        for level, sentence, _ in events(path)
        if level == "critical"
    }
    assert "the ledger does not balance: {what}" in critical
    missing = [sentence for sentence in critical if sentence not in written]
    assert missing == [], "make it anew: python -m tests.events_page > docs/events.md"
