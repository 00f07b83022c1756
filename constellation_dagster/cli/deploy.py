"""`constellation deploy`: a package answers under a name."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from constellation_dagster.cli.deployments import Mistake, Wait, find, follow


def deploy(
    package: Annotated[
        str,
        typer.Argument(
            metavar="NAME@VERSION",
            help="A package by its version, or by an alias, which is then followed.",
        ),
    ],
    *,
    name: Annotated[str, typer.Option("--name", help="The deployment's name, part of its URL.")],
    replicas: Annotated[
        int | None, typer.Option("--replicas", min=0, max=16, help="How many servers. [1]")
    ] = None,
    runtime: Annotated[
        str | None, typer.Option("--runtime", help="What runs them: process or docker. [process]")
    ] = None,
    canary: Annotated[
        int | None,
        typer.Option(
            "--canary",
            min=1,
            max=99,
            metavar="PERCENT",
            help="Let the package answer this part of the requests, on trial.",
        ),
    ] = None,
    env: Annotated[
        list[str] | None,
        typer.Option("--env", metavar="KEY=VALUE", help="A variable; replaces all there were."),
    ] = None,
    secret: Annotated[
        list[str] | None,
        typer.Option(
            "--secret",
            metavar="NAME=@FILE",
            help="A secret from a file, or from the input with NAME=-; the model finds it in the "
            "folder CONSTELLATION_SECRETS_DIR.",
        ),
    ] = None,
    cpu: Annotated[
        float | None, typer.Option("--cpu", help="Processors each may use (docker).")
    ] = None,
    memory_mb: Annotated[
        int | None, typer.Option("--memory-mb", help="Memory each may use, in MiB.")
    ] = None,
    latency_budget_ms: Annotated[
        float | None,
        typer.Option("--latency-budget-ms", help="What 99 of 100 requests must stay below."),
    ] = None,
    wait: Wait = False,
) -> None:
    """Deploy a package under a name, or change what is deployed there.

    What is not said stays as it is. A new version replaces the old one, and no request is lost.
    With --canary it is tried beside it, and promoted or taken back by itself.
    """
    from constellation_dagster.resources.person import person_client
    from constellation_dagster.resources.rest import fetch, insert

    given = {
        "replicas": replicas,
        "runtime": runtime,
        "env": _pairs("--env", env) if env else None,
        "latency_budget_ms": latency_budget_ms,
    }
    columns: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    secrets = {key: _secret(key, said) for key, said in _pairs("--secret", secret or []).items()}
    limits = {"cpu": cpu, "memory_mb": memory_mb}
    limits = {key: value for key, value in limits.items() if value is not None}

    client = person_client()
    present = find(client, name, or_none=True)
    if canary is not None:
        if present is None:
            raise Mistake(
                f"There is no deployment {name!r} yet, so {package} would be on trial beside "
                "nothing. Deploy it without --canary."
            )
        columns["canary"] = {"package": package, "percent": canary}
    else:
        columns |= {"package": package, "canary": None}
    if limits:
        columns["resources"] = (present["resources"] if present else {}) | limits
    table = client.table("deployments")
    if present is None:
        # It starts once its secrets are there.
        state = {"desired_state": "stopped"} if secrets else {}
        insert(table.insert({"name": name, **columns, **state}))
        columns = {"desired_state": "running"} if secrets else {}
    deployment = find(client, name)["id"]
    for key, value in secrets.items():
        told = {"deployment": deployment, "name": key, "value": value}
        fetch(client.rpc("set_deployment_secret", told))
    if columns:
        fetch(table.update(columns).eq("id", deployment))
    row = find(client, name)
    if wait:
        follow(client, name, row["generation"])
    else:
        typer.echo(f"{name}: {package} is asked for, generation {row['generation']}")


def _pairs(option: str, given: list[str]) -> dict[str, str]:
    wrong = [text for text in given if "=" not in text]
    if wrong:
        raise Mistake(f"{option} is written KEY=VALUE, which {', '.join(map(repr, wrong))} is not.")
    return dict(text.split("=", 1) for text in given)


def _secret(name: str, said: str) -> str:
    if said == "-":
        return sys.stdin.read().rstrip("\n")
    if not said.startswith("@"):
        raise Mistake(
            f"Secret {name!r} would be seen by everybody on this machine. Write {name}=@FILE, or "
            f"{name}=- to have it read from the input."
        )
    try:
        return Path(said[1:]).read_text(encoding="utf-8").rstrip("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise Mistake(f"Secret {name!r} cannot be read from {said[1:]}: {error}.") from error
