"""What the environment says about the agent's language model, read once.

Without a model the embedded planner answers, so nothing here is needed to run the platform.
"""

from functools import lru_cache

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

DEFAULT_MODEL = "gpt-4o-mini"


class AgentSettings(BaseSettings):
    """The language model's server, and what a turn and a person may use of it."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", env_ignore_empty=True, populate_by_name=True
    )

    openai_base_url: str | None = Field(
        default=None,
        description="Base address of the language model's server, any that speaks OpenAI's "
        "protocol, such as http://localhost:11434/v1; unset means OpenAI itself.",
        validation_alias=AliasChoices("OPENAI_BASE_URL", "openai_base_url"),
    )
    openai_model: str | None = Field(
        default=None,
        description="Name of the language model; unset means no model without a key, "
        f"{DEFAULT_MODEL} with one.",
        validation_alias=AliasChoices("OPENAI_MODEL", "openai_model"),
    )
    openai_api_key: SecretStr | None = Field(
        default=None,
        description="Key of the language model's server, if it wants one.",
        validation_alias=AliasChoices("OPENAI_API_KEY", "openai_api_key"),
    )
    completion_seconds: float = Field(
        default=120.0,
        gt=0,
        description="Seconds that one answer of the language model may take, with all retries: "
        "120 unless set.",
        validation_alias=AliasChoices("CONSTELLATION_MODEL_TIMEOUT_SECONDS", "completion_seconds"),
    )
    turn_tokens: int = Field(
        default=30_000,
        gt=0,
        description="Tokens that one turn of the agent may use, read and written: 30000 unless set.",
        validation_alias=AliasChoices("CONSTELLATION_TURN_TOKENS", "turn_tokens"),
    )
    turn_seconds: float = Field(
        default=300.0,
        gt=0,
        description="Seconds that the language model may take in one turn of the agent: 300 unless "
        "set.",
        validation_alias=AliasChoices("CONSTELLATION_TURN_SECONDS", "turn_seconds"),
    )
    turn_rounds: int = Field(
        default=3,
        gt=0,
        description="How often the language model is asked in one turn, first for a plan, then for "
        "repairs: 3 unless set.",
        validation_alias=AliasChoices("CONSTELLATION_TURN_ROUNDS", "turn_rounds"),
    )
    daily_tokens: int = Field(
        default=500_000,
        ge=0,
        description="Tokens that one person may use in a day (UTC), counted in Redis: 500000 unless "
        "set.",
        validation_alias=AliasChoices("CONSTELLATION_DAILY_TOKENS", "daily_tokens"),
    )
    completions_days: int = Field(
        default=30,
        ge=0,
        description="Days that the language model's requests and answers are kept: 30 unless set.",
        validation_alias=AliasChoices("CONSTELLATION_COMPLETIONS_DAYS", "completions_days"),
    )
    price_in: float | None = Field(
        default=None,
        ge=0,
        description="US$ per million tokens that the language model reads; unset means that costs "
        "are unknown.",
        validation_alias=AliasChoices("CONSTELLATION_PRICE_IN", "price_in"),
    )
    price_out: float | None = Field(
        default=None,
        ge=0,
        description="US$ per million tokens that the language model writes.",
        validation_alias=AliasChoices("CONSTELLATION_PRICE_OUT", "price_out"),
    )

    @property
    def model_name(self) -> str | None:
        """The language model; None when there is none."""
        if self.openai_model is not None:
            return self.openai_model
        return DEFAULT_MODEL if self.openai_api_key is not None else None

    @property
    def has_model(self) -> bool:
        """Whether there is a language model to ask."""
        return self.model_name is not None

    def cost(self, tokens_in: int, tokens_out: int) -> float | None:
        """What so many tokens cost in US$; None when the prices are unknown."""
        if self.price_in is None or self.price_out is None:
            return None
        return (tokens_in * self.price_in + tokens_out * self.price_out) / 1_000_000


@lru_cache(maxsize=1)
def get_agent_settings() -> AgentSettings:
    """The agent's settings of this process."""
    return AgentSettings()
