"""The log of a task: what is done, with which arguments and as whom, what comes of it, and the level of each line."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider.operators.code_stream import CodeStreamRunPipelineOperator
from airflow_provider.operators.quay import (
    QuayCreateNotificationOperator,
    QuayDeleteNotificationOperator,
    QuayPromoteTagOperator,
    QuayResetNotificationOperator,
    QuayRunBuildOperator,
    QuayTestNotificationOperator,
)
from airflow_provider.operators.service_stage import ServiceStageApprovalOperator, ServiceStageReleaseOperator
from airflow_provider.sensors.quay import QuaySecurityScanSensor, QuayTagSensor
from tests.support import service_stage_tasks
from tests.support.airflow_runs import run_task
from tests.support.classes import CLASSES, SHOP
from tests.support.code_stream_tasks import act, answer, start, start_until_it_asks
from tests.support.endings import FINISHED
from tests.support.log_lines import log_lines
from tests.support.story import SLOW, STARTERS, Story

EXECUTION = "<sandbox>/code_stream/automation/#/codestream/executions/<id>"
BUILD = "<sandbox>/quay/repository/acme/shop/build/<id>"
TAGS = "<sandbox>/quay/repository/acme/shop?tab=tags"
WAYS = {
    "code_stream": "as user release-bot over connection code_stream_default to <sandbox>/code_stream",
    "service_stage": "with an access key over connection service_stage_default to <sandbox>/service_stage",
    "cocktail": "with an API token over connection cocktail_default to <sandbox>/cocktail",
    "quay": "with an OAuth application token over connection quay_default to <sandbox>/quay",
}
PROJECT = "<sandbox>/service_stage project 77b6a44cba5143ab91d13ab9a8ff44fd"

SUCCESSES = {
    "code_stream pipeline": [
        f"info    Run pipeline 'Deploy shop' in Code Stream (project 'retail', inputs tag), {WAYS['code_stream']}",
        f"info    Started execution <id>: {EXECUTION}",
        "info    Execution <id> succeeded (COMPLETED): Execution Completed.",
        f"info    Succeeded after <time>: execution <id>: {EXECUTION}",
    ],
    "code_stream rerun": [
        f"info    Rerun docker event <id> in Code Stream, {WAYS['code_stream']}",
        f"info    Started execution <id>: {EXECUTION}",
        "info    Execution <id> succeeded (COMPLETED): Execution Completed.",
        f"info    Succeeded after <time>: execution <id>: {EXECUTION}",
    ],
    "service_stage": [
        f"info    Start release task 'shop-release' in ServiceStage, {WAYS['service_stage']}",
        f"info    Started release <n> at {PROJECT}",
        "info    Release <n> is running (status 4)",
        "info    Release <n> succeeded (status 2)",
        "info    Succeeded after <time>: release <n>",
    ],
    "cocktail": [
        f"info    Run build 12 in Cocktail (tag name '3-1'), {WAYS['cocktail']}",
        "info    Started build run 1 at <sandbox>/cocktail",
        "info    Build run 1 is running",
        "info      INIT: DONE",
        "info      CODE_DOWN: DONE",
        "info      CREATE_IMAGE: DONE",
        "info    Build run 1 succeeded (DONE)",
        "info    Succeeded after <time>: build run 1",
    ],
    "quay": [
        "info    Build an image of acme/shop in Quay (tags ['1.4.2'], archive 'sources.example.com/shop-1.4.2.tar.gz')"
        f", {WAYS['quay']}",
        f"info    Started build <id>: {BUILD}",
        "info    Build <id> is queued (waiting)",
        "info    Build <id> succeeded (complete)",
        "info      | complete",
        f"info    Succeeded after <time>: build <id>: {BUILD}",
    ],
}


def deferred(story: Story) -> Any:
    """Run an attempt; returns the trigger that waits in the triggerer."""
    return story.task.trigger(story.attempt())


def come_to(story: Story, state: str) -> None:
    story.systems.force(story.starter.system, story.executions()[-1]["id"], state)


@pytest.fixture
def story_of(systems):
    """Begins the story of a starter in whose system nothing ends by itself."""
    systems.reset(SLOW)
    return lambda name, **arguments: Story(systems, STARTERS[name], deferrable=True, **arguments)


@pytest.mark.parametrize("name", SUCCESSES)
def test_a_success_moves_from_worker_to_triggerer_and_back_and_reports_nothing_twice(story_of, name):
    story = story_of(name)
    with log_lines() as lines:
        trigger = deferred(story)
        come_to(story, FINISHED[story.starter.system])
        story.task.resume(story.task.fire(trigger))
    assert lines == SUCCESSES[name]


def test_what_fails_is_an_error_with_reason_duration_and_link(story_of):
    story = story_of("quay")
    with log_lines() as lines:
        trigger = deferred(story)
        come_to(story, story.starter.failed)
        story.task.resume(story.task.fire(trigger))
    assert lines[3:] == [
        "error   Build <id> failed (error): the image build ended in phase error",
        "info      | error",
        "info      | The Dockerfile could not be built",
        "error   Failed after <time>: build <id> failed (error): the image build ended in phase error: The Dockerfile "
        f"could not be built: {BUILD}",
    ]


def test_a_failed_step_is_an_error(systems):
    with log_lines() as lines:
        run_task(lambda: CodeStreamRunPipelineOperator(task_id="deploy", pipeline="Always fails", poll_interval=0.1))
    assert "error     Prod.Deploy: FAILED - Script execution failed." in lines


def test_a_retry_says_what_it_continues_with(story_of):
    story = story_of("service_stage")
    story.attempt_and_die(remembered=True)
    with log_lines() as lines:
        story.attempt()
    assert lines == [
        f"info    Start release task 'shop-release' in ServiceStage, {WAYS['service_stage']}",
        f"info    Continuing with what an earlier attempt started: release <n> at {PROJECT}",
        "info    Release <n> is running (status 4)",
    ]


def test_a_start_that_got_no_answer_is_a_warning_until_it_is_found(story_of):
    story = story_of("cocktail")
    story.systems.fault("cocktail", "reset_after", method="POST", path=story.starter.start)
    with log_lines() as lines:
        story.attempt()
    assert [line[:63] for line in lines[1:]] == [
        "warning The answer to the start was lost, searching for the exe",
        "info    Found what this task started: build run 1 at <sandbox>/",
        "info    Build run 1 is running",
    ]


def test_a_clear_says_what_it_cancels_and_why(story_of):
    story = story_of("code_stream pipeline")
    with log_lines() as lines:
        trigger = deferred(story)
        story.task.clear_while_deferred(trigger)
    assert lines[2:] == [
        "warning Canceling execution <id>: a person cleared the task",
        "info    Cancel accepted: execution <id>",
    ]


def test_an_outage_is_a_warning_and_its_end_is_reported(story_of):
    story = story_of("service_stage")
    with log_lines() as lines:
        trigger = deferred(story)
        come_to(story, "2")
        story.systems.fault("service_stage", "status", method="GET", path=".", status=503, times=3)
        story.task.fire(trigger)
    assert [line[:65] for line in lines[3:]] == [
        "warning Poll failed, will retry: service_stage: the system cannot",
        "info    ServiceStage responds again after <time>",
        "info    Release <n> succeeded (status 2)",
    ]


def test_a_person_who_is_needed_is_a_warning_with_what_is_asked_who_may_answer_and_where(systems):
    systems.reset(speed=60)
    with log_lines() as lines:
        pipeline = "Deploy shop with approval"
        run_task(lambda: CodeStreamRunPipelineOperator(task_id="run", pipeline=pipeline, on_waiting="fail"))
    asks = "Prod.Approve requests approval: Deploy the shop to production? (approvers: release-bot)"
    assert lines[-2:] == [
        f"warning Execution <id> is waiting for a person: {asks}: {EXECUTION}",
        f"error   Failed after <time>: execution <id> is waiting for a person: {asks}: {EXECUTION}",
    ]


def test_approvals_say_what_was_asked_and_answered(systems):
    systems.reset(speed=60)
    execution_id = start_until_it_asks(systems)
    service_stage_tasks.start_until_it_asks(systems)
    with log_lines() as lines:
        answer("approve", execution_id=execution_id)
        where = {"pipeline": "shop-release-approval", "task_name": "apr0v1"}
        run_task(lambda: ServiceStageApprovalOperator(task_id="answer", decision="reject", **where))
        run_task(lambda: ServiceStageApprovalOperator(task_id="late", decision="approve", pipeline="shop-release"))
    assert lines[:-1] == [
        "info    Answer an approval in Code Stream (decision 'approve', execution id '<id>'), " + WAYS["code_stream"],
        f"info    Approval <id> asks: Deploy the shop to production? (approvers: release-bot): {EXECUTION}",
        f"info    Approval <id> is APPROVED by release-bot: {EXECUTION}",
        "info    Reject approval 'apr0v1' of release task 'shop-release-approval' in ServiceStage, "
        + WAYS["service_stage"],
        "info    Release <n> asks: to be approved: apr0v1",
        "info    The answer to apr0v1 was accepted (reject): release <n> failed (status 3)",
        "info    Approve the approval that is waiting of release task 'shop-release' in ServiceStage, "
        + WAYS["service_stage"],
    ]
    assert "has no pending approval" in lines[-1]


def test_acts_say_whether_they_sent_something_and_how_it_stands_then(systems):
    systems.reset(SLOW)
    execution_id = start()
    systems.force("code_stream", execution_id, "PAUSED")
    with log_lines() as lines:
        act(execution_id, "pause")
    assert lines == [
        f"info    Pause execution <id> in Code Stream, {WAYS['code_stream']}",
        f"info    Nothing to do: execution <id> is paused until a person resumes it: {EXECUTION}",
        f"warning Execution <id> is paused until a person resumes it: {EXECUTION}",
        f"info    Done after <time>: execution <id> is paused until a person resumes it: {EXECUTION}",
    ]


def test_what_takes_no_time_says_what_it_does_and_what_came_of_it(systems):
    with log_lines() as lines:
        create = CLASSES[QuayCreateNotificationOperator]
        uuid = run_task(lambda: QuayCreateNotificationOperator(task_id="create", **create)).result["uuid"]
        for cls in (QuayTestNotificationOperator, QuayResetNotificationOperator, QuayDeleteNotificationOperator):
            run_task(lambda cls=cls: cls(task_id="one", repository=SHOP, uuid=uuid))
        run_task(lambda: QuayTestNotificationOperator(task_id="gone", repository=SHOP, uuid=uuid))
        run_task(lambda: QuayPromoteTagOperator(task_id="move", **CLASSES[QuayPromoteTagOperator]))
    way = WAYS["quay"]
    assert lines == [
        f"info    Create a notification of acme/shop in Quay (event 'repo_push', method 'webhook'), {way}",
        "info    Notification <id> is in place",
        f"info    Test notification <id> of acme/shop in Quay, {way}",
        "info    Notification <id> has a test delivery queued",
        f"info    Reset notification <id> of acme/shop in Quay, {way}",
        "info    Notification <id> sends again, its failures counted from 0",
        f"info    Delete notification <id> of acme/shop in Quay, {way}",
        "info    Notification <id> is gone",
        f"info    Test notification <id> of acme/shop in Quay, {way}",
        "error   Failed: acme/shop has no notification <id>",
        f"info    Point tag 'production' of acme/shop in Quay (source tag 'stable'), {way}",
        f"info    Tag production points to <digest>: {TAGS}",
    ]


@pytest.mark.parametrize(
    "mode",
    [{"mode": "poke"}, {"mode": "reschedule"}, {"deferrable": True}, {"start_from_trigger": True}],
    ids=["poke", "reschedule", "deferrable", "from the trigger"],
)
def test_the_log_of_a_sensor_is_the_same_in_every_mode(systems, mode):
    bounds = {"poke_interval": 0.1, "timeout": 1.0}
    with log_lines() as lines:
        for tag in ("stable", "none"):
            run_task(lambda tag=tag: QuayTagSensor(task_id="wait", repository=SHOP, tag=tag, **bounds, **mode))
    assert lines == [
        f"info    Wait for tag 'stable' of acme/shop in Quay, {WAYS['quay']}",
        "info    Tag stable is there",
        f"info    Found tag stable after <time>: {TAGS}",
        f"info    Wait for tag 'none' of acme/shop in Quay, {WAYS['quay']}",
        "info    Waiting: there is no tag 'none' yet",
        "error   Failed: timed out after <time>; "
        "last observed: tag none is running (missing): there is no tag 'none' yet",
    ]


def test_a_scan_passes(systems):
    with log_lines() as lines:
        run_task(lambda: QuaySecurityScanSensor(task_id="scan", repository=SHOP, tag="stable", poke_interval=0.1))
    page = "<sandbox>/quay/repository/acme/shop/manifest/<digest>?tab=vulnerabilities"
    assert lines[-2:] == ["info    Scan of stable passed", f"info    Scan of stable passed after <time>: {page}"]


def test_a_rollback_reads_as_english():
    task = ServiceStageReleaseOperator(task_id="back", pipeline="rollback", action="rollback")
    assert task.rendered_purpose == "roll back release task 'rollback'"


def test_the_first_line_holds_no_secret_and_is_bounded(systems):
    signed = "https://release-bot:hunter2hunter2@sources.example.com/shop.tar.gz?X-Amz-Signature=0123456789abcdef"
    with log_lines() as lines:
        inputs = {"token": "s3cr3t-s3cr3t", **{f"input_{number}": "x" for number in range(100)}}
        run_task(lambda: CodeStreamRunPipelineOperator(task_id="run", pipeline="p" * 5000, inputs=inputs))
        run_task(
            lambda: QuayRunBuildOperator(
                task_id="build", repository=SHOP, archive_url=signed, tags=[str(tag) for tag in range(900)]
            )
        )
    first, second = (line for line in lines if " over connection " in line)
    assert "token, input_0" in first
    assert "archive 'sources.example.com/shop.tar.gz'" in second
    assert not [part for part in ("s3cr3t", "hunter2", "0123456789abcdef") if part in "\n".join(lines)]
    assert max(len(first), len(second)) < 600
