import pytest

from tests.deployments.person import Deployer
from tests.stack_fixture import RunningStack


@pytest.fixture
def deployer(stack: RunningStack) -> Deployer:
    """Somebody new, signed in."""
    return Deployer(stack.person(), stack)
