"""What is wrong with an argument is said when the DAG is parsed, of every operator and sensor that there is."""

from __future__ import annotations

import importlib
import inspect
import re
import textwrap
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from airflow.exceptions import AirflowTimetableInvalid
from airflow.sdk import DAG, BaseOperator, TaskGroup, XComArg
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider.exceptions import BadRequestError
from airflow_provider.operators import arguments
from airflow_provider.operators.arguments import Number, Seconds, SecondsOrZero, problem_of
from airflow_provider.operators.checking import CheckedArguments, arguments_of
from airflow_provider.operators.cocktail import CocktailRunBuildOperator
from airflow_provider.operators.code_stream import (
    CodeStreamApprovalOperator,
    CodeStreamRerunEventOperator,
    CodeStreamRunPipelineOperator,
)
from airflow_provider.operators.quay import Method, NotificationEvent, QuayPromoteTagOperator, QuayRunBuildOperator
from airflow_provider.operators.service_stage import ServiceStageReleaseOperator
from airflow_provider.provider_info import get_provider_info
from airflow_provider.sensors.quay import QuaySecurityScanSensor, QuayTagSensor
from airflow_provider.sensors.release_window import ReleaseWindowSensor
from airflow_provider.timetables import ReleaseWindow
from tests.support.airflow_runs import run_task
from tests.support.classes import CLASSES, needed_with
from tests.support.examples import PATIENT
from tests.support.systems import LOGINS

EVERY: dict[type, dict[str, Any]] = {**CLASSES, ReleaseWindowSensor: {"windows": "variable:windows"}}
OF_AIRFLOW = {"retry_policy"}
"""Arguments of ours that only give one of Airflow's own another default."""


def public_classes() -> Iterator[type]:
    """Those of the modules that Airflow is told of."""
    info = get_provider_info()
    for kind in (*info["operators"], *info["sensors"]):
        for name in kind["python-modules"]:
            for cls in vars(importlib.import_module(name)).values():
                is_here = inspect.isclass(cls) and cls.__module__ == name and not cls.__name__.startswith("_")
                if is_here and issubclass(cls, BaseOperator):
                    yield cls


def annotations_of(cls: type) -> dict[str, Any]:
    """All arguments that our own constructors take, each with its annotation; the innermost class first."""
    inits = [base.__init__ for base in reversed(cls.__mro__) if base.__module__.startswith("airflow_provider.")]
    taken = {name: hint for init in inits for name, hint in arguments_of(init).items()}
    named = {name for init in inits for name in inspect.signature(init).parameters}
    return {name: taken.get(name) for name in sorted(named - {"self", "args", "kwargs"} - OF_AIRFLOW)}


ARGUMENTS = [(cls, name, hint) for cls in EVERY for name, hint in annotations_of(cls).items()]


def without_none(hint: Any) -> Any:
    parts = [part for part in get_args(hint) if part is not type(None)]
    return parts[0] if type(None) in get_args(hint) else hint


def of_kind(*kinds: Any) -> list[tuple[type, str]]:
    """The arguments whose annotation is one of these."""
    return [(cls, name) for cls, name, hint in ARGUMENTS if without_none(hint) in kinds]


WORDS = [(cls, name, without_none(hint)) for cls, name, hint in ARGUMENTS if get_origin(without_none(hint)) is Literal]
EVERY_CLASS = pytest.mark.parametrize("cls", EVERY, ids=lambda cls: cls.__name__)


def made(cls: type, **given: Any) -> Any:
    """As a DAG file makes it."""
    return cls(task_id="task", **{**EVERY[cls], **needed_with(cls, given), **given})


def refusal(cls: type, **given: Any) -> str:
    with pytest.raises(BadRequestError) as error:
        made(cls, **given)
    return error.value.summary


# --- every argument of every class


def test_no_operator_or_sensor_is_left_out_here() -> None:
    assert set(public_classes()) == set(EVERY)


@EVERY_CLASS
def test_every_argument_says_what_it_must_be_and_is_held_to_it(cls: type) -> None:
    for name, hint in annotations_of(cls).items():
        assert hint is not None, f"{name} has no annotation that can be read"
        for odd in (object(), 1.5j, b"1"):
            assert refusal(cls, **{name: odd}).startswith(f"task 'task': {name} must be ")


@EVERY_CLASS
def test_every_argument_is_held_to_it_in_partial_too(cls: Any) -> None:
    for name in annotations_of(cls):
        with pytest.raises(BadRequestError, match=f"^.*task 'task': {name} must be "):
            cls.partial(task_id="task", **{name: object()})


