"""When a pipeline runs: "every day at 6" becomes cron."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from constellation_dagster.agent.embedded.reading import Token
from constellation_dagster.domain.proposals import ProposedSchedule

_DAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
_HOURS = {"morning": 6, "noon": 12, "evening": 18, "night": 0, "midnight": 0, "afternoon": 15,
          "midday": 12}  # fmt: skip
_ONCE = {"hourly": "hour", "daily": "day", "nightly": "night", "weekly": "week", "monthly": "month",
         "weekdays": "weekday", "weekends": "weekend", **{f"{day}s": day for day in _DAYS}}  # fmt: skip
_UNITS = (
    "minute",
    "hour",
    "day",
    "week",
    "month",
    "weekday",
    "workday",
    "weekend",
    *_DAYS,
    *_HOURS,
)
_CRON = re.compile(r"(?:(?:\*|\d+)(?:[-/,]\d+)*\s+){4}(?:\*|\d)(?:[-/,]\d+)*")
_CLOCK = re.compile(r"(\d{1,2})[:.h](\d{2})(am|pm)?|(\d{1,2})(am|pm|h)")
WORDS_OF_TIME = (*_DAYS, *_HOURS, *_ONCE, *_UNITS, "clock", "every", "weekdays", "minutes", "hours")
"""Words that are known beside the vocabulary."""


@dataclass(frozen=True)
class _Rhythm:
    """How often, without the time of day."""

    unit: str
    count: int = 1
    days: tuple[str, ...] = ()
    day: int | None = None


def find_schedule(
    text: str, tokens: Sequence[Token]
) -> tuple[ProposedSchedule | None, list[Token]]:
    """The schedule that is asked for, and the tokens without the words about it."""
    written = _CRON.search(text)
    if written:
        return ProposedSchedule(cron=" ".join(written.group().split())), list(tokens)
    for place in range(len(tokens)):
        rhythm, end = _rhythm(tokens, place)
        if rhythm is None:
            continue
        begin, before = _time_before(tokens, place)
        hour, minute, end = _time(tokens, end, before or (_HOURS.get(rhythm.unit, 6), 0))
        while begin and tokens[begin - 1].is_any(("run", "it", "this", "on", "do", "the", "of")):
            begin -= 1
        return ProposedSchedule(cron=_cron(rhythm, hour, minute)), [*tokens[:begin], *tokens[end:]]
    return None, list(tokens)


def _rhythm(tokens: Sequence[Token], place: int) -> tuple[_Rhythm | None, int]:
    """How often, as it is said from a place on, and where that ends."""
    token = tokens[place]
    if token.is_any(_ONCE):
        days, end = _more_days(tokens, place + 1, (_ONCE[token.text],))
        return _Rhythm(_ONCE[token.text], days=days), end
    if token.is_any(("once", "twice")):
        return _once(tokens, place)
    if token.is_any(("every", "each")) and place + 1 < len(tokens):
        return _every(tokens, place)
    return None, place


def _every(tokens: Sequence[Token], place: int) -> tuple[_Rhythm | None, int]:
    """How often "every 15 minutes" or "every monday" is."""
    count, after = 1, place + 1
    if tokens[after].is_any(("other", "second")):
        count, after = 2, after + 1
    elif tokens[after].is_any(("single",)):
        after += 1
    elif tokens[after].kind == "number" and tokens[after].text.isdigit():
        count, after = int(tokens[after].text), after + 1
    unit = tokens[after].text.removesuffix("s") if after < len(tokens) else ""
    if unit not in _UNITS:
        return None, place
    if unit in _DAYS:
        days, end = _more_days(tokens, after + 1, (unit,))
        return _Rhythm(unit, days=days), end
    if unit == "month":
        return _Rhythm(unit, day=_day_of_month(tokens[max(0, place - 4) : place])), after + 1
    return _Rhythm(unit, count), after + 1


def _once(tokens: Sequence[Token], place: int) -> tuple[_Rhythm | None, int]:
    """How often "once a day" and "twice a day" are; the latter is every twelve hours."""
    rest = tokens[place + 1 : place + 3]
    if len(rest) < 2 or not rest[0].is_any(("a", "an", "per", "every", "each")):
        return None, place
    unit = rest[1].text
    if tokens[place].text == "twice":
        return (_Rhythm("hour", 12), place + 3) if unit == "day" else (None, place)
    return (_Rhythm(unit), place + 3) if unit in _UNITS else (None, place)


def _more_days(
    tokens: Sequence[Token], place: int, days: tuple[str, ...]
) -> tuple[tuple[str, ...], int]:
    """Further days: "monday and thursday"."""
    while place + 1 < len(tokens):
        day = tokens[place + 1].text.removesuffix("s")
        if not (tokens[place].text == "," or tokens[place].is_any(("and",))) or day not in _DAYS:
            break
        days, place = (*days, day), place + 2
    return days, place


def _day_of_month(before: Sequence[Token]) -> int | None:
    """The day in "on the 15th of every month"."""
    for token in before:
        if token.is_any(("first",)):
            return 1
        if token.kind == "number" and token.text.isdigit() and 1 <= int(token.text) <= 28:
            return int(token.text)
    return None


def _time_before(tokens: Sequence[Token], place: int) -> tuple[int, tuple[int, int] | None]:
    """Where "at 6 every day" begins, and the time that is said."""
    for begin in range(max(0, place - 4), place):
        if tokens[begin].is_any(("at", "around")):
            hour, minute, end = _time(tokens, begin, (-1, 0))
            if end == place and hour >= 0:
                return begin, (hour, minute)
    begin = place
    if place and tokens[place - 1].is_any(("of",)):
        while begin and not tokens[begin - 1].is_any(("on", "and")) and place - begin < 4:
            begin -= 1
    return begin, None


def _time(tokens: Sequence[Token], place: int, at: tuple[int, int]) -> tuple[int, int, int]:
    """The time that is said from a place on, and where that ends."""
    hour, minute = at
    while place < len(tokens):
        token, rest = tokens[place], tokens[place + 1 : place + 4]
        clock = _CLOCK.fullmatch(token.text) if token.kind != "mark" else None
        if token.is_any(("at", "around")) and rest and _is_time(rest[0]):
            place += 1
        elif clock:
            hour, minute = int(clock[1] or clock[4]), int(clock[2] or 0)
            hour = _afternoon(hour) if "pm" in (clock[3], clock[5]) else hour
            place += 1
        elif _is_hour(tokens, place):
            hour, place = int(token.text), place + 1
        elif token.is_any(_HOURS):
            hour, place = _named_hour(token.text, hour, at), place + 1
        elif token.is_any(("in", "on")) and rest[1:2] and rest[1].is_any(_HOURS):
            place += 2 if rest[0].is_any(("the",)) else len(tokens)
        elif token.is_any(("pm",)):
            hour, place = _afternoon(hour), place + 1
        elif token.is_any(("am", "o'clock", "o", "clock", "utc", "sharp")):
            place += 1
        else:
            break
    return hour % 24 if hour >= 0 else hour, min(minute, 59), min(place, len(tokens))


def _is_hour(tokens: Sequence[Token], place: int) -> bool:
    token = tokens[place]
    at = place > 0 and tokens[place - 1].is_any(("at", "around"))
    return at and token.kind == "number" and token.text.isdigit() and int(token.text) < 25


def _is_time(token: Token) -> bool:
    return token.kind == "number" or token.text[:1].isdigit() or token.text in _HOURS


def _named_hour(name: str, hour: int, usual: tuple[int, int]) -> int:
    """The hour of "morning", or the one that was said, in that half of the day."""
    if hour == usual[0]:
        return _HOURS[name]
    return _afternoon(hour) if name in ("evening", "afternoon") else hour


def _afternoon(hour: int) -> int:
    return hour + 12 if hour < 12 else hour


def _cron(rhythm: _Rhythm, hour: int, minute: int) -> str:
    unit, count = rhythm.unit, rhythm.count
    if unit == "minute":
        return "* * * * *" if count == 1 else f"*/{min(count, 59)} * * * *"
    if unit == "hour":
        return "0 * * * *" if count == 1 else f"0 */{min(count, 23)} * * *"
    at = f"{minute} {hour}"
    days = {"week": "* * 1", "weekday": "* * 1-5", "workday": "* * 1-5", "weekend": "* * 0,6"}
    if unit == "month":
        return f"{at} {rhythm.day or 1} * *"
    if unit in days:
        return f"{at} {days[unit]}"
    if unit in _DAYS:
        named = sorted(_DAYS.index(day) for day in rhythm.days or (unit,))
        return f"{at} * * {','.join(map(str, named))}"
    return f"{at} * * *" if count == 1 else f"{at} */{min(count, 31)} * *"
