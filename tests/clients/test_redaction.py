"""No secret shows in what people may read, however it is written there, and looking for it takes next to no time."""

from __future__ import annotations

import base64
import html
import json
import re
import threading
import time
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from pytest_mock import MockerFixture
from requests.structures import CaseInsensitiveDict

from airflow_provider.clients.answers import HttpAnswer
from airflow_provider.clients.login import Token
from airflow_provider.clients.redaction import (
    KEPT_SEEN,
    KEPT_TOKENS,
    LONGEST_LOG,
    LONGEST_TEXT,
    Redactor,
    is_secret_name,
    lines_of,
    without_keys,
)

SECRET = "pä\"ss/w\\o+r d&<7>\nx~(y)!*='z:1"


def _escaping(chars: str, text: str) -> str:
    for char in chars:
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text


WRITTEN = {
    "plain": SECRET,
    "JSON": json.dumps(SECRET),
    "JSON with Unicode": json.dumps(SECRET, ensure_ascii=False),
    "JSON with escaped slashes": json.dumps(SECRET).replace("/", "\\/"),
    "URL": quote(SECRET, safe=""),
    "URL in lower case": re.sub("%..", lambda match: match[0].lower(), quote(SECRET, safe="")),
    "path": quote(SECRET),
    "form": quote_plus(SECRET),
    "URL by JavaScript, a part": quote(SECRET, safe="!'()*"),
    "URL by JavaScript, whole": quote(SECRET, safe=";,/?:@&=+$-_.!~*'()#"),
    "URL by Java": quote_plus(SECRET, safe="*").replace("~", "%7E"),
    "path by Go": quote(SECRET, safe="$&+=:@"),
    "path by RFC 3986": quote(SECRET, safe="!$&'()*+,;=:@"),
    "URL in a URL": quote(quote(SECRET, safe=""), safe=""),
    "JSON by Go": _escaping("<>&", json.dumps(SECRET, ensure_ascii=False)),
    "JSON by Gson": _escaping("<>&='", json.dumps(SECRET)),
    "JSON by Jackson": json.dumps(SECRET).replace("\\u00e4", "\\u00E4"),
    "JSON in JSON": json.dumps(json.dumps(SECRET))[1:-1].strip('\\"'),
    "Python": repr(SECRET),
    "bytes of Python": repr(SECRET.encode())[1:],
    "page": html.escape(SECRET),
    "page by Django": html.escape(SECRET).replace("&#x27;", "&#39;"),
    "page by Go": html.escape(SECRET).replace("&#x27;", "&#39;").replace("&quot;", "&#34;"),
    "XML": html.escape(SECRET).replace("&#x27;", "&apos;"),
    "text of XML": html.escape(SECRET, quote=False),
    "page by Mustache": html.escape(SECRET).replace("/", "&#x2F;").replace("=", "&#x3D;"),
    "base64": base64.b64encode(SECRET.encode()).decode(),
    "base64 behind one": base64.b64encode(b"u" + SECRET.encode()).decode(),
    "base64 behind two": base64.b64encode(b"u:" + SECRET.encode() + b"tail").decode(),
    "base64 behind many": base64.b64encode(b"some user:" + SECRET.encode()).decode(),
    "base64 for URLs": base64.urlsafe_b64encode(b"?>" + SECRET.encode() + b"?>").decode(),
}


@pytest.mark.parametrize("form", WRITTEN)
def test_a_known_secret_is_masked_in_whichever_form(form: str) -> None:
    redact = Redactor()
    redact.add(SECRET)
    masked = redact(f"before {WRITTEN[form]} after")
    assert masked.startswith("before")
    assert masked.endswith("after")
    shown = masked.removeprefix("before ").removesuffix(" after").strip("\"'")
    # Around base64, some characters belong to what stands beside the secret.
    assert len(shown.replace("***", "")) <= 18 if "base64" in form else shown == "***"
    for start in range(0, len(WRITTEN[form]) - 8, 4):
        if "base64" not in form:
            assert WRITTEN[form][start : start + 8] not in masked


def test_a_secret_is_masked_in_the_base64_of_urls_which_has_other_signs() -> None:
    secret = "pw?>?>?>?>-word"
    encoded = base64.urlsafe_b64encode(secret.encode()).decode()
    assert "_" in encoded
    redact = Redactor()
    redact.add(secret)
    assert redact(encoded) == "***"