@EVERY_CLASS
def test_every_argument_that_is_templated_is_left_to_the_run_where_it_holds_a_template(cls: Any) -> None:
    # An asset's name and a webhook's endpoint may be any text.
    for name in annotations_of(cls).keys() - {"asset", "callback"}:
        other = {"source_tag": None} if cls is QuayPromoteTagOperator and name == "digest" else {}
        other |= needed_with(cls, [name])
        with DAG("dag", schedule=None):
            before = BaseOperator(task_id="before")
            for number, later in enumerate(
                ("{{ params.it }}", "a{% if x %}b{% endif %}", XComArg(before), lambda **_: "1")
            ):
                given = {**EVERY[cls], **other, name: later, "task_id": f"task_{number}"}
                if name in cls.template_fields:
                    cls(**given)
                    cls.partial(task_id=f"mapped_{number}", **{name: later}).expand(doc=["one"])
                else:
                    with pytest.raises(BadRequestError, match=f"'task_{number}': {name} must be "):
                        cls(**given)


def test_arguments_are_of_the_kind_that_their_names_promise() -> None:
    """So that a new operator does not take any text for a word or a duration."""
    for cls, name, hint in ARGUMENTS:
        kind = without_none(hint)
        if name.startswith("on_") or name in ("action", "decision", "event_type", "max_severity", "event", "method"):
            assert get_origin(kind) is Literal, (cls, name)
        if name.endswith(("timeout", "interval", "_wait")):
            assert kind in (Seconds, SecondsOrZero), (cls, name)
        if name.endswith("_seq"):
            assert kind == Number, (cls, name)
        if name.endswith("_url"):
            assert kind in (arguments.ArchiveUrl, arguments.CallbackUrl), (cls, name)
        if isinstance(inspect.signature(cls.__init__).parameters.get(name), bool):
            assert kind is bool, (cls, name)


def test_every_word_is_one_of_those_that_there_are() -> None:
    assert len(WORDS) > 20
    for cls, name, kind in WORDS:
        words = get_args(kind)
        no_word = () if type(None) in get_args(annotations_of(cls)[name]) else (None,)
        spelled = (words[0].swapcase(), f" {words[0]}", words[0] + "s", [words[0]])
        for wrong in ("", *no_word, "something", *spelled, 0, True):
            said = refusal(cls, **{name: wrong})
            assert said == f"task 'task': {name} must be {', '.join(words[:-1])} or {words[-1]}, got {wrong!r}", cls
        for word in words:
            assert getattr(made(cls, **{name: word}), name) == word


def test_every_duration_is_seconds_or_a_timedelta_and_no_text() -> None:
    durations = of_kind(Seconds, SecondsOrZero)
    assert len(durations) > 40
    for cls, name in durations:
        for wrong in ("1h", "60", "", "{{ 60 }}", [60], True, {"minutes": 1}):
            said = refusal(cls, **{name: wrong})
            assert said == f"task 'task': {name} must be seconds or a timedelta, got {wrong!r}", cls
        for right in (90, 90.0, timedelta(seconds=90)):
            kept = getattr(made(cls, **{name: right}), name)
            assert (kept.total_seconds() if isinstance(kept, timedelta) else kept) == 90, (cls, name)


def test_every_switch_is_true_or_false() -> None:
    switches = of_kind(bool)
    assert len(switches) > 50
    for cls, name in switches:
        for wrong in ("no", "False", 1, 0, None, "{{ true }}"):
            said = refusal(cls, **{name: wrong})
            assert said == f"task 'task': {name} must be True or False, got {wrong!r}", cls


@PATIENT
@given(
    st.one_of(
        st.text(), st.integers(), st.floats(), st.binary(), st.lists(st.text()), st.dictionaries(st.text(), st.text())
    )
)
def test_whatever_an_argument_is_there_is_a_sentence_for_it_or_it_is_fine(value: Any) -> None:
    for hint in {repr(hint): hint for _, _, hint in ARGUMENTS}.values():
        problem = problem_of(hint, value)
        assert problem is None or problem.startswith("must ")


def test_the_words_are_those_of_the_clients() -> None:
    from airflow_provider.clients.quay import notification_rules

    assert set(get_args(NotificationEvent)) == set(notification_rules.EVENTS)
    assert set(get_args(Method)) == set(notification_rules.METHODS)


# --- arguments that do not go together


