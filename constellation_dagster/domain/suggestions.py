"""Did-you-mean hints."""

from collections.abc import Collection, Iterable
from difflib import get_close_matches

_LISTED = 12
# Looking for the closest of thousands of names takes milliseconds, and a generated pipeline can
# have thousands of wrong ones: past so many comparisons a hint is not worth its time.
_MOST_COMPARISONS = 200_000


class Suggester:
    """Finds what wrong names were probably meant to be, among the same right ones."""

    def __init__(self, names: Iterable[str]) -> None:
        self._by_lower = {name.lower(): name for name in names}
        self._answers: dict[str, str | None] = {}
        self._comparisons = 0

    def closest(self, name: str) -> str | None:
        """The name that `name` was probably meant to be, if there is one."""
        if name not in self._answers:
            self._comparisons += len(self._by_lower)
            if self._comparisons > _MOST_COMPARISONS:
                return None
            matches = get_close_matches(name.strip().lower(), self._by_lower, n=1)
            self._answers[name] = self._by_lower[matches[0]] if matches else None
        return self._answers[name]


def closest(name: str, names: Iterable[str]) -> str | None:
    """The one of `names` that `name` was probably meant to be, if there is one."""
    return Suggester(names).closest(name)


def listing(names: Iterable[str]) -> str:
    """The names as "'a', 'b' and 'c'", cut short when they are many."""
    known = list(names)
    quoted = [repr(name) for name in known[:_LISTED]]
    if len(known) > _LISTED:
        return f"{', '.join(quoted)} and {len(known) - _LISTED} more"
    if len(quoted) < 2:
        return "".join(quoted)
    return f"{', '.join(quoted[:-1])} and {quoted[-1]}"


def did_you_mean(name: str, names: Collection[str], *, there_are: str) -> str | None:
    """A hint: the closest name, and what names there are; none when there are none.

    Args:
        name: The name that is wrong.
        names: The names that would be right, in the order in which they are listed.
        there_are: How the list of them begins, such as "The columns are".
    """
    if not names:
        return None
    meant = closest(name, names)
    known = f"{there_are} {listing(names)}."
    return f"Did you mean {meant!r}? {known}" if meant is not None else known
