"""When callbacks are sent: at once, late, twice, out of order or never, depending on the switches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from airflow_provider.sandbox.cocktail import callbacks
from airflow_provider.sandbox.cocktail.models import BuildRun
from airflow_provider.sandbox.cocktail.results import result, view_of
from airflow_provider.sandbox.core.calls import Call, Unlocked
from airflow_provider.sandbox.core.environment import Environment


class Delivering:
    def __init__(self, environment: Environment, switches: Mapping[str, Any]) -> None:
        self._environment = environment
        self._switches = switches
        self.clear()

    def clear(self) -> None:
        self._lines: dict[int, callbacks.CallbackLine] = {}
        self._set_aside: dict[int, list[callbacks.Message]] = {}
        self._delayed: list[tuple[float, int, callbacks.Message]] = []

    def tick(self, now: float) -> None:
        due = [each for each in self._delayed if each[0] <= now]
        if due:
            self._delayed = [each for each in self._delayed if each[0] > now]
        for _, run_seq, message in due:
            self._line(run_seq).add(message)

    def announce(self, run: BuildRun) -> None:
        """Sends the state of a run to its callback URL."""
        if self._switches["callbacks_lost"]:
            return
        for message in self._messages(run):
            if self._switches["callback_delay"]:
                due = self._environment.clock.now() + self._switches["callback_delay"]
                self._delayed.append((due, run.run_seq, message))
            else:
                self._line(run.run_seq).add(message)

    def answer_started(self, call: Call, run: BuildRun) -> Unlocked:
        """The answer to a call that has started a run. The first callback is delivered before the reply, and without
        the lock, because its receiver may call the sandbox."""
        line = self._line(run.run_seq)
        line.hold()
        self.announce(run)

        def finish() -> Any:
            try:
                line.deliver_first(self._send_now)
            finally:
                line.release()
            with self._environment.lock:
                return result(call, view_of(call, run))

        return Unlocked(finish)

    def _messages(self, run: BuildRun) -> list[callbacks.Message]:
        if run.run_type == "REMOVE":
            body = callbacks.build_body(run.build)
        else:
            body = callbacks.run_body(run, self._switches["image_url_with_tag"])
        messages = callbacks.messages(run.callback_url, body, f"run {run.run_seq} {run.state}")
        if self._switches["callbacks_duplicated"]:
            messages = messages * 2
        if self._switches["callbacks_reordered"]:
            aside = self._set_aside.setdefault(run.run_seq, [])
            if not run.finished:
                aside.extend(messages)
                return []
            messages = [*messages, *aside]
        return messages

    def _line(self, run_seq: int) -> callbacks.CallbackLine:
        return self._lines.setdefault(run_seq, callbacks.CallbackLine(self._send))

    def _send(self, message: callbacks.Message, answered: Callable[[int | None], None]) -> None:
        self._environment.outbox.post(**self._post(message), on_done=answered)

    def _send_now(self, message: callbacks.Message) -> None:
        self._environment.outbox.post_now(**self._post(message))

    def _post(self, message: callbacks.Message) -> dict[str, Any]:
        return {
            "url": message.url,
            "json_body": message.body,
            "headers": message.headers,
            "system": "cocktail",
            "about": message.about,
            "timeout": self._switches["callback_timeout"],
        }
