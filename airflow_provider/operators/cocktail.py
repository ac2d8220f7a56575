"""Operators for Cocktail Cloud builds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider.exceptions import Call, ExecutionFailed, ReleasePipelineError
from airflow_provider.execution import Execution, ExecutionState
from airflow_provider.identifiers import secrets_of_url
from airflow_provider.operators.acting import ActOperator
from airflow_provider.operators.arguments import Callback, CallbackUrl, Number, TagOrNumber
from airflow_provider.operators.checking import rule_of
from airflow_provider.operators.starting import StartOperator

if TYPE_CHECKING:
    from typing import Unpack

    from airflow_provider.clients.cocktail import CocktailClient
    from airflow_provider.clients.waitable import Intent
    from airflow_provider.operators.shared_arguments import StartArguments, WaitingArguments

UNSEEN = "cannot be read by its number"
"""Status of a run that the installation, or the token, does not allow to be read until its cancel names its build."""


class CocktailRunBuildOperator(StartOperator["CocktailClient"]):
    """Run a Cocktail Cloud build and wait for its image.

    The result's ``outputs`` have ``image``, ``tag`` (the one really used), ``digest``, ``image_ref`` (pinned by
    digest), ``size`` (bytes) and ``build_no``.

    :param build_seq: number of the build definition. (templated)
    :param tag_name: tag of the image; may be left out only if the build's autotag is on. (templated)
    :param description: free text, sent after a marker by which the run can be found again. (templated)
    :param callback_url: called at each change of state; it must have no query, which Cocktail would lose. (templated)
    :param callback: have Cocktail call the webhook that is declared in Airflow's configuration, so that the end of the
        build becomes an asset event, and ends the wait of a deferred task, which then polls only every 10 minutes:
        ``True``, or the name of the webhook if there are several. See docs/webhooks.md.
    :param require_digest: fail if the build ends without a digest.
    :param on_busy: what to do while the build is running already, the account has reached its limit of parallel builds,
        or the build server is not connected: ``wait`` (default), within ``timeout`` if there is one, or ``fail``.
    :param cocktail_conn_id: the Airflow connection. (templated)

    "Run build" in Cocktail Cloud's Open API reference: https://docs.cocktailcloud.io/
    """

    system = "cocktail"
    purpose = "run build {build_seq}"
    logged_arguments = ("tag_name",)
    template_fields = ("build_seq", "tag_name", "description", "callback_url", "cocktail_conn_id")

    def __init__(
        self,
        *,
        build_seq: Number,
        tag_name: TagOrNumber | None = None,
        description: str | None = None,
        callback_url: CallbackUrl | None = None,
        callback: Callback = False,
        require_digest: bool = False,
        on_busy: Literal["wait", "fail"] = "wait",
        cocktail_conn_id: str = "cocktail_default",
        **kwargs: Unpack[StartArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.build_seq = build_seq
        self.tag_name = tag_name
        self.description = description
        self.callback_url = callback_url
        self.callback = callback
        self.require_digest = require_digest
        self.on_busy = on_busy
        self.cocktail_conn_id = cocktail_conn_id

    @rule_of("callback_url", "callback")
    def _check_callback(self) -> None:
        if self.callback and self.callback_url:
            raise self.bad_argument("callback", "or callback_url must be given, not both")

    def hidden(self) -> Iterable[str]:
        yield from secrets_of_url(self.callback_url, in_path=True)
        if self.callback:
            from airflow_provider.operators import declared_webhooks

            yield from declared_webhooks.secrets_of(self, name=self._webhook_name)

    def trigger_arguments(self, marker: str | None) -> dict[str, Any]:
        from airflow_provider.core.durations import DURATIONS

        arguments = super().trigger_arguments(marker)
        return arguments | {"net": DURATIONS.pushed_interval} if self.callback else arguments

    @property
    def _webhook_name(self) -> str:
        """Empty if there is only one webhook to choose."""
        return self.callback if isinstance(self.callback, str) else ""

    def _called_back(self) -> str | None:
        """Where Cocktail reports the run. Never kept in an attribute, because Airflow stores those of a task."""
        if not self.callback:
            return self.callback_url
        from airflow_provider.operators.declared_webhooks import endpoint_of
        from airflow_provider.webhooks.endpoints import url_of

        return url_of(endpoint_of(self, name=self._webhook_name))

    def intent(self, client: CocktailClient) -> dict[str, Any]:
        return client.builds.intent(self.build_seq, tag_name=_text(self.tag_name), callback_url=self._called_back())

    def start(self, client: CocktailClient, intent: Intent) -> Execution:
        # The marker first: Cocktail may truncate the text.
        description = " ".join(part for part in (intent["marker"], _text(self.description)) if part)
        return client.builds.run(
            self.build_seq, tag_name=intent["tag"], description=description, callback_url=self._called_back()
        )

    def is_busy(self, error: ReleasePipelineError) -> bool:
        """Whether to wait after this error and then start, because nothing was started."""
        from airflow_provider.clients.cocktail import errors

        return self.on_busy == "wait" and errors.is_busy(error)

    def has_more_to_do(self) -> bool:
        return self.require_digest or super().has_more_to_do()

    def verify(self, result: Mapping[str, Any]) -> None:
        if self.require_digest and not result["outputs"].get("digest"):
            summary = f"build run {result['id']} is done, but Cocktail reports no digest of its image"
            raise ExecutionFailed(summary, call=Call(system=self.system))


class CocktailCancelBuildOperator(ActOperator["CocktailClient"]):
    """Cancel a Cocktail Cloud build run and wait until it has ended; it is no error if it has ended already.

    :param build_run_seq: number of the run, as in the ``id`` of a build's result. (templated)
    :param cocktail_conn_id: the Airflow connection. (templated)

    "Cancel build" in Cocktail Cloud's Open API reference: https://docs.cocktailcloud.io/
    """

    system = "cocktail"
    purpose = "cancel build run {build_run_seq}"
    template_fields = ("build_run_seq", "cocktail_conn_id")

    def __init__(
        self, *, build_run_seq: Number, cocktail_conn_id: str = "cocktail_default", **kwargs: Unpack[WaitingArguments]
    ) -> None:
        super().__init__(**kwargs)
        self.build_run_seq = build_run_seq
        self.cocktail_conn_id = cocktail_conn_id

    def choose(self, client: CocktailClient) -> Execution:
        from airflow_provider.clients.cocktail.references import run_reference

        ref = run_reference(str(self.build_run_seq), build_seq="", tag="")
        try:
            return client.observe(ref)
        except ReleasePipelineError:
            if client.runs.can_be_read(self.build_run_seq):
                raise
            return Execution(ref, ExecutionState.UNKNOWN, UNSEEN)

    def act(self, client: CocktailClient, target: Execution) -> Execution:
        if target.status != UNSEEN:
            client.cancel(target.ref, "canceled by an Airflow task")
            return client.observe(target.ref)
        # The answer to the cancel names the build, whose list may contain the run.
        cancel_run = client.runs.cancel(self.build_run_seq)
        ref = {**target.ref, "build_seq": _text(cancel_run.get("buildSeq"))}
        if not self.wait_for_completion:
            return Execution(ref, ExecutionState.UNKNOWN, "cancel accepted")
        return client.observe(ref)


def _text(value: object) -> str:
    """The text of a value that a template with native objects may have turned into a number."""
    return "" if value is None else str(value)
