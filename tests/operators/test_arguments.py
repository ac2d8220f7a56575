"""Arguments that bound nothing, or were changed by rendering, are refused by every operator and sensor."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import pytest
from jinja2 import ChainableUndefined, StrictUndefined, Undefined, UndefinedError

from airflow_provider.exceptions import BadRequestError
from airflow_provider.operators.base import ReleaseOperator, WaitingOperator
from airflow_provider.operators.cocktail import CocktailRunBuildOperator
from airflow_provider.operators.code_stream import CodeStreamRerunEventOperator, CodeStreamRunPipelineOperator
from airflow_provider.operators.quay import QuayRunBuildOperator
from airflow_provider.operators.service_stage import ServiceStageReleaseOperator
from airflow_provider.sensors.base import ReleaseSensor
from airflow_provider.sensors.cocktail import CocktailBuildSensor
from airflow_provider.sensors.release_window import ReleaseWindowSensor
from tests.support.airflow_runs import run_task
from tests.support.classes import CLASSES, RULES_OF_APPROVALS, needed_with, own_arguments
from tests.support.systems import LOGINS

WAITING = [cls for cls in CLASSES if issubclass(cls, WaitingOperator)]
SENSORS = [cls for cls in CLASSES if issubclass(cls, ReleaseSensor)]
NO_BOUNDS = [
    math.inf, -math.inf, math.nan, -1, -0.5, 1e12, 10**400, True, False, "600", [5], timedelta.max, timedelta(days=-1)
]  # fmt: skip
EVERY_CLASS = pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
SWITCHES = {"on_retry", "on_busy", "require_digest", "missing_ok", "start_timeout", "force", "callback", "asset"}
SWITCHES |= RULES_OF_APPROVALS
"""Arguments that are no text."""
TEXTS = {"pipeline", "project", "comments", "event_id", "change_id", "trigger", "execution_id", "user_operation_id"}
TEXTS |= {"message", "reason", "task_name", "description", "callback_url", "repository", "archive_url", "subdirectory"}
TEXTS |= {"dockerfile_path", "tag", "source_tag", "digest", "uuid", "title", "kept_by", "build_id"}
"""Arguments that are nothing but text."""


def refused(cls: type, **arguments: Any) -> str:
    with pytest.raises(BadRequestError) as error:
        cls(task_id="task", **{**CLASSES[cls], **needed_with(cls, arguments), **arguments})
    return str(error.value)


@pytest.mark.parametrize("cls", WAITING, ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("name", ["timeout", "poll_interval"])
def test_a_duration_that_bounds_nothing_is_refused_by_every_operator(cls, name):
    for value in [*NO_BOUNDS, 0, 0.0, timedelta(0)]:
        assert f"'task': {name} must be" in refused(cls, **{name: value})


@pytest.mark.parametrize("cls", SENSORS, ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("name", ["timeout", "poke_interval", "max_wait"])
def test_a_duration_that_bounds_nothing_is_refused_by_every_sensor(cls, name):
    for value in [*NO_BOUNDS, *([] if name == "timeout" else [0, timedelta(0)])]:
        assert f"'task': {name} must be" in refused(cls, **{name: value})


@pytest.mark.parametrize("name", ["timeout", "poke_interval"])
def test_a_duration_that_bounds_nothing_is_refused_by_a_release_window(name):
    for value in NO_BOUNDS:
        with pytest.raises(BadRequestError, match=f"{name} must be"):
            ReleaseWindowSensor(task_id="task", windows=[], **{name: value})


def test_a_limit_of_a_start_that_bounds_nothing_is_refused():
    for value in [*NO_BOUNDS, 0]:
        assert "start_timeout must be" in refused(CodeStreamRerunEventOperator, start_timeout=value)


@pytest.mark.parametrize("value", [0.5, 600, timedelta(minutes=5), timedelta(days=3650)])
def test_durations_may_be_given_as_seconds_or_timedelta(value):
    for cls, name in [(cls, "timeout") for cls in (*WAITING, *SENSORS)] + [(cls, "max_wait") for cls in SENSORS]:
        cls(task_id="task", **CLASSES[cls], **needed_with(cls, [name]), **{name: value})


# --- text stays text


def rendered(
    cls: type,
    values: dict[str, Any],
    *,
    native: bool = True,
    undefined: type[Undefined] = StrictUndefined,
    **arguments: Any,
) -> ReleaseOperator:
    """The operator after Airflow has rendered its arguments.

    :param undefined: what a name is that nobody has defined; as Airflow has it, an error.
    """
    from airflow.sdk import DAG

    with DAG("dag", schedule=None, render_template_as_native_obj=native, template_undefined=undefined) as dag:
        task = cls(task_id="task", **{**CLASSES[cls], **needed_with(cls, arguments), **arguments})
    task.render_template_fields(values, dag.get_template_env())
    return task


def is_a_changed_text(task: ReleaseOperator) -> bool:
    """Whether an argument is refused because rendering has changed it; that comes before all other problems."""
    try:
        task.check_arguments()
    except BadRequestError as error:
        return "{{ ... " in str(error) or "came out as" in str(error)
    return False


def problem_of(task: ReleaseOperator) -> str:
    with pytest.raises(BadRequestError) as error:
        task.check_arguments()
    return str(error.value)


@EVERY_CLASS
@pytest.mark.parametrize("text", ["1.10", "1_000", "None"])
def test_a_text_that_rendering_would_change_is_refused_by_every_operator_and_sensor(cls, text):
    for name in sorted(own_arguments(cls) - SWITCHES):
        said = problem_of(rendered(cls, {"text": text}, **{name: "{{ text }}"}))
        assert f"'task': {name} " in said
        assert "{{ ... " in said


@EVERY_CLASS
def test_a_text_that_is_written_as_the_error_says_stays_what_it_is(cls):
    for name in sorted(own_arguments(cls) - SWITCHES):
        for text in ("1.10", "1e5", "0x10", "007"):
            for template in ("{{ text | tojson }}", "'{{ text }}'"):
                task = rendered(cls, {"text": text}, **{name: template})
                assert (getattr(task, name), is_a_changed_text(task)) == (text, False)


@EVERY_CLASS
@pytest.mark.parametrize("native", [True, False])
def test_a_missing_xcom_is_refused_and_not_taken_for_a_text(cls, native):
    for name in sorted(own_arguments(cls) - SWITCHES):
        said = problem_of(rendered(cls, {"missing": None}, native=native, **{name: "{{ missing }}"}))
        assert f"{name} must not be None" in said


@pytest.mark.parametrize("native", [True, False])
def test_a_missing_xcom_within_a_text_is_refused_too(native):
    for value in ("shop-{{ missing }}", "{{ missing }}-rc", "{{ missing }}{{ given }}"):
        values = {"missing": None, "given": "1"}
        task = rendered(CocktailRunBuildOperator, values, native=native, tag_name=value)
        assert "tag_name must not contain None" in problem_of(task)
        task = rendered(QuayRunBuildOperator, values, native=native, tags=["1", value])
        assert "tags must not contain None" in problem_of(task)


@EVERY_CLASS
@pytest.mark.parametrize("native", [True, False])
def test_what_nobody_has_defined_is_refused_however_a_dag_takes_it(cls, native):
    for name in sorted(own_arguments(cls) - SWITCHES):
        for value in ("{{ missing }}", "shop-{{ missing }}", "{{ missing.of.it }}{{ given }}"):
            with pytest.raises(UndefinedError):
                rendered(cls, {"given": "1"}, native=native, **{name: value})
            task = rendered(cls, {"given": "1"}, native=native, undefined=ChainableUndefined, **{name: value})
            assert f"{name} must not contain what is undefined" in problem_of(task)


def test_what_may_be_undefined_may_be_left_out():
    for value in ("shop-{{ missing or '' }}", "shop-{{ missing | default('1') }}", "shop{% if missing %}-1{% endif %}"):
        task = rendered(CocktailRunBuildOperator, {}, undefined=Undefined, tag_name=value)
        task.check_arguments()
        assert task.tag_name in ("shop-", "shop-1", "shop")


@pytest.mark.parametrize("native", [True, False])
def test_a_text_may_hold_the_word_none(native):
    values = {"given": "None-1", "missing": None}
    for template in ("{{ given }}", "{{ given }}-rc", "{{ missing or '' }}{{ given }}"):
        task = rendered(CocktailRunBuildOperator, values, native=native, tag_name=template)
        task.check_arguments()
        assert "None-1" in task.tag_name


def test_a_text_that_is_read_as_a_mapping_or_a_list_keeps_its_numbers():
    for template, text in (
        ('{"tag": {{ text }}}', "1.10"),
        ('{"tag": {{ text }}}', "1e5"),
        ('{"a": "1.10", "tag": [{{ text }}]}', "1_0"),
    ):
        task = rendered(CodeStreamRunPipelineOperator, {"text": text}, inputs=template)
        assert f"made of '{text}'" in problem_of(task)
    task = rendered(QuayRunBuildOperator, {"text": "1_0"}, tags="['a', {{ text }}]")
    assert "made of '1_0'" in problem_of(task)
    for given in ({"a": "1.10", "b": 15, "c": [3]}, '{"a": "1.10", "b": 15, "c": ["x 1.10"]}'):
        task = rendered(CodeStreamRunPipelineOperator, {"given": given}, inputs="{{ given }}")
        task.check_arguments()
        assert task.inputs["a"] == "1.10"


def test_what_is_inside_of_lists_and_mappings_is_refused_too():
    texts = {"text": "1.10", "missing": None, "number": 1.5}
    assert "tags must be text, got 1.1, which" in problem_of(rendered(QuayRunBuildOperator, texts, tags=["{{ text }}"]))
    assert "tags must be text" in problem_of(rendered(QuayRunBuildOperator, texts, tags=["a", "{{ number }}"]))
    assert "tags must not be None" in problem_of(rendered(QuayRunBuildOperator, texts, tags=["a", "{{ missing }}"]))
    for value, said in (("{{ text }}", "'1.10'"), ("{{ missing }}", "None"), (["{{ text }}"], "'1.10'")):
        assert said in problem_of(rendered(CodeStreamRunPipelineOperator, texts, inputs={"tag": value}))


@EVERY_CLASS
def test_a_whole_number_that_rendering_made_of_a_text_is_that_text_again(cls):
    for name in sorted(own_arguments(cls) & TEXTS):
        assert getattr(rendered(cls, {"text": "20261128"}, **{name: "{{ text }}"}), name) == "20261128"


def test_whole_numbers_in_lists_and_mappings_are_text_again_where_text_belongs():
    tags = ["{{ text }}", "a", 3]
    assert rendered(CodeStreamRunPipelineOperator, {"text": "20261128"}, tags=tags).tags == ["20261128", "a", "3"]
    assert rendered(QuayRunBuildOperator, {"text": "20261128"}, tags=["{{ text }}"]).tags == ["20261128"]
    chosen = {"stage": ["{{ text }}"]}
    task = rendered(ServiceStageReleaseOperator, {"text": "1"}, selected_tasks=chosen)
    assert task.selected_tasks == {"stage": ["1"]}


def test_in_airflow_a_whole_number_is_sent_as_text(systems):
    def build() -> Any:
        return CodeStreamRunPipelineOperator(
            task_id="task",
            pipeline="Smoke test",
            project="{{ 'retail' }}",
            comments=20261128,
            tags=["{{ '20261128' }}"],
            poll_interval=0.1,
            render_template_as_native_obj=True,
        )

    assert run_task(build).state == "success"
    (sent,) = systems.requests("code_stream", method="POST", path="/executions")
    assert sent["status"] == 202


def test_numbers_of_a_pipelines_inputs_may_be_numbers():
    inputs = {"replicas": "{{ count }}", "share": "{{ share }}", "own": 0.25, "none": None, "given": "{{ given }}"}
    task = rendered(
        CodeStreamRunPipelineOperator, {"count": "3", "share": 0.5, "given": {"a": None, "b": 1.5}}, inputs=inputs
    )
    task.check_arguments()
    assert task.inputs == {"replicas": 3, "share": 0.5, "own": 0.25, "none": None, "given": {"a": None, "b": 1.5}}


def test_a_template_that_the_authors_own_code_renders_is_no_argument():
    task = rendered(CocktailRunBuildOperator, {}, tag_name="rc")
    assert task.render_template("shop-{{ missing }}", {"missing": None}) == "shop-None"
    task.check_arguments()


def test_a_number_where_a_number_belongs_is_no_text_that_was_changed():
    rendered(CocktailBuildSensor, {"run": "12"}, build_run_seq="{{ run }}").check_arguments()
    rendered(CocktailRunBuildOperator, {"run": " 12\n"}, build_seq="{{ run }}").check_arguments()


def missing(**_: Any) -> None:
    return None


@pytest.mark.parametrize("mapped", [False, True], ids=["plain", "mapped"])
def test_in_airflow_nothing_is_sent_for_a_text_that_was_changed(systems, mapped):
    def build() -> Any:
        from airflow.sdk import task

        tag = task(task_id="before")(lambda: "1.10")()
        arguments = {"build_seq": 12, "tag_name": "{{ ti.xcom_pull('before') }}", "task_id": "task"}
        if mapped:
            made = CocktailRunBuildOperator.partial(
                task_id="task", tag_name=arguments["tag_name"], render_template_as_native_obj=True
            ).expand(build_seq=[12])
        else:
            made = CocktailRunBuildOperator(**arguments, render_template_as_native_obj=True)
        tag >> made
        return made

    ended = run_task(build, map_index=0 if mapped else -1)
    assert "tag_name must be text, got 1.1, which render_template_as_native_obj made of '1.10'" in str(ended.error)
    assert [systems.requests(system) for system in LOGINS] == [[]] * len(LOGINS)


def test_in_airflow_nothing_is_sent_for_an_xcom_that_is_missing(systems):
    def build() -> Any:
        from airflow.sdk import task

        before = task(task_id="before")(missing)()
        return CocktailRunBuildOperator(task_id="task", build_seq=12, tag_name=before)

    assert "tag_name must not be None" in str(run_task(build).error)
    assert [systems.requests(system) for system in LOGINS] == [[]] * len(LOGINS)


def test_an_item_of_a_result_that_is_asked_for_like_an_xcom_is_explained(systems):
    def build() -> Any:
        from airflow.sdk import task

        before = task(task_id="before")(lambda: {"outputs": {"tag": "1.4.2"}})()
        return CocktailRunBuildOperator(task_id="task", build_seq=12, tag_name=before["outputs"]["tag"])

    said = str(run_task(build).error)
    assert said.startswith("tag_name must be given, got output['tag'] of task 'before', which has no XCom of that name")
    assert said.endswith("""write "{{ ti.xcom_pull(task_ids='before')[...] }}\"""")
    assert [systems.requests(system) for system in LOGINS] == [[]] * len(LOGINS)
