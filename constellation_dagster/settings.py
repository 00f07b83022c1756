"""What the environment says, read once.

Each value comes from the process environment, else from the embedded stack of this home while that stack is running,
else it is None. So a bare `dg` or `dagster` command works with no stack, next to one, and after one has crashed.
"""

import os
import socket
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, AliasChoices, Field
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from typing_extensions import override

from constellation_dagster.domain.errors import ConstellationError

STACK_ENV_FILE = "stack.env"
SUPERVISOR_SOCKET_VARIABLE = "CONSTELLATION_SUPERVISOR_SOCKET"

# One installation of Supabase: these come from one place or not at all.
SUPABASE_VARIABLES = (
    "SUPABASE_URL",
    "SUPABASE_KEY",
    "SUPABASE_SERVICE_ROLE_KEY",
    "SUPABASE_JWT_SECRET",
    "DATABASE_URL",
)
PERSON_VARIABLES = ("CONSTELLATION_EMAIL", "CONSTELLATION_PASSWORD")
# What a hosted one cannot do without.
HOSTED_VARIABLES = tuple(name for name in SUPABASE_VARIABLES if name != "SUPABASE_JWT_SECRET")


def _project_root() -> Path:
    package = Path(__file__).resolve().parent
    # An installed wheel carries dagster.yaml and supabase/migrations in a folder of its own.
    shipped = package / "_project"
    return shipped if shipped.is_dir() else package.parent


PROJECT_ROOT = _project_root()


class SettingMissing(ConstellationError):
    """Something was asked for that neither the environment nor a running stack says."""


def default_home() -> Path:
    """Where the embedded stack keeps everything, unless CONSTELLATION_HOME says otherwise."""
    if (PROJECT_ROOT / "pyproject.toml").is_file():
        return PROJECT_ROOT / ".constellation"
    return Path.home() / ".constellation"


def socket_answers(path: Path) -> bool:
    """Whether a process listens on a unix socket: true only while its owner lives, unlike a pid file."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def read_env_file(path: Path) -> dict[str, str]:
    """NAME=value lines; the values stand as they are, without quotes."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    return dict(line.split("=", 1) for line in lines if "=" in line)


def stack_is_up(home: Path) -> bool:
    """Whether this home's stack has a living supervisor."""
    supervisor = read_env_file(home / STACK_ENV_FILE).get(SUPERVISOR_SOCKET_VARIABLE)
    return supervisor is not None and socket_answers(Path(supervisor))


def stack_environment(home: Path) -> dict[str, str]:
    """The variables of this home's embedded stack, or nothing when it is not running."""
    if not stack_is_up(home):
        return {}
    values = read_env_file(home / STACK_ENV_FILE)
    values.pop(SUPERVISOR_SOCKET_VARIABLE, None)
    contradicted = any(
        os.environ.get(name) and os.environ[name] != values.get(name) for name in SUPABASE_VARIABLES
    )
    if contradicted:
        # Never the keys of one installation with the address of another.
        withheld = {*SUPABASE_VARIABLES, *PERSON_VARIABLES}
        return {name: value for name, value in values.items() if name not in withheld}
    return values


def _absolute(path: Path) -> Path:
    return path.expanduser().absolute()


class _StackSource(PydanticBaseSettingsSource):
    """Settings of the embedded stack, below the process environment."""

    @override
    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return None, field_name, False

    @override
    def __call__(self) -> dict[str, Any]:
        home = self.current_state.get("constellation_home") or self.current_state.get(
            "CONSTELLATION_HOME"
        )
        return dict(stack_environment(_absolute(Path(home)) if home else default_home()))


