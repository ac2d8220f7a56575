"""Operators for Cocktail Cloud builds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider.exceptions import Call, ExecutionFailed, ReleasePipelineError
from airflow_provider.execution import Execution, ExecutionState
from airflow_provider.operators.acting import ActOperator
from airflow_provider.operators.arguments import CallbackUrl, Number, TagOrNumber, secrets_of_url
from airflow_provider.operators.starting import StartOperator

if TYPE_CHECKING:
    from airflow_provider.clients.cocktail import CocktailClient
    from airflow_provider.clients.waitable import Intent

UNSEEN = "cannot be read by its number"
"""Status of a run that the installation, or the token, does not let be read before its cancel names its build."""


class CocktailRunBuildOperator(StartOperator):
    """Run a Cocktail Cloud build and wait for its image.

    The result's ``outputs`` hold ``image``, ``tag`` (the one really used), ``digest``, ``image_ref`` (pinned by
    digest), ``size`` (bytes) and ``build_no``.

    :param build_seq: number of the build definition. (templated)
    :param tag_name: tag of the image; may be left out only where the build's autotag is on. (templated)
    :param description: free text; a marker is put before it, by which the run is found again. (templated)
    :param callback_url: told each change of state; no query in it, because Cocktail would lose it. (templated)
    :param require_digest: fail when the build is done without telling a digest.
    :param on_busy: while the build runs already, the account has its limit of parallel builds, or the build server is
        not connected: ``wait`` (default), within ``timeout`` where there is one, or ``fail``.
    :param cocktail_conn_id: the Airflow connection. (templated)

    "Run build" in Cocktail Cloud's Open API reference: https://docs.cocktailcloud.io/
    """

    system = "cocktail"
    deed = "run build {build_seq}"
    told = ("tag_name",)
    template_fields = ("build_seq", "tag_name", "description", "callback_url", "cocktail_conn_id")

    def __init__(
        self,
        *,
        build_seq: Number,
        tag_name: TagOrNumber | None = None,
        description: str | None = None,
        callback_url: CallbackUrl | None = None,
        require_digest: bool = False,
        on_busy: Literal["wait", "fail"] = "wait",
        cocktail_conn_id: str = "cocktail_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.build_seq = build_seq
        self.tag_name = tag_name
        self.description = description
        self.callback_url = callback_url
        self.require_digest = require_digest
        self.on_busy = on_busy
        self.cocktail_conn_id = cocktail_conn_id

    def hidden(self) -> Iterable[str]:
        return secrets_of_url(self.callback_url, in_path=True)

    def intent(self, client: CocktailClient) -> dict[str, Any]:
        tag = _text(self.tag_name)
        client.builds.check_run(self.build_seq, tag_name=tag, callback_url=self.callback_url)
        build = client.builds.get(self.build_seq) or {}
        if tag and build.get("autotagUseYn") == "Y":
            self.log.warning("Build %s has autotag on: the server will not use tag %r", self.build_seq, tag)
        elif tag and build.get("tagName") == tag:
            self.log.warning("Tag %r is the build's default tag: its present image is overwritten", tag)
        return {"kind": "build_run", "build_seq": str(self.build_seq), "tag": tag}

    def start(self, client: CocktailClient, intent: Intent) -> Execution:
        # The marker first: Cocktail may cut the text.
        description = " ".join(part for part in (intent["marker"], _text(self.description)) if part)
        return client.builds.run(
            self.build_seq, tag_name=intent["tag"], description=description, callback_url=self.callback_url
        )

    def is_busy(self, error: ReleasePipelineError) -> bool:
        """Whether to wait after this error and then start it, because nothing has been started yet."""
        from airflow_provider.clients.cocktail import errors

        return self.on_busy == "wait" and errors.is_busy(error)

    def has_more_to_do(self) -> bool:
        return self.require_digest or super().has_more_to_do()

    def verify(self, result: Mapping[str, Any]) -> None:
        if self.require_digest and not result["outputs"].get("digest"):
            summary = f"build run {result['id']} is done, but Cocktail tells no digest of its image"
            raise ExecutionFailed(summary, call=Call(system=self.system))


class CocktailCancelBuildOperator(ActOperator):
    """Cancel a Cocktail Cloud build run and wait until it has ended; one that ended before is no error.

    :param build_run_seq: number of the run, as in the ``id`` of a build's result. (templated)
    :param cocktail_conn_id: the Airflow connection. (templated)

    "Cancel build" in Cocktail Cloud's Open API reference: https://docs.cocktailcloud.io/
    """

    system = "cocktail"
    deed = "cancel build run {build_run_seq}"
    template_fields = ("build_run_seq", "cocktail_conn_id")

    def __init__(self, *, build_run_seq: Number, cocktail_conn_id: str = "cocktail_default", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.build_run_seq = build_run_seq
        self.cocktail_conn_id = cocktail_conn_id

    def choose(self, client: CocktailClient) -> Execution:
        ref = {"system": self.system, "kind": "build_run", "id": str(self.build_run_seq), "build_seq": "", "tag": ""}
        try:
            return client.look(ref)
        except ReleasePipelineError:
            if client.runs.can_be_read(self.build_run_seq):
                raise
            return Execution(ref, ExecutionState.UNKNOWN, UNSEEN)

    def act(self, client: CocktailClient, target: Execution) -> Execution:
        if target.status != UNSEEN:
            client.cancel(target.ref, "canceled by an Airflow task")
            return client.look(target.ref)
        # The answer to the cancel names the build, in whose list the run may be found.
        cancel_run = client.runs.cancel(self.build_run_seq)
        ref = {**target.ref, "build_seq": _text(cancel_run.get("buildSeq"))}
        if not self.wait_for_completion:
            return Execution(ref, ExecutionState.UNKNOWN, "cancel accepted")
        return client.look(ref)


def _text(value: object) -> str:
    """What a template with native objects made of a text, such as a number, as text again."""
    return "" if value is None else str(value)
