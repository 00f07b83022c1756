"""Blocks from tables to tables."""

from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from constellation_dagster.blocks import filter_rows, impute_missing, select_columns, split_rows
from constellation_dagster.blocks.expressions import parse_condition
from constellation_dagster.domain.errors import BlockFailed

PEOPLE = pl.DataFrame(
    {
        "name": ["Ann", "Bob", "Cy", None],
        "age": [31, 42, None, 57],
        "unit price": [1.0, float("nan"), 3.0, None],
        "member": [True, False, None, True],
        "since": [date(2024, 5, 1), date(2025, 1, 1), None, date(2026, 1, 1)],
        "city": pl.Series(["Bonn", "Rome", "Bonn", "Oslo"], dtype=pl.Categorical),
        "seen": [datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2, 3, 4)],
        "tags": [["a"], [], ["b"], ["c"]],
    }
)


def test_select_columns() -> None:
    assert select_columns(PEOPLE, columns=["age", "name"]).columns == ["age", "name"]
    dropped = select_columns(PEOPLE, columns=["name", "tags"], mode="drop")
    assert dropped.columns == ["age", "unit price", "member", "since", "city", "seen"]
    with pytest.raises(BlockFailed) as caught:
        select_columns(PEOPLE, columns=["agge", "zzz"])
    assert str(caught.value) == (
        "columns: the table does not have columns 'agge' and 'zzz'. Did you mean 'age'? The "
        "columns are 'name', 'age', 'unit price', 'member', 'since', 'city', 'seen' and 'tags'."
    )
    with pytest.raises(BlockFailed, match="columns: 'age' is there more than once"):
        select_columns(PEOPLE, columns=["age", "age"])