class Settings(BaseSettings):
    """Everything the platform takes from its environment."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", env_ignore_empty=True, populate_by_name=True
    )

    constellation_home: Annotated[Path, AfterValidator(_absolute)] = Field(
        default_factory=default_home,
        description="Folder of the embedded stack: its data, secrets, logs and artifacts.",
        validation_alias=AliasChoices("CONSTELLATION_HOME", "constellation_home"),
    )
    supabase_url: str | None = Field(
        default=None,
        description="Base address of Supabase; unset means the embedded stack.",
        validation_alias=AliasChoices("SUPABASE_URL", "supabase_url"),
    )
    supabase_key: str | None = Field(
        default=None,
        description="The anon key of Supabase.",
        validation_alias=AliasChoices("SUPABASE_KEY", "supabase_key"),
    )
    supabase_service_role_key: str | None = Field(
        default=None,
        description="The service_role key of Supabase, for sensors and status writers only.",
        validation_alias=AliasChoices("SUPABASE_SERVICE_ROLE_KEY", "supabase_service_role_key"),
    )
    supabase_jwt_secret: str | None = Field(
        default=None,
        description="The secret that signs people's tokens.",
        validation_alias=AliasChoices("SUPABASE_JWT_SECRET", "supabase_jwt_secret"),
    )
    constellation_email: str | None = Field(
        default=None,
        description="Who the command line signs in as; the embedded stack has a user for it.",
        validation_alias=AliasChoices("CONSTELLATION_EMAIL", "constellation_email"),
    )
    constellation_password: str | None = Field(
        default=None,
        description="That user's password.",
        validation_alias=AliasChoices("CONSTELLATION_PASSWORD", "constellation_password"),
    )
    database_url: str | None = Field(
        default=None,
        description="Postgres address of the same Supabase, with rights on schema public.",
        validation_alias=AliasChoices("DATABASE_URL", "database_url"),
    )
    dagster_postgres_url: str | None = Field(
        default=None,
        description="Postgres address of Dagster's own storage.",
        validation_alias=AliasChoices("CONSTELLATION_DAGSTER_POSTGRES_URL", "dagster_postgres_url"),
    )
    dagster_webserver_url: str | None = Field(
        default=None,
        description="Base address of the Dagster webserver; GraphQL is at /graphql.",
        validation_alias=AliasChoices("CONSTELLATION_DAGSTER_URL", "dagster_webserver_url"),
    )
    artifacts_url: str = Field(
        default_factory=lambda data: str(data["constellation_home"] / "artifacts"),
        description="Where nodes' outputs are stored: a folder or any fsspec address.",
        validation_alias=AliasChoices("CONSTELLATION_ARTIFACTS_URL", "artifacts_url"),
    )

    packages_url: str = Field(
        default_factory=lambda data: str(data["constellation_home"] / "packages"),
        description="Where model packages are stored: a folder or any fsspec address.",
        validation_alias=AliasChoices("CONSTELLATION_PACKAGES_URL", "packages_url"),
    )
    redis_url: str | None = Field(
        default=None,
        description="A Redis or Valkey server, for the locks of whatever changes deployments, for what "
        "the agent streams, and for its budgets.",
        validation_alias=AliasChoices("REDIS_URL", "redis_url"),
    )
    endpoints_url: str | None = Field(
        default=None,
        description="Base address of deployed models: /<deployment> below it.",
        validation_alias=AliasChoices("CONSTELLATION_ENDPOINTS_URL", "endpoints_url"),
    )
    router_admin: str | None = Field(
        default=None,
        description="Admin address of the Caddy that spreads requests over replicas: a path of a "
        "unix socket or a URL.",
        validation_alias=AliasChoices("CONSTELLATION_ROUTER_ADMIN", "router_admin"),
    )
    base_image: str = Field(
        default="python:3.11-slim",
        description="The image that model images are built on.",
        validation_alias=AliasChoices("CONSTELLATION_BASE_IMAGE", "base_image"),
    )
    image_registry: str | None = Field(
        default=None,
        description="Where model images are pushed to, such as 127.0.0.1:5000/models; unset "
        "keeps them in the engine that built them.",
        validation_alias=AliasChoices("CONSTELLATION_IMAGE_REGISTRY", "image_registry"),
    )
    docker_host: str | None = Field(
        default=None,
        description="Address of the Docker engine; unset means its usual socket.",
        validation_alias=AliasChoices("DOCKER_HOST", "docker_host"),
    )

    constellation_file_roots: str | None = Field(
        default=None,
        description="Folders of this machine that people's pipelines may read and write, "
        "separated by ':'; `files` in the home when unset.",
    )

    @property
    def file_roots(self) -> tuple[Path, ...]:
        """The folders that people's pipelines may use, the first one for relative paths."""
        if self.constellation_file_roots is None:
            return (self.constellation_home / "files",)
        names = self.constellation_file_roots.split(os.pathsep)
        return tuple(_absolute(Path(name)) for name in names if name)

    @property
    def project_root(self) -> Path:
        """The folder with dagster.yaml and supabase/migrations."""
        return PROJECT_ROOT

    @classmethod
    @override
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, _StackSource(settings_cls)

    def require_supabase(self) -> tuple[str, str]:
        """Address and anon key, or an error that says what to do."""
        return self._require("SUPABASE_URL", self.supabase_url), self._require(
            "SUPABASE_KEY", self.supabase_key
        )

    def require_service(self) -> tuple[str, str]:
        """Address and service_role key, or an error that says what to do."""
        return self._require("SUPABASE_URL", self.supabase_url), self._require(
            "SUPABASE_SERVICE_ROLE_KEY", self.supabase_service_role_key
        )

    def require_person(self) -> tuple[str, str]:
        """E-mail address and password, or an error that says what to do."""
        self.require_supabase()
        if self.constellation_email is None or self.constellation_password is None:
            raise SettingMissing(
                "Nobody to be: set CONSTELLATION_EMAIL and CONSTELLATION_PASSWORD to your account "
                f"at {self.supabase_url}."
            )
        return self.constellation_email, self.constellation_password

    def require_database(self) -> str:
        """DATABASE_URL, or an error that says what to do."""
        return self._require("DATABASE_URL", self.database_url)

    def require_dagster_webserver(self) -> str:
        """CONSTELLATION_DAGSTER_URL, or an error that says what to do."""
        return self._require("CONSTELLATION_DAGSTER_URL", self.dagster_webserver_url)

    def require_redis(self) -> str:
        """REDIS_URL, or an error that says what to do."""
        return self._require("REDIS_URL", self.redis_url)

    def require_endpoints(self) -> str:
        """CONSTELLATION_ENDPOINTS_URL, or an error that says what to do."""
        return self._require("CONSTELLATION_ENDPOINTS_URL", self.endpoints_url)

    def require_router_admin(self) -> str:
        """CONSTELLATION_ROUTER_ADMIN, or an error that says what to do."""
        return self._require("CONSTELLATION_ROUTER_ADMIN", self.router_admin)

    def _require(self, name: str, value: str | None) -> str:
        if value is not None:
            return value
        present = [name for name in SUPABASE_VARIABLES if os.environ.get(name)]
        if present and stack_is_up(self.constellation_home):
            raise SettingMissing(
                f"{name} is not set. A stack runs in {self.constellation_home}, but the "
                f"environment says otherwise: unset {', '.join(present)} to use the stack."
            )
        raise SettingMissing(
            f"{name} is not set and no stack runs in {self.constellation_home}. "
            f"Run `constellation up`, or set {', '.join(HOSTED_VARIABLES)} to use a hosted "
            "Supabase."
        )


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """The settings of this process."""
    return Settings()
