"""One watcher: what it tells of each round, and where its cursor stands.

The cursor is kept in the state store of the watched assets, once what it covers is in Airflow's database, and not
before: a process that dies in between tells again, and misses nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import structlog

from airflow_provider.core.news import NEW, Change, Cursor, Taken, known_to_all, known_to_either, take
from airflow_provider.storable import storable_text

if TYPE_CHECKING:
    from airflow.sdk.execution_time.context import AssetStateStoreAccessor, AssetStateStoreAccessors

    from airflow_provider.triggers.event_stream import Round, Seat, Stream

log = structlog.get_logger(logger_name=__name__)

MOST_AT_ONCE = 50
"""Events that are told of one round: the triggerer writes each to the database before it sends its next heartbeat."""

SAVE_EVERY = 600.0
"""Seconds after which a cursor is kept that has only passed over what is not watched: a restart reads on from there."""

LONGEST_SAVE = 20.0
"""Seconds that Airflow may take to keep a cursor."""


class CursorStore:
    """Where cursors are kept: with each asset that is watched for.

    :param accessors: as Airflow gives them to a trigger; ``None`` where it watches for no asset.
    :param watched: what is watched, a JSON value, which names the cursor beside others of the same asset.
    :param about: the same for people.
    """

    def __init__(self, accessors: AssetStateStoreAccessors | None, watched: Any, about: str) -> None:
        name = hashlib.blake2b(json.dumps(watched, sort_keys=True).encode(), digest_size=12).hexdigest()
        self.key = f"release_pipelines/{name}"
        self._about = about
        # A trigger is not told the names of its assets; Airflow's own mapping can be asked for one only by its name.
        self._stores: list[AssetStateStoreAccessor] = (
            [*accessors._by_name.values(), *accessors._by_uri.values()] if accessors else []
        )

    def __bool__(self) -> bool:
        return bool(self._stores)

    async def read(self) -> Cursor | None:
        """What is known for every asset that has a cursor."""
        cursors = []
        for store in self._stores:
            if (body := await store.aget(self.key)) is None:
                continue
            try:
                cursors.append(Cursor.from_json(body))
            except ValueError:
                log.warning("%r holds no cursor of %s under %s: beginning anew", store, self._about, self.key)
        return known_to_all(cursors)

    async def write(self, cursor: Cursor) -> None:
        body = cursor.to_json() | {"watches": storable_text(self._about)}
        for store in self._stores:
            await store.aset(self.key, body)


class Watcher:
    """:param is_wanted: whether a change is told.
    :param about: what is watched, for the log.
    """

    def __init__(
        self, stream: Stream, seat: Seat, store: CursorStore, is_wanted: Callable[[Change], bool], about: str
    ) -> None:
        self._stream, self._seat, self._store = stream, seat, store
        self._is_wanted, self._about = is_wanted, about
        self._cursor: Cursor | None = None
        self._first: Cursor | None = None
        """Where it begins, until that is kept."""
        self._round: Round | None = None
        """The last one of which something was told."""
        self._is_telling = False
        self._kept: Cursor | None = None
        self._kept_at = time.monotonic()

    async def take(self, seen: Round) -> list[dict[str, Any]]:
        """What is to be told of a round, each of which must be told before :meth:`has_told`. An error of Airflow's
        costs only time: the next round is asked for the same."""
        try:
            await self.keep()
            taken = await self._take(seen)
        except Exception as error:
            log.warning("Could not tell what is new of %s, trying again: %s", self._about, _brief(error))
            return []
        if taken is None:
            return []
        self._cursor, self._is_telling = taken.cursor, bool(taken.news)
        self._seat.since = taken.cursor.since(NEW) if taken.since is None else taken.since
        if taken.is_more or taken.since is not None:
            self._stream.wake()
        return [change.told for change in taken.news]

    def has_told(self, seen: Round) -> None:
        """All that was taken of this round has been told."""
        if self._is_telling:
            self._round, self._is_telling = seen, False
            seen.when_over(self.keep)

    async def keep(self) -> None:
        """Keep the cursor, if all that it covers is in Airflow's database."""
        cursor = self._cursor
        is_over = self._round is None or self._round.is_over
        if cursor is None or cursor == self._kept or self._is_telling or not is_over:
            return
        if self._round is None and time.monotonic() - self._kept_at < SAVE_EVERY:
            return
        try:
            async with asyncio.timeout(LONGEST_SAVE):
                await self._store.write(cursor)
        except Exception as error:
            log.warning("Could not keep the cursor of %s, trying again: %s", self._about, _brief(error))
            return
        self._kept, self._kept_at = cursor, time.monotonic()
        if self._cursor is cursor:
            self._round = None

    async def _take(self, seen: Round) -> Taken | None:
        if self._cursor is None or self._cursor.place != seen.place:
            self._cursor = await self._begin(seen)
        taken = self._news(self._cursor, seen)
        if taken.news and self._store:
            # Another triggerer may have told it meanwhile: this one may have stood still, and lost its watchers to it.
            taken = self._news(known_to_either(self._cursor, await self._store.read()), seen)
        return taken

    async def _begin(self, seen: Round) -> Cursor:
        """Where somebody stopped, or where it begins now, which is kept before anything is told."""
        if kept := await self._store.read():
            if kept.place == seen.place:
                return kept
            log.warning("%s was watched at %s, and is at %s now: beginning anew", self._about, kept.place, seen.place)
        if self._first is None or self._first.place != seen.place:
            self._first = self._news(None, seen).cursor
        # Of an asset that is not active yet Airflow says that it has no cursor; to write one is an error then.
        await self._store.write(self._first)
        self._kept, self._kept_at = self._first, time.monotonic()
        return self._first

    def _news(self, cursor: Cursor | None, seen: Round) -> Taken:
        return take(cursor, seen.place, seen.reading, self._is_wanted, MOST_AT_ONCE)


def _brief(error: Exception) -> str:
    return storable_text(str(error))[:500] or type(error).__name__
