"""Pipelines as YAML files."""

import pytest
import yaml

from constellation_dagster.domain.errors import PipelineInvalid
from constellation_dagster.domain.pipeline_yaml import dump_yaml, load_yaml
from constellation_dagster.domain.schemas import parse_pipeline

FILE = """\
name: houses
description: |
  What houses cost.

  And *why*.
nodes:
  - id: load
    block: read_csv@1
    config:
      url: data.csv
      since: '2026-01-31'
      flag: 'yes'
  - id: clean
    block: impute_missing
edges:
  - source: load.table
    target: clean.table
schedule:
  cron: 0 6 * * *
"""


def test_a_file_is_written_as_a_person_would_write_it() -> None:
    spec = load_yaml(FILE)
    assert dump_yaml(spec) == FILE
    # Other readers of YAML understand it alike.
    assert parse_pipeline(yaml.safe_load(FILE)) == spec


def test_dates_stay_text() -> None:
    config = (
        load_yaml("{name: p, nodes: [{id: a, block: b, config: {x: 2026-01-31}}]}").nodes[0].config
    )
    assert config == {"x": "2026-01-31"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: [", "it cannot be read as YAML: line 1, column 8: expected the node content"),
        ("name: p\n\tnodes: []", "it cannot be read as YAML: line 2, column 1: found character"),
        (
            "name: p\nname: q",
            "it cannot be read as YAML: line 2, column 1: the key 'name' is there twice.",
        ),
        (
            "a: &x [1]\nb: *x",
            "it cannot be read as YAML: line 2, column 4: aliases (*name) are not",
        ),
        ("!!python/object:os.system {}", "it cannot be read as YAML: line 1, column 1: could not"),
        ("[" * 5000, "it cannot be read as YAML: it is nested too deeply."),
        ("a\0", "it cannot be read as YAML: unacceptable character"),
        (
            "a: 1\n---\nb: 2",
            "it cannot be read as YAML: line 2, column 1: but found another document.",
        ),
        ("x: !!int foo", "it cannot be read as YAML: invalid literal for int"),
        ("", "it must be a mapping of keys to values, not null."),
        ("1: 2", "there is no key '1'"),
        ("? [a]\n: b", "it cannot be read as YAML: line 1, column 3: found unhashable key"),
        ("x: !!timestamp 2026-99-99", "it cannot be read as YAML: "),
    ],
)
def test_what_is_no_pipeline_is_told_with_its_place(text: str, message: str) -> None:
    with pytest.raises(PipelineInvalid) as caught:
        load_yaml(text)
    assert str(caught.value).startswith(message)
