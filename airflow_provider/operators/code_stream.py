"""Operators for VMware Code Stream / Aria Automation Pipelines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from airflow_provider.execution import ExecutionState
from airflow_provider.identifiers import seconds_of
from airflow_provider.operators.acting import ActOperator
from airflow_provider.operators.approving import ApprovalOperator
from airflow_provider.operators.arguments import JsonObject, Seconds
from airflow_provider.operators.base import ReleaseOperator
from airflow_provider.operators.checking import rule_of
from airflow_provider.operators.gated import GatedStartOperator

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Unpack

    from airflow.sdk import Context

    from airflow_provider.clients.code_stream import CodeStreamClient
    from airflow_provider.clients.waitable import Intent
    from airflow_provider.core.approving import Question
    from airflow_provider.execution import Execution, ExecutionRef
    from airflow_provider.operators.memory import Memory
    from airflow_provider.operators.shared_arguments import (
        ApprovalArguments,
        GatedStartArguments,
        ReleaseArguments,
        WaitingArguments,
    )


class CodeStreamRunPipelineOperator(GatedStartOperator["CodeStreamClient"]):
    """Run a pipeline and wait for its execution.

    The result's ``outputs`` are the pipeline's ``output``.

    :param pipeline: name or id. (templated)
    :param project: needed where several projects have a pipeline of that name. (templated)
    :param inputs: input parameters; those left out take the pipeline's defaults. (templated)
    :param comments: free text, sent after a marker by which the execution can be found again; a server may truncate
        long text. (templated)
    :param tags: tags of the execution. (templated)
    :param code_stream_conn_id: the Airflow connection. (templated)

    https://developer.broadcom.com/xapis/vrealize-automation-code-stream-api/latest/pipelines/
    """

    system = "code_stream"
    purpose = "run pipeline {pipeline!r}"
    logged_arguments = ("project", "inputs", "tags")
    template_fields = ("pipeline", "project", "inputs", "comments", "tags", "approvers", "code_stream_conn_id")

    def __init__(
        self,
        *,
        pipeline: str,
        project: str | None = None,
        inputs: JsonObject | None = None,
        comments: str | None = None,
        tags: list[str] | None = None,
        code_stream_conn_id: str = "code_stream_default",
        **kwargs: Unpack[GatedStartArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline
        self.project = project
        self.inputs = inputs
        self.comments = comments
        self.tags = tags
        self.code_stream_conn_id = code_stream_conn_id

    def intent(self, client: CodeStreamClient) -> dict[str, Any]:
        pipeline = client.pipelines.find(self.pipeline, self.project)
        declared = pipeline.get("input")
        # Only a warning: the vendor does not document what it does with others.
        if isinstance(declared, dict) and declared and (undeclared := set(self.inputs or ()).difference(declared)):
            known = sorted(map(client.transport.redact, declared))
            self.log_lines([self.lines.undeclared_inputs(sorted(undeclared), known)])
        return client.pipelines.intent(pipeline["id"])

    def start(self, client: CodeStreamClient, intent: Intent) -> Execution:
        comments = " ".join(part for part in (intent["marker"], self.comments) if part)
        return client.pipelines.run(intent["pipeline_id"], inputs=self.inputs, comments=comments, tags=self.tags)


class CodeStreamRerunEventOperator(GatedStartOperator["CodeStreamClient"]):
    """Rerun (or resume) a Docker, Git or Gerrit trigger event and wait for the execution that results.

    :param event_type: ``docker``, ``git`` or ``gerrit``. (templated)
    :param event_id: id of the event. (templated)
    :param action: ``rerun`` (default: a new execution of the stored event) or ``resume``. (templated)
    :param start_timeout: seconds or timedelta within which the event must lead to an execution (default 10 minutes). If
        it does not, the task fails, and a retry sends the action again. ``timeout``, if given, includes this time.
    :param force: rerun the event even if its last execution is still running. By default the task fails then.
    :param on_retry: what an Airflow retry does after the execution failed: ``restart`` (default) sends the action
        again, ``resume`` continues the failed execution.
    :param code_stream_conn_id: the Airflow connection. (templated)

    https://developer.broadcom.com/xapis/vrealize-automation-code-stream-api/latest/triggers/
    """

    system = "code_stream"
    purpose = "{action} {event_type} event {event_id}"
    template_fields = ("event_type", "event_id", "action", "approvers", "code_stream_conn_id")

    def __init__(
        self,
        *,
        event_type: Literal["docker", "git", "gerrit"],
        event_id: str,
        action: Literal["rerun", "resume"] = "rerun",
        start_timeout: Seconds = 600.0,
        force: bool = False,
        on_retry: Literal["restart", "resume"] = "restart",
        code_stream_conn_id: str = "code_stream_default",
        **kwargs: Unpack[GatedStartArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.event_type = event_type
        self.event_id = event_id
        self.action = action
        self.start_timeout = start_timeout
        self.force = force
        self.on_retry = on_retry
        self.code_stream_conn_id = code_stream_conn_id

    @rule_of("force", "action")
    def _check_force(self) -> None:
        if self.force and self.action == "resume":
            raise self.bad_argument("force", "is valid only with action='rerun', got action='resume'")

    def intent(self, client: CodeStreamClient) -> dict[str, Any]:
        return self._before(client, self.action)

    def continuation(self, client: CodeStreamClient, failed: ExecutionRef) -> dict[str, Any] | None:
        intent = self._before(client, "resume") if self.on_retry == "resume" else None
        # If the event led to no execution, or to somebody else's since, nothing of ours can be resumed.
        return intent if intent and intent["link_before"].rstrip("/").endswith(f"/{failed['id']}") else None

    def _before(self, client: CodeStreamClient, action: Literal["rerun", "resume"]) -> dict[str, Any]:
        force = self.force and action == "rerun"
        before = client.reruns.intent(self.event_type, self.event_id, action, force=force)
        return {**before, "start_timeout": seconds_of(self.start_timeout)}

    def start(self, client: CodeStreamClient, intent: Intent) -> Execution:
        return client.reruns.start(intent)

    def is_known(self, ref: ExecutionRef) -> bool:
        return ref["kind"] == "execution"


class CodeStreamTriggerGerritOperator(ReleaseOperator["CodeStreamClient"]):
    """Trigger pipelines for a Gerrit change manually. Code Stream returns only their names, so this does not wait.

    :param change_id: of the Gerrit change. (templated)
    :param project: of the change. (templated)
    :param trigger: name of the Gerrit trigger. (templated)
    :param code_stream_conn_id: the Airflow connection. (templated)
    :return: ``{"message": ..., "pipelinesTriggered": [name, ...]}``

    https://developer.broadcom.com/xapis/vrealize-automation-code-stream-api/latest/triggers/
    """

    system = "code_stream"
    operator_extra_links = ()
    purpose = "trigger Gerrit change {change_id}"
    logged_arguments = ("project", "trigger")
    template_fields = ("change_id", "project", "trigger", "code_stream_conn_id")

    def __init__(
        self,
        *,
        change_id: str,
        project: str,
        trigger: str,
        code_stream_conn_id: str = "code_stream_default",
        **kwargs: Unpack[ReleaseArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.change_id = change_id
        self.project = project
        self.trigger = trigger
        self.code_stream_conn_id = code_stream_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        from airflow_provider.operators.gerrit_trigger import KEY, GerritTriggerAttempt

        with self.begin(context) as client:
            memory = self.memory(context, client, KEY, f"triggered Gerrit change {self.change_id!r}")
            triggered = GerritTriggerAttempt(client, memory, self.change_id, self.project, self.trigger).run()
            self.log_lines([self.lines.triggered(triggered["pipelinesTriggered"])])
        return triggered


class CodeStreamExecutionActionOperator(ActOperator["CodeStreamClient"]):
    """Cancel, pause or resume an execution and wait for the effect; it is no error if it is in that state already.

    :param execution_id: as in the ``id`` of a result. (templated)
    :param action: ``cancel``, ``pause`` or ``resume``. (templated)
    :param reason: shown in Code Stream. (templated)
    :param code_stream_conn_id: the Airflow connection. (templated)

    https://developer.broadcom.com/xapis/vrealize-automation-code-stream-api/latest/executions/
    """

    system = "code_stream"
    purpose = "{action} execution {execution_id}"
    template_fields = ("execution_id", "action", "reason", "code_stream_conn_id")

    def __init__(
        self,
        *,
        execution_id: str,
        action: Literal["cancel", "pause", "resume"],
        reason: str | None = None,
        code_stream_conn_id: str = "code_stream_default",
        **kwargs: Unpack[WaitingArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.execution_id = execution_id
        self.action = action
        self.reason = reason
        self.code_stream_conn_id = code_stream_conn_id

    def choose(self, client: CodeStreamClient) -> Execution:
        from airflow_provider.clients.code_stream.references import execution_reference

        return client.observe(execution_reference(self.execution_id))

    def act(self, client: CodeStreamClient, target: Execution) -> Execution:
        return client.executions.act(target.id, self.action, self.reason)

    def shows_effect(self, execution: Execution) -> bool:
        from airflow_provider.clients.code_stream.references import BEGINNING

        if execution.status in BEGINNING.values():
            return execution.status == BEGINNING[self.action]
        return execution.state in self.until() or (self.action == "cancel" and execution.state.is_terminal)

    def wanted(self) -> str:
        return self.action

    def until(self) -> tuple[ExecutionState, ...]:
        return {
            "cancel": (),
            "pause": (ExecutionState.PAUSED,),
            "resume": (ExecutionState.RUNNING, ExecutionState.QUEUED, ExecutionState.WAITING),
        }[self.action]


class CodeStreamApprovalOperator(ApprovalOperator["CodeStreamClient"]):
    """Answer an approval (user operation) of an execution, and check that Code Stream accepted the answer.

    Takes the arguments of :class:`~airflow_provider.operators.approving.ApprovalOperator`: without ``decision``, people
    are asked in Airflow. An accepted rejection is a success of this task; the execution itself fails.

    :param execution_id: the execution that waits; give this or ``user_operation_id``. (templated)
    :param user_operation_id: the approval itself. (templated)
    :param decision: ``approve`` or ``reject``; ``None``: as people decide in Airflow. (templated)
    :param message: shown with the answer. (templated)
    :param approvers: ids of the only Airflow users who may answer. (templated)
    :param code_stream_conn_id: the Airflow connection. (templated)

    https://developer.broadcom.com/xapis/vrealize-automation-code-stream-api/latest/user-operations/
    """

    system = "code_stream"
    purpose = "answer an approval"
    logged_arguments = ("decision", "execution_id", "user_operation_id")
    named_by = ("execution_id", "user_operation_id")
    template_fields = (
        "execution_id",
        "user_operation_id",
        "decision",
        "message",
        "approvers",
        "code_stream_conn_id",
    )

    def __init__(
        self,
        *,
        execution_id: str | None = None,
        user_operation_id: str | None = None,
        code_stream_conn_id: str = "code_stream_default",
        **kwargs: Unpack[ApprovalArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.execution_id = execution_id
        self.user_operation_id = user_operation_id
        self.code_stream_conn_id = code_stream_conn_id

    @rule_of("execution_id", "user_operation_id")
    def _check_what(self) -> None:
        self.require_exactly_one("execution_id", "user_operation_id")

    def find(self, client: CodeStreamClient) -> tuple[Execution, str]:
        from airflow_provider.clients.code_stream.references import answer_reference

        operation_id = self.user_operation_id or client.approvals.find_pending(str(self.execution_id))
        return client.observe(answer_reference(operation_id)), ""

    def describe(self, client: CodeStreamClient, waiting: Execution, task_name: str) -> dict[str, Any]:
        return client.approvals.describe(waiting)

    def title(self, waiting: Execution, arguments: Mapping[str, str | None]) -> str:
        asked = waiting.outputs
        pipeline, index = asked.get("pipelineName") or "a pipeline", asked.get("executionIndex", "")
        return f"{pipeline}, execution {index}, {asked.get('name') or waiting.id}"

    def answer(
        self,
        context: Context,
        client: CodeStreamClient,
        decision: str,
        message: str | None,
        asked: Question | None,
    ) -> dict[str, Any]:
        if asked:
            return self._answer(client, asked.ref["id"], decision, message)
        action = f"answered an approval of execution {self.execution_id}"
        memory = self.memory(context, client, "approval_answer", action)
        operation_id = self.user_operation_id or self._asked(memory, client)
        waiting = self.result_now(client, {"id": operation_id})
        approvers = waiting["outputs"].get("approvers")
        self.log_lines([self.lines.asked(waiting["ref"], waiting["message"], approvers, waiting["url"])])
        answered = self._answer(client, operation_id, decision, message)
        self.publish(context, answered)
        if self.execution_id:
            memory.note({"execution_id": self.execution_id, "id": operation_id}, is_done=True)
        return answered

    def result_now(self, client: CodeStreamClient, ref: ExecutionRef) -> dict[str, Any]:
        from airflow_provider.clients.code_stream.references import approval_reference

        return client.observe(approval_reference(ref["id"])).to_result()

    def _answer(
        self, client: CodeStreamClient, operation_id: str, decision: str, message: str | None
    ) -> dict[str, Any]:
        client.approvals.answer(operation_id, decision == "approve", message)
        answered = self.result_now(client, {"id": operation_id})
        by = answered["outputs"].get("respondedBy")
        self.log_lines([self.lines.answered(answered["ref"], answered["status"], by, answered["url"])])
        return answered

    def _asked(self, memory: Memory, client: CodeStreamClient) -> str:
        """The approval that an earlier attempt was about to answer, or else the one that is pending."""
        asked = memory.recall()
        if asked and asked["execution_id"] == self.execution_id:
            # If it has been answered, it is not answered again.
            return str(asked["id"])
        operation_id = client.approvals.find_pending(str(self.execution_id))
        memory.note({"execution_id": self.execution_id, "id": operation_id})
        return operation_id