def test_arguments_that_do_not_go_together_are_refused_when_parsed() -> None:
    digest = f"sha256:{64 * 'a'}"
    said = refusal(CodeStreamRerunEventOperator, event_id="{{ x }}", action="resume", force=True)
    assert said == "task 'task': force is valid only with action='rerun', got action='resume'"
    said = refusal(ServiceStageReleaseOperator, action="retry", selected_tasks={"stage": ["one"]})
    assert said == "task 'task': selected_tasks is valid only with action='start', got action='retry'"
    said = refusal(ServiceStageReleaseOperator, action="rollback", on_retry="resume")
    assert said == "task 'task': on_retry must be restart with action='rollback', which cannot be continued"
    said = refusal(CodeStreamApprovalOperator, decision="approve", approvers=["ada"])
    assert said == "task 'task': approvers is valid only without decision, when people are asked"
    said = refusal(CodeStreamApprovalOperator, decision=None, response_timeout=None, on_no_response="fail")
    assert said == "task 'task': on_no_response is valid only with response_timeout"
    for cls in (QuayPromoteTagOperator, QuaySecurityScanSensor):
        given = {"repository": "{{ x }}", "digest": digest}
        assert "but not both, got digest and" in refusal(cls, **given)
    assert "but not both, got neither" in refusal(QuayPromoteTagOperator, source_tag=None)
    assert "both: Quay reads only one" in refusal(QuayRunBuildOperator, subdirectory="a", dockerfile_path="b")


@pytest.mark.parametrize("windows", ["nights", "variable:", "file:", {"windows": []}])
def test_where_windows_are_kept_is_named_when_parsed(windows: Any) -> None:
    said = "windows must be a list, variable:<name> or file:<path>, got "
    assert refusal(ReleaseWindowSensor, windows=windows) == f"task 'task': {said}{windows!r}"
    with pytest.raises(AirflowTimetableInvalid, match=f"^{re.escape(said)}"):
        ReleaseWindow(windows=windows).validate()


def test_of_arguments_of_which_one_is_given_a_template_may_come_out_empty() -> None:
    with DAG("dag", schedule=None) as dag:
        task = made(QuayPromoteTagOperator, digest="{{ digest }}", source_tag="{{ tag }}")
    task.render_template_fields({"digest": "", "tag": "stable"}, dag.get_template_env())
    task.check_arguments()
    with DAG("dag", schedule=None) as dag:
        task = made(QuayPromoteTagOperator, digest="{{ digest }}")
    task.render_template_fields({"digest": f"sha256:{64 * 'a'}"}, dag.get_template_env())
    with pytest.raises(BadRequestError, match="but not both, got digest and source_tag"):
        task.check_arguments()


# --- where arguments come from


def test_what_default_args_say_is_held_to_it_and_the_task_is_named_with_its_group() -> None:
    with (
        DAG("dag", schedule=None, default_args={"timeout": "1h"}),
        TaskGroup("group"),
        pytest.raises(BadRequestError, match=r"task 'group\.task': timeout must be seconds or a timedelta, got '1h'"),
    ):
        made(CodeStreamRunPipelineOperator)
    with (
        DAG("dag", schedule=None),
        TaskGroup("group"),
        pytest.raises(BadRequestError, match=r"task 'group\.task': build_seq must be a number of 1 or more, got 'x'"),
    ):
        made(CocktailRunBuildOperator, build_seq="x")


def test_what_a_dag_with_marks_of_its_own_takes_for_a_template_is_left_to_the_run() -> None:
    marks = {"variable_start_string": "<<", "variable_end_string": ">>"}
    with DAG("dag", schedule=None, jinja_environment_kwargs=marks):
        made(CodeStreamRerunEventOperator, event_type="<< x >>")
    assert "got '<< x >>'" in refusal(CodeStreamRerunEventOperator, event_type="<< x >>")


def test_what_a_list_or_a_mapping_holds_besides_templates_is_fine() -> None:
    made(QuayRunBuildOperator, tags=["{{ tag }}", "latest"])
    made(ServiceStageReleaseOperator, selected_tasks={"stage": "{{ tasks }}"})
    with DAG("dag", schedule=None):
        made(CodeStreamRunPipelineOperator, inputs={"at": XComArg(BaseOperator(task_id="before"))})


