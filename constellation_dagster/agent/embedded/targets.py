"""Which of the files and tables that a clause names are written, not read."""

from constellation_dagster.agent.embedded.reading import Clause, Token, extension

FORMATS = ("csv", "parquet", "json", "convert", "html", "png", "spreadsheet")
WRITES = ("write", "save", "export", "store", "dump", "persist", "output", "put", "append",
          "insert", "copy", "create", "refresh", "update", "produce", "generate")  # fmt: skip
READS = ("read", "load", "import", "open", "ingest", "take", "use", "fetch", "pull", "grab",
         "start", "get", "copy", "download")  # fmt: skip
INTO = ("to", "into", "as")
_FROM = ("from", "in", "of", "with", "on", "using", "for")
_TO_TABLE = ("to", "into", "in", "onto", "replace", "overwrite")
_DULL = ("the", "a", "an", "file", "table", "supabase", "database", "called", "named", "new", "our",
         "my", "picture", "result")  # fmt: skip


def is_written(clause: Clause, place: int, *, is_new: bool, reads: bool) -> bool:
    """Whether the file at a place is written.

    Args:
        clause: The clause.
        place: Where in it the file is.
        is_new: Whether there is no such file yet.
        reads: Whether something is read already.
    """
    kind = extension(clause[place].text)
    words = [t for t in clause[:place] if not t.is_any((*_DULL, *FORMATS))]
    before = [t for t in words if t.kind != "mark"]
    if kind == "html" or not before:
        # Alone, such as after an arrow: where what was read goes to.
        alone = all(t.kind == "mark" for t in (*clause[:place], *clause[place + 1 :]))
        return kind == "html" or (alone and is_new and reads)
    last = before[-1]
    if last.is_any(_FROM):
        result = any(t.is_any(("result", "results", "output")) for t in clause[:place])
        return last.is_any(("in",)) and is_new and (result or _verb(before) in WRITES)
    if _goes_to_a_place(clause[place + 1 :]) and not last.is_any(INTO):
        return False
    drawn = any(t.is_any(("chart", "plot", "histogram", "draw")) for t in before)
    called = clause[place - 1].is_any(("called", "named")) and before[0].is_any(("make",))
    if kind == "image" and is_new and (drawn or called):
        return True
    if last.is_any(INTO) and not any(t.is_any(WRITES) for t in before):
        return any(t.kind == "file" for t in before) or reads or is_new
    return _after_verb(words)


def _goes_to_a_place(rest: Clause) -> bool:
    """Whether what follows a file says where it is put."""
    to = next((p for p, t in enumerate(rest) if t.is_any(INTO)), None)
    places = ("file", "table")
    return to is not None and any(t.kind in places or t.is_any(places) for t in rest[to:])


def _verb(before: list[Token]) -> str:
    verbs = [t.text for t in before if t.is_any(WRITES) or t.is_any(READS)]
    return verbs[-1] if verbs else ""


def _after_verb(before: list[Token]) -> bool:
    for token in reversed(before):
        if token.is_any(INTO):
            return True
        if token.is_any(("from", "with", "in", "of", "and", "for")) or token.kind in (
            "file",
            "mark",
        ):
            break
    verb = _verb(before)
    return verb in WRITES and verb not in READS


def table_written(clause: Clause) -> Token | None:
    """The table that a clause writes to, or the word after `table`; none if it writes to none."""
    for place, token in enumerate(clause):
        if not (token.kind == "table" or token.is_any(("table",))):
            continue
        before = [t for t in clause[:place] if not t.is_any(_DULL)]
        if before and before[-1].is_any(_TO_TABLE) and not any(t.kind == "table" for t in before):
            following = clause[place + 1] if place + 1 < len(clause) else token
            return following if following.kind == "table" else token
    return None
