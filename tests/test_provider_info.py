"""What Airflow discovers of this package agrees with Airflow's schemas, with the code and with the hooks."""

from __future__ import annotations

import importlib
import json
import logging
import pkgutil
import warnings
from collections.abc import Iterator
from importlib.metadata import distribution, entry_points
from pathlib import Path
from typing import Any

import airflow
import jsonschema
import pytest
from airflow.providers_manager import ProvidersManager

from airflow_provider.hooks.base import ReleaseHook, hook_class
from airflow_provider.links import LINKS
from airflow_provider.provider_info import get_provider_info

INFO = get_provider_info()
TYPES: dict[str, dict[str, Any]] = {each["connection-type"]: each for each in INFO["connection-types"]}
SYSTEMS = ["code_stream", "service_stage", "cocktail", "quay"]
KINDS = ["hooks", "operators", "sensors", "triggers"]
STANDARD_FIELDS = {"description", "host", "login", "password", "port", "schema", "extra"}


def schema(name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((Path(airflow.__file__).parent / name).read_text())
    return read


def listed_modules(kind: str) -> Iterator[str]:
    for each in INFO[kind]:
        yield from each["python-modules"]


@pytest.fixture(scope="module")
def providers() -> ProvidersManager:
    manager = ProvidersManager()
    manager.initialize_providers_hooks()
    manager.initialize_providers_extra_links()
    return manager


def test_airflow_accepts_the_information() -> None:
    described = schema("provider_info.schema.json")
    jsonschema.validate(INFO, described)
    # Airflow ignores what it does not know: a misspelt section would be lost without a word.
    assert set(INFO) <= set(described["properties"])


def test_the_connection_types_fit_the_stricter_schema_of_airflows_own_providers() -> None:
    jsonschema.validate(INFO["connection-types"], schema("provider.yaml.schema.json")["properties"]["connection-types"])


def test_the_package_is_named_as_its_distribution_or_no_provider_of_anybody_would_load() -> None:
    assert distribution(INFO["package-name"]).metadata["Name"] == INFO["package-name"]
    found = [each for each in entry_points(group="apache_airflow_provider") if each.dist.name == INFO["package-name"]]  # type: ignore[union-attr]
    assert [each.load() for each in found] == [get_provider_info]


@pytest.mark.parametrize("kind", KINDS)
def test_every_module_named_there_imports_and_every_public_one_is_named(kind: str) -> None:
    for name in listed_modules(kind):
        importlib.import_module(name)
    package = importlib.import_module(f"airflow_provider.{kind}")
    public = {
        f"{package.__name__}.{each.name}"
        for each in pkgutil.iter_modules(package.__path__)
        if each.name in {*SYSTEMS, "release_window"}
    }
    assert public <= set(listed_modules(kind))


@pytest.mark.parametrize("kind", KINDS)
def test_modules_belong_to_an_integration_that_is_named(kind: str) -> None:
    assert {each["integration-name"] for each in INFO[kind]} <= {
        each["integration-name"] for each in INFO["integrations"]
    }


def test_airflow_lists_the_four_connection_types_without_a_warning(
    providers: ProvidersManager, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        hooks = {name: providers.hooks[name] for name in SYSTEMS}
    for system, hook in hooks.items():
        assert hook is not None
        assert hook.hook_class_name == TYPES[system]["hook-class-name"]
        assert hook.hook_name == TYPES[system]["hook-name"]
        assert hook.package_name == INFO["package-name"]
        assert hook.connection_testable
    assert "airflow_provider" not in caplog.text
    assert INFO["package-name"] not in caplog.text


@pytest.mark.parametrize("system", SYSTEMS)
def test_airflow_shows_the_form_of_each_type(providers: ProvidersManager, system: str) -> None:
    fields = {
        widget.field_name: widget
        # As Airflow's own page reads it.
        for name, widget in providers._connection_form_widgets.items()  # noqa: SLF001
        if name.startswith(f"extra__{system}__")
    }
    assert set(fields) == set(TYPES[system]["conn-fields"])
    secret = {name for name, widget in fields.items() if widget.is_sensitive}
    assert secret == {name for name in fields if name.endswith("_token")}
    assert system in providers._field_behaviours  # noqa: SLF001


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_form_changes_only_fields_that_airflow_has(system: str) -> None:
    behaviour = TYPES[system]["ui-field-behaviour"]
    assert set(behaviour["hidden-fields"]) < STANDARD_FIELDS
    assert {*behaviour["relabeling"], *behaviour["placeholders"]} <= STANDARD_FIELDS | set(TYPES[system]["conn-fields"])
    assert not set(behaviour["hidden-fields"]) & {*behaviour["relabeling"], *behaviour["placeholders"]}


def test_airflow_knows_the_links(providers: ProvidersManager) -> None:
    links = {f"{type(link).__module__}.{type(link).__qualname__}" for link in LINKS.values()}
    assert links <= set(providers.extra_links_class_names)
    assert links == set(INFO["extra-links"])


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_hook_is_what_its_connection_type_says(system: str) -> None:
    hook: type[ReleaseHook[Any]] = hook_class(system)
    assert f"{hook.__module__}.{hook.__qualname__}" == TYPES[system]["hook-class-name"]
    assert (hook.system, hook.conn_type, hook.hook_name) == (system, system, TYPES[system]["hook-name"])
    assert (hook.conn_name_attr, hook.default_conn_name) == (f"{system}_conn_id", f"{system}_default")
    assert hook().conn_id == f"{system}_default"
    assert hook(**{f"{system}_conn_id": "mine"}).conn_id == "mine"


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_form_offers_exactly_the_extras_that_the_hook_reads(system: str) -> None:
    assert set(TYPES[system]["conn-fields"]) == set(hook_class(system).extras_class.model_fields)


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_form_shows_the_defaults_of_the_hook(system: str) -> None:
    for name, field in hook_class(system).extras_class.model_fields.items():
        form = TYPES[system]["conn-fields"][name]
        description = form.get("description", "")
        default = field.get_default(call_default_factory=True)
        if default is True:
            assert "true (default)" in description
        elif default not in (None, {}):
            shown = f"{default:g}" if isinstance(default, float) else default
            assert f"default {shown}" in description or f"{shown} (default)" in description, name


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_value_that_the_form_can_hold_has_a_form_that_the_hook_reads(system: str) -> None:
    values = {"number": 1.5, "integer": 3, "json": "{}", "url": "https://example.com"}
    special = {"ui_url": "{base}/{id}", "verify": "false"}
    for name, form in TYPES[system]["conn-fields"].items():
        kind, shape = form["schema"]["type"][0], form["schema"].get("format", "")
        options = form["schema"].get("enum") or [special.get(name, values.get(shape, values.get(kind, "some-text")))]
        for value in options:
            extras = hook_class(system).extras_class.model_validate({name: value})
            assert name in extras.model_fields_set