NAMED = {
    "a quote in a value": ('{"password": "ab\\"cdef"}', "cdef"),
    "a quote in a bare value": ('password=ab"cdef', "cdef"),
    "JSON in JSON": (json.dumps({"x": json.dumps({"token": "abcdef"})}), "abcdef"),
    "JSON in JSON in JSON": (json.dumps(json.dumps({"x": json.dumps({"token": "abcdef"})})), "abcdef"),
    "a quote that is not closed": ('{"password": "abc def', "abc def"),
    "credentials in a URL": ("see https://user:abcdef@host/x", "abcdef"),
    "an at sign in a password": ("see https://user:abc@def@host/x", "def@"),
    "a user in a URL": ("git clone ssh://abcdef@host", "abcdef"),
    "AWS": ("https://s3/x?X-Amz-Signature=abcdef&X-Amz-Credential=ghijkl%2F1&X-Amz-Security-Token=mno", "abcdef"),
    "AWS, credential": ("https://s3/x?X-Amz-Credential=ghijkl%2F1&b=1", "ghijkl"),
    "AWS, token": ("https://s3/x?X-Amz-Security-Token=mnopq&b=1", "mnopq"),
    "Google": ("https://storage/x?X-Goog-Signature=abcdef", "abcdef"),
    "Azure": ("https://blob/x?sv=2020&sig=abcdef%3D", "abcdef"),
    "Huawei OBS": ("https://obs/x?AccessKeyId=abcdef&Signature=ghijkl", "abcdef"),
    "an environment": ("export DB_PASSWORD=abcdef", "abcdef"),
    "camel case": ('{"clientSecret":"abcdef"}', "abcdef"),
    "a header": ("X-Auth-Token: abcdef", "abcdef"),
    "basic": ("Authorization: Basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
    "basic alone": ("sent Basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
    "a cookie": ("Set-Cookie: abcdef", "abcdef"),
    "another scheme": ("Authorization: Token abcdef", "abcdef"),
    "a scheme in JSON": ('{"Authorization": "ApiKey abcdef", "x": 1}', "abcdef"),
    "a scheme in JSON in JSON": (json.dumps('{"Authorization": "ApiKey abcdef", "x": 1}'), "abcdef"),
    "the second of two cookies": ("Cookie: a=b; session=abcdef", "abcdef"),
    "an option of a command": ("docker login --password abcdef host", "abcdef"),
    "a quote in a password in a URL": ("see https://user:it's-abcdef@host/x", "abcdef"),
    "a JWT": ("got eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl back", "eyJzdWIiOiIxIn0"),
    "a key": ("-----BEGIN RSA PRIVATE KEY-----\nMIIEabcdef\n-----END RSA PRIVATE KEY-----", "MIIEabcdef"),
    "an access key alone": ("refused Access=ABCDwxyz1234, SignedHeaders=host", "wxyz1234"),
    "half a key": ("-----BEGIN PRIVATE KEY-----\nMIIEabcdef", "MIIEabcdef"),
}


@pytest.mark.parametrize("case", NAMED)
def test_what_is_named_like_a_secret_is_masked(case: str) -> None:
    text, secret = NAMED[case]
    masked = Redactor()(text)
    assert secret not in masked
    assert "***" in masked
    assert Redactor()(masked) == masked, "masking twice changes nothing"


@pytest.mark.parametrize(
    "text",
    [
        "task Deploy.Check: HTTP 500 from https://host:8443/a?page=2&b=c",
        "the design=simple, config: x, keys of the map: none",
        "Invalid Oauth Refresh token. Verify",
        "Basic checks passed; the bearer was late",
    ],
)
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert Redactor()(text).replace("bearer ***", "bearer was") == text


HOSTILE = {
    "URLs": "://" * 16000,
    "users": "://a" * 12000,
    "names": "token=" * 8000,
    "open quotes": 'token="' * 7000,
    "quotes and backslashes": 'token \\"' * 6000,
    "signatures": "Access=a, Signature" * 2500,
    "blanks": "password" + " " * 48000,
    "users with quotes": "://a:'" * 10000,
    "cookies": "cookie: a; " * 4000,
    "authorizations": "authorization: a " * 3000,
    "options": "--password " * 4000,
    "hyphens": "-" * 48000,
    "keys": "-----BEGIN PRIVATE KEY-----" * 1800,
    "JWTs": "eyJ" * 16000,
    "bearers": "bearer " * 7000,
    "dashes": "x-" * 24000,
    "a name without end": "x-" * 24000 + "=",
    "backslashes": "\\" * 48000,
}


@pytest.mark.parametrize("case", HOSTILE)
def test_masking_takes_time_in_proportion_to_the_text(case: str) -> None:
    redact = Redactor()
    redact.add(SECRET)
    text = HOSTILE[case]
    began = time.process_time()
    for _ in range(5):
        redact(text, len(text))
    # A quadratic expression takes seconds for one.
    assert time.process_time() - began < 5


KEY = ["-----BEGIN RSA PRIVATE KEY-----", "MIIEabcdef", "ghijkl", "-----END RSA PRIVATE KEY-----"]


def test_the_lines_of_a_private_key_are_masked_one_by_one() -> None:
    lines = ["before", *KEY, "between", f"{KEY[0]} {KEY[1]} {KEY[3]}", "after", *KEY[:2]]
    masked = [Redactor()(line) for line in without_keys(lines)]
    assert not any(part in line for line in masked for part in KEY[1:3])
    assert [line for line in masked if "***" not in line and "-----" not in line] == ["before", "between", "after"]
    assert list(without_keys([KEY[0], *["x"] * 1000]))[-1] == "x", "a key ends"


def test_the_end_of_a_log_begins_with_a_whole_line() -> None:
    assert lines_of("one\ntwo") == ["one", "two"]
    assert lines_of("secret-" * LONGEST_LOG + "half\nwhole") == ["whole"]


def test_no_text_is_longer_than_asked_for() -> None:
    assert len(Redactor()("x" * 10**6)) == LONGEST_TEXT
    assert Redactor()("abc" * 9, 10) == "abcabca..."
    assert Redactor()("a b", 3) == "a b"


@pytest.mark.parametrize("place", range(180, 700, 13))
def test_a_secret_that_is_cut_in_two_shows_no_half(place: int) -> None:
    secret = "".join(chr(ord("A") + n % 26) + chr(ord("a") + n // 26) for n in range(200))
    redact = Redactor()
    redact.add(secret)
    for before in ("x" * place, ("x " * place)[:place], f"{secret} " + "x" * place):
        text = before + secret + " after" * 1000
        masked = redact(text, 100)
        assert len(masked) <= 100
        assert not any(secret[n : n + 6] in masked for n in range(len(secret) - 6))


@pytest.mark.parametrize("secret", ["known-secret-" * 5, "known secret " * 5, "known-secret-known"])
def test_a_secret_that_is_cut_in_two_behind_many_masks_shows_no_half(secret: str) -> None:
    redact = Redactor()
    redact.add(secret)
    for place in range(len(secret)):
        # What is masked is short, so that what was cut off the text would be shown.
        masked = redact("x" * place + secret * 20, 100)
        assert "***" in masked
        assert "known" not in masked


def test_a_login_in_a_url_that_is_cut_in_two_shows_no_half() -> None:
    redact = Redactor()
    redact.add("known-secret-" * 5)
    for place in range(66):
        text = "x" * place + " https://user:letmein-letmein-letmein@host/" + "y" * 3000
        assert "letmein" not in redact("known-secret-" * 5 * 13 + text, 100)


def test_only_the_newest_tokens_are_kept_and_the_masker_forgets_the_others() -> None:
    masked: list[str] = []
    redact = Redactor(masked.append, on_forgotten=masked.remove)
    redact.add("the-password")
    for number in range(100):
        redact.add_token(f"token-{number:04}")
    assert masked == ["the-password", "token-0097", "token-0098", "token-0099"]
    assert len(masked) == 1 + KEPT_TOKENS
    assert redact("the-password token-0099") == "*** ***"


def test_a_token_that_another_thread_adds_meanwhile_does_not_disturb_the_use_of_one(mocker: MockerFixture) -> None:
    redact = Redactor()
    redact.add_token("first-token")
    redact.add_token("second-token")
    other = threading.Thread(target=redact.add_token, args=("third-token",))

    def reversed_slowly(tokens: dict[str, None]) -> Any:
        found = reversed(tokens)
        if not other.ident:
            other.start()
            other.join(0.2)
        return found

    mocker.patch("airflow_provider.clients.redaction.reversed", reversed_slowly, create=True)
    redact.add_token("first-token")
    other.join()
    assert redact("first-token second-token third-token") == "*** *** ***"


def test_secrets_that_many_threads_add_at_once_are_all_masked() -> None:
    redact = Redactor()
    secrets = [f"secret-{number:03}" for number in range(64)]
    barrier = threading.Barrier(16)

    def add(some: list[str]) -> None:
        barrier.wait()
        for secret in some:
            redact.add(secret)

    threads = [threading.Thread(target=add, args=(secrets[n::16],)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert redact(" ".join(secrets)).replace("***", "").strip() == ""


@pytest.mark.parametrize(
    ("secret", "content", "masked"),
    [
        ("hunter22-long", b'{"a": "hunter22-long"}', b'{"a": "***"}'),
        ('b\xe4h"mulle', b'{"a": "b\\u00e4h\\"mulle"}', b'{"a": "***"}'),
        ("hunter22-long", b'{"a": "\\u0068unter22\\u002Dlon\\u0067"}', b'{"a": "***"}'),
        ("hunter22", b'{"a": "\\\\u0068unter22"}', b'{"a": "\\\\u0068unter22"}'),
        ("hunter22-long", b'{"a": "\\u0022\\u005c hunter22-long"}', b'{"a": "\\u0022\\u005c ***"}'),
        ("user-password", b'{"a": "' + base64.b64encode(b"user-password") + b'"}', b'{"a": "***"}'),
        ("building", b'{"phase": "building"}', b'{"phase": "***"}'),
        ("build", b'{"phase": "building"}', b'{"phase": "building"}'),
        ("12345678", b'{"id": 12345678}', b'{"id": 12345678}'),
    ],
)
def test_an_answer_repeats_no_credential_of_the_connection(secret: str, content: bytes, masked: bytes) -> None:
    redact = Redactor()
    redact.add(secret)
    assert redact.answer(content).replace(b"***A==", b"***") == masked


def test_an_answer_keeps_what_only_a_text_may_not_show() -> None:
    redact = Redactor()
    redact.add_other("webhook-secret")
    assert redact.answer(b'"webhook-secret"') == b'"webhook-secret"'
    assert redact("webhook-secret") == "***"


LOGIN_ANSWER = HttpAnswer(200, CaseInsensitiveDict({"X-Subject-Token": "abcdef"}), {"token": "abcdef"}, is_json=True)


@pytest.mark.parametrize("held", [Token("abcdef", 1.0), Redactor(), LOGIN_ANSWER])
def test_no_object_that_holds_a_secret_shows_it(held: Any) -> None:
    if isinstance(held, Redactor):
        held.add("abcdef")
    assert "abcdef" not in f"{held!r} {held}"


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("Authorization", True),
        ("X-Api-Key", True),
        ("apikey", True),
        ("x-accesstoken", True),
        ("x-auth-token", True),
        ("Cookie", True),
        ("X-Cocktail-Auth", True),
        ("clientSecret", True),
        ("X-Team", False),
        ("X-Account", False),
        ("X-Tenant", False),
        ("X-Author", False),
        ("X-Monkey", False),
    ],
)
def test_a_header_is_a_secret_by_its_name(name: str, secret: bool) -> None:
    assert is_secret_name(name) is secret


def test_of_a_document_with_very_many_secrets_the_newest_are_known_and_the_others_forgotten_everywhere() -> None:
    passed_on: list[str] = []
    told: list[str] = []

    def tell(secret: str) -> None:
        passed_on.append(secret)
        told.append(secret)

    redact = Redactor(tell, passed_on.remove)
    redact.add("the-credential")
    redact.add_other("secret-of-an-argument")
    for document in range(3):
        redact.add_seen(f"secret-{document}-{number:06}" for number in range(100_000))
    assert len(passed_on) == 2 + KEPT_SEEN
    assert len(told) == 2 + 3 * KEPT_SEEN, "the log system compiles its pattern anew for each"
    newest = f"secret-2-{99_999:06}"
    assert redact(f"{newest} the-credential secret-of-an-argument") == "*** *** ***"
    assert "secret-0-000000" not in passed_on


def test_what_is_longer_than_any_text_that_is_shown_is_no_secret_of_a_document() -> None:
    passed_on: list[str] = []
    redact = Redactor(passed_on.append)
    redact.add_seen(["x" * 1_000_000, "short-secret"])
    assert redact("short-secret xxx") == "*** xxx"
    assert passed_on == ["short-secret"]
