"""What can be set from outside: ``ENCOLA_…`` variables and a ``.env`` file."""

import ipaddress
import re
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    Field,
    PositiveFloat,
    PositiveInt,
    SecretStr,
    ValidationError,
    field_validator,
)
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from encola.domain.errors import InvalidSettings
from encola.domain.policy import OperationPolicy
from encola.domain.trace import is_baggage_name

Profile = Literal["memory", "embedded", "distributed"]


def _baggage_name(text: str) -> str:
    if not is_baggage_name(text):
        raise ValueError("a name in baggage is a token of HTTP")
    return text


BaggageName = Annotated[str, AfterValidator(_baggage_name)]


class Settings(BaseSettings):
    """Read once, at the start."""

    model_config = SettingsConfigDict(
        env_prefix="ENCOLA_", env_nested_delimiter="__", env_file=".env", extra="ignore", frozen=True
    )

    profile: Profile = Field("embedded", description="memory, embedded (one SQLite file) or distributed")
    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    data_dir: Path = Field(Path(".encola"), description="folder of the embedded profile's file")
    fsync: bool = Field(True, description="wait for the disk before a job is accepted")
    auth: Literal["none", "keys", "jwt"] = Field("none", description="who may come in; none is for loopback")
    allowed_origins: tuple[str, ...] = Field(
        (), description="other sites whose pages may call; JSON list of origins"
    )
    allowed_hosts: tuple[str, ...] = Field(
        (), description="names by which a proxy may ask, beside those of this machine; JSON list"
    )
    app: str | None = Field(None, description="module:attribute of your Encola instance")
    redis_url: SecretStr | None = Field(None, description="state of the distributed profile")
    redis_shards: PositiveInt = Field(
        1, description="slots over which tenants are spread in Redis Cluster; only chosen at the start"
    )
    amqp_url: SecretStr | None = Field(None, description="broker of the distributed profile")
    queue_type: Literal["classic", "quorum"] = Field("classic", description="kind of RabbitMQ queues")
    publish_ahead: PositiveInt = Field(
        5000, description="messages that wait in one RabbitMQ queue before the next are held back"
    )
    republish_seconds: PositiveFloat = Field(
        30.0, description="time after which a job that no worker claimed is published again"
    )
    early_ack_seconds: PositiveFloat = Field(
        1500.0, description="jobs that may run longer are acknowledged at the start; see consumer_timeout"
    )
    history_url: SecretStr | None = Field(
        None, description="PostgreSQL for the history of the distributed profile"
    )
    services: dict[str, str] = Field(
        default_factory=dict, description="base URLs that call_service may reach, by name"
    )
    http_transport: Literal["aiohttp", "httpx"] = Field("aiohttp", description="what carries call_service")
    operations: tuple[OperationPolicy, ...] = Field(
        (),
        description="operation types beside those of the table, or in their place; JSON list of objects",
    )
    baggage: tuple[BaggageName, ...] = Field(
        (), description="names in W3C baggage that are carried on, the rest is dropped; JSON list"
    )
    telemetry: Literal["none", "opentelemetry"] = Field(
        "none", description="what records calls of services as spans; traces are carried on by either"
    )
    concurrency: PositiveInt = Field(100, description="jobs at once in one worker")
    queues: tuple[str, ...] = Field(
        (),
        description="queues beside those of the job types; a worker takes jobs from these only; JSON list",
    )
    sync_threads: PositiveInt = Field(64, description="plain-function handlers at once in one worker")
    lease_seconds: PositiveFloat = Field(30.0, description="silence after which a worker counts as dead")
    drain_seconds: PositiveFloat = Field(10.0, description="time for running jobs to end at a shutdown")
    job_retention_days: PositiveFloat = Field(7.0, description="how long ended jobs stay readable")
    history_retention_days: PositiveFloat = Field(
        90.0, description="how long their events stay in the history"
    )
    llm_url: str | None = Field(None, description="OpenAI-compatible base URL for the demo's agent")
    llm_model: str = Field("default", description="model name sent to it")
    llm_api_key: SecretStr | None = Field(None, description="its key")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="how much the server says on stderr"
    )

    @field_validator("operations", mode="before")
    @classmethod
    def _has_known_fields(cls, value: object) -> object:
        """Refuse a misspelt field, which a dataclass would leave out without a word."""
        known = {field.name for field in fields(OperationPolicy)}
        given = [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []
        unknown = sorted({name for entry in given for name in entry} - known)
        if unknown:
            told = {"unknown": unknown[0], "known": ", ".join(sorted(known))}
            raise PydanticCustomError(
                "unknown_field", "there is no field '{unknown}'; known are {known}", told
            )
        return value

    @property
    def is_loopback(self) -> bool:
        """Tell whether only this machine can reach the address we listen on."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


def load_settings(**overrides: object) -> Settings:
    """Read the settings; what is passed wins.

    :raises InvalidSettings: a value cannot be used; the message names the variable
    """
    try:
        return Settings(**{name: value for name, value in overrides.items() if value is not None})  # type: ignore[arg-type]
    except SettingsError as error:
        field = re.search(r'field "(\w+)"', str(error))
        name = field[1].upper() if field else "…"
        raise InvalidSettings(f"ENCOLA_{name}: Input should be valid JSON.") from None
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = "__".join(str(part) for part in first["loc"]).upper()
        raise InvalidSettings(f"ENCOLA_{name}: {first['msg']}.") from None


def check_front_door(settings: Settings) -> None:
    """Refuse to listen where strangers could come in.

    :raises InvalidSettings: the address is open to others and nobody would be asked who they are
    """
    if settings.auth != "none":
        raise InvalidSettings(f"ENCOLA_AUTH={settings.auth} is not available in this version; use none.")
    if not settings.is_loopback:
        raise InvalidSettings(
            f"ENCOLA_HOST={settings.host} is open to others and ENCOLA_AUTH=none asks nobody who they are:"
            " listen on 127.0.0.1, and put a proxy that authenticates in front."
        )
