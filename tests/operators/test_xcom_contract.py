"""What every operator and sensor has in common for the author of a DAG: templates, mapping, results, XComs, links."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import pytest
import requests
from structlog.testing import capture_logs

from airflow_provider.exceptions import NotFoundError
from airflow_provider.execution import Execution, ExecutionState
from airflow_provider.links import ExecutionLink
from airflow_provider.operators.base import WaitingOperator
from airflow_provider.operators.cocktail import CocktailCancelBuildOperator, CocktailRunBuildOperator
from airflow_provider.operators.code_stream import (
    CodeStreamApprovalOperator,
    CodeStreamExecutionActionOperator,
    CodeStreamRerunEventOperator,
    CodeStreamRunPipelineOperator,
)
from airflow_provider.operators.quay import QuayPromoteTagOperator, QuayRunBuildOperator
from airflow_provider.operators.service_stage import (
    ServiceStageApprovalOperator,
    ServiceStageReleaseOperator,
    ServiceStageStopReleaseOperator,
)
from airflow_provider.sensors.base import ReleaseSensor
from airflow_provider.sensors.cocktail import CocktailBuildSensor
from airflow_provider.sensors.code_stream import (
    CodeStreamApprovalSensor,
    CodeStreamEventSensor,
    CodeStreamExecutionSensor,
)
from airflow_provider.sensors.quay import QuayBuildSensor, QuaySecurityScanSensor, QuayTagSensor
from airflow_provider.sensors.service_stage import ServiceStageApprovalSensor, ServiceStageReleaseSensor
from tests.support import cocktail_tasks, code_stream_tasks, service_stage_tasks
from tests.support.airflow_runs import TaskRun, run_task
from tests.support.classes import CLASSES, RULES_OF_APPROVALS, needed_with, own_arguments
from tests.support.meanwhile import meanwhile
from tests.support.starters import failed_event
from tests.support.systems import LOGINS, Systems, define_connection
from tests.support.watched import start_image_build

EVERY_CLASS = pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
BOTH_MODES = pytest.mark.parametrize("deferrable", [False, True], ids=["waiting", "deferrable"])
SLOW = 0.05
SWITCHES = {
    *("on_retry", "on_busy", "require_digest", "missing_ok", "start_timeout", "force", "asset", "callback"),
    *RULES_OF_APPROVALS,
}
"""Arguments that are no text, id or mapping: they say how the task behaves."""

UI_URLS = {
    "code_stream": "{sandbox}/_sandbox/executions/code_stream/{id}",
    "service_stage": "{sandbox}/_sandbox/executions/service_stage/{id}?pipeline={pipeline_id}",
    "cocktail": "{sandbox}/_sandbox/executions/cocktail/{id}?build={build_seq}",
}


def arguments_of(cls: type, **arguments: Any) -> dict[str, Any]:
    interval = {"poke_interval": 0.1, "timeout": 10} if issubclass(cls, ReleaseSensor) else {}
    interval = {"poll_interval": 0.1, "timeout": 10} if issubclass(cls, WaitingOperator) else interval
    return {"task_id": "task", **interval, **CLASSES[cls], **needed_with(cls, arguments), **arguments}


def run(cls: type, **arguments: Any) -> TaskRun:
    return run_task(lambda: cls(**arguments_of(cls, **arguments)))


# --- templates


@EVERY_CLASS
def test_every_argument_that_holds_text_ids_or_mappings_is_templated(cls):
    assert own_arguments(cls) - SWITCHES == set(cls.template_fields) - {"ref"}


@EVERY_CLASS
def test_every_template_is_rendered(cls):
    names = own_arguments(cls) - SWITCHES
    task = cls(task_id="task", **(needed_with(cls, names) | dict.fromkeys(names, "{{ ds }}")))
    task.render_template_fields({"ds": "2026-11-21"})
    assert {name: getattr(task, name) for name in names} == dict.fromkeys(names, "2026-11-21")
    if "ref" in cls.template_fields:
        assert "2026-11-21" in task.reference(None).values()
        assert "{{" not in str(task.reference(None))


@EVERY_CLASS
def test_templates_inside_of_mappings_and_lists_are_rendered(cls):
    nested = {name for name, value in CLASSES[cls].items() if isinstance(value, (dict, list))}
    task = cls(**arguments_of(cls, **{name: {"tags": ["{{ ds }}"]} for name in nested}))
    task.render_template_fields({"ds": "2026-11-21"})
    assert {name: getattr(task, name) for name in nested} == {name: {"tags": ["2026-11-21"]} for name in nested}


def test_templates_reach_the_systems(systems):
    systems.reset(speed=100)
    ended = run_task(
        lambda: CodeStreamRunPipelineOperator(
            task_id="deploy",
            pipeline="Deploy {{ params.what }}",
            project="retail",
            inputs={"tag": "{{ params.tag }}"},
            comments="on {{ ds }}",
            code_stream_conn_id="code_stream_{{ params.connection }}",
            params={"what": "shop", "tag": "1.4.2", "connection": "default"},
            poll_interval=0.1,
        )
    )
    assert ended.result["outputs"] == {"deployed": "1.4.2"}
    assert f"on {date.today().year}" in code_stream_tasks.document(ended.result["id"])["comments"]


# --- XComArgs and mapped tasks


def constant(value: Any) -> Any:
    from airflow.sdk import task

    return task(task_id="before")(lambda: value)()


def built() -> Any:
    return CocktailRunBuildOperator(task_id="before", build_seq=12, tag_name="1.4.2", poll_interval=0.1).output


def after(before: Any, task: Any) -> Any:
    before >> task
    return task


FROM_XCOM: dict[str, Callable[[], Any]] = {
    "an operator": lambda: CodeStreamRunPipelineOperator(
        task_id="task", pipeline="Smoke test", project=constant("wholesale"), poll_interval=0.1
    ),
    "inside of a mapping": lambda: CodeStreamRunPipelineOperator(
        task_id="task", pipeline="Deploy shop", project="retail", inputs={"tag": constant("1.4.2")}, poll_interval=0.1
    ),
    "a sensor": lambda: CocktailBuildSensor(task_id="task", build_run_seq=built()["id"], poke_interval=0.1),
    "a deferrable sensor": lambda: CocktailBuildSensor(
        task_id="task", build_run_seq=built()["id"], poke_interval=0.1, deferrable=True
    ),
    "a part of a result": lambda: after(
        built(),
        QuaySecurityScanSensor(
            task_id="task",
            repository="acme/shop",
            digest="{{ ti.xcom_pull(task_ids='before')['outputs']['digest'] }}",
            poke_interval=0.1,
        ),
    ),
    "the connection": lambda: QuayPromoteTagOperator(
        task_id="task",
        repository="acme/shop",
        tag="production",
        source_tag="stable",
        quay_conn_id=constant("quay_default"),
    ),
}


@pytest.mark.parametrize("build", FROM_XCOM.values(), ids=FROM_XCOM)
def test_an_argument_may_be_the_result_of_another_task(systems, build):
    systems.reset(speed=100)
    ended = run_task(build)
    assert ended.error is None
    assert ended.result["state"] == "succeeded"


@EVERY_CLASS
def test_a_task_may_be_mapped_over_any_of_its_arguments(cls):
    from airflow.sdk import DAG
    from airflow.serialization.serialized_objects import DagSerialization

    arguments = arguments_of(cls)
    task_id = arguments.pop("task_id")
    for name, value in CLASSES[cls].items():
        others = {other: given for other, given in arguments.items() if other != name}
        with DAG("mapped", schedule=None) as dag:
            cls.partial(task_id=task_id, **others).expand(**{name: [value, value]})
        restored = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag)).get_task(task_id)
        assert restored.template_fields == list(cls.template_fields) or restored.template_fields == cls.template_fields


MAPPED = {
    "a deferrable operator": (
        lambda: CodeStreamRunPipelineOperator.partial(
            task_id="task", pipeline="Deploy shop", project="retail", poll_interval=0.1, deferrable=True
        ).expand(inputs=[{"tag": "1.4.1"}, {"tag": "1.4.2"}]),
        lambda result: result["outputs"]["deployed"],
        ["1.4.1", "1.4.2"],
    ),
    "a sensor": (
        lambda: QuayTagSensor.partial(task_id="task", repository="acme/shop").expand(tag=["stable", "vulnerable"]),
        lambda result: result["id"],
        ["stable", "vulnerable"],
    ),
    "a promotion": (
        lambda: QuayPromoteTagOperator.partial(task_id="task", repository="acme/shop", source_tag="stable").expand(
            tag=["production", "staging"]
        ),
        lambda result: result["outputs"]["tag"],
        ["production", "staging"],
    ),
}


@pytest.mark.parametrize(("build", "read", "expected"), MAPPED.values(), ids=MAPPED)
@pytest.mark.parametrize("map_index", [0, 1])
def test_every_task_of_a_mapped_one_gets_its_own_argument(systems, build, read, expected, map_index):
    systems.reset(speed=100)
    ended = run_task(build, map_index=map_index)
    assert ended.error is None
    assert read(ended.result) == expected[map_index]
    assert ended.xcoms["id"] == ended.result["id"]


# --- results

KEYS = set(Execution({"system": "", "kind": "", "id": ""}, ExecutionState.QUEUED, "").to_result())

PREPARED: dict[type, Callable[[Systems], dict[str, Any]]] = {
    CodeStreamRunPipelineOperator: lambda systems: {},
    CodeStreamRerunEventOperator: lambda systems: {"event_id": failed_event(systems)},
    CodeStreamExecutionActionOperator: lambda systems: {"execution_id": code_stream_tasks.start_until_it_asks(systems)},
    CodeStreamApprovalOperator: lambda systems: {"execution_id": code_stream_tasks.start_until_it_asks(systems)},
    CodeStreamExecutionSensor: lambda systems: {"execution_id": code_stream_tasks.start()},
    CodeStreamEventSensor: lambda systems: {"filters": {"pipeline": "Always fails"}, "since": "2020-01-01T00:00:00Z"},
    CodeStreamApprovalSensor: lambda systems: {"execution_id": code_stream_tasks.start_until_it_asks(systems)},
    ServiceStageReleaseOperator: lambda systems: {},
    ServiceStageStopReleaseOperator: lambda systems: {"pipeline": "shop-release-approval", **asked(systems)},
    ServiceStageApprovalOperator: lambda systems: {"pipeline": "shop-release-approval", **asked(systems)},
    ServiceStageReleaseSensor: lambda systems: {"execution_id": service_stage_tasks.start()},
    ServiceStageApprovalSensor: lambda systems: {"pipeline": "shop-release-approval", **asked(systems)},
    CocktailRunBuildOperator: lambda systems: {},
    CocktailCancelBuildOperator: lambda systems: {"build_run_seq": cocktail_tasks.start()},
    CocktailBuildSensor: lambda systems: {"build_run_seq": cocktail_tasks.start()},
    QuayRunBuildOperator: lambda systems: {},
    QuayPromoteTagOperator: lambda systems: {},
    QuayBuildSensor: lambda systems: {"build_id": start_image_build()},
    QuayTagSensor: lambda systems: {},
    QuaySecurityScanSensor: lambda systems: {},
}
"""Every class that returns an execution or what a sensor found, with what must be there before."""


def asked(systems: Systems) -> dict[str, Any]:
    service_stage_tasks.start_until_it_asks(systems)
    return {}


def link_to_pages(systems: Systems) -> None:
    """Connections whose links lead to pages of the sandbox."""
    for system, template in UI_URLS.items():
        login = LOGINS[system]
        extra = {**login.get("extra", {}), "ui_url": template.replace("{sandbox}", systems.url)}
        fields = {**login, "extra": extra, "host": f"{systems.url}/{system}"}
        define_connection(f"{system}_default", conn_type=system, **fields)


@pytest.mark.parametrize(
    ("cls", "deferrable"),
    [
        (cls, deferrable)
        for cls in PREPARED
        for deferrable in ([False, True] if issubclass(cls, (WaitingOperator, ReleaseSensor)) else [False])
    ],
    ids=lambda it: getattr(it, "__name__", it),
)
def test_the_result_is_the_same_object_everywhere_and_its_id_and_url_are_pushed(systems, cls, deferrable):
    systems.reset(speed=60)
    link_to_pages(systems)
    mode = {"deferrable": deferrable} if issubclass(cls, (WaitingOperator, ReleaseSensor)) else {}
    ended = run(cls, **PREPARED[cls](systems), **mode)
    assert ended.error is None
    assert set(ended.result) == KEYS
    assert json.loads(json.dumps(ended.result)) == ended.result
    assert ended.result["system"] == cls.system == ended.result["ref"]["system"]
    assert ended.xcoms["id"] == ended.result["id"] != ""
    assert ended.xcoms["url"] == ended.result["url"]
    assert ended.result["url"].startswith(systems.url)
    if "/_sandbox/" in ended.result["url"]:
        page = requests.get(ended.result["url"], timeout=60)
        assert page.ok
        assert "{" not in ended.result["url"]


@pytest.mark.parametrize("cls", PREPARED, ids=lambda cls: cls.__name__)
@BOTH_MODES
def test_no_xcom_repeats_another_and_what_is_internal_is_named_so(systems, cls, deferrable):
    systems.reset(speed=60)
    mode = {"deferrable": deferrable} if issubclass(cls, (WaitingOperator, ReleaseSensor)) else {}
    ended = run(cls, **PREPARED[cls](systems), **mode)
    assert ended.error is None
    assert {key for key in ended.xcoms if not key.startswith("_")} == {"return_value", "id", "url"}
    assert not any(key.startswith("_link") for key in ended.xcoms)


@pytest.mark.parametrize("system", ["service_stage", "cocktail"])
def test_a_system_without_a_known_page_has_no_link(systems, system):
    systems.reset(speed=60)
    cls = {"service_stage": ServiceStageReleaseOperator, "cocktail": CocktailRunBuildOperator}[system]
    ended = run(cls)
    assert (ended.result["url"], ended.xcoms["url"]) == (None, "")


@pytest.mark.parametrize(
    ("cls", "arguments"),
    [(CocktailRunBuildOperator, {"build_seq": 999}), (QuayBuildSensor, {"build_id": "0" * 8})],
    ids=["operator", "sensor"],
)
def test_a_task_that_fails_before_anything_has_a_link_puts_no_error_of_airflow_into_the_log(systems, cls, arguments):
    with capture_logs() as events:
        ended = run(cls, **arguments)
    assert isinstance(ended.error, NotFoundError)
    assert ended.xcoms == {"url": ""}
    assert [each["event"] for each in events if each["log_level"] == "error" and "XCom" in each["event"]] == []


# --- what is pushed before the wait

DONE = {"code_stream": "COMPLETED", "service_stage": "2", "cocktail": "DONE", "quay": "complete"}
WAITERS: dict[type, Callable[[], dict[str, Any]]] = {
    CodeStreamRunPipelineOperator: dict,
    ServiceStageReleaseOperator: dict,
    CocktailRunBuildOperator: dict,
    QuayRunBuildOperator: dict,
    CodeStreamExecutionSensor: lambda: {"execution_id": code_stream_tasks.start()},
    ServiceStageReleaseSensor: lambda: {"execution_id": service_stage_tasks.start()},
    CocktailBuildSensor: lambda: {"build_run_seq": cocktail_tasks.start()},
    QuayBuildSensor: lambda: {"build_id": start_image_build()},
}


def pushed(execution_id: str, since: datetime) -> dict[str, Any]:
    """What a task has pushed since then that also pushed this id."""
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session

    with create_session() as session:
        rows = session.query(XComModel).filter(XComModel.timestamp >= since).all()
        found = {row.key: row.value for row in rows}
        return found if found.get("id") == execution_id else {}


@pytest.mark.parametrize("cls", WAITERS, ids=lambda cls: cls.__name__)
@BOTH_MODES
def test_id_url_and_link_are_there_while_the_task_still_waits(systems, cls, deferrable):
    systems.reset(speed=SLOW)
    link_to_pages(systems)
    before = {each["id"] for each in systems.executions(cls.system)}
    arguments = WAITERS[cls]()
    began = datetime.now(UTC)
    seen: dict[str, Any] = {}

    def end_it_once_it_is_shown() -> bool:
        for execution in systems.executions(cls.system):
            found = pushed(execution["id"], began) if execution["id"] not in before else {}
            if "url" in found:
                seen.update(found)
                systems.force(cls.system, execution["id"], DONE[cls.system])
                return True
        return False

    with meanwhile(end_it_once_it_is_shown):
        ended = run(cls, **arguments, deferrable=deferrable)
    assert ended.error is None
    assert seen["id"] == ended.result["id"]
    assert ExecutionLink.xcom_key == "url"
    assert seen["url"] == ended.result["url"]
