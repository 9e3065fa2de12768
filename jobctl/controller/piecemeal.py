"""One act over messages that its caller finds some at a time, by what no selector asks."""

from collections.abc import Awaitable, Callable
from typing import Any

from jobctl.controller.acts import Course
from jobctl.controller.steering import End, Steering
from jobctl.controller.verbs import Verb
from jobctl.mail.acts import Stage
from jobctl.mail.entry import StoredEntry


class Piecemeal:
    """
    On record as any other act: it can be watched, cancelled, and undone where its verb can.

    :param end: Puts its end on record.
    :ivar course: How far it is.
    """

    def __init__(
        self,
        course: Course,
        verb: Verb,
        steering: Steering,
        exits: dict[End, int],
        end: Callable[[Course, Stage, float], Awaitable[None]],
    ) -> None:
        self.course = course
        self._verb = verb
        self._steering = steering
        self._exits = exits
        self._end = end

    async def change(self, found: list[StoredEntry]) -> dict[str, str]:
        """
        Change these.

        :return: Why not, by id, of those that could not be.
        :raises StoreError: They cannot be read; none of them was changed.
        """
        outcomes = await self._steering.change(found, self._verb.change_for(self.course.act.number))
        self.course.count(outcomes, self._exits)
        return {
            entry_id: outcome.text
            for entry_id, outcome in outcomes.items()
            if outcome.end is not End.DONE and outcome.text
        }

    async def end(self, whole: bool) -> dict[str, Any]:
        """
        It is over.

        :param whole: It came to its end by itself.
        :return: Its number, and until when it can be undone.
        """
        stage = Stage.DONE if whole and not self.course.cancelled else self.course.cut_short
        await self._end(self.course, stage, self._verb.window)
        act = self.course.act
        return {"operation": act.number, "stage": act.stage.value, "undo_until": act.undo_until}
