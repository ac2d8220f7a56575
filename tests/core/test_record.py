"""Records as they are read from the state store, whatever wrote them."""

from __future__ import annotations

import pytest

from airflow_provider.core.generation import Attempt
from airflow_provider.core.record import Phase, StartRecord, read_act, read_record
from airflow_provider.exceptions import ConflictError

REF = {"system": "quay", "kind": "build", "id": "b1"}
RECORD = StartRecord(
    system="quay",
    place="https://quay.example.com",
    attempt=Attempt(1, 2, 3, 4),
    intent={"kind": "build", "marker": "airflow-1"},
    started=5.0,
    phase=Phase.STARTED,
    ref=REF,
)


def test_a_record_is_read_as_it_was_written():
    assert read_record(RECORD.to_json(), "quay") == RECORD


def test_there_may_be_none():
    assert read_record(None, "quay") is None


def test_what_a_newer_version_adds_is_passed_over():
    assert read_record({**RECORD.to_json(), "version": 3, "colour": "green"}, "quay") == RECORD.__class__(
        **{name: getattr(RECORD, name) for name in RECORD.__struct_fields__} | {"version": 3}
    )


@pytest.mark.parametrize("stored", [{"version": 9, "everything": "else"}, ["a"], "text", 7, {}])
def test_what_cannot_be_read_fails_loudly_and_starts_nothing(stored):
    with pytest.raises(ConflictError, match="could not read the record of an earlier attempt"):
        read_record(stored, "quay")


def test_an_act_that_cannot_be_read_acts_on_no_younger_execution():
    assert read_act(None) is None
    with pytest.raises(ConflictError, match="could not read the record of an earlier attempt's act"):
        read_act({"version": 9, "everything": "else"})


@pytest.mark.parametrize(
    ("rest", "phase"),
    [
        ({"ref": None}, Phase.INTENDED),
        ({"ref": REF}, Phase.STARTED),
        ({"ref": REF, "canceled": True}, Phase.ENDING),
        ({"ref": REF, "left": True}, Phase.LEFT),
    ],
)
def test_a_record_of_the_first_version_is_understood(rest, phase):
    first = {"generation": 2, "intent": {"kind": "build", "marker": "m"}, "started": 5.0, "crashes": 1, **rest}
    record = read_record(first, "quay")
    assert (record.phase, record.attempt.max_tries, record.marker, record.crashes) == (phase, 2, "m", 1)