@pytest.mark.parametrize(
    ("where", "ages"),
    [
        ("age > 40", [42, 57]),
        ("age != 42", [31, 57]),
        ("30 < age <= 42", [31, 42]),
        ("not age > 40", [31]),
        ("age is None", [None]),
        ("age is not None and name is not None", [31, 42]),
        ("name == 'Ann' or age == 57", [31, 57]),
        ("name in ['Ann', 'Bob']", [31, 42]),
        ("name not in ('Ann',)", [42, None]),
        ("city == 'Bonn'", [31, None]),
        ("lower(name) == 'ann'", [31]),
        ("length(upper(name)) == 2", [None]),
        ("contains(name, 'o') or starts_with(name, 'C') or ends_with(city, 'lo')", [42, None, 57]),
        ("contains(name, '.')", []),
        ("member", [31, 57]),
        ("member == False", [42]),
        ("since >= date('2025-01-01')", [42, 57]),
        ("seen > date('2026-01-03')", [57]),
        ("col('unit price') >= 3", [None]),
        ("col('unit price') is None", [42, 57]),
        ("col('unit price') is not None", [31, None]),
        ("age * 2 - 1 > 80 + 2 and age % 2 == 1 and age // 10 == 5", [57]),
        ("abs(-age) / 2 == 21", [42]),
        ("1 < 2", [31, 42, None, 57]),
        ("age >\n 40", [42, 57]),
        ("age is None or\n  age == 57\n", [None, 57]),
        ("age in [31.0, 57]", [31, 57]),
    ],
)
def test_filter_rows(where: str, ages: list[int | None]) -> None:
    assert filter_rows(PEOPLE, where=where)["age"].to_list() == ages


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("agge > 3", "at character 1: there is no column 'agge'. Did you mean 'age'?"),
        (
            "age > 3 and nam == 'x'",
            "at character 13: there is no column 'nam'. Did you mean 'name'",
        ),
        ("name == Ann", "at character 9: there is no column 'Ann'. A text needs quotes: 'Ann'."),
        ("member == true", "at character 11: there is no column 'true'. Write `True`."),
        ("name is null", "`is` and `is not` go with None only."),
        ("name == null", "there is no column 'null'. Write `is None` for a missing value."),
        ("name == None", "at character 9: None can only be compared with `is` or `is not`."),
        ("age = 3", "cannot be read at character 5: invalid syntax. Write `==` to compare."),
        ("age > 3 AND age < 5", "Write `and`, `or` and `not`, in lower case."),
        ("age > 3 && age < 5", "Write `and`, `or` and `not`, in lower case."),
        ("age <> 3", "Write `!=` for what is not equal."),
        ("name IS NULL", "Write `is None` or `is not None`."),
        ("(age > 3", "cannot be read at character 1: '(' was never closed."),
        (
            "age > '3'",
            "'age' is a number and \"'3'\" is a text; they cannot be compared. Numbers are",
        ),
        ("name > 3", "Numbers are written without quotes, texts with."),
        ("since > '2026-01-01'", "Write a date as date('2026-01-31')."),
        ("since > date('soon')", "at character 14: 'soon' is no date such as '2026-01-31'."),
        ("date(3) > since", "date(...) takes one text in quotes."),
        ("age", "'age' is a number, not true or false. Compare it with something"),
        ("age and member", "at character 1: 'age' is a number, not true or false."),
        ("name + 'x' == 'y'", "'name' is a text, not a number."),
        ("member in []", "`in` needs a list of values."),
        ("age in [1, 'x']", "at character 12: 'age' is a number and \"'x'\" is a text"),
        ("length(age) > 1", "'age' is a number, but length takes a text."),
        ("lenght(name) > 1", "there is no function 'lenght'. Did you mean 'length'?"),
        ("contains(name)", "contains(...) takes 2 value(s)."),
        ("tags == tags", "'tags' is of another type"),
        ("2 ** 99999999 > age", "'2 ** 99999999' cannot be used in a condition."),
        ("99999999999999999999 > age", "is no value that a column can have."),
        ("age > 1j", "is no value that a column can have."),
        ("name == b'x'", "is no value that a column can have."),
        ("ä == 'ö' and agge", "at character 1: there is no column 'ä'"),
        ("name == 'ö' and agge", "at character 17: there is no column 'agge'"),
        ("-" * 200 + "age > 0", "it is nested too deeply."),
        ("not " * 200 + "member", "it is nested too deeply."),
        ("(" * 300 + "age", "cannot be read"),
        ("age > 1\0", "cannot be read"),
        ("age > 1; age", "cannot be read"),
        ("__import__('os').system('x')", "cannot be used in a condition."),
        ("name.str", "cannot be used in a condition."),
        ("name[0] == 'A'", "cannot be used in a condition."),
        ("[age for age in [1]]", "cannot be used in a condition."),
        ("(lambda: 1)() > 0", "cannot be used in a condition."),
        ("f'{name}' == 'x'", "cannot be used in a condition."),
        ("abs(x=age) > 1", "cannot be used in a condition."),
        ("abs(*[age]) > 1", "cannot be used in a condition."),
        ("print(age) > 1", "there is no function 'print'."),
        ("(age := 3) > 1", "cannot be used in a condition."),
        ("age if member else age", "cannot be used in a condition."),
        ("~member", "cannot be used in a condition."),
        ("age & 1", "cannot be used in a condition."),
        ("... == age", "is no value that a column can have."),
    ],
)
def test_mistakes_in_conditions_are_told_with_their_place(where: str, message: str) -> None:
    with pytest.raises(BlockFailed) as caught:
        filter_rows(PEOPLE, where=where)
    assert message in str(caught.value)


