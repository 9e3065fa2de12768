"""What is wrong with a selector, told so that it can be mended at a glance."""

from jobctl.errors import UsageError

_MOST_SHOWN = 30


class SelectorError(UsageError):
    """
    A selector that cannot be understood; nothing was selected.

    :ivar position: Where in the text, counted from 0; its length when it ends too early.
    :ivar problem: What is wrong there and what would be right.
    """

    def __init__(self, text: str, position: int, problem: str) -> None:
        near = text[position : position + _MOST_SHOWN + 1].split(maxsplit=1)
        word = near[0] if near else ""
        if len(word) > _MOST_SHOWN:
            word = word[:_MOST_SHOWN] + "..."
        place = f'at "{word}"' if word else "at its end"
        super().__init__(f"selector, column {position + 1}, {place}: {problem}")
        self.position = position
        self.problem = problem
