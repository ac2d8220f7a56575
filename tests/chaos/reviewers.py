"""People who decide about releases that ask: at once or late, twice, beside a kill, or at the vendor instead."""

from __future__ import annotations

import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable

from demo.airflow_api import AirflowApi
from tests.chaos import people
from tests.chaos.approvals import APPROVE, AT_THE_VENDOR, IN_AIRFLOW, REJECT, Said
from tests.chaos.gates import GATED_KINDS, Gates
from tests.chaos.people import TaskInstance
from tests.chaos.plan import Release

AT_ONCE, LATE, TWICE, ELSEWHERE, BESIDE = "at once", "late", "twice", "at the vendor", "beside a kill"
WAYS = (AT_ONCE, AT_ONCE, LATE, TWICE, ELSEWHERE, BESIDE, BESIDE, BESIDE)
DECISIONS = (APPROVE, APPROVE, REJECT)
PATIENCE = {LATE: (8.0, 15.0), BESIDE: (45.0, 45.0)}
"""Seconds from when a question is seen to its answer, at least and at most; beside no kill at all after this time."""
UNASKED = 120.0
"""Seconds after which somebody decides at the vendor about what nobody is asked about in Airflow: a guess."""


class Reviewers:
    """:param releases: all.
    :param note: writes down what they do.
    """

    def __init__(
        self, api: AirflowApi, gates: Gates, releases: list[Release], *, seed: int, note: Callable[..., None]
    ) -> None:
        self._api = api
        self._gates = gates
        self._releases = {(each.dag_id, each.task_id, each.map_index): each for each in releases}
        self._gated = {each.name for each in releases if each.kind in GATED_KINDS}
        self._note = note
        self._random = random.Random(seed)
        self._decks: dict[tuple[str, ...], list[str]] = {}
        self._plans: dict[str, tuple[str, float]] = {}
        self._numbers: Counter[str] = Counter()
        self.said: dict[str, list[Said]] = defaultdict(list)

    def act(self) -> None:
        """Decide about what is due.

        :raises requests.RequestException: the API server is away.
        """
        asked = self.asked()
        for name, ti in asked.items():
            way, due = self._plans[name]
            if time.monotonic() < due:
                continue
            if way == ELSEWHERE:
                del self._plans[name]
                self._decide_elsewhere(name)
                continue
            first = self.answer(name, ti)
            if way == TWICE:
                self._say(name, ti, REJECT if first.decision == APPROVE else APPROVE)
        for name, execution in self._gates.waiting().items():
            # An answer may be on its way.
            since = max([execution["states"][-1]["at"], *(each.at for each in self.said[name])])
            if name in self._gated - asked.keys() and time.time() - since > UNASKED:
                self._decide_elsewhere(name)

    @property
    def lacking(self) -> list[str]:
        """What nobody has done yet."""
        said = {(each.place, each.decision, each.is_taken) for several in self.said.values() for each in several}
        done = {
            "an approval in Airflow": (IN_AIRFLOW, APPROVE, True) in said,
            "a rejection in Airflow": (IN_AIRFLOW, REJECT, True) in said,
            "an answer that Airflow refused": any(each[0] == IN_AIRFLOW and each[2] is False for each in said),
            "a decision at the vendor": any(each[0] == AT_THE_VENDOR and each[2] for each in said),
        }
        return [what for what, is_done in done.items() if not is_done]

    def asked(self) -> dict[str, TaskInstance]:
        """The tasks that ask now, by the name of their release; those who want to answer beside a kill come first.

        :raises requests.RequestException: the API server is away.
        """
        asked = {self._releases[ti.dag_id, ti.task_id, ti.map_index].name: ti for ti in people.questions(self._api)}
        self._plans = {name: self._plans.get(name) or self._plan() for name in asked}
        return dict(sorted(asked.items(), key=lambda each: self._plans[each[0]][0] != BESIDE))

    def answer(self, name: str, ti: TaskInstance) -> Said:
        """Answer in Airflow."""
        self._plans.pop(name, None)
        return self._say(name, ti, self._deal(DECISIONS))

    def _say(self, name: str, ti: TaskInstance, decision: str) -> Said:
        at, words = time.time(), self._words(name)
        is_taken = people.answer(self._api, ti, decision.capitalize(), words)
        said = Said(at, decision, words, IN_AIRFLOW, is_taken)
        self.said[name].append(said)
        self._note(f"person: {decision}", of=f"{words} ({_in_words(is_taken)})")
        return said

    def _decide_elsewhere(self, name: str) -> None:
        at, words, decision = time.time(), self._words(name), self._deal(DECISIONS)
        is_taken = self._gates.decide(name, decision, words)
        self.said[name].append(Said(at, decision, words, AT_THE_VENDOR, is_taken))
        self._note(f"person: {decision} at the vendor", of=f"{words} ({_in_words(is_taken)})")

    def _plan(self) -> tuple[str, float]:
        way = self._deal(WAYS)
        return way, time.monotonic() + self._random.uniform(*PATIENCE.get(way, (0.0, 3.0)))

    def _words(self, name: str) -> str:
        self._numbers[name] += 1
        return f"{name}, no. {self._numbers[name]}."

    def _deal(self, cards: tuple[str, ...]) -> str:
        """One of these at random, but each as often as the others."""
        deck = self._decks.setdefault(cards, [])
        if not deck:
            deck.extend(self._random.sample(cards, len(cards)))
        return deck.pop()


def _in_words(is_taken: bool | None) -> str:
    return {True: "accepted", False: "refused", None: "no reply"}[is_taken]
