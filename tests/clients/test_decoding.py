"""What a vendor's bytes can hold that Airflow's database and the next task cannot: it is cleaned on its way in."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from pytest_mock import MockerFixture

from airflow_provider.clients import decoding
from airflow_provider.clients.decoding import (
    DEEPEST,
    LONGEST_RUN,
    MOST_ESCAPES,
    MOST_LISTS,
    MOST_VALUES,
    TooManyPartsError,
    check_size,
    clean_bytes,
    decoder,
    loads,
)
from airflow_provider.storable import storable_text


class Item(msgspec.Struct):
    id: Any = None
    name: Any = None


@pytest.mark.parametrize(
    ("content", "clean"),
    [
        (rb'"a\u0000b"', "a\ufffdb"),
        (rb'"\\u0000"', "\\u0000"),
        (rb'"\\\u0000"', "\\\ufffd"),
        (rb'"\ud800"', "\ufffd"),
        (rb'"\uDC00\uD800"', "\ufffd\ufffd"),
        (rb'"\ud83d\ude00"', "\U0001f600"),
        (rb'"\ud83d\ud83d\ude00"', "\ufffd\U0001f600"),
        (rb'"\u00e4\n\"\/"', '\u00e4\n"/'),
        (b'"a\0b"', "a\ufffdb"),
        (rb'{"\u0000": 1}', {"\ufffd": 1}),
    ],
)
def test_no_nul_and_no_half_of_a_surrogate_pair_comes_in(content: bytes, clean: Any) -> None:
    assert loads(clean_bytes(content)) == clean
    assert decoder(Any)(clean_bytes(content)) == clean


def test_a_text_is_cleaned_like_a_document() -> None:
    assert storable_text("a\0b\ud800c\U0001f600") == "a\ufffdb\ufffdc\U0001f600"


@pytest.mark.parametrize(
    ("number", "value"),
    [
        (b"NaN", None),
        (b"-Infinity", None),
        (b"1e999", None),
        (b"-1e999", None),
        (b"1.5", 1.5),
        (b"9223372036854775807", 2**63 - 1),
        (b"-9223372036854775808", -(2**63)),
        (b"-9223372036854775809", "-9223372036854775809"),
        (b"12345678901234567890", "12345678901234567890"),
        (b"9" * 5000, "9" * 5000),
    ],
)
def test_numbers_are_finite_and_have_64_bits(number: bytes, value: Any) -> None:
    assert loads(number) == value
    assert decoder(Any)(number) == value
    assert decoder(list[Item])(b'[{"id": %b}]' % number) == [Item(value)]


@pytest.mark.parametrize(
    "content",
    [
        b"[" * (DEEPEST + 1) + b"]" * (DEEPEST + 1),
        b'{"a":' * 500 + b"1" + b"}" * 500,
        b"[" * 10**5,
        b"[" * 10**5 + b"]" * 10**5,
        b'["]","]","]",' * 400 + b"1" + b"]" * 400,
        b'["\\"]",' * 400 + b"1" + b"]" * 400,
        b'["\\\\","]",' * 400 + b"1" + b"]" * 400,
    ],
)
def test_what_is_nested_too_deeply_is_no_json(content: bytes) -> None:
    with pytest.raises(ValueError, match="levels"):
        check_size(content)


@pytest.mark.parametrize(
    "content",
    [
        b"[" + b"[]," * MOST_LISTS + b"[]]",
        b"[" * 10**6,
        b"[" + b'{"a":1,"b":2},' * (MOST_VALUES // 2) + b"{}]",
        b'["' + b'","' * (LONGEST_RUN + 1) + b'"]',
        b'{"a":[' + b'["a","b",{"c":1}],' * 9 + b"[1,2]," * LONGEST_RUN + b"{}]}",
        b'["' + b"\\n" * (MOST_ESCAPES + 1) + b'"]',
        b'["' + b"\\u0000" * (MOST_ESCAPES + 1) + b'"]',
    ],
    ids=["lists", "open lists", "values", "texts", "numbers in lists", "escapes", "escapes of NUL"],
)
def test_what_would_take_long_to_decode_is_refused(content: bytes) -> None:
    with pytest.raises(TooManyPartsError, match="more than"):
        check_size(clean_bytes(content))


@pytest.mark.parametrize(
    "text",
    ["[" * 2 * MOST_LISTS, "," * 2 * MOST_VALUES, '"[],' * (MOST_ESCAPES // 2), "\\" * (MOST_ESCAPES // 4)],
    ids=["brackets", "commas", "all", "backslashes"],
)
def test_a_long_text_may_hold_whatever_it_likes(text: str) -> None:
    content = json.dumps({"log": text, "other": [text[:50]] * 100}).encode()
    check_size(content)
    assert loads(content)["log"] == text


def test_the_largest_documents_of_the_vendors_are_taken() -> None:
    one = {"Name": "CVE-2026-1", "Description": "d" * 300, "Severity": "Low", "Metadata": {"NVD": {"v": 1.5}}}
    check_size(json.dumps([one] * 40_000).encode())
    check_size(json.dumps({"logs": [{"message": "a"}] * 40_000, "lines": ["a"] * LONGEST_RUN}).encode())


@pytest.mark.parametrize("content", [b"[" * 10**5, b'{"a":' * 10**5])
def test_no_decoder_ends_in_a_recursion(content: bytes) -> None:
    for decode in (loads, decoder(Any), decoder(list[Item])):
        with pytest.raises(ValueError, match=r".*"):
            decode(content)


@pytest.mark.parametrize(
    "document",
    [
        [[[[1]]]] * 100,
        [{"a": ["]", "[", "[[[", '"', '\\"[', "\\"]}] * 100,
        {"log": "[" * 500},
        {"log": '"' * 500 + "}" * 500, "x": [[]] * 100},
        json.loads("[" * DEEPEST + "]" * DEEPEST),
    ],
)
def test_an_honest_document_is_taken_however_many_brackets_its_texts_hold(document: Any) -> None:
    for dump in (json.dumps(document), json.dumps(document, indent=1), json.dumps(document, separators=(",", ":"))):
        check_size(dump.encode())


def test_a_body_that_is_no_json_is_cleaned_in_pieces_so_that_other_threads_run(mocker: MockerFixture) -> None:
    lengths: list[int] = []

    def noting(text: str) -> str:
        lengths.append(len(text))
        return storable_text(text)

    mocker.patch.object(decoding, "storable_text", noting)
    content = ("x\0\u00e9" * 300_000).encode() + b"\xff\xc3"
    assert decoding.text_of(content) == storable_text(content.decode("utf-8", "replace"))
    assert max(lengths) <= len(content) / 4
