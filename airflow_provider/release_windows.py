"""Reads release windows: from the arguments, or from one place for many DAGs (an Airflow Variable or a file)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from airflow_provider.core.release_window import ReleaseCalendar, plain
from airflow_provider.exceptions import ConnectionConfigError
from airflow_provider.identifiers import windows_problem


class WindowSource:
    """The arguments that a sensor, a trigger and a timetable share.

    :param windows: the windows; or ``variable:<name>`` or ``file:<path>`` of a JSON or YAML object that holds
        ``windows`` and optionally ``timezone`` and ``freezes``. Read again at each call.
    :param timezone: IANA name; default: that of the object, or UTC.
    :param freezes: in addition to those of the object.
    :param environment: freezes that name environments apply only if they name this one.
    """

    def __init__(
        self,
        windows: Sequence[Mapping[str, Any]] | str,
        timezone: str | None = None,
        freezes: Sequence[Mapping[str, Any]] | None = None,
        environment: str | None = None,
    ) -> None:
        self.windows = windows
        self.timezone = timezone
        self.freezes = freezes
        self.environment = environment

    @property
    def is_elsewhere(self) -> bool:
        """Whether the windows may change without a change of the DAG."""
        return isinstance(self.windows, str)

    def read(self) -> ReleaseCalendar:
        """The current windows.

        :raises BadRequestError: a field is wrong.
        :raises ConnectionConfigError: the object cannot be read.
        """
        kept: Mapping[str, Any] = {"windows": self.windows}
        if isinstance(self.windows, str):
            kept = _read(self.windows)
        timezone = self.timezone or kept.get("timezone") or "UTC"
        freezes = kept.get("freezes") or ()
        if isinstance(freezes, (list, tuple)):
            freezes = [*freezes, *(self.freezes or ())]
        return ReleaseCalendar(kept["windows"], timezone, freezes, self.environment)

    def to_json(self) -> dict[str, Any]:
        return {name: plain(value) for name, value in vars(self).items()}


def _read(source: str) -> Mapping[str, Any]:
    if problem := windows_problem(source):
        raise ConnectionConfigError(f"windows {problem}")
    kind, _, name = source.partition(":")
    kept = _variable(name) if kind == "variable" else _file(name)
    if not isinstance(kept, Mapping) or "windows" not in kept:
        raise ConnectionConfigError(f"{source} must contain an object with windows, timezone and freezes")
    if unknown := sorted(map(str, kept.keys() - {"windows", "timezone", "freezes"})):
        raise ConnectionConfigError(f"{source} must have only windows, timezone and freezes, got {', '.join(unknown)}")
    return kept


def _variable(name: str) -> Any:
    from airflow.sdk import Variable
    from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType

    try:
        # Not decoded by Airflow, which would report invalid JSON as a missing variable.
        text = Variable.get(name)
    except (AirflowRuntimeError, PermissionError) as error:
        # Airflow says that there is none also if it could not ask: while a sensor sleeps, this is no end.
        reason = str(error)
        if isinstance(error, AirflowRuntimeError) and error.error.error == ErrorType.VARIABLE_NOT_FOUND:
            reason = f"Variable {name!r} does not exist; create it under Admin, Variables"
        raise ConnectionConfigError(f"could not read variable:{name}: {reason}") from None
    try:
        return json.loads(text)
    except ValueError:
        raise ConnectionConfigError(f"variable:{name} must contain JSON") from None


def _file(path: str) -> Any:
    import yaml

    try:
        return yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        # Scheduler, triggerer and worker may run in different directories.
        where = "" if Path(path).is_absolute() else f"; a relative path starts in {Path.cwd()} here"
        raise ConnectionConfigError(f"could not read file:{path}: {error.strerror}{where}") from None
    except UnicodeDecodeError:
        raise ConnectionConfigError(f"file:{path} must contain JSON or YAML in UTF-8") from None
    except yaml.YAMLError as error:
        raise ConnectionConfigError(f"file:{path} must contain JSON or YAML: {error}") from None