def test_a_secret_is_not_shown() -> None:
    for cls, name, wrong in (
        (QuayRunBuildOperator, "archive_url", "ftp://u:s3cret@example.com/a?X-Amz-Signature=s3cret"),
        (CocktailRunBuildOperator, "callback_url", "https://hooks.example.com/s3cret?x=1"),
        (CocktailRunBuildOperator, "callback_url", ["https://hooks.example.com/s3cret"]),
        *((cls, "config", "https://hooks.example.com/s3cret") for cls in EVERY if "config" in annotations_of(cls)),
    ):
        assert "s3cret" not in refusal(cls, **{name: wrong})


def test_the_import_of_the_dag_fails_and_names_task_and_argument(tmp_path: Path) -> None:
    from airflow.dag_processing.dagbag import DagBag

    (tmp_path / "release.py").write_text(
        textwrap.dedent("""
        from airflow.sdk import DAG
        from airflow_provider.operators.cocktail import CocktailRunBuildOperator

        with DAG("release", schedule=None):
            CocktailRunBuildOperator(task_id="build_image", build_seq=12, on_busy="retry")
        """)
    )
    errors = DagBag(tmp_path).import_errors
    assert len(errors) == 1
    assert "cocktail: task 'build_image': on_busy must be wait or fail, got 'retry'" in next(iter(errors.values()))


# --- mapped tasks


def test_airflow_constructs_no_mapped_operator_when_it_parses() -> None:
    """Why ``partial`` checks by itself."""
    made_of: list[Any] = []

    class Counted(CodeStreamRunPipelineOperator):
        def __init__(self, **kwargs: Any) -> None:
            made_of.append(kwargs)
            super().__init__(**kwargs)

    with DAG("dag", schedule=None):
        Counted.partial(task_id="task", pipeline="Deploy shop").expand(inputs=[{}, {}])
    assert made_of == []


def test_what_a_task_is_expanded_over_is_checked_when_it_runs(systems: Any) -> None:
    def build() -> Any:
        tags = ["1.4.2", "1 4"]
        return CocktailRunBuildOperator.partial(task_id="task", build_seq=12, wait_for_completion=False).expand(
            tag_name=tags
        )

    ended = run_task(build, map_index=1)
    assert (ended.state, type(ended.error)) == ("failed", BadRequestError)
    assert "task 'task': tag_name must be letters" in str(ended.error)
    # The other one has run.
    assert [each["path"] for each in systems.requests("cocktail", "POST")] != []


def test_what_a_task_is_expanded_over_may_be_no_template_field(systems: Any) -> None:
    def build() -> Any:
        partial = CocktailRunBuildOperator.partial(task_id="task", build_seq=12, tag_name="1.4.2")
        return partial.expand_kwargs([{"on_busy": "retry"}])

    assert "task 'task': on_busy must be wait or fail, got 'retry'" in str(run_task(build, map_index=0).error)
    assert [systems.requests(system) for system in LOGINS] == [[]] * len(LOGINS)


# --- classes of users


def test_a_users_own_operator_is_held_to_what_it_says() -> None:
    class Own(CocktailRunBuildOperator):
        def __init__(self, *, color: Literal["green", "blue"] = "green", **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.color = color

    with pytest.raises(BadRequestError, match="color must be green or blue, got 'red'"):
        Own(task_id="task", build_seq=12, color="red")
    with pytest.raises(BadRequestError, match="build_seq must be a number"):
        Own(task_id="task", build_seq="x", color="blue")
    assert Own(task_id="task", build_seq=12, color="blue").color == "blue"


def test_a_users_own_operator_may_say_what_only_its_type_checker_understands() -> None:
    class Own(QuayTagSensor):
        def __init__(self, size: Unknown, other=1, **kwargs: Any) -> None:  # type: ignore[name-defined,no-untyped-def] # noqa: F821
            super().__init__(**kwargs)
            self.size, self.other = size, other

    own = Own(task_id="task", size=object(), repository="acme/shop", tag="1")
    assert isinstance(own, CheckedArguments)
    with pytest.raises(BadRequestError, match="tag must be"):
        Own(task_id="task", size=1, repository="acme/shop", tag="a b")


# --- what only the run tells


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_what_is_known_only_when_it_runs_is_checked_before_anything_is_sent(cls: Any) -> None:
    for name in annotations_of(cls).keys() & set(cls.template_fields):
        with DAG("dag", schedule=None, render_template_as_native_obj=True) as dag:
            other = {"source_tag": None} if cls is QuayPromoteTagOperator and name == "digest" else {}
            task = made(cls, **{**other, name: "{{ odd }}"})
        task.render_template_fields({"odd": object()}, dag.get_template_env())
        with pytest.raises(BadRequestError, match=f"'task': {name} must be "):
            task.check_arguments()
