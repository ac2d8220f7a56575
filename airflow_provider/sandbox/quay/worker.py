"""Quay's delivery worker: polls its queue, delivers in random order, retries, and silently disables notifications.

notifying.py decides what is queued, payloads.py builds the bodies.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider.sandbox.core.environment import Environment
from airflow_provider.sandbox.quay import payloads, templates
from airflow_provider.sandbox.quay.models import Notification

POLL_EVERY = 10.0
RETRY_AFTER = 30.0
TRIES = 5
CHOSEN_FROM = 50
HEADERS = {"Accept-Encoding": "gzip, deflate", "Content-type": "application/json"}


@dataclass
class Item:
    uuid: str
    event: str
    body: dict[str, Any]
    available: float
    tries: int = TRIES


class Worker:
    """:param find: returns the notification with a uuid, None if it was deleted"""

    def __init__(
        self,
        environment: Environment,
        switches: Mapping[str, Any],
        find: Callable[[str], Notification | None],
    ) -> None:
        self._environment = environment
        self._switches = switches
        self._find = find
        self._random = random.Random()
        self.clear()

    def clear(self) -> None:
        self._queue: list[Item] = []
        self._next_poll = 0.0
        self._awake = False
        self._sending = False

    def add(self, notification: Notification, event: str, body: dict[str, Any]) -> None:
        self._queue.append(Item(notification.uuid, event, body, self._environment.clock.now()))

    def tick(self, now: float) -> None:
        """Polls every 10 s of nominal time, and then delivers item by item until none is available."""
        if now >= self._next_poll:
            self._next_poll = now + self._environment.clock.pace(POLL_EVERY)
            self._awake = True
        while self._awake and not self._sending:
            available = [item for item in self._queue if item.available <= now][:CHOSEN_FROM]
            if not available:
                self._awake = False
                return
            self._process(self._random.choice(available), now)

    def _process(self, item: Item, now: float) -> None:
        notification = self._find(item.uuid)
        if notification is None or notification.disabled:
            self._queue.remove(item)
            return
        item.tries -= 1
        try:
            passes = payloads.lets_through(item.event, notification.event_config, item.body)
            template = notification.config.get("template") if notification.method == "webhook" else None
            body = templates.fill(template, item.body) if template else item.body
        except (TypeError, ValueError, templates.TemplateError):
            self._again(item, now)
            return
        if not passes:
            self._queue.remove(item)
        elif notification.method in ("webhook", "slack"):
            self._send(notification, item, body)
        else:
            self._settle(notification, item, delivered=True)

    def _send(self, notification: Notification, item: Item, body: Any) -> None:
        self._sending = True
        if notification.method == "slack":
            text = f"{item.event} in {notification.namespace}/{notification.name}"
            body = {
                "text": text,
                "username": "quaybot",
                "attachments": [{"fallback": text, "text": text, "fields": []}],
            }

        def done(status: int | None) -> None:
            with self._environment.lock:
                if item not in self._queue:
                    return  # a reset came first
                self._sending = False
                self._settle(notification, item, delivered=status is not None and 200 <= status < 300)
                self.tick(self._environment.clock.now())

        self._environment.outbox.post(
            notification.config["url"],
            body,
            HEADERS,
            system="quay",
            about=f"{item.event} {notification.uuid}",
            timeout=self._switches["notification_send_timeout"],
            follow_redirects=True,
            on_done=done,
        )

    def _settle(self, notification: Notification, item: Item, delivered: bool) -> None:
        if delivered:
            notification.failures = 0
            self._queue.remove(item)
        else:
            notification.failures += 1
            self._again(item, self._environment.clock.now())

    def _again(self, item: Item, now: float) -> None:
        item.available = now + self._environment.clock.pace(RETRY_AFTER)
        if item.tries <= 0:
            self._queue.remove(item)
