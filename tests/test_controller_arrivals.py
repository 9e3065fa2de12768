"""Mail coming in: what is taken, what is refused and with which reply, and that nothing of a refusal stays."""

import pytest

from tests.controller_case import World


@pytest.fixture
def world() -> World:
    return World()


def test_accepted_mail_starts_a_job_at_once(world):
    """Nobody has to say anything more for fresh mail to go out."""
    (id,) = world.accept()
    assert [spec.channel.name for spec in world.supervisor.asked] == ["out"]
    job = world.job()
    assert [frame.id for frame in job.assigned] == [id]
