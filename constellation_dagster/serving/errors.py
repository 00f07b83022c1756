"""Why a request is refused, as HTTP says it."""

from collections.abc import Sequence

from constellation_dagster.domain.plain_errors import ConstellationError

_SHOWN = 20


class RequestRefused(ConstellationError):
    """A request cannot be answered. It carries all that is wrong with it.

    Attributes:
        status: The HTTP status, 4xx or 5xx.
        problems: Each thing that is wrong, as a phrase that says where.
    """

    def __init__(self, status: int, problems: Sequence[str]) -> None:
        self.status = status
        self.problems = tuple(problems)
        shown = self.problems[:_SHOWN]
        more = len(self.problems) - len(shown)
        super().__init__("; ".join(shown) + (f"; and {more} problems more" if more else ""))