NAMES = st.sampled_from(
    ["age", "name", "member", "since", "zzz", "'x'", "3", "2.5", "None", "True"]
)
CONDITIONS = st.recursive(
    NAMES,
    lambda part: st.one_of(
        st.tuples(part, st.sampled_from([" > ", " == ", " and ", " or ", " + ", " / ", " is ", " in ",
                                         " // ", " % ", ".", "**", ", ", " not in "]), part).map("".join),
        part.map("({})".format), part.map("[{}]".format), part.map("not {}".format),
        part.map("-{}".format), part.map("abs({})".format), part.map("lower({})".format),
        part.map("length({})".format), part.map("date({})".format), part.map("col({})".format),
    ),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(CONDITIONS)
def test_any_condition_filters_or_is_a_mistake_of_its_user(where: str) -> None:
    try:
        table = filter_rows(PEOPLE, where=where)
    except BlockFailed:
        return
    assert table.height <= PEOPLE.height


def test_a_long_flat_condition_is_fine() -> None:
    condition = " or ".join(f"age == {number}" for number in range(150))
    assert PEOPLE.filter(parse_condition(condition, PEOPLE.schema)).height == 3


def _imputed(**options: Any) -> dict[str, list[Any]]:
    return impute_missing(PEOPLE, **options).drop("tags", "seen", "city").to_dict(as_series=False)


def test_impute_missing() -> None:
    filled = _imputed()
    assert filled["age"] == [31, 42, 43, 57]  # 43.33, rounded: the column holds whole numbers
    assert filled["unit price"] == [1.0, 2.0, 3.0, 2.0]
    assert filled["name"] == ["Ann", "Bob", "Cy", "Ann"]  # all as frequent: the first by name
    assert filled["member"] == [True, False, True, True]
    assert filled["since"][2] == date(2024, 5, 1)
    assert impute_missing(PEOPLE).schema == PEOPLE.schema
    assert _imputed(numbers="median")["age"] == [31, 42, 42, 57]
    assert _imputed(numbers="most_frequent")["age"] == [31, 42, 31, 57]
    constants = _imputed(numbers="constant", numbers_constant=-1, texts="constant")
    assert constants["age"] == [31, 42, -1, 57]
    assert constants["unit price"] == [1.0, -1.0, 3.0, -1.0]
    assert constants["name"] == ["Ann", "Bob", "Cy", "missing"]
    assert _imputed(texts="constant", texts_constant="?")["name"][3] == "?"


def test_impute_missing_in_some_columns_only() -> None:
    table = impute_missing(PEOPLE, columns=["age"])
    assert table["age"].null_count() == 0
    assert table["name"].null_count() == 1
    with pytest.raises(BlockFailed, match="columns: the table does not have a column 'agee'"):
        impute_missing(PEOPLE, columns=["agee"])


def test_categories_are_filled_in_too() -> None:
    for dtype in (pl.Categorical(), pl.Enum(["a", "b"])):
        table = pl.DataFrame({"x": pl.Series(["b", None, "b"], dtype=dtype)})
        assert impute_missing(table)["x"].to_list() == ["b", "b", "b"]
        assert impute_missing(table, texts="constant")["x"].to_list() == ["b", "missing", "b"]


def test_columns_without_any_value_cannot_be_filled_in_from() -> None:
    table = pl.DataFrame(
        {"a": [None, None], "b": pl.Series([None, None], dtype=pl.Float64), "c": [float("nan")] * 2}
    )
    with pytest.raises(BlockFailed, match="There is no value at all in 'a', 'b', 'c'"):
        impute_missing(table)
    filled = impute_missing(table, columns=["b", "c"], numbers="constant")
    assert filled["b"].to_list() == filled["c"].to_list() == [0.0, 0.0]


ROWS = pl.DataFrame({"i": range(100), "group": ["a"] * 80 + ["b"] * 20})


def test_split_rows() -> None:
    train, test = split_rows(ROWS, test_fraction=0.3, seed=1)
    assert (train.height, test.height) == (70, 30)
    assert sorted([*train["i"], *test["i"]]) == list(range(100))
    again = split_rows(ROWS, test_fraction=0.3, seed=1)
    assert again.train.equals(train)
    assert not split_rows(ROWS, test_fraction=0.3, seed=2).train.equals(train)
    halves = split_rows(ROWS, test_fraction=0.5, stratify="group")
    assert [part.filter(group="b").height for part in halves] == [10, 10]


@pytest.mark.parametrize(
    ("table", "options", "message"),
    [
        (ROWS.head(1), {}, "The table has 1 row(s); a split needs two at least."),
        (ROWS.head(3), {"test_fraction": 0.999}, "The 3 rows cannot be split so"),
        (ROWS, {"stratify": "grp"}, "stratify: the table does not have a column 'grp'."),
        (ROWS, {"stratify": "i"}, "stratify: "),
        (
            PEOPLE,
            {"stratify": "name"},
            "needs all its values, but values are missing in 'name' (1)",
        ),
        (ROWS.head(81), {"stratify": "group"}, "stratify: 'b' is in column 'group' only once"),
        (ROWS, {"test_fraction": 0.01, "stratify": "group"}, "The 100 rows cannot be split so"),
    ],
)
def test_mistakes_with_splits(table: pl.DataFrame, options: dict[str, Any], message: str) -> None:
    with pytest.raises(BlockFailed) as caught:
        split_rows(table, **options)
    assert message in str(caught.value)
