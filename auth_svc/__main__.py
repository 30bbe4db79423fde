"""`python -m auth_svc`: settings from the environment, then serve until a signal."""

from __future__ import annotations

import sys

from pydantic import BaseModel, ValidationError
from pydantic_settings import SettingsError

from auth_svc.app import build
from auth_svc.settings import AuthSettings
from auth_svc.telemetry import log_context
from runtime.server import REFUSED, run
from runtime.settings import ENVIRONMENT_PREFIX
from runtime.telemetry import setup


def main() -> int:
    """Serves, and returns the exit status."""
    try:
        settings = AuthSettings()  # type: ignore[call-arg]  # pydantic reads the environment
    except (ValidationError, SettingsError) as error:
        sys.stderr.write(f"auth_svc refuses to start; correct these settings:\n{_wrong_settings(error)}\n")
        return REFUSED
    telemetry = setup(settings.telemetry, "auth_svc", log_context)
    return run(lambda _server: build(settings, telemetry), settings.server, telemetry)


def _wrong_settings(error: ValidationError | SettingsError) -> str:
    """One line per setting, by its name in the environment and without its value."""
    if isinstance(error, SettingsError):
        return f"  {error}"
    errors = error.errors(include_url=False, include_input=False, include_context=False)
    return "\n".join(f"  {name}: {each['msg']}" for each in errors for name in _names(each["loc"]))


def _names(location: tuple[int | str, ...]) -> list[str]:
    """The variables that the error is about: of a group that is missing altogether, those it can't do without."""
    fields = [location]
    if len(location) == 1:
        group = AuthSettings.model_fields[str(location[0])].annotation
        if isinstance(group, type) and issubclass(group, BaseModel):
            fields = [(*location, name) for name, field in group.model_fields.items() if field.is_required()]
    return [f"{ENVIRONMENT_PREFIX}{'_'.join(map(str, field)).upper()}" for field in fields]


if __name__ == "__main__":
    sys.exit(main())
