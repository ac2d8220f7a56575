"""One watcher: which events each round becomes, and the position of its cursor.

The cursor is saved in the state store of the watched assets after the events that it covers are in Airflow's database,
never before: a process that dies in between repeats events, and misses none.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import time
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import structlog

from airflow_provider.core.changes import NEW, Change, Cursor, Taken, known_to_all, known_to_either, take
from airflow_provider.storable import storable_text

if TYPE_CHECKING:
    from airflow.sdk.execution_time.context import AssetStateStoreAccessor, AssetStateStoreAccessors

    from airflow_provider.triggers.event_stream import Round, Seat, Stream

log = structlog.get_logger(logger_name=__name__)

MOST_AT_ONCE = 50
"""Events of one round: the triggerer writes them all to the database before it sends its next heartbeat."""

SAVE_EVERY = 600.0
"""Seconds after which a cursor is saved that has only passed unwanted changes: a restart continues from there."""

LONGEST_TURN = 30.0
"""Seconds that an event waits for its turn: Airflow ends a watcher that takes 300 s for a round, and with the shortest
usual interval a round comes each minute."""

LONGEST_SAVE = 20.0
"""Seconds that Airflow may take to save a cursor."""


class CursorStore:
    """Keeps cursors with each asset that the trigger watches for.

    :param accessors: as Airflow gives them to a trigger; ``None`` if it watches for no asset.
    :param watched: what is watched, a JSON value, which with the place distinguishes the cursor from others of the same
        asset.
    :param about: the same, for people.
    """

    def __init__(self, accessors: AssetStateStoreAccessors | None, watched: Any, about: str) -> None:
        self._watched, self._about = watched, about
        # A trigger does not know the names of its assets, and Airflow's own mapping offers look-ups by name only.
        self._stores: list[AssetStateStoreAccessor] = (
            [*accessors._by_name.values(), *accessors._by_uri.values()] if accessors else []
        )

    def __bool__(self) -> bool:
        return bool(self._stores)

    @property
    def assets(self) -> Sequence[Hashable]:
        return self._stores

    async def read(self, place: str) -> Cursor | None:
        """The cursor that covers what every asset with a cursor already knows of a system."""
        cursors = []
        key = self._key(place)
        for store in self._stores:
            if (body := await store.aget(key)) is None:
                continue
            try:
                cursors.append(Cursor.from_json(body))
            except ValueError:
                log.warning("%r holds no valid cursor of %s under %s: starting over", store, self._about, key)
        return known_to_all(cursors)

    async def write(self, cursor: Cursor) -> None:
        """:raises Exception: an asset has not got it, such as one that no DAG uses any more; all others have."""
        key, body = self._key(cursor.place), cursor.to_json() | {"watches": storable_text(self._about)}
        written = [store.aset(key, body) for store in self._stores]
        for problem in await asyncio.gather(*written, return_exceptions=True):
            if problem:
                raise problem

    def _key(self, place: str) -> str:
        named = json.dumps([place, self._watched], sort_keys=True).encode()
        return f"release_pipelines/{hashlib.blake2b(named, digest_size=12).hexdigest()}"


class EventTurns:
    """When events of assets are sent, by whichever watchers in this triggerer.

    :param assets: those of one watcher.
    :param apart: seconds.
    """

    def __init__(self, assets: Sequence[Hashable], apart: float) -> None:
        self._assets, self._apart = assets, apart
        self._last_of = _last_of.setdefault(asyncio.get_running_loop(), {})

    def take(self, after_all: bool) -> float:
        """Seconds until the next event may be sent, which then must be.

        :param after_all: whether it is to be sent some time after all other events of the assets.
        """
        now = time.monotonic()
        last = max((self._last_of.get(asset, -math.inf) for asset in self._assets), default=-math.inf)
        at = min(max(now, last + self._apart), now + LONGEST_TURN) if after_all else now
        self._last_of.update(dict.fromkeys(self._assets, max(at, last)))
        return at - now


_last_of: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, float]] = WeakKeyDictionary()
"""By asset, when its last event was or will be sent."""


class Watcher:
    """:param is_wanted: whether a change becomes an event.
    :param about: what is watched, for the log.
    """

    def __init__(
        self, stream: Stream, seat: Seat, store: CursorStore, is_wanted: Callable[[Change], bool], about: str
    ) -> None:
        self._stream, self._seat, self._store = stream, seat, store
        self._is_wanted, self._about = is_wanted, about
        self._cursor: Cursor | None = None
        self._first: Cursor | None = None
        """Where it begins, until that is saved."""
        self._round: Round | None = None
        """The last one that became events."""
        self._is_sending = False
        self._saved: Cursor | None = None
        self._saved_at = time.monotonic()

    async def take(self, seen: Round) -> list[dict[str, Any]]:
        """The events that a round becomes, all of which must be sent before :meth:`has_sent` is called. An error of
        Airflow's costs only time: the next round yields the same events."""
        try:
            await self.save()
            taken = await self._take(seen)
        except Exception as error:
            log.warning("Could not determine what is new in %s, will retry: %s", self._about, _brief(error))
            return []
        if taken is None:
            return []
        self._cursor, self._is_sending = taken.cursor, bool(taken.changes)
        self._seat.since = taken.cursor.since(NEW) if taken.since is None else taken.since
        if taken.is_more or taken.since is not None:
            self._stream.wake()
        return [change.payload for change in taken.changes]

    def has_sent(self, seen: Round) -> None:
        """Note that all events of this round have been sent."""
        if self._is_sending:
            self._round, self._is_sending = seen, False
            seen.when_done(self.save)

    async def save(self) -> None:
        """Save the cursor, if Airflow has stored all events that it covers: those of a removed watcher it may not."""
        cursor = self._cursor
        is_done = self._seat.is_taken and (self._round is None or self._round.is_done)
        if cursor is None or cursor == self._saved or self._is_sending or not is_done:
            return
        if self._round is None and time.monotonic() - self._saved_at < SAVE_EVERY:
            return
        try:
            async with asyncio.timeout(LONGEST_SAVE):
                await self._store.write(cursor)
        except Exception as error:
            log.warning("Could not save the cursor of %s, will retry: %s", self._about, _brief(error))
            return
        self._saved, self._saved_at = cursor, time.monotonic()
        if self._cursor is cursor:
            self._round = None

    async def _take(self, seen: Round) -> Taken | None:
        if self._cursor is None or self._cursor.place != seen.place:
            self._cursor = await self._begin(seen)
        taken = self._new_in(self._cursor, seen)
        if taken.changes and self._store:
            # Another triggerer may have sent them already: this one may have stalled, and lost its watchers to it.
            taken = self._new_in(known_to_either(self._cursor, await self._store.read(seen.place)), seen)
        return taken

    async def _begin(self, seen: Round) -> Cursor:
        """The saved cursor, or a new one, which is saved before the first event."""
        if self._cursor:
            log.warning("%s moved from %s to %s: starting there", self._about, self._cursor.place, seen.place)
        if saved := await self._store.read(seen.place):
            return saved
        if self._first is None or self._first.place != seen.place:
            self._first = self._new_in(None, seen).cursor
        # For an asset that is not active yet, Airflow reads no cursor and refuses to write one.
        await self._store.write(self._first)
        self._saved, self._saved_at = self._first, time.monotonic()
        return self._first

    def _new_in(self, cursor: Cursor | None, seen: Round) -> Taken:
        return take(cursor, seen.place, seen.reading, self._is_wanted, MOST_AT_ONCE)


def _brief(error: Exception) -> str:
    return storable_text(str(error))[:500] or type(error).__name__
