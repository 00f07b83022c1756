"""A real Valkey of one's own."""

import subprocess
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from redis import Redis, RedisError
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from constellation_dagster.local.home import Home
from constellation_dagster.local.programs import valkey


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Valkey."""
    home = Home(tmp_path_factory.mktemp("valkey"))
    home.prepare()
    program = valkey(home)
    process = subprocess.Popen(
        program.argv, env=program.environment, cwd=program.directory, stdout=subprocess.DEVNULL
    )
    url = f"unix://{quote(str(home.valkey_socket))}"
    try:
        ping(url)
        yield url
    finally:
        process.terminate()
        process.wait()


@retry(
    retry=retry_if_exception_type(RedisError),
    stop=stop_after_delay(10),
    wait=wait_fixed(0.05),
    reraise=True,
)
def ping(url: str) -> None:
    """Waits until a server answers."""
    with Redis.from_url(url) as client:
        client.ping()
