"""The events of the registry: which notifications they trigger, with which bodies. The worker delivers them."""

from __future__ import annotations

from typing import Any

from airflow_provider.sandbox.core.environment import Image
from airflow_provider.sandbox.quay import payloads
from airflow_provider.sandbox.quay.images import Finding
from airflow_provider.sandbox.quay.models import Notification, Repository
from airflow_provider.sandbox.quay.state import State
from airflow_provider.sandbox.quay.worker import Worker


class Notifying:
    def __init__(self, state: State, worker: Worker) -> None:
        self._state = state
        self._worker = worker

    def raise_event(self, repository: str, event: str, body: dict[str, Any]) -> None:
        """Queues ``body`` for every notification of this event."""
        found = self._state.repositories.get(repository)
        for each in list(found.notifications.values()) if found else ():
            if each.event == event:
                self._worker.add(each, event, body)

    def image_pushed(self, image: Image) -> None:
        """Every push by tag name is an event."""
        repository = self._state.store(image)
        body = payloads.push_body(self._state.switches["server_hostname"], repository, [image.tag])
        self.raise_event(image.repository, "repo_push", body)

    def queue_test(self, notification: Notification) -> None:
        place = (self._state.switches["server_hostname"], notification.namespace, notification.name)
        body = payloads.test_body(notification.event, *place, notification.event_config, self._state.now)
        self._worker.add(notification, notification.event, body)

    def report_finding(self, repository: Repository, digest: str, finding: Finding) -> None:
        """The scanner's notifier: each of k notifications gets every finding k times."""
        asked = [each for each in repository.notifications.values() if each.event == "vulnerability_found"]
        if not payloads.passes_first_filter([each.event_config for each in asked], finding):
            return
        tags = [each.name for each in repository.living_tags(self._state.now) if each.digest == digest]
        body = payloads.finding_body(self._state.switches["server_hostname"], repository, tags, finding)
        for _ in asked:
            self.raise_event(repository.path, "vulnerability_found", body)
