"""Whose execution is it? Nothing of another system, and nothing that may be a colleague's, is taken for ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, NamedTuple

import pytest
from airflow.sdk.exceptions import AirflowTaskTimeout

from airflow_provider.core.commands import Pause
from airflow_provider.exceptions import ConflictError, ExecutionFailed, ExecutionTimeout
from airflow_provider.hooks.cocktail import CocktailHook
from airflow_provider.hooks.code_stream import CodeStreamHook
from airflow_provider.operators.cocktail import CocktailCancelBuildOperator
from airflow_provider.operators.code_stream import CodeStreamExecutionActionOperator
from airflow_provider.sandbox import seed
from tests.chaos.vendors import ENDED
from tests.conftest import FAST
from tests.support.attempts import Task, WorkerKilled
from tests.support.code_stream_tasks import start_until_it_asks, state_of
from tests.support.meanwhile import meanwhile
from tests.support.patching import patched
from tests.support.starters import Starter
from tests.support.story import SLOW, STARTERS, Story, colleague_starts, terminate
from tests.support.systems import LOGINS, Systems, define_connection
from tests.support.until import until

ONE_OF_EACH_SYSTEM = pytest.mark.parametrize(
    "starter",
    [STARTERS[name] for name in ("code_stream pipeline", "service_stage", "cocktail", "quay")],
    ids=lambda starter: starter.system,
)
UNMARKED = {name: STARTERS[name] for name in ("code_stream rerun", "service_stage", "quay")}
EVERY_UNMARKED = pytest.mark.parametrize("starter", UNMARKED.values(), ids=UNMARKED)


# --- the connection leads to another system


@pytest.fixture
def elsewhere(systems: Systems, elsewhere: Systems) -> Systems:
    """Another installation, on which a colleague may start things with the same numbers as ours."""
    systems.reset(SLOW)
    elsewhere.reset(SLOW)
    return elsewhere


def move(story: Story, elsewhere: Systems) -> None:
    """Somebody changes the connection; on the other system a colleague's execution continues."""
    elsewhere.connect()
    colleague_starts(elsewhere, story.starter)


def untouched(story: Story, elsewhere: Systems) -> bool:
    """Whether nothing was started or canceled, on either side, since the connection has changed."""
    (theirs,) = [each for each in elsewhere.executions(story.starter.system) if each["state"] not in ENDED]
    return story.seen() == {"starts": 1, "cancels": 0} and theirs["cancels"] == []


def names_both(error: BaseException | None, story: Story, elsewhere: Systems) -> bool:
    return isinstance(error, ConflictError) and all(url in str(error) for url in (story.systems.url, elsewhere.url))


@ONE_OF_EACH_SYSTEM
@pytest.mark.parametrize("remembered", [True, False])
def test_a_retry_leaves_both_systems_alone_if_its_connection_was_changed(systems, elsewhere, starter, remembered):
    story = Story(systems, starter, deferrable=True)
    story.attempt_and_die(remembered=remembered)
    move(story, elsewhere)
    assert names_both(story.attempt().error, story, elsewhere)
    assert untouched(story, elsewhere)
    systems.connect()
    assert story.attempt().state == "deferred"
    assert untouched(story, elsewhere)


@ONE_OF_EACH_SYSTEM
def test_a_wait_ends_if_its_connection_was_changed_meanwhile(systems, elsewhere, starter):
    story = Story(systems, starter, deferrable=True)
    trigger = story.task.trigger(story.attempt())
    move(story, elsewhere)
    event = story.task.fire(trigger)
    assert (event.payload["ending"], event.payload["cause"]) == ("lost", "ConflictError")
    assert names_both(story.task.resume(event).error, story, elsewhere)
    assert untouched(story, elsewhere)


@ONE_OF_EACH_SYSTEM
def test_a_person_who_ends_a_wait_whose_connection_was_changed_cancels_nothing_over_there(
    systems, elsewhere, starter, capsys
):
    story = Story(systems, starter, deferrable=True)
    trigger = story.task.trigger(story.attempt())
    move(story, elsewhere)
    story.task.mark("failed")
    story.task.kill(trigger)
    assert elsewhere.url in capsys.readouterr().out
    assert untouched(story, elsewhere)


