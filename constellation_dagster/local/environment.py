"""The variables that one stack gives to its programs, to `settings` and to people's shells."""

import os
import shlex
from collections.abc import Mapping
from urllib.parse import quote, urlsplit, urlunsplit

from constellation_dagster.local.errors import StackError
from constellation_dagster.local.home import Home, write_private
from constellation_dagster.local.ports import Ports, load_ports
from constellation_dagster.local.postgres import PostgresServer
from constellation_dagster.local.secrets import Secrets
from constellation_dagster.settings import (
    HOSTED_VARIABLES,
    SUPERVISOR_SOCKET_VARIABLE,
    read_env_file,
)

DAGSTER_DATABASE = "dagster"
# Who the command line is on the embedded stack, so that it works without signing up.
PERSON_EMAIL = "you@constellation.local"


def front_door_url(ports: Ports) -> str:
    """Where clients find the embedded Supabase."""
    return f"http://127.0.0.1:{ports.front_door}"


def webserver_url(ports: Ports) -> str:
    """Where people find Dagster's UI."""
    return f"http://127.0.0.1:{ports.webserver}"


def endpoints_url(ports: Ports) -> str:
    """Where clients find deployed models."""
    return f"{front_door_url(ports)}/endpoints"


def is_hosted(home: Home) -> bool:
    """Whether the process environment names a Supabase other than this home's own."""
    url = os.environ.get("SUPABASE_URL")
    if not url:
        return False
    # A shell that has evaluated `constellation env` still means the embedded stack.
    return not (home.ports.exists() and url == front_door_url(load_ports(home.ports)))


def embedded_environment(home: Home, ports: Ports, secrets: Secrets) -> dict[str, str]:
    """The variables of the embedded stack."""
    server = PostgresServer(home.postgres, ports.postgres, secrets.postgres_password)
    return {
        "SUPABASE_URL": front_door_url(ports),
        "SUPABASE_KEY": secrets.anon_key,
        "SUPABASE_SERVICE_ROLE_KEY": secrets.service_role_key,
        "SUPABASE_JWT_SECRET": secrets.jwt_secret,
        "DATABASE_URL": server.url(),
        "CONSTELLATION_EMAIL": PERSON_EMAIL,
        "CONSTELLATION_PASSWORD": secrets.person_password,
        "CONSTELLATION_DAGSTER_POSTGRES_URL": server.url(DAGSTER_DATABASE),
    } | _dagster_environment(home, ports)


def hosted_environment(home: Home, ports: Ports) -> dict[str, str]:
    """The variables of a hosted Supabase, all of which must be in the process environment."""
    missing = [name for name in HOSTED_VARIABLES if not os.environ.get(name)]
    if missing:
        raise StackError(
            f"SUPABASE_URL is set, so a hosted Supabase is used, but {', '.join(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} not. Set "
            f"{'it' if len(missing) == 1 else 'them'} too, or unset SUPABASE_URL to use the "
            "embedded stack."
        )
    database = os.environ["DATABASE_URL"]
    given = {name: os.environ[name] for name in HOSTED_VARIABLES}
    if secret := os.environ.get("SUPABASE_JWT_SECRET"):
        given["SUPABASE_JWT_SECRET"] = secret
    storage = os.environ.get("CONSTELLATION_DAGSTER_POSTGRES_URL")
    given["CONSTELLATION_DAGSTER_POSTGRES_URL"] = storage or _in_schema(database, DAGSTER_DATABASE)
    return given | _dagster_environment(home, ports)


def write_stack_env(home: Home, environment: Mapping[str, str]) -> None:
    """Tell `settings` about the stack, for as long as its supervisor lives."""
    values = {**environment, SUPERVISOR_SOCKET_VARIABLE: str(home.supervisor_socket)}
    write_private(home.stack_env, "".join(f"{name}={value}\n" for name, value in values.items()))


def export_lines(home: Home) -> str:
    """`export NAME=value` for a shell to evaluate."""
    values = read_env_file(home.stack_env)
    values.pop(SUPERVISOR_SOCKET_VARIABLE, None)
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items())


def _dagster_environment(home: Home, ports: Ports) -> dict[str, str]:
    own = {
        "CONSTELLATION_ARTIFACTS_URL": str(home.root / "artifacts"),
        "CONSTELLATION_PACKAGES_URL": str(home.root / "packages"),
        "CONSTELLATION_ENDPOINTS_URL": endpoints_url(ports),
        "CONSTELLATION_ROUTER_ADMIN": str(home.router_admin_socket),
        "REDIS_URL": f"unix://{quote(str(home.valkey_socket))}",
    }
    return {
        "CONSTELLATION_HOME": str(home.root),
        "CONSTELLATION_DAGSTER_URL": webserver_url(ports),
        "DAGSTER_HOME": str(home.dagster),
        # Somebody who has set one of these means it, such as an object store or a Redis of their own.
        **{name: os.environ.get(name) or value for name, value in own.items()},
    }


def _in_schema(database_url: str, schema: str) -> str:
    # Dagster's tables stay out of `public`, which PostgREST would show to everyone.
    parts = urlsplit(database_url)
    option = f"options={quote(f'-csearch_path={schema}')}"
    return urlunsplit(parts._replace(query=f"{parts.query}&{option}" if parts.query else option))
