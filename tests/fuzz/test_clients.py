"""Whatever a server answers and whatever is asked for, a client returns something sound or one of our errors, in time.

The environment's ``FUZZ_EXAMPLES`` sets how many examples all of these tests try together; ``make fuzz`` tries many.
"""

from __future__ import annotations

import inspect
import math
import os
import re
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from pytest_mock import MockerFixture

from airflow_provider.clients import retries
from airflow_provider.clients.base import ReleaseClient
from airflow_provider.clients.cocktail import run_waits
from airflow_provider.clients.code_stream import execution_document
from airflow_provider.clients.decoding import DEEPEST
from airflow_provider.clients.quay import build_waits
from airflow_provider.clients.quay.build_starts import BuildSource
from airflow_provider.clients.quay.tag_history import History
from airflow_provider.clients.redaction import LONGEST_TEXT
from airflow_provider.clients.service_stage import release_observer
from airflow_provider.exceptions import Effect, ReleasePipelineError
from airflow_provider.execution import Execution, ExecutionState
from airflow_provider.sandbox.core.hostile import Chance
from tests.fuzz.answers import answer, plain_vendor, texts
from tests.fuzz.server import LOGINS, Raw, running_server
from tests.fuzz.successes import is_proven
from tests.fuzz.systems import NOW, PLAUSIBLE, SECRET, SYSTEMS, System, refs_of

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "2000"))
IS_LONG = EXAMPLES > 2000
LONGEST_CALL = 60.0
"""Seconds: many times the duration of a call whose answers all arrive at once."""

READING = [name for name, each in SYSTEMS.items() if each.readers]

