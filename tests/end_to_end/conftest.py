import pytest

from tests.end_to_end.person import Person
from tests.stack_fixture import RunningStack


@pytest.fixture
def person(stack: RunningStack) -> Person:
    """Somebody new, signed in."""
    return Person(stack.person(), stack)
