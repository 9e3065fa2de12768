"""IP_ACCESS in the whole daemon: both kinds of client program, and a table that changes live."""

from pathlib import Path

import pytest

from tests.daemon import Daemon, until
from tests.tcp_support import Peer, serve
from tests.test_daemon_tls_policy import CONFIGURATION, enqueue

TABLE = "\n[mapping]\nIP_ACCESS = '''\n@NAME@|1|1|127.0.0.1|[127.0.0.1]  $I\n'''\n"


@pytest.mark.real
@pytest.mark.parametrize("channel", ["test_smtp_out", "tcp_out"])
def test_a_table_that_changes(tmp_path: Path, channel: str) -> None:
    """Mail waits for an address that is skipped; a reload lets it go, another forbids the host and returns it."""
    with Peer(serve()) as peer:
        values = {"NAME": channel, "PEER": peer.port, "HOW": ""}
        with Daemon(tmp_path, CONFIGURATION + TABLE, **values) as daemon:
            first = enqueue(daemon)
            until(lambda: "IP_ACCESS has it skipped" in daemon.log, 60, daemon.log[-3000:])
            text = daemon.config.read_text()
            assert peer.count == 0

            def history(entry: str) -> list[str]:
                return [row["what"] for row in daemon.ask("history", ids=[entry])]

            daemon.config.write_text(text.replace("$I", "$Y"))
            (change,) = daemon.json("reload")["changes"]
            assert change["key"] == "mapping.IP_ACCESS"
            assert "programs that send by SMTP are replaced" in change["effect"]
            until(
                lambda: "delivered" in history(first) or "relayed" in history(first), 60, daemon.log[-3000:]
            )
            daemon.config.write_text(text.replace("$I", "$Nnobody$ goes$ there"))
            daemon.json("reload")
            second = enqueue(daemon)
            until(lambda: "failed" in history(second), 60, daemon.log[-3000:])
            until(lambda: "IP_ACCESS forbids the host: nobody goes there" in daemon.log, 60)
            replies = [row["reply"] for row in daemon.json("history", second) if row["what"] == "failed"]
            assert "Invalid host: [127.0.0.1]" in replies[0]
