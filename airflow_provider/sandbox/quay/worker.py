"""Quay's delivery worker: a queue that is polled, emptied in random order, retried, and that disables silently.

What is queued and which bodies it has is decided elsewhere.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from airflow_provider.sandbox.core.world import World
from airflow_provider.sandbox.quay import payloads, templates
from airflow_provider.sandbox.quay.notifications import Notification

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
    """:param find: the notification of a uuid, None when it is gone"""

    def __init__(self, world: World, switches: dict[str, Any], find: Callable[[str], Notification | None]) -> None:
        self._world = world
        self._switches = switches
        self._find = find
        self._queue: list[Item] = []
        self._random = random.Random()
        self._next_poll = 0.0
        self._awake = False
        self._sending = False

    def add(self, notification: Notification, event: str, body: dict[str, Any]) -> None:
        self._queue.append(Item(notification.uuid, event, body, self._world.clock.now()))

    def tick(self, now: float) -> None:
        """Polls every 10 s of nominal time; once awake, one item after another until none is available."""
        if now >= self._next_poll:
            self._next_poll = now + self._world.clock.pace(POLL_EVERY)
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
            with self._world.lock:
                self._sending = False
                self._settle(notification, item, delivered=status is not None and 200 <= status < 300)
                self.tick(self._world.clock.now())

        self._world.outbox.post(
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
            self._again(item, self._world.clock.now())

    def _again(self, item: Item, now: float) -> None:
        item.available = now + self._world.clock.pace(RETRY_AFTER)
        if item.tries <= 0:
            self._queue.remove(item)
