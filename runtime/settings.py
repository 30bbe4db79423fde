"""Settings of a process: frozen, parsed once, secrets wrapped so that they do not print.

A service subclasses `ProcessSettings` and adds its own groups. Names in the environment are
`TENANTMESH_<GROUP>_<FIELD>`, for example `TENANTMESH_DATABASE_SYSTEM_URL`. Nothing reads the environment later.
"""

from __future__ import annotations

import difflib
import ipaddress
import json
import re
from collections.abc import Collection
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict, SettingsError

__all__ = [
    "ENVIRONMENT_PREFIX",
    "Count",
    "DatabaseSettings",
    "Duration",
    "Group",
    "Networks",
    "ProcessSettings",
    "Ratio",
    "RedisSettings",
    "ServerSettings",
    "TelemetrySettings",
    "listed",
    "moved_address",
    "no_such_setting",
    "split_address",
    "variables",
    "wrong_settings",
]

ENVIRONMENT_PREFIX = "TENANTMESH_"
MEBIBYTE = 1024 * 1024
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, None: 1.0}
_HIGHEST_PORT = 65535


def split_address(address: str) -> tuple[str, int]:
    """Split `host:port` (IPv6 in brackets). Raises ValueError saying what an address looks like."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > _HIGHEST_PORT:
        raise ValueError(f"{address!r} is not an address; write host:port, for example 127.0.0.1:50051")
    return host.removeprefix("[").removesuffix("]"), int(port)


def moved_address(address: str, by: int) -> str:
    """Return the address with its port moved."""
    host, port = split_address(address)
    return f"[{host}]:{port + by}" if ":" in host else f"{host}:{port + by}"


def _checked_address(address: str) -> str:
    split_address(address)
    return address


def _duration(value: object) -> object:
    if isinstance(value, str) and (match := _DURATION.fullmatch(value.strip())):
        return timedelta(seconds=float(match[1]) * _UNITS[match[2]])
    return value


Address = Annotated[str, AfterValidator(_checked_address)]
Count = Annotated[int, Field(ge=1)]
Bytes = Annotated[int, Field(ge=1024)]
Ratio = Annotated[float, Field(ge=0, le=1)]
Duration = Annotated[timedelta, BeforeValidator(_duration)]
"""A timedelta, written `250ms`, `5s`, `10m`, `1h`, `7d`, a bare number of seconds, or ISO 8601."""


def listed(text: object) -> object:
    """Parse several values: a JSON array, or text with commas."""
    if isinstance(text, str):
        return json.loads(text) if text.lstrip().startswith("[") else [item.strip() for item in text.split(",") if item]
    return text


def _checked_network(text: str) -> str:
    ipaddress.ip_network(text)
    return text


Networks = Annotated[tuple[Annotated[str, AfterValidator(_checked_network)], ...], NoDecode, BeforeValidator(listed)]
"""Networks such as `10.0.0.0/8`, with commas between."""


class Group(BaseModel):
    """A group of settings: immutable, and an unknown name is an error instead of a silent default."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DatabaseSettings(Group):
    """PostgreSQL, by the doors that a process may use. Pool sizes count connections per process."""

    url: SecretStr | None = None
    system_url: SecretStr | None = None
    migrate_url: SecretStr | None = None
    pool_size: Count = 10
    system_pool_size: Count = 4
    tenant_share: Annotated[float, Field(gt=0, le=1)] = 0.5
    max_waiting: Count = 1_000
    tenant_max_waiting: Count = 100
    acquire_timeout: Duration = timedelta(seconds=1)
    connect_timeout: Duration = timedelta(seconds=2)
    command_timeout: Duration = timedelta(seconds=6)
    max_connection_age: Annotated[Duration, Field(ge=timedelta(seconds=1))] = timedelta(minutes=15)


class RedisSettings(Group):
    """Redis or Valkey. Fails fast and never retries: the caller has a fallback, a waiting call has none."""

    url: SecretStr | None = None
    cluster: bool = False
    timeout: Duration = timedelta(milliseconds=50)
    pool_size: Count = 16
    breaker_failures: Count = 3
    breaker_window: Duration = timedelta(seconds=1)
    breaker_open: Duration = timedelta(seconds=1)


WATCH_MARGIN = timedelta(seconds=10)
"""How long before gRPC would cut it an endless stream ends itself, at least; a quarter of a grace that is short."""


