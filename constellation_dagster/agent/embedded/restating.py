"""A request put more plainly: slips of the tongue taken back, adjectives made conditions."""

from collections.abc import Sequence

from constellation_dagster.agent.embedded.reading import Token, stem_of
from constellation_dagster.agent.embedded.targets import INTO
from constellation_dagster.domain.facts import ColumnFact, Facts

_SORRY = ("no", "sorry", "rather", "actually", "wait", "mean", "i", "oops", "not", "instead", "or")
_MEANT = ("no", "sorry", "wait", "oops", "actually")
_ROWS = ("rows", "row", "records", "entries", "ones", "lines")
_BEFORE = ("the", "only", "all", "of", "for", "keep", "from", "every", "each", "with", "write",
           "save", "export", "count", "just", "and", "in")  # fmt: skip
_ARTICLES = ("a", "an", "the", "their", "its", "column", "columns", "any")
_LEARNS = ("train", "predict", "fit", "learn", "classify", "estimate")
_KEEPS = ("keep", "the", "and", "get", "give", "show", "me", "only", "select", "find", "just")
_HIGH = ("highest", "largest", "biggest", "most", "greatest", "max")
_LOW = ("lowest", "smallest", "least", "fewest", "min")


def restated(tokens: Sequence[Token], columns: Sequence[ColumnFact], facts: Facts) -> list[Token]:
    """The same request with its conditions and columns to leave out as steps of their own.

    Args:
        tokens: The request, without when to run.
        columns: The columns that may be meant.
        facts: What is there.
    """
    rest = _without_slips(tokens)
    nouns = {stem_of(f.path) for f in facts.files} | {t.name.lower() for t in facts.tables}
    conditions: list[Token] = []
    result: list[Token] = []
    place = 0
    while place < len(rest):
        found, length = _condition(rest, place, columns, nouns)
        if found:
            conditions += [*(_words("and") if conditions else ()), *found]
        elif (length := _left_out(rest, place, result)) > 0:
            result += [*_words("then drop the columns"), *rest[place + 1 : place + length]]
            if place + length < len(rest) and rest[place + length].is_any(INTO):
                result += _words("then write")
        else:
            best, length = _highest(rest, place)
            if best:
                while result and result[-1].is_any(_KEEPS):
                    result.pop()
                result += best
                place += length
                continue
            length = 1
            result.append(rest[place])
        place += length
    # They are about the rows as they were read, so they come first.
    return (
        [*_words("keep rows where"), *conditions, *_words("then"), *result]
        if conditions
        else result
    )


def _words(text: str) -> list[Token]:
    return [Token("word", word, word) for word in text.split()]


def _without_slips(tokens: Sequence[Token]) -> list[Token]:
    """The tokens without what is taken back: "load a.csv, no, b.csv" loads b.csv."""
    result: list[Token] = []
    for token in tokens:
        end = len(result)
        while end and (result[end - 1].text == "," or result[end - 1].is_any(_SORRY)):
            end -= 1
        between = result[end:]
        if (
            end
            and token.kind == result[end - 1].kind
            and token.kind in ("file", "table", "column")
            and any(t.is_any(_MEANT) for t in between)
        ):
            del result[end - 1 :]
        elif token.text == "," and result and result[-1].kind == "file" and between:
            continue
        result.append(token)
    return result


def _condition(
    tokens: Sequence[Token], place: int, columns: Sequence[ColumnFact], nouns: set[str]
) -> tuple[list[Token], int]:
    """The condition that begins at a place, and how many tokens it takes; none is ([], 0)."""
    token = tokens[place]
    if token.is_any(("that", "which", "who")) and place + 2 < len(tokens):
        return _relative(tokens, place, columns)
    if token.is_any(("with", "without")):
        after = [p for p in range(place + 1, len(tokens)) if not tokens[p].is_any(("a", "an"))][:1]
        column = tokens[after[0]].column if after else None
        ends = after[0] + 1 if after else 0
        listed = ends < len(tokens) and (tokens[ends].text == "," or tokens[ends].is_any(("and",)))
        if column is not None and column.type == "boolean" and not (listed and ends == place + 2):
            return _is(column, str(token.text == "with")), ends - place
        return [], 0
    before, after = tokens[place - 1 : place], tokens[place + 1 : place + 2]
    if not after or not before or not before[0].is_any(_BEFORE):
        return [], 0
    noun = after[0]
    names = {noun.text.lower(), f"{noun.text.lower()}s"}
    if not (noun.kind == "table" or noun.is_any(_ROWS) or (noun.kind == "word" and names & nouns)):
        return [], 0
    return _adjective(token, columns), 1


def _relative(
    tokens: Sequence[Token], place: int, columns: Sequence[ColumnFact]
) -> tuple[list[Token], int]:
    """What "that are not refunded" says, where one column has the value."""
    if not tokens[place + 1].is_any(("is", "are", "were", "was")):
        return [], 0
    negated = tokens[place + 2].is_any(("not",))
    at = place + (3 if negated else 2)
    found = _adjective(tokens[at], columns) if at < len(tokens) else []
    if found and negated:
        found.insert(2, Token("word", "not", "not"))
    return found, at + 1 - place


def _adjective(token: Token, columns: Sequence[ColumnFact]) -> list[Token]:
    """The condition that a word stands for: `unpaid` where `paid` is yes or no."""
    said = (token.said or token.text).lower()
    if token.kind not in ("word", "column"):
        return []
    for column in columns:
        name = column.name.lower().removeprefix("is_")
        if column.type == "boolean" and said in (name, f"un{name}", f"in{name}", f"non-{name}"):
            return _is(column, str(said == name))
    if token.kind != "word":
        return []
    having = [c for c in columns if c.type == "text" and said in map(str.lower, c.samples)]
    return _is(having[0], said, kind="quote") if len(having) == 1 else []


def _is(column: ColumnFact, value: str, *, kind: str = "word") -> list[Token]:
    token = Token("quote" if kind == "quote" else "word", value, value)
    return [Token("column", column.name, column.name, column=column), *_words("is"), token]


def _left_out(tokens: Sequence[Token], place: int, before: Sequence[Token]) -> int:
    """How many tokens "without the columns a and b" takes; 0 if none begins at that place."""
    if not tokens[place].is_any(("without",)) or any(t.is_any(_LEARNS) for t in before):
        return 0
    if not any(t.kind in ("file", "table") for t in before):
        return 0
    end = last = place + 1
    while end < len(tokens):
        if tokens[end].kind == "column":
            last = end + 1
        elif not (tokens[end].text == "," or tokens[end].is_any((*_ARTICLES, "and", "or"))):
            break
        end += 1
    said = any(t.is_any(("column", "columns")) for t in tokens[place:last])
    return last - place if said and last > place + 1 else 0


def _highest(tokens: Sequence[Token], place: int) -> tuple[list[Token], int]:
    """What "the 10 rows with the highest amount" says: how to sort, and how many to keep."""
    run = [*tokens[place : place + 6]]
    if len(run) < 4 or run[0].kind != "number":
        return [], 0
    at = next((p for p, t in enumerate(run) if t.is_any(_HIGH + _LOW)), 0)
    if at < 3 or at + 1 >= len(run) or run[at + 1].kind != "column":
        return [], 0
    if not any(t.is_any(("with", "by")) for t in run[1:at]):
        return [], 0
    way = "descending" if run[at].is_any(_HIGH) else "ascending"
    best = [*_words("then sort by"), run[at + 1], *_words(f"{way} then limit to"), run[0]]
    return [*best, *_words("rows")], at + 2
