"""What can go wrong with the embedded stack."""

from constellation_dagster.domain.errors import ConstellationError


class StackError(ConstellationError):
    """The stack cannot do what was asked; the message says why and what to do."""