class ServerSettings(Group):
    """The gRPC server of a process. A connection pins to one worker, so worker i has ports of its own: those of all
    listeners, metrics included, move by i * worker_port_step."""

    listen: Address = "127.0.0.1:50051"
    workers: Count = 1
    worker: int | None = None  # which one this process is; set by the parent of several
    worker_port_step: Count = 100

    @property
    def worker_ports_move_by(self) -> int:
        """How far this worker's ports are from the configured ones."""
        return (self.worker or 0) * self.worker_port_step

    drain_wait: Duration = timedelta(seconds=3)
    grace: Duration = timedelta(seconds=10)
    reflection: bool | None = None
    max_concurrent_streams: Count = 100
    max_pending_requests: Count = 10_000
    max_request_bytes: Bytes = MEBIBYTE
    # Not less than gRPC's clients accept: pages and the limits of tenants are made to fit into that.
    max_response_bytes: Annotated[int, Field(ge=4 * MEBIBYTE)] = 4 * MEBIBYTE
    max_metadata_bytes: Bytes = 16 * 1024
    max_connection_age: Duration = timedelta(minutes=30)
    max_connection_age_grace: Duration = timedelta(minutes=30)
    max_connection_idle: Duration = timedelta(minutes=15)
    handshake_timeout: Duration = timedelta(seconds=10)
    keepalive_time: Duration = timedelta(seconds=60)
    keepalive_timeout: Duration = timedelta(seconds=20)
    keepalive_min_client_interval: Duration = timedelta(seconds=10)
    max_health_watchers: Count = 100
    health_listen: Address | None = None
    health_stuck_after: Annotated[Duration, Field(ge=timedelta(seconds=1))] = timedelta(seconds=30)
    max_health_watchers_per_address: Count = 25
    channelz_listen: Address | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_client_ca: Path | None = None

    @property
    def longest_watch(self) -> timedelta:
        """How long an endless stream lasts: less than an aged connection's grace, after which gRPC would cut it."""
        return self.max_connection_age_grace - min(WATCH_MARGIN, self.max_connection_age_grace / 4)

    @model_validator(mode="after")
    def _workers_have_ports_of_their_own(self) -> Self:
        """Refuse a health port that is another worker's port of calls."""
        if self.health_listen is not None:
            distance = split_address(self.health_listen)[1] - split_address(self.listen)[1]
            workers, rest = divmod(abs(distance), self.worker_port_step)
            if not rest and workers < self.workers:
                raise ValueError(
                    "health_listen has the port of a worker's listen; choose a distance that is no multiple of "
                    "worker_port_step"
                )
        return self

    @model_validator(mode="after")
    def _tls_is_whole(self) -> Self:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("set both tls_cert and tls_key, or neither")
        if self.tls_client_ca is not None and self.tls_cert is None:
            raise ValueError("tls_client_ca asks clients for certificates; it needs tls_cert and tls_key")
        return self


class TelemetrySettings(Group):
    """Logs, metrics and traces. The metrics of worker i move by the step of the server's ports."""

    metrics_listen: Address | None = None
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "console"] = "json"
    access_log: Literal["refusals", "all", "off"] = "refusals"
    refusal_lines: Count = 10
    refusal_interval: Annotated[Duration, Field(gt=timedelta())] = timedelta(seconds=30)
    refusal_addresses: Count = 256
    otlp_endpoint: str | None = None
    otlp_insecure: bool = False
    trace_ratio: Ratio = 0.05


class ProcessSettings(BaseSettings):
    """The settings of every process. Subclass it, add groups, construct it once in `__main__`."""

    model_config = SettingsConfigDict(
        env_prefix=ENVIRONMENT_PREFIX,
        env_nested_delimiter="_",
        env_nested_max_split=1,
        frozen=True,
        extra="ignore",
        hide_input_in_errors=True,
    )

    mode: Literal["development", "production"] = "production"
    database: DatabaseSettings = DatabaseSettings()
    redis: RedisSettings = RedisSettings()
    server: ServerSettings = ServerSettings()
    telemetry: TelemetrySettings = TelemetrySettings()

    @model_validator(mode="after")
    def _decide_reflection(self) -> Self:
        """Set reflection where no setting does: it is a convenience of development."""
        if self.server.reflection is None:
            decided = self.server.model_copy(update={"reflection": self.mode == "development"})
            object.__setattr__(self, "server", decided)
        return self


def variables(settings: type[ProcessSettings]) -> frozenset[str]:
    """Return the variables that these settings read, each with its group and field."""
    named: set[str] = set()
    for group in settings.model_fields:
        inner = _group(settings, group)
        named.update([_variable(group, name) for name in inner.model_fields] if inner else [_variable(group)])
    return frozenset(named)


def wrong_settings(error: ValidationError | SettingsError, settings: type[ProcessSettings]) -> str:
    """Return a line per setting that is wrong, by its name in the environment and without its value."""
    if isinstance(error, SettingsError):
        return f"  {error}"
    errors = error.errors(include_url=False, include_input=False, include_context=False)
    return "\n".join(f"  {line}" for each in errors for line in _lines(each, settings))


def no_such_setting(name: str, known: Collection[str]) -> str:
    """Return the line of a variable that is no setting, with the known name that is nearest to it."""
    near = difflib.get_close_matches(name.upper(), sorted(known), 1)
    return f"{name}: no such setting{f'; did you mean {near[0]}?' if near else ''}"


def _lines(error: ErrorDetails, settings: type[ProcessSettings]) -> list[str]:
    location, said = error["loc"], error["msg"].removeprefix("Value error, ")
    name = _variable(*location)
    if error["type"] == "extra_forbidden":
        return [no_such_setting(name, variables(settings))]
    group = _group(settings, str(location[0])) if len(location) == 1 else None
    if group is None:
        return [f"{name}: {said}"]
    if error["type"] == "missing":  # the group altogether
        required = [name for name, field in group.model_fields.items() if field.is_required()]
        return [f"{_variable(*location, name)}: {said}" for name in required]
    fields = "|".join(group.model_fields)  # a rule about several settings of the group names them as fields
    return [re.sub(rf"\b({fields})\b", lambda field: _variable(*location, field[0]), said)]


def _group(settings: type[ProcessSettings], name: str) -> type[BaseModel] | None:
    """Return the class of a group of settings, or None where the name is a lone setting's or no setting's."""
    field = settings.model_fields.get(name)
    kind = field.annotation if field else None
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _variable(*location: int | str) -> str:
    return f"{ENVIRONMENT_PREFIX}{'_'.join(map(str, location)).upper()}"
