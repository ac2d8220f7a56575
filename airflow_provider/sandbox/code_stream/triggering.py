"""How trigger events arrive, start pipelines and are rerun. No routes."""

from __future__ import annotations

import re
from typing import Any

from airflow_provider.sandbox.code_stream.expressions import fill
from airflow_provider.sandbox.code_stream.models import Event, Execution, Stored
from airflow_provider.sandbox.code_stream.refusals import Refusal
from airflow_provider.sandbox.code_stream.running import Runner
from airflow_provider.sandbox.code_stream.state import State
from airflow_provider.sandbox.code_stream.tokens import Tokens
from airflow_provider.sandbox.core.environment import Image

REFUSED_DELIVERY = "Invalid Oauth Refresh token. Verify webhook configuration."


class Triggering:
    def __init__(self, state: State, runner: Runner, tokens: Tokens) -> None:
        self._state = state
        self._runner = runner
        self._tokens = tokens

    def deliver(
        self,
        kind: str,
        *,
        name: str,
        project: str,
        pipeline: str,
        fields: dict[str, Any] | None = None,
        inputs: dict[str, Any] | None = None,
        refused: str | None = None,
        at: float | None = None,
    ) -> Event:
        """Receives a webhook delivery; ``refused`` is the message of one that starts nothing."""
        event = Event(kind, name, project, pipeline, fields or {}, inputs or {}, at or self._state.now)
        self._state.events[event.id] = event
        if refused is not None:
            event.message = refused
        else:
            self._run(event, f"{kind} webhook")
        return event

    def image_pushed(self, image: Image) -> None:
        """Delivers a pushed image through every registry webhook that matches it."""
        namespace, _, name = image.repository.rpartition("/")
        for webhook in list(self._state.registry_webhooks.objects.values()):
            fields = webhook.fields
            if not _wants(webhook, image, name):
                continue
            accepted = self._tokens.user_of_refresh_token(fields.get("refreshToken"))
            payload = {
                "repo": name,
                "repoNamespace": namespace,
                "imageName": name,
                "tag": image.tag,
                "owner": namespace,
            }
            self.deliver(
                "docker",
                name=webhook.name,
                project=webhook.project,
                pipeline=fields.get("pipeline", ""),
                fields=payload,
                inputs={key: fill(value, {"tag": image.tag}) for key, value in fields["input"].items()},
                refused=None if accepted else REFUSED_DELIVERY,
            )

    def rerun(self, event: Event, user: str) -> Event:
        """Reruns an event as the switch ``rerun`` says; returns the event to answer with."""
        mode = self._state.switches["rerun"]
        pipeline = self._state.pipelines.named(event.pipeline, event.project)
        if mode == "message_only" or pipeline is None or not pipeline.fields["enabled"]:
            event.updated_at = self._state.now
            event.message = (
                REFUSED_DELIVERY if mode == "message_only" else f"Pipeline {event.pipeline} is not available."
            )
        elif mode == "link_in_reply":
            self._run(event, user)
        elif mode == "link_later":
            execution = self._execute(event, user)
            due = self._state.now + self._state.switches["rerun_delay"]
            self._state.at(due, lambda _: event.link(execution, self._state.now))
        else:
            again = Event(
                event.kind, event.name, event.project, event.pipeline, event.fields, event.inputs, self._state.now
            )
            self._state.events[again.id] = again
            self._run(again, user)
            return again if mode == "new_event_in_reply" else event
        return event

    def _run(self, event: Event, user: str) -> None:
        """Starts the pipeline of an event and links the two; a missing or disabled pipeline fills ``message``."""
        pipeline = self._state.pipelines.named(event.pipeline, event.project)
        event.updated_at = self._state.now
        if pipeline is None or not pipeline.fields["enabled"]:
            event.message = f"Pipeline {event.pipeline} is {'disabled' if pipeline else 'not available'}."
        else:
            event.link(self._execute(event, user), self._state.now)

    def _execute(self, event: Event, user: str) -> Execution:
        pipeline = self._state.pipelines.named(event.pipeline, event.project)
        if pipeline is None:
            raise Refusal(500, f"Pipeline {event.pipeline} is not available")
        return self._runner.start(
            pipeline,
            inputs=event.inputs,
            user=user,
            comments=f"Triggered by {event.kind} event {event.id}",
            triggered_by=event.kind.upper(),
        )


def _wants(webhook: Stored, image: Image, name: str) -> bool:
    fields = webhook.fields
    return bool(
        fields["enabled"]
        and fields.get("repoName") in (image.repository, name)
        and re.fullmatch(fields.get("tagNamePattern") or ".*", image.tag)
        and re.fullmatch(fields.get("imageNameRegExPattern") or ".*", name)
    )
