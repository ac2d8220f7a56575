"""Writes an occurrence into Airflow's database as an asset event, exactly once, even if several processes try.

What was counted is recorded in the asset's state store, one row each, in the same transaction as the event.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.assets.manager import asset_manager
from airflow.models.asset import AssetActive, AssetDagRunQueue, AssetModel
from airflow.models.asset_state_store import AssetStateStoreModel
from airflow.utils.session import create_session
from sqlalchemy import and_, delete, or_, select, update

from airflow_provider.storable import bounded, storable
from airflow_provider.webhooks.occurrences import COUNTED_FOR, Alternatives, Occurrence

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

KEY_PREFIX = "release_pipelines.webhook."
"""Prefix of the keys in an asset's state store."""
SWEEP_EVERY = 3600.0
"""Seconds between two removals of old rows by one process."""

swept_at: dict[int, float] = {}


class UnknownAssetError(Exception):
    """No DAG in Airflow names the asset."""


def count(asset: str, alternatives: Alternatives, endpoint: str) -> Occurrence | None:
    """Write the event of the first of these that is not counted yet; returns it, or ``None`` if all are.

    :param asset: its name or URI.
    :param endpoint: name of the webhook, which becomes part of the event.
    :raises UnknownAssetError: there is no such asset, or it is not active.
    :raises Exception: the database's. Nothing was written, or all of it, so that repeating the call is safe.
    """
    after: list[Callable[[], None]] = []
    with create_session() as session:
        counted = _count(asset, alternatives, endpoint, after, session)
    for notify in after:
        # Airflow logs a listener that fails, and continues.
        notify()
    return counted


def _count(
    asset: str, alternatives: Alternatives, endpoint: str, after: list[Callable[[], None]], session: Session
) -> Occurrence | None:
    model = _locked(asset, session)
    now = datetime.now(UTC)
    _sweep(model.id, now, session)
    for each in alternatives:
        key = KEY_PREFIX + hashlib.sha256(each.id.encode("utf-8", "replace")).hexdigest()
        row = session.get(AssetStateStoreModel, (model.id, key))
        if row is not None and row.updated_at > now - timedelta(seconds=each.known_for):
            continue
        if row is None:
            session.add(AssetStateStoreModel(asset_id=model.id, key=key, value=json.dumps(each.about), updated_at=now))
        else:
            row.updated_at = now
        session.flush()
        # Another occurrence of the same id is another event.
        event_id = each.id if row is None else f"{each.id}/{now.timestamp():.0f}"
        _register(model, each, event_id, endpoint, after, session)
        return each
    return None


def _locked(asset: str, session: Session) -> AssetModel:
    """The asset, locked against all other webhooks until this transaction ends.

    Airflow's scheduler expects an asset's events to become visible in the order of their times.
    """
    named = or_(AssetModel.name == asset, AssetModel.uri == asset)
    # Changes nothing, and comes first: SQLite has no row locks, and refuses to write in a transaction that began
    # reading.
    session.execute(
        update(AssetModel).where(named).values(updated_at=AssetModel.updated_at),
        execution_options={"synchronize_session": False},
    )
    active = and_(AssetActive.name == AssetModel.name, AssetActive.uri == AssetModel.uri)
    found = session.scalars(select(AssetModel).join(AssetActive, active).where(named)).all()
    if len(found) != 1:
        raise UnknownAssetError(asset)
    (model,) = found
    return model


def _register(
    model: AssetModel,
    occurrence: Occurrence,
    event_id: str,
    endpoint: str,
    after: list[Callable[[], None]],
    session: Session,
) -> None:
    extra: dict[str, Any] = storable(bounded({**occurrence.extra, "webhook": endpoint, "event_id": event_id}))
    # Airflow 3.3.2's scheduler gives a run the events up to the time of its queue entry, and removes the entry. An
    # existing entry keeps its time, so that a new event would be left for the next run. So lock the entries first,
    # which waits for a scheduler that is removing them, and then give them a time after that of the event.
    waiting = AssetDagRunQueue.asset_id == model.id
    session.execute(
        update(AssetDagRunQueue).where(waiting).values(created_at=AssetDagRunQueue.created_at),
        execution_options={"synchronize_session": False},
    )
    event = asset_manager.register_asset_change(
        asset=model, extra=extra, source_is_api=True, session=session, callback_sink=after
    )
    if event is None:
        raise UnknownAssetError(model.name)
    session.flush()
    session.execute(
        update(AssetDagRunQueue).where(waiting).values(created_at=datetime.now(UTC)),
        execution_options={"synchronize_session": False},
    )


def _sweep(asset_id: int, now: datetime, session: Session) -> None:
    if time.monotonic() - swept_at.get(asset_id, float("-inf")) < SWEEP_EVERY:
        return
    swept_at[asset_id] = time.monotonic()
    session.execute(
        delete(AssetStateStoreModel).where(
            AssetStateStoreModel.asset_id == asset_id,
            AssetStateStoreModel.key.startswith(KEY_PREFIX, autoescape=True),
            AssetStateStoreModel.updated_at < now - timedelta(seconds=COUNTED_FOR),
        ),
        execution_options={"synchronize_session": False},
    )
