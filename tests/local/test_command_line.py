"""What the command line says when it cannot do what it is asked."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from constellation_dagster.local.errors import StackError
from constellation_dagster.local.home import Home
from constellation_dagster.local.ports import Ports, chosen_ports
from constellation_dagster.local.secrets import load_secrets
from tests.stack_fixture import StackHome


@pytest.fixture
def idle(tmp_path: Path) -> StackHome:
    return StackHome(tmp_path / "home")


def test_help_is_quick_and_imports_nothing_heavy() -> None:
    code = (
        "import sys, constellation_dagster.cli;"
        "print([m for m in ('dagster', 'polars', 'sklearn', 'psycopg') if m in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


@pytest.mark.parametrize("arguments", [("up", "--sideways"), ("rise",), ("status", "extra")])
def test_wrong_arguments(idle: StackHome, arguments: tuple[str, ...]) -> None:
    result = idle.run(*arguments)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert not idle.home.exists()


def test_without_a_stack(idle: StackHome) -> None:
    assert "nothing runs" in idle.run("status").stderr
    assert idle.run("status").returncode == 1
    assert idle.status()["running"] is False
    env = idle.run("env")
    assert (env.returncode, env.stdout) == (1, "")
    assert "Run `constellation up` first" in env.stderr
    down = idle.run("down")
    assert (down.returncode, "nothing was running" in down.stderr) == (0, True)
    assert not idle.home.exists()


def test_a_home_that_cannot_be_one(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = StackHome(tmp_path / "file" / "home").run("up", "--detach")
    assert result.returncode == 1
    assert "CONSTELLATION_HOME" in result.stderr
    assert "Traceback" not in result.stderr


def test_damaged_secrets_are_not_replaced(tmp_path: Path) -> None:
    file = tmp_path / "secrets.json"
    made = load_secrets(file)
    assert load_secrets(file) == made
    file.write_text("{}")
    with pytest.raises(StackError, match="damaged"):
        load_secrets(file)
    assert file.read_text() == "{}"


def test_ports_stay_and_give_way(tmp_path: Path) -> None:
    file = tmp_path / "ports.json"
    # Away from the usual ones, and from those that outgoing connections get.
    apart = Ports(front_door=21001, postgres=21002, webserver=21003, code_server=21004)
    file.write_text(apart.model_dump_json())
    (tmp_path / "other.json").write_text(apart.model_dump_json())
    with (
        chosen_ports(file, tmp_path) as first,
        # Another home that starts at the same time.
        chosen_ports(tmp_path / "other.json", tmp_path) as other,
    ):
        assert not set(first.model_dump().values()) & set(other.model_dump().values())
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", first.postgres))
        taken.listen()
        with chosen_ports(file, tmp_path) as second:
            assert second.postgres > first.postgres
            assert (second.postgres - first.postgres) % 10 == 0
            assert second.webserver == first.webserver
    with chosen_ports(file, tmp_path) as third:
        assert third == second
    file.write_text("nonsense")
    with chosen_ports(file, tmp_path) as usual:
        assert set(usual.model_dump()) == set(Ports().model_dump())


def test_sockets_move_out_of_a_deep_home(tmp_path: Path) -> None:
    deep = Home(tmp_path / ("x" * 100))
    deep.prepare()
    assert len(str(deep.supervisor_socket)) < 100
    assert deep.sockets.stat().st_mode & 0o077 == 0
    deep.remove_sockets()
    assert not deep.sockets.exists()
    shallow = Home(Path("/tmp/c"))
    assert shallow.sockets == shallow.run
