"""The operator that runs a pipeline."""

from __future__ import annotations

import pytest

from airflow_provider.exceptions import (
    ExecutionFailed,
    ExecutionRejected,
    ExecutionWaiting,
)
from airflow_provider.hooks.code_stream import CodeStreamHook
from tests.support.code_stream_tasks import APPROVED, BOTH_MODES, document, executions_of, pipeline, refuse
from tests.support.meanwhile import meanwhile


def test_a_pipeline_gets_what_the_task_says_and_its_output_is_the_outputs(systems):
    ended = pipeline(comments="release 1.4.2", tags=["nightly"])
    assert ended.result["outputs"] == {"deployed": "1.4.2"}
    execution = document(ended.result["id"])
    assert execution["input"] == {"tag": "1.4.2"}
    assert execution["tags"] == ["nightly"]
    marker, comments = execution["comments"].split(" ", 1)
    assert marker.startswith("airflow-"), "first, because a server may cut the text"
    assert comments == "release 1.4.2"
    assert ended.result["url"] == f"{systems.url}/code_stream/automation/#/codestream/executions/{ended.result['id']}"


def test_an_input_that_is_left_out_takes_the_pipelines_default():
    assert pipeline(inputs=None, pipeline="Smoke test").state == "success"


def test_an_input_that_the_pipeline_does_not_declare_is_a_warning(systems, capsys):
    assert pipeline(inputs={"tga": "1.4.2", "tag": "1.4.2"}).state == "success"
    assert "The pipeline does not declare the inputs 'tga', only 'tag'" in capsys.readouterr().out
    assert pipeline(inputs={"tag": "1.4.2"}).state == "success"
    assert "does not declare" not in capsys.readouterr().out


@pytest.mark.parametrize("by", ["name", "id"])
def test_a_pipeline_is_called_by_name_or_id(by):
    with CodeStreamHook().get_conn() as client:
        found = client.pipelines.find("Smoke test", "wholesale")
    ended = pipeline(pipeline=found[by], project="wholesale" if by == "name" else None, inputs=None)
    assert document(ended.result["id"])["project"] == "wholesale"


def test_a_failure_names_the_stage_and_task_that_broke():
    ended = pipeline(pipeline="Always fails")
    assert isinstance(ended.error, ExecutionFailed)
    assert "Prod.Deploy: Script execution failed" in str(ended.error)


@BOTH_MODES
def test_an_execution_that_somebody_refused_is_rejected(systems, deferrable):
    with meanwhile(refuse):
        ended = pipeline(pipeline=APPROVED, deferrable=deferrable)
    assert isinstance(ended.error, ExecutionRejected)
    assert "rejected by release-bot" in str(ended.error)
    assert executions_of(systems, APPROVED)[0]["cancels"] == []


@BOTH_MODES
def test_an_execution_need_not_be_waited_for_while_it_waits_for_a_person(systems, deferrable):
    ended = pipeline(pipeline=APPROVED, deferrable=deferrable, on_waiting="fail")
    assert isinstance(ended.error, ExecutionWaiting)
    (execution,) = executions_of(systems, APPROVED)
    assert (execution["state"], execution["cancels"]) == ("WAITING", [])
    assert execution["id"] in str(ended.error)