@pytest.mark.parametrize("remembered", [True, False])
def test_a_task_that_is_cleared_says_once_that_its_connection_was_changed_and_then_starts_again(
    systems, elsewhere, remembered
):
    story = Story(systems, STARTERS["quay"], deferrable=True)
    story.attempt_and_die(remembered=remembered)
    move(story, elsewhere)
    story.task.clear()
    for _ in "an attempt", "its retry":
        assert names_both(story.attempt().error, story, elsewhere)
    assert untouched(story, elsewhere)
    story.task.clear()
    assert story.attempt().state == "deferred"
    assert story.seen() == {"starts": 1, "cancels": 0}
    assert [each["cancels"] for each in elsewhere.executions("quay")] == [[], []]


def test_a_clear_of_another_task_is_no_answer_to_what_this_one_asked(systems, elsewhere):
    story = Story(systems, STARTERS["quay"], deferrable=True)
    story.attempt_and_die(remembered=True)
    move(story, elsewhere)
    assert names_both(story.attempt().error, story, elsewhere)
    story.task.clear_beside()
    assert names_both(story.attempt().error, story, elsewhere)
    assert untouched(story, elsewhere)


def test_a_failed_release_of_another_system_is_not_made_to_continue(systems, elsewhere):
    """A colleague's has failed there, and has the same number as ours."""
    story = Story(systems, STARTERS["service_stage"], deferrable=True, on_retry="resume")
    trigger = story.task.trigger(story.attempt())
    systems.force("service_stage", story.record["ref"]["id"], "3")
    assert isinstance(story.task.resume(story.task.fire(trigger)).error, ExecutionFailed)
    elsewhere.connect()
    assert colleague_starts(elsewhere, story.starter) == story.record["ref"]["id"]
    elsewhere.force("service_stage", story.record["ref"]["id"], "3")
    assert story.attempt().state == "deferred"
    sent = [each["query"] for each in elsewhere.requests("service_stage", "POST", "/action")]
    assert ["action_id=start" in each for each in sent] == [True, True]


def another_project(systems: Systems, story: Story) -> str:
    project = list(seed.SERVICE_STAGE_PROJECTS.values())[1]
    fields = {**LOGINS["service_stage"], "extra": {**LOGINS["service_stage"]["extra"], "project_id": project}}
    define_connection("service_stage_default", conn_type="service_stage", host=f"{systems.url}/service_stage", **fields)
    return project


def another_connection(systems: Systems, story: Story) -> str:
    host = f"{systems.url.replace('127.0.0.1', 'localhost')}/service_stage"
    define_connection("service_stage_other", conn_type="service_stage", host=host, **LOGINS["service_stage"])
    story.deploy(service_stage_conn_id="service_stage_other")
    return host


@pytest.mark.parametrize("change", [another_project, another_connection])
def test_another_project_and_another_conn_id_are_another_system_too(systems, change: Callable[[Systems, Story], str]):
    systems.reset(SLOW)
    story = Story(systems, STARTERS["service_stage"], deferrable=True)
    story.attempt_and_die(remembered=True)
    there = change(systems, story)
    error = story.attempt().error
    assert isinstance(error, ConflictError)
    assert there in str(error)
    assert LOGINS["service_stage"]["extra"]["project_id"] in str(error)
    assert story.seen() == {"starts": 1, "cancels": 0}


def test_another_prefix_behind_the_same_gateway_is_another_cocktail(systems):
    """Each installation counts its runs from 1."""
    systems.reset(SLOW)
    story = Story(systems, STARTERS["cocktail"], deferrable=True)
    story.attempt_and_die(remembered=True)
    systems.connect(api_prefix="/stage/v1")
    error = story.attempt().error
    assert isinstance(error, ConflictError)
    assert f"{systems.url}/cocktail/stage/v1" in str(error)
    assert story.seen() == {"starts": 1, "cancels": 0}


# --- no marker shows whose it is


def adopts_what_a_colleague_started(story: Story) -> str:
    """Our worker dies before its request; a colleague starts the same thing just then; returns the id of it."""
    story.attempt_and_die_before_the_request()
    return colleague_starts(story.systems, story.starter)


@EVERY_UNMARKED
def test_what_may_be_a_colleagues_is_followed_as_a_guess(systems, starter, capsys):
    systems.reset(SLOW)
    story = Story(systems, starter, deferrable=True)
    theirs = adopts_what_a_colleague_started(story)
    trigger = story.task.trigger(story.attempt())
    assert (story.record["ref"]["id"], story.record["ref"]["guess"]) == (theirs, "yes")
    assert (trigger.ref["guess"], trigger.marker) == ("yes", None)
    assert f"Found {theirs}, which this task probably started" in capsys.readouterr().out
    assert story.seen() == {"starts": 1, "cancels": 0}


