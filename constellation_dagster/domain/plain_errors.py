"""The errors that need nothing but Python: a model's image has no pydantic.

Elsewhere they are imported from `domain.errors` and `domain.packages`.
"""


class ConstellationError(Exception):
    """Base of every error that is shown to a person as its message, without a traceback."""


class PackageError(ConstellationError):
    """A package, or what should become one, is refused; the message says why and what to do."""