fuzzed = settings(
    max_examples=max(1, EXAMPLES // (2 * len(SYSTEMS) + len(READING))),
    deadline=None,
    database=None,
    derandomize=not IS_LONG,
    print_blob=True,
    phases=(Phase.explicit, Phase.generate, Phase.shrink) if IS_LONG else (Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)

NOT_CALLS = {"close"}
STARTS = {
    "pipelines.run",
    "events.rerun",
    "reruns.start",
    "events.trigger_gerrit",
    "releases.act",
    "builds.run",
    "builds.start",
    "release_plans.execute",
    "components.act",
}


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    with running_server() as server:
        yield server


@pytest.fixture(autouse=True)
def _short_pauses(mocker: MockerFixture) -> None:
    mocker.patch.object(retries, "LONGEST_PAUSE", 0.0)
    mocker.patch.object(retries, "FIRST_PAUSE", 0.0)


def calls_of(client: ReleaseClient) -> dict[str, Callable[..., Any]]:
    """Every public method of a client and of its nouns, by name."""
    found: dict[str, Callable[..., Any]] = {}
    holders = {"": client} | {
        f"{name}.": value for name, value in vars(client).items() if not name.startswith("_") and name != "transport"
    }
    for prefix, holder in holders.items():
        for name in dir(type(holder)):
            member = inspect.getattr_static(type(holder), name)
            if name.startswith("_") or name in NOT_CALLS or not inspect.isfunction(member):
                continue
            found[prefix + name] = getattr(holder, name)
    return found


@st.composite
def arguments(draw: st.DrawFn, system: System, call: Callable[..., Any]) -> dict[str, Any]:
    drawn: dict[str, Any] = {}
    for name, parameter in inspect.signature(call).parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            if "BuildSource" in str(parameter.annotation):
                drawn |= {each: draw(_argument(system, "", each, "str")) for each in BuildSource.__annotations__}
            continue
        if parameter.default is not parameter.empty and draw(st.integers(0, 2)):
            continue
        drawn[name] = draw(_argument(system, call.__qualname__, name, parameter.annotation))
    return drawn


def _argument(system: System, call: str, name: str, annotation: Any) -> st.SearchStrategy[Any]:
    refs, kind = refs_of(system), str(annotation)
    if name == "intent":
        is_of_rerun = call.startswith("Reruns.")
        return st.sampled_from([each for each in system.intents if each["kind"] == "rerun" or not is_of_rerun])
    if name in ("refs", "known"):
        return st.lists(refs, min_size=1, max_size=4)
    if name in ("ref", "about"):
        return refs
    if name in ("execution", "approval", "waiting"):
        return refs.map(lambda ref: Execution(ref, ExecutionState.RUNNING, "RUNNING"))
    plausible = PLAUSIBLE.get(name, ())
    if name == "event" and "Document" in kind:
        return st.sampled_from(system.documents[:3])
    if name == "since" and "float" in kind:
        plausible = (None, 0.0, 1795000000.0)
    is_text = (
        "str" in kind and not any(word in kind for word in ("Mapping", "Sequence", "Json", "Document"))
    ) or kind == "Key"
    if not is_text:
        assert plausible, f"an argument {name}: {kind} is to be given values"
        return st.sampled_from(plausible)
    return st.one_of(st.sampled_from(plausible), texts) if plausible else texts


def answers_of(system: System, fewest: int, most: int) -> st.SearchStrategy[list[Any]]:
    names = sorted({name for document in system.documents for name in _names(document)})

    def answers(seeds: list[int]) -> list[Any]:
        chances = [Chance(seed, names, system.words) for seed in seeds]
        if seeds[0] % 3 == 0:
            return [plain_vendor(chances[0], system.routes, system.field, system.words)]
        return [answer(each, system.documents) for each in chances]

    return st.lists(st.integers(0, 2**64), min_size=fewest, max_size=most).map(answers)


def _names(document: Any) -> Iterator[str]:
    if isinstance(document, dict):
        for key, value in document.items():
            yield key
            yield from _names(value)
    elif isinstance(document, list):
        for item in document:
            yield from _names(item)


def check_sound(value: Any, depth: int = 0) -> None:
    """Whether Airflow can store it, and the next task can read it."""
    assert depth <= DEEPEST + 10
    if isinstance(value, Execution):
        assert len(value.status) <= LONGEST_TEXT
        assert len(value.message or "") <= LONGEST_TEXT
        check_sound(value.to_result(), depth + 1)
        for step in value.steps:
            assert all(len(text or "") <= LONGEST_TEXT for text in step)
            check_sound(list(step), depth + 1)
    elif isinstance(value, str):
        assert "\0" not in value
        value.encode()
        assert SECRET not in value
    elif isinstance(value, (bool, bytes)) or value is None:
        # Bytes are a file, which is handed out as it is.
        pass
    elif isinstance(value, int):
        assert -(2**63) <= value < 2**64
    elif isinstance(value, float):
        assert math.isfinite(value)
    elif isinstance(value, dict):
        for key, item in value.items():
            check_sound(key, depth + 1)
            check_sound(item, depth + 1)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for item in value:
            check_sound(item, depth + 1)
    elif isinstance(value, ReleasePipelineError):
        check_error(value)
    elif isinstance(value, History):
        check_sound(value.entries, depth + 1)
    else:
        assert callable(value) or isinstance(value, (datetime, timedelta))


def check_error(error: ReleasePipelineError) -> None:
    text = str(error)
    assert len(text) <= 3 * LONGEST_TEXT
    check_sound(text)
    check_sound(error.call._asdict())
    assert error.retry_after is None or 0 <= error.retry_after <= 300


def check_effect(name: str, error: ReleasePipelineError, seen: list[Any]) -> None:
    """A start that may have had an effect is never reported as one without."""
    writes = [each for each in seen if each.method == "POST" and not any(part in each.target for part in LOGINS)]
    if name not in STARTS or not writes:
        return
    last = writes[-1]
    is_told = last.body.strip()[:1] in (b"{", b"[", b'"') or 400 <= last.status < 500 or last.status in (307, 308)
    # Two systems tell errors with a good status, too.
    body = re.sub(rb'"status"\s*:\s*"ok"', b"", last.body)
    is_taken = 200 <= last.status < 300 and not re.search(rb"(?i)error|code|fail|status|message", body)
    if is_taken or not is_told or 500 <= last.status < 503 or last.status in (408, 499):
        assert error.effect.is_open, (name, last, error.effect)


def run(system: System, url: str, server: Any, draw: st.DrawFn) -> None:
    client = system.connect(url)
    try:
        calls = calls_of(client)
        name = draw(st.sampled_from(sorted(calls)))
        given_arguments = draw(arguments(system, calls[name]))
        answers = draw(answers_of(system, 1, 4))
        is_logged_in = draw(st.integers(0, 9)) > 0
        server.script.__init__(answers, system.login if is_logged_in else None)
        event(name)
        began = time.monotonic()
        try:
            found = calls[name](**given_arguments)
            if inspect.isgenerator(found):
                found = list(found)
            if name in ("waits.fetch_shared", "waits.fetch"):
                found = [_observe(each) if callable(each) else each for each in found]
        except ReleasePipelineError as error:
            event("error")
            check_error(error)
            check_effect(name, error, server.script.seen)
        else:
            event("answer")
            check_sound(found)
            check_no_wrong_success(found, server.script.seen)
        assert time.monotonic() - began < LONGEST_CALL
    finally:
        client.close()


def _observe(pending: Callable[[], Any]) -> Any:
    try:
        return pending()
    except ReleasePipelineError as error:
        return error


def check_no_wrong_success(found: Any, seen: list[Any]) -> None:
    if isinstance(found, (list, tuple)):
        for each in found:
            check_no_wrong_success(each, seen)
    elif isinstance(found, Execution) and found.state is ExecutionState.SUCCEEDED:
        event(f"success of {found.ref['kind']}")
        assert is_proven(found, seen), (found, [(each.target, each.body) for each in seen])


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_call_survives_every_answer(system: str, server: Any) -> None:
    url = f"http://127.0.0.1:{server.server_address[1]}"

    @fuzzed
    @given(st.data())
    def fuzz(data: st.DataObject) -> None:
        run(SYSTEMS[system], url, server, data.draw)

    fuzz()


def poll(system: System, server: Any, refs: list[dict[str, str]], answers: list[Any]) -> None:
    """Many polls by one client, which remembers earlier answers."""
    server.script.__init__(answers, system.login)
    known: list[Any] = list(refs)
    with system.connect(f"http://127.0.0.1:{server.server_address[1]}") as client:
        for _ in range(4):
            began = time.monotonic()
            try:
                found = [_observe(each) if callable(each) else each for each in client.waits.fetch_shared(known)]
            except ReleasePipelineError as error:
                check_error(error)
                continue
            finally:
                assert time.monotonic() - began < LONGEST_CALL
            assert len(found) == len(known)
            check_sound(found)
            check_no_wrong_success(found, server.script.seen)
            known = [each if isinstance(each, Execution) else before for before, each in zip(known, found, strict=True)]


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_wait_survives_every_row_of_answers(system: str, server: Any) -> None:
    one = SYSTEMS[system]

    @fuzzed
    @given(st.lists(refs_of(one), min_size=1, max_size=4), answers_of(one, 4, 12))
    def fuzz(refs: list[dict[str, str]], answers: list[Any]) -> None:
        poll(one, server, refs, answers)

    fuzz()


def failed_is_success(execution_of: Callable[..., Execution]) -> Callable[..., Execution]:
    def mutant(*args: Any, **options: Any) -> Execution:
        seen = execution_of(*args, **options)
        return replace(seen, state=ExecutionState.SUCCEEDED) if seen.state is ExecutionState.FAILED else seen

    return mutant


MUTANTS = {
    "code_stream": execution_document,
    "service_stage": release_observer,
    "cocktail": run_waits,
    "quay": build_waits,
}


@pytest.mark.parametrize("system", MUTANTS)
def test_a_client_that_takes_a_failure_for_a_success_is_found(system: str, server: Any, mocker: MockerFixture) -> None:
    one, module = SYSTEMS[system], MUTANTS[system]
    mocker.patch.object(module, "execution_of", failed_is_success(module.execution_of))

    @settings(fuzzed, max_examples=500, derandomize=True, phases=[Phase.generate], report_multiple_bugs=False)
    @given(st.lists(refs_of(one), min_size=1, max_size=4), answers_of(one, 4, 12))
    def fuzz(refs: list[dict[str, str]], answers: list[Any]) -> None:
        poll(one, server, refs, answers)

    with pytest.raises(AssertionError, match="is_proven"):
        fuzz()


@pytest.mark.parametrize("system", READING)
def test_what_watchers_read_is_sound_whatever_a_server_answers(system: str, server: Any) -> None:
    one = SYSTEMS[system]

    @fuzzed
    @given(
        st.sampled_from(one.readers), answers_of(one, 4, 12), st.sampled_from((None, 0.0, NOW - 60.0)), st.booleans()
    )
    def fuzz(reader_of: Callable[[], Any], answers: list[Any], since: float | None, whole: bool) -> None:
        server.script.__init__(answers, one.login)
        reader = reader_of()
        with one.connect(f"http://127.0.0.1:{server.server_address[1]}") as client:
            for _ in range(3):
                began = time.monotonic()
                try:
                    lanes = reader.read(client, since, whole)
                except ReleasePipelineError as error:
                    check_error(error)
                    continue
                finally:
                    assert time.monotonic() - began < LONGEST_CALL
                for change in (each for lane in lanes.values() for each in lane.changes):
                    event("change")
                    assert change.id
                    check_sound([change.id, change.at, change.payload])

    fuzz()


def test_a_call_without_answer_is_unknown_and_not_refused(server: Any) -> None:
    server.script.__init__([Raw(b"", keeps=False)], None)
    system = SYSTEMS["quay"]
    client: Any = system.connect(f"http://127.0.0.1:{server.server_address[1]}")
    with client, pytest.raises(ReleasePipelineError) as caught:
        client.builds.start("acme/shop", archive_url="https://host/a", tags=["1"])
    assert caught.value.effect is Effect.UNKNOWN