def ended_in_the_triggerer(story: Story) -> None:
    trigger = story.task.trigger(story.attempt())
    story.task.mark("failed")
    story.task.kill(trigger)


def ended_in_a_worker(story: Story) -> None:
    story.deploy(deferrable=False)

    def act() -> None:
        story.task.mark("failed")
        terminate()

    story.attempt_while(act)


def past_its_deadline(story: Story) -> None:
    story.deploy(deferrable=False, timeout=0.5)
    error = story.attempt().error
    assert isinstance(error, ExecutionTimeout)
    assert "only guessed" in str(error)


def past_its_execution_timeout(story: Story) -> None:
    """Its retry continues with it, instead of starting another one once it is over."""
    story.deploy(deferrable=False, execution_timeout=timedelta(hours=1))

    def time_out(*_: Any) -> None:
        raise AirflowTaskTimeout

    with story.when(lambda command: isinstance(command, Pause), time_out):
        assert isinstance(story.attempt().error, AirflowTaskTimeout)
    story.deploy(deferrable=True)
    assert story.attempt().state == "deferred"


def cleared(story: Story) -> None:
    story.attempt()
    story.task.clear()
    error = story.attempt().error
    assert isinstance(error, ConflictError)
    assert story.record["ref"]["id"] in str(error)
    assert "only guessed" in str(error)


def cleared_before_it_was_found(story: Story) -> None:
    story.task.clear()
    error = story.attempt().error
    assert isinstance(error, ConflictError)
    assert story.executions()[0]["id"] in str(error)
    assert "Guesses are never canceled" in str(error)


@EVERY_UNMARKED
@pytest.mark.parametrize(
    "happens",
    [
        ended_in_the_triggerer,
        ended_in_a_worker,
        past_its_deadline,
        past_its_execution_timeout,
        cleared,
        cleared_before_it_was_found,
    ],
)
def test_what_is_a_guess_is_never_canceled(systems, starter, happens):
    systems.reset(SLOW)
    story = Story(systems, starter, deferrable=True)
    adopts_what_a_colleague_started(story)
    happens(story)
    assert story.seen() == {"starts": 1, "cancels": 0}


def fails_in_the_triggerer(story: Story, starter: Starter) -> BaseException:
    trigger = story.task.trigger(story.attempt())
    story.systems.force(starter.system, story.record["ref"]["id"], starter.failed)
    error: BaseException = story.task.resume(story.task.fire(trigger)).error
    return error


@EVERY_UNMARKED
def test_a_guess_stays_one_until_it_ends(systems, starter):
    systems.reset(SLOW)
    story = Story(systems, starter, deferrable=True)
    adopts_what_a_colleague_started(story)
    assert isinstance(fails_in_the_triggerer(story, starter), ExecutionFailed)
    assert (story.record["phase"], story.record["ref"]["guess"]) == ("ended", "yes")


@pytest.mark.parametrize("name", ["code_stream rerun", "service_stage"])
def test_a_guess_that_failed_is_not_made_to_continue(systems, name):
    systems.reset(SLOW)
    story = Story(systems, STARTERS[name], deferrable=True, on_retry="resume")
    adopts_what_a_colleague_started(story)
    assert isinstance(fails_in_the_triggerer(story, STARTERS[name]), ExecutionFailed)
    assert story.attempt().state == "deferred"
    assert story.seen() == {"starts": 2, "cancels": 0}


def test_two_that_may_be_ours_are_both_left_alone(systems):
    systems.reset(SLOW)
    story = Story(systems, STARTERS["quay"], deferrable=True)
    names = {adopts_what_a_colleague_started(story), colleague_starts(systems, STARTERS["quay"])}
    error = story.attempt().error
    assert isinstance(error, ConflictError)
    assert all(name in str(error) for name in names)
    assert story.seen() == {"starts": 2, "cancels": 0}


# --- an act acts on what it was about


class Action(NamedTuple):
    """An action on an execution.

    :param do: the operator that does it to this one.
    :param start: colleagues start two executions; returns their ids.
    """

    system: str
    do: Callable[[str], Any]
    start: Callable[[Systems], tuple[str, str]]


