"""The command line, `constellation`.

What takes long to import (Dagster, polars, scikit-learn) is imported inside commands, so that help is quick.
"""

import sys

import typer

from constellation_dagster.cli import (
    blocks,
    chat,
    demo,
    deploy,
    deployments,
    drafts,
    images,
    models,
    pipelines,
    runs,
    search,
    stack,
)
from constellation_dagster.domain.errors import ConstellationError

app = typer.Typer(
    name="constellation",
    help="A machine-learning platform as one Dagster code location.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command("up")(stack.up)
app.command("down")(stack.down)
app.command("status")(stack.status)
app.command("env")(stack.env)
app.command("migrate")(stack.migrate)
app.command("secrets")(stack.secrets)
app.command("demo")(demo.demo)
app.command("search")(search.search)
app.command("chat")(chat.chat)
app.add_typer(blocks.app, name="block")
models.app.command("build")(images.build)
models.app.command("dockerfile")(images.dockerfile)
app.add_typer(models.app, name="model")
app.command("deploy")(deploy.deploy)
app.add_typer(deployments.app, name="deployment")
app.add_typer(drafts.app, name="draft")
app.add_typer(pipelines.app, name="pipeline")
app.add_typer(runs.app, name="run")


def main() -> None:
    """Run the command line; a user's mistake is told without a traceback."""
    try:
        app()
    except ConstellationError as error:
        print(f"Error: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(1)
