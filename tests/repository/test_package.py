"""What the wheel promises to those without a checkout; `make package` builds and checks it with the index's tools."""

from __future__ import annotations

import importlib.metadata
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG
from structlog.testing import capture_logs

import airflow_provider
from airflow_provider.exceptions import AuthenticationError, ExecutionFailed, ServerUnavailableError, ThrottledError
from airflow_provider.provider_info import get_provider_info
from airflow_provider.retry_policy import RETRY_POLICY

ROOT = Path(__file__).parents[2]
PACKAGE = Path(airflow_provider.__file__).parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXAMPLES = sorted(path.stem for path in (PACKAGE / "example_dags").glob("[!_]*.py"))


def index_page() -> str:
    """The README as a package index receives it."""
    text = (ROOT / "README.md").read_text()
    for each in PROJECT["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]["substitutions"]:
        text = re.sub(each["pattern"], each["replacement"], text, flags=re.MULTILINE)
    return text


def test_an_index_shows_no_link_and_no_picture_that_leads_nowhere() -> None:
    assert "](docs/" in (ROOT / "README.md").read_text()
    assert re.findall(r"\]\((?!https?://)[^)]*\)", index_page()) == []


def test_an_index_shows_the_words_of_what_was_a_link_and_all_code() -> None:
    readme = (ROOT / "README.md").read_text()
    for words in re.findall(r"(?<!!)\[([^\]]+)\]\((?!https?://)[^)]*\)", readme):
        assert words in index_page()
    fenced = r"^```\w+\n.*?^```"
    assert re.findall(fenced, index_page(), re.MULTILINE | re.DOTALL) == re.findall(
        fenced, readme, re.MULTILINE | re.DOTALL
    )


def test_every_python_that_installs_it_is_named() -> None:
    first, last = map(int, re.findall(r"3\.(\d+)", PROJECT["project"]["requires-python"]))
    named = {f"Programming Language :: Python :: 3.{minor}" for minor in range(first, last)}
    assert named <= set(PROJECT["project"]["classifiers"])


def test_the_version_stands_once_in_the_package() -> None:
    assert "version" in PROJECT["project"]["dynamic"]
    assert importlib.metadata.version(PROJECT["project"]["name"]) == airflow_provider.__version__


def test_what_the_sandbox_imports_has_an_extra_and_comes_with_airflow_too() -> None:
    """So that the README's `pip install` without an extra is enough to try the sandbox; its fixtures need pytest."""
    extra = {re.split(r"[>=<]", each)[0] for each in PROJECT["project"]["optional-dependencies"]["sandbox"]}
    extra.remove("pytest")
    brought = required_by("apache-airflow-core") | required_by("jinja2")
    assert extra
    assert extra <= brought


def required_by(package: str) -> set[str]:
    return {re.split(r"[^\w-]", each)[0].lower() for each in importlib.metadata.requires(package) or ()}


def test_type_checkers_find_the_types() -> None:
    assert (PACKAGE / "py.typed").exists()


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_dag_can_be_imported_without_a_checkout(name: str) -> None:
    module = importlib.import_module(f"airflow_provider.example_dags.{name}")
    assert module.__doc__
    (dag,) = [value for value in vars(module).values() if isinstance(value, DAG)] or [getattr(module, name)()]
    assert dag.dag_id == name


def test_airflow_finds_the_example_dags_and_logs_no_error(caplog: pytest.LogCaptureFixture) -> None:
    """As it searches for them at each start while ``[core] load_examples`` is on."""
    from airflow.dag_processing.bundles.manager import _add_provider_example_dags_to_bundle

    found: list[Any] = []
    with caplog.at_level("ERROR"), capture_logs() as events:
        _add_provider_example_dags_to_bundle(found)
    folders = {each.name: Path(each.kwargs["path"]) for each in found}
    assert folders[f"{PROJECT['project']['name']}-example-dags"].resolve() == (PACKAGE / "example_dags").resolve()
    assert [each for each in events if "release_pipelines" in str(each)] == []
    assert "release_pipelines" not in caplog.text


IN_A_CHECKOUT = ("docker/README.md", "tests/simulation/GUARDS.md", "tests/simulation/TRANSITIONS.md")


def test_pip_installs_each_page_that_the_readme_links() -> None:
    """There is no website that could show them. `make first-hour` checks them where the wheel was installed."""
    installed = set(PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["shared-data"])
    pages = set(re.findall(r"\]\(([\w/]+\.md)[)#]", (ROOT / "README.md").read_text())) - set(IN_A_CHECKOUT)
    assert {page.split("/")[0] for page in pages} <= installed
    sdist = PROJECT["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    assert {f"/{each}" for each in installed} <= set(sdist)


def test_the_example_dags_stand_once() -> None:
    assert (ROOT / "dags").resolve() == PACKAGE / "example_dags"
    assert EXAMPLES == [
        "freeze",
        "nightly_release",
        "on_image_push",
        "registry_webhooks",
        "release_train",
        "rerun_failed_events",
    ]


@pytest.mark.parametrize(
    ("error", "is_tried_again"),
    [(ServerUnavailableError, True), (ThrottledError, True), (AuthenticationError, False), (ExecutionFailed, False)],
)
def test_the_retry_policy_tries_again_what_may_pass(error: type[Exception], is_tried_again: bool) -> None:
    decision = RETRY_POLICY.evaluate(error("told"), 1, 3)
    assert (decision.action.value != "fail") is is_tried_again


def test_registries_find_the_metadata_where_airflows_own_providers_have_it() -> None:
    assert importlib.import_module("airflow_provider.get_provider_info").get_provider_info() == get_provider_info()


def test_every_guide_and_logo_that_the_metadata_names_is_there() -> None:
    for each in get_provider_info()["integrations"]:
        assert each["integration-name"]
        for guide in each.get("how-to-guide", ()):
            assert (ROOT / guide.lstrip("/")).exists(), guide
        if logo := each.get("logo"):
            assert (PACKAGE / logo.lstrip("/")).read_text().startswith("<svg ")
    assert sum("logo" in each for each in get_provider_info()["integrations"]) == 4