def two_pipelines(systems: Systems) -> tuple[str, str]:
    return start_until_it_asks(systems), start_until_it_asks(systems)


def two_builds(systems: Systems) -> tuple[str, str]:
    systems.switch("cocktail", step_seconds={"CREATE_IMAGE": 1e6})
    with CocktailHook().get_conn() as client:
        return client.builds.run(12, tag_name="1").id, client.builds.run(15, tag_name="1").id


def pause(execution_id: str) -> Any:
    return CodeStreamExecutionActionOperator(execution_id=execution_id, action="pause", **QUICK)


def cancel(execution_id: str) -> Any:
    return CodeStreamExecutionActionOperator(execution_id=execution_id, action="cancel", **QUICK)


def cancel_build(execution_id: str) -> Any:
    return CocktailCancelBuildOperator(build_run_seq=execution_id, **QUICK)


QUICK = {"task_id": "act", "poll_interval": 0.1, "deferrable": False}
ACTIONS = {
    "pause": Action("code_stream", pause, two_pipelines),
    "cancel": Action("code_stream", cancel, two_pipelines),
    "cancel a build": Action("cocktail", cancel_build, two_builds),
}


def acts(systems: Systems, action: Action, execution_id: str) -> int:
    """How many requests to do it to this execution have arrived."""
    asked = [each for method in ("POST", "PUT") for each in systems.requests(action.system, method)]
    return len([each for each in asked if each["path"].endswith(f"/{execution_id}")])


def polls_of(systems: Systems, execution_id: str) -> list[dict[str, Any]]:
    return systems.requests("code_stream", "GET", f"/executions/{execution_id}")


@contextmanager
def dying(task: Task, where: str) -> Iterator[None]:
    """The worker dies as soon as this method of the operator has returned."""
    whole = getattr(task.operator, where)

    def die(*arguments: Any) -> None:
        whole(*arguments)
        raise WorkerKilled

    with patched(task.operator, where, die):
        yield


@pytest.mark.parametrize("action", ACTIONS.values(), ids=ACTIONS)
def test_a_retry_acts_on_what_the_attempt_before_acted_on(systems, action):
    """Although its argument names another one by now, such as what the task before it has started since."""
    systems.reset(FAST)
    first, second = action.start(systems)
    task = Task(lambda: action.do(first))
    with dying(task, "act"):
        assert isinstance(task.attempt().error, WorkerKilled)
    task.deploy(lambda: action.do(second))
    assert task.attempt().error is None
    assert (acts(systems, action, first), acts(systems, action, second)) == (1, 0)


def test_what_somebody_resumed_after_our_pause_is_not_paused_again(systems):
    systems.reset(FAST)
    action = ACTIONS["pause"]
    paused = start_until_it_asks(systems)
    task = Task(lambda: action.do(paused))
    with dying(task, "publish"):
        assert isinstance(task.attempt().error, WorkerKilled)
    until(lambda: state_of(systems, paused) == "PAUSED")
    with CodeStreamHook().get_conn() as client:
        client.executions.act(paused, "resume")
    until(lambda: state_of(systems, paused) == "WAITING")
    asked, polls = acts(systems, action, paused), len(polls_of(systems, paused))

    def ends() -> bool:
        """Once the retry has observed that it continues."""
        if len(polls_of(systems, paused)) < polls + 3:
            return False
        systems.force("code_stream", paused, "COMPLETED")
        return True

    with meanwhile(ends):
        assert task.attempt().error is None
    assert acts(systems, action, paused) == asked


# --- the task has become another one


@pytest.mark.parametrize("is_cleared", [False, True], ids=["retried", "cleared"])
def test_a_task_whose_operator_was_replaced_starts_again_and_names_what_it_leaves_alone(systems, is_cleared, capsys):
    systems.reset(SLOW)
    story = Story(systems, STARTERS["quay"], deferrable=True)
    story.attempt_and_die(remembered=True)
    story.deploy(starter=STARTERS["service_stage"])
    if is_cleared:
        story.task.clear()
    before = systems.executions("service_stage")
    assert story.attempt().state == "deferred"
    log = capsys.readouterr().out
    assert "operator was replaced" in log
    assert story.executions()[0]["id"] in log
    assert len(systems.executions("service_stage")) == len(before) + 1
    assert story.seen() == {"starts": 1, "cancels": 0}
