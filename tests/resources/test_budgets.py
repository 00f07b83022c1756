"""What is left of a person's day, in a real Valkey, and without one."""

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from redis import Redis

from constellation_dagster.resources.budgets import Budget
from tests.resources.valkey_server import server

__all__ = ["server"]

NOWHERE = "redis://127.0.0.1:1/0"


def test_a_day_is_used_up(server: str) -> None:
    owner = uuid4()
    budget = Budget(server, owner, 1000)
    assert budget.left() == 1000
    budget.spend(300)
    assert Budget(server, owner, 1000).left() == 700
    assert Budget(server, owner, 200).left() == 0
    budget.spend(5000)
    assert budget.left() == 0
    # Nobody else's.
    assert Budget(server, uuid4(), 1000).left() == 1000


def test_days_are_counted_apart_and_forgotten(server: str) -> None:
    owner = uuid4()
    Budget(server, owner, 1000).spend(300)
    with Redis.from_url(server) as client:
        [key] = client.keys(f"constellation:tokens:{owner}:*")
        assert 86400 < int(str(client.ttl(key))) <= 2 * 86400
        client.rename(key, f"constellation:tokens:{owner}:2020-01-01")
    assert Budget(server, owner, 1000).left() == 1000


def test_many_turns_at_once_lose_nothing(server: str) -> None:
    owner = uuid4()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(Budget(server, owner, 1000).spend, [3] * 100))
    assert Budget(server, owner, 1000).left() == 700


@pytest.mark.parametrize("url", [None, NOWHERE, "no address"])
def test_without_a_server_the_day_is_not_counted(url: str | None) -> None:
    budget = Budget(url, uuid4(), 1000)
    budget.spend(300)
    assert budget.left() == 1000
