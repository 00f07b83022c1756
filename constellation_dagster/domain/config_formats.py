"""What the configuration of blocks means, told in its JSON Schema.

`Field(json_schema_extra={"format": COLUMN})` says that a text names a column; on a list, or on
an object by columns, it says so of every one. Drawing programs and the agent know from it what
to offer and what to ask for.
"""

from collections.abc import Mapping
from typing import cast

from constellation_dagster.domain.block import AnyBlock

COLUMN = "column"
"""A column that the input has."""
NEW_COLUMN = "new-column"
"""A column that the block makes."""
READ_URL = "read-url"
"""A place that is read."""
WRITE_URL = "write-url"
"""A place that is written."""
TABLE = "table"
"""A table of the database."""
DEPLOYMENT = "deployment"
"""A deployed model."""
PACKAGE = "package"
"""A model package."""
CONDITION = "condition"
"""A condition on rows."""
EXPRESSION = "expression"
"""A value computed from a row."""
SQL = "sql"
"""A query."""


def formats(block: AnyBlock) -> dict[str, str]:
    """The format of each configuration key that has one."""
    schema = block.config_schema
    properties = cast("Mapping[str, Mapping[str, object]]", schema.get("properties", {}))
    found = {key: part.get("format") for key, part in properties.items()}
    return {key: name for key, name in found.items() if isinstance(name, str)}
