"""Switches: how a system behaves where its documentation is unclear. They can be changed at any time."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any


class Switches(dict[str, Any]):
    """The switches of one system with their current values; ``version`` increases with each change.

    :param system: its name, for errors
    :param choices: the values that a switch may have, unless it may have all of its type
    :param check: an additional check of name and value; raises ValueError
    """

    def __init__(
        self,
        system: str,
        defaults: Mapping[str, Any],
        choices: Mapping[str, tuple[Any, ...]],
        check: Callable[[str, Any], None] | None = None,
    ) -> None:
        super().__init__(copy.deepcopy(dict(defaults)))
        self.version = 0
        self._system = system
        self._defaults = defaults
        self._choices = choices
        self._check = check

    def change(self, values: Mapping[str, Any]) -> None:
        """Changes all of them or none.

        :raises ValueError: names the switch that is unknown or has a wrong value
        """
        for name, value in values.items():
            self._refuse_wrong(name, value)
        self.update(values)
        self.version += 1

    def reset(self) -> None:
        self.update(copy.deepcopy(dict(self._defaults)))
        self.version += 1

    def _refuse_wrong(self, name: str, value: Any) -> None:
        if name not in self._defaults:
            raise ValueError(
                f"{self._system} has no switch {name!r}; it has {', '.join(sorted(self._defaults)) or 'none'}"
            )
        if name in self._choices:
            if value not in self._choices[name]:
                raise ValueError(
                    f"switch {name!r} of {self._system} must be one of {list(self._choices[name])}, got {value!r}"
                )
        elif not _fits(self._defaults[name], value):
            kind = type(self._defaults[name]).__name__
            raise ValueError(f"switch {name!r} of {self._system} must be of type {kind}, got {value!r}")
        if self._check:
            self._check(name, value)


def _fits(default: Any, value: Any) -> bool:
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(default, bool) and isinstance(value, bool)
    if isinstance(default, (int, float)):
        return isinstance(value, (int, float))
    return default is None or value is None or isinstance(value, type(default))
