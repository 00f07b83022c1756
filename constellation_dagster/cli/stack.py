"""`constellation up | down | status | env | migrate | secrets`."""

import signal
import sys
import time
from contextlib import nullcontext
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from constellation_dagster.settings import get_settings

if TYPE_CHECKING:
    from constellation_dagster.local.home import Home
    from constellation_dagster.local.stack import Stack, Step
    from constellation_dagster.local.status import StackStatus

# What a container gets to answer what it has accepted.
GRACE_SECONDS = 5.0
# Progress goes to stderr: what `status --json` and `env` print is for other programs.
_console = Console(stderr=True, highlight=False)


def up(
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Return once everything is ready.")
    ] = False,
) -> None:
    """Start the stack; Ctrl-C stops it, unless it is detached."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    stack = _stack()
    began = time.monotonic()
    try:
        waiting = _console.status("starting …") if _console.is_terminal else nullcontext()
        with waiting:
            started = stack.up(_print_step)
        seconds = time.monotonic() - began
        _console.print(f"ready in {seconds:.1f} s" if started else "it was running already")
        _print_status(stack.home)
        if detach or not started:
            _console.print("stop it with [bold]constellation down[/]")
            return
        _console.print("Ctrl-C stops it")
        _watch(stack)
    except KeyboardInterrupt:
        _console.print("stopping …")
        _stop(stack)
        _console.print("stopped")


def down() -> None:
    """Stop the stack and everything it has started."""
    began = time.monotonic()
    stopped = _stop(_stack())
    seconds = time.monotonic() - began
    _console.print(f"stopped in {seconds:.1f} s" if stopped else "nothing was running")


def status(
    as_json: Annotated[bool, typer.Option("--json", help="For other programs.")] = False,
) -> None:
    """Say which parts run, and where; the exit code is 1 unless all of them do."""
    from constellation_dagster.local.status import read_status

    found = read_status(_home())
    if as_json:
        print(found.model_dump_json(indent=2))  # noqa: T201
    elif not found.parts:
        _console.print(f"nothing runs in {found.home}; start it with [bold]constellation up[/]")
    else:
        _print_table(found)
    if not found.running:
        raise typer.Exit(1)


def env() -> None:
    """Print the running stack's variables as export lines: eval "$(constellation env)"."""
    from constellation_dagster.local.environment import export_lines
    from constellation_dagster.local.errors import StackError
    from constellation_dagster.local.supervision import Supervisor

    home = _home()
    if not Supervisor(home).alive:
        raise StackError(f"No stack runs in {home.root}. Run `constellation up` first.")
    sys.stdout.write(export_lines(home))


def migrate(
    authenticator_password: Annotated[
        str | None,
        typer.Option(
            envvar="AUTHENTICATOR_PASSWORD",
            help="For a plain Postgres: also make what a hosted Supabase brings, and give its "
            "authenticator role this password.",
        ),
    ] = None,
) -> None:
    """Apply the migrations that DATABASE_URL does not have yet; `up` does so by itself."""
    from constellation_dagster.local.database import prepare_embedded, prepare_hosted

    url = get_settings().require_database()
    if authenticator_password:
        applied = prepare_embedded(url, authenticator_password)
    else:
        applied = prepare_hosted(url)
    for name in applied:
        _console.print(name)
    _console.print(f"{len(applied)} applied")


def secrets() -> None:
    """Print new secrets in the form of docker-compose's .env file."""
    from constellation_dagster.local.secrets import Secrets

    made = Secrets.generate()
    lines = {
        "SUPABASE_KEY": made.anon_key,
        "SUPABASE_SERVICE_ROLE_KEY": made.service_role_key,
        "SUPABASE_JWT_SECRET": made.jwt_secret,
        "POSTGRES_PASSWORD": made.postgres_password,
        "AUTHENTICATOR_PASSWORD": made.authenticator_password,
    }
    sys.stdout.write("".join(f"{name}={value}\n" for name, value in lines.items()))


def _home() -> "Home":
    from constellation_dagster.local.home import Home

    return Home(get_settings().constellation_home)


def _stack() -> "Stack":
    from constellation_dagster.local.stack import Stack

    return Stack(_home())


def _stop(stack: "Stack") -> bool:
    """Stops the stack, and its containers where it has some; whether anything ran."""
    from concurrent.futures import ThreadPoolExecutor

    from constellation_dagster.domain.replicas import RuntimeUnavailable
    from constellation_dagster.runtimes.docker import DockerRuntime

    # Whatever would start containers again goes first.
    ran = stack.down()
    engine = DockerRuntime(stack.home.root)
    replicas: list[str] = []
    try:
        replicas += [replica.id for replica in engine.replicas()]
    except RuntimeUnavailable:
        return ran
    with ThreadPoolExecutor() as pool:
        list(pool.map(engine.stop, replicas, [GRACE_SECONDS] * len(replicas)))
    return ran or bool(replicas)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _print_step(step: "Step") -> None:
    _console.print(f"[green]✓[/] {step.part:<12} {step.seconds:5.1f} s  {step.detail}")


def _print_status(home: "Home") -> None:
    from constellation_dagster.local.status import read_status

    found = read_status(home)
    for name, url in found.urls.items():
        _console.print(f"  {name:<12} {url}")
    _console.print(f"  {'logs':<12} {home.logs}")


def _print_table(found: "StackStatus") -> None:
    table = Table("part", "state", "pid", "port", box=None, pad_edge=False)
    for part in found.parts:
        table.add_row(
            part.name,
            _coloured(part.state),
            str(part.pid or ""),
            str(part.port or ""),
        )
    output = Console(highlight=False)
    output.print(table)
    if found.replicas:
        replicas = Table("replica", "state", "pid", box=None, pad_edge=False)
        for replica in found.replicas:
            replicas.add_row(replica.name, _coloured(replica.state), str(replica.pid or ""))
        output.print(replicas)
    for name, url in found.urls.items():
        output.print(f"{name}: {url}", soft_wrap=True)


def _coloured(state: str) -> str:
    colour = {"running": "green", "starting": "yellow"}.get(state, "red")
    return f"[{colour}]{state}[/]"


def _watch(stack: "Stack") -> None:
    """Wait until somebody stops the stack; tell when a part gives up or comes back."""
    known: dict[str, str] = {}
    while stack.supervisor.alive:
        states = {name: found.state for name, found in stack.supervisor.states().items()}
        for name, state in states.items():
            if known.get(name, state) != state:
                _console.print(f"{name} is {state.lower()}")
        known = states
        time.sleep(1)
    _console.print("stopped")
