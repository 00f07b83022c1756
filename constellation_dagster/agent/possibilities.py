"""What can be done with a table or a file, told from its columns."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from constellation_dagster.domain.facts import ColumnFact, FileFact, TableFact

MOST_LISTED = 20
_OF_OTHER_FILES: Mapping[str, Sequence[str]] = {
    "image": (
        "resize it, make it grayscale or cut it into tiles",
        "have the statistics of its bands",
        "write it in another format",
    ),
    "text": ("count its words", "have its lines, words and characters counted"),
}


def possibilities(thing: TableFact | FileFact) -> str:
    """What is in a table or a file, and what can be done with it, as Markdown."""
    if isinstance(thing, FileFact) and thing.kind in _OF_OTHER_FILES:
        note = f" ({thing.note})" if thing.note else ""
        return (
            f"The file `{thing.path}` is of the kind {thing.kind}{note}. "
            f"You can:{items(_OF_OTHER_FILES[thing.kind])}"
        )
    name = thing.name if isinstance(thing, TableFact) else thing.path
    what = "table" if isinstance(thing, TableFact) else "file"
    columns = [f"`{column.name}` ({column.type})" for column in thing.columns]
    return (
        f"The {what} `{name}` has {len(columns)} columns:{items(columns)}\n\n"
        f"With it you can:{items(_with_columns(thing.columns))}\n\n"
        "Say which, and I propose a pipeline."
    )


def items(texts: Iterable[str]) -> str:
    """The texts as a list, cut short when they are many."""
    known = list(texts)
    shown = [f"\n- {text}" for text in known[:MOST_LISTED]]
    if len(known) > MOST_LISTED:
        shown.append(f"\n- and {len(known) - MOST_LISTED} more")
    return "".join(shown)


def _with_columns(columns: Sequence[ColumnFact]) -> Iterator[str]:
    """What columns of these types are good for."""
    of_type = {
        type_: [column.name for column in columns if column.type == type_]
        for type_ in ("number", "boolean", "text", "date")
    }
    numbers, texts, dates = of_type["number"], of_type["text"], of_type["date"]
    labels = [*of_type["boolean"], *texts]
    yield "describe, filter, sort and sample its rows, drop or fill what is missing"
    if numbers and texts:
        yield f"aggregate it: `{numbers[-1]}` by `{texts[0]}`"
    if numbers and dates:
        yield f"draw a line chart of `{numbers[-1]}` over `{dates[0]}`"
    elif len(numbers) > 1:
        yield f"draw a scatter chart of `{numbers[0]}` and `{numbers[-1]}`"
    if len(numbers) > 1:
        yield f"train a regressor that predicts `{numbers[-1]}`, or find clusters"
    if numbers and labels:
        yield f"train a classifier for `{labels[0]}`"
    yield "write it as CSV, Parquet or JSON, to a table, or into a report"
