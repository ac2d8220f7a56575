"""Airflow's masker, which lives as long as its process, knows the newest tokens of a connection only."""

from __future__ import annotations

import re
import threading
from typing import Any

import pytest
from airflow.sdk._shared.secrets_masker import _secrets_masker, redact, reset_secrets_masker

from airflow_provider.clients.redaction import KEPT_TOKENS
from airflow_provider.hooks.base import hook_class
from airflow_provider.hooks.code_stream import CodeStreamHook
from airflow_provider.hooks.masking import forget_here, mask_here
from tests.support.connections import Build, build, define
from tests.support.scripted import Scripted

__all__ = ["build", "define"]

SECRET = "known-word-of-an-extra"


@pytest.fixture(autouse=True)
def emptied() -> None:
    reset_secrets_masker()


def test_a_secret_that_is_forgotten_is_masked_no_longer_and_the_others_still_are() -> None:
    for secret in ("first-(secret)", "second-[secret]"):
        mask_here(secret)
    forget_here("first-(secret)")
    assert redact("first-(secret) second-[secret]") == "first-(secret) ***"
    forget_here("second-[secret]")
    assert redact("first-(secret) second-[secret]") == "first-(secret) second-[secret]"
    forget_here("never-known")


def test_a_hundred_logins_leave_a_few_tokens_in_the_masker(build: Build) -> None:
    client = build("code_stream")
    own = set(_secrets_masker().patterns)
    assert re.escape("good-password") in own
    for number in range(100):
        client.transport.redact.add_token(f"token-number-{number:04}")
    tokens = _secrets_masker().patterns - own
    assert tokens == {re.escape(f"token-number-{number:04}") for number in range(100 - KEPT_TOKENS, 100)}
    assert redact("token-number-0099 good-password") == "*** ***"


def test_what_others_add_meanwhile_is_not_forgotten() -> None:
    def add(first: int) -> None:
        for number in range(first, first + 60):
            mask_here(f"others-{number:05}")

    threads = [threading.Thread(target=add, args=(first,)) for first in (0, 10_000)]
    for thread in threads:
        thread.start()
    for number in range(60):
        mask_here(f"token-{number}")
        forget_here(f"token-{number}")
    for thread in threads:
        thread.join()
    assert len(_secrets_masker().patterns) == 120


class Meanwhile(set[str]):
    """Patterns of which another thread adds one in the middle of a subtraction."""

    def __sub__(self, others: Any) -> set[str]:
        left = set(self) - others
        self.add("added_meanwhile")
        return left


def test_what_another_thread_adds_in_the_middle_is_not_forgotten() -> None:
    masker = _secrets_masker()
    masker.patterns = Meanwhile({"gone_for_good", "known"})
    forget_here("gone_for_good")
    assert masker.patterns == {"known", "added_meanwhile"}
    assert redact("gone_for_good known added_meanwhile") == "gone_for_good *** ***"


HEADERS = {"X-Team-Secret": "short-word", "X-Apikey": "key-of-team", "X-Account": "acme-platform", "role": "DEVOPS"}


def test_only_those_values_of_headers_are_secrets_whose_name_says_so(build: Build, scripted: Scripted) -> None:
    image = "registry:5000/acme-platform/shop:1.0"
    run = {"buildRunSeq": 7, "buildSeq": 3, "runState": "DONE", "runType": "BUILD", "runDesc": "short-word key-of-team"}
    scripted.always = (200, {}, {"status": "ok", "result": {**run, "imageUrl": image, "imageDigest": "sha256:1"}})
    with build("cocktail", host=scripted.url, extra={"headers": HEADERS}) as client:
        seen = client.observe({"system": "cocktail", "kind": "build_run", "id": "7", "build_seq": "3", "tag": ""})
        assert str(seen.to_result()["outputs"]["image_ref"]).startswith("registry:5000/acme-platform/shop")
        assert client.runs.get("7")["runDesc"] == "*** ***"


def test_texts_also_hide_long_values_of_headers_whose_names_say_nothing(build: Build) -> None:
    client = build("cocktail", extra={"headers": HEADERS})
    # Airflow's masker finds some of them by their names, the client's all.
    for shown in (client.transport.redact, redact):
        assert shown("short-word key-of-team acme-platform DEVOPS") == "*** *** *** DEVOPS"


def test_a_connection_that_changes_gives_another_client_once(define: object, build: Build) -> None:
    build("code_stream")
    hook = CodeStreamHook("under_test")
    hook.get_conn()
    assert hook.get_changed_conn() is None
    build("code_stream", password="another-password")
    assert hook.get_changed_conn() is not None
    assert hook.get_changed_conn() is None


def test_no_extra_that_is_secret_is_in_the_text_of_its_object() -> None:
    secret = {"refresh_token": SECRET, "security_token": SECRET, "headers": {"X-Team-Secret": SECRET}}
    for system in ("code_stream", "service_stage", "cocktail", "quay"):
        extras = hook_class(system).extras_class
        known = {name: value for name, value in secret.items() if name in extras.model_fields}
        assert SECRET not in repr(extras.model_validate(known)), system
