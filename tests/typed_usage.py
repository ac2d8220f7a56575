"""What editors and type checkers know of operators, hooks and clients: ``make lint`` checks it, nothing runs it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, assert_type

from airflow_provider.clients.cocktail import CocktailClient
from airflow_provider.clients.code_stream import CodeStreamClient
from airflow_provider.clients.quay import QuayClient
from airflow_provider.clients.service_stage import ServiceStageClient
from airflow_provider.hooks.cocktail import CocktailHook
from airflow_provider.hooks.code_stream import CodeStreamHook
from airflow_provider.hooks.quay import QuayHook
from airflow_provider.hooks.service_stage import ServiceStageHook
from airflow_provider.operators.cocktail import CocktailCancelBuildOperator
from airflow_provider.operators.quay import QuayDeleteNotificationOperator, QuayRunBuildOperator
from airflow_provider.sensors.code_stream import CodeStreamEventSensor
from airflow_provider.sensors.quay import QuaySecurityScanSensor, QuayTagSensor

if TYPE_CHECKING:
    from airflow.sdk import Context


def a_hook_gives_the_client_of_its_system() -> None:
    assert_type(CocktailHook().get_conn(), CocktailClient)
    assert_type(CodeStreamHook().get_conn(), CodeStreamClient)
    assert_type(QuayHook().get_conn(), QuayClient)
    assert_type(ServiceStageHook().get_conn(), ServiceStageClient)


def an_operator_and_a_sensor_have_the_client_of_their_system(
    run: QuayRunBuildOperator, cancel: CocktailCancelBuildOperator, event: CodeStreamEventSensor, context: Context
) -> None:
    assert_type(run.get_client(context), QuayClient)
    assert_type(cancel.get_client(context), CocktailClient)
    assert_type(event.get_client(context), CodeStreamClient)
    with run.begin(context) as client:
        assert_type(client, QuayClient)


def shared_arguments_are_known() -> None:
    QuayRunBuildOperator(
        task_id="build",
        repository="acme/shop",
        archive_url="https://host/a.tgz",
        tags=["1"],
        timeout=timedelta(hours=1),
        on_canceled="retry",
        retries=2,
        pool="builds",
    )
    QuayDeleteNotificationOperator(task_id="delete", repository="acme/shop", uuid="u", retry_policy=None)
    QuaySecurityScanSensor(task_id="scan", repository="acme/shop", tag="1", start_from_trigger=True, soft_fail=True)


def what_is_misspelt_or_of_another_type_is_told() -> None:
    QuayTagSensor(task_id="tag", repository="acme/shop", tag="1", timeuot=60)  # type: ignore[call-arg]
    QuayTagSensor(task_id="tag", repository="acme/shop", tag="1", timeout="60")  # type: ignore[arg-type]
    QuayTagSensor(repository="acme/shop", tag="1")  # type: ignore[call-arg]
    CocktailCancelBuildOperator(task_id="cancel", build_run_seq=1, on_waiting="never")  # type: ignore[arg-type]
