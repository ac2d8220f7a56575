"""Lists of which only the excerpts that show whether an item changed are decoded, whatever else they hold."""

from __future__ import annotations

import pytest
from pytest_mock import MockerFixture

from airflow_provider.clients import answers
from airflow_provider.clients import listing as listings
from airflow_provider.clients.auth import HeaderAuth
from airflow_provider.clients.cocktail.run_list import decode_runs
from airflow_provider.clients.listing import Listing, Remembered
from airflow_provider.clients.quay.build_list import decode_builds
from airflow_provider.clients.reading import LARGE
from airflow_provider.clients.service_stage.release_list import decode_tasks
from airflow_provider.clients.transport import Transport
from tests.support.scripted import Scripted

LISTS = pytest.mark.parametrize(
    ("decode", "body"),
    [
        (decode_tasks, b'{"pipelines": [{"id": "7", "text": %s}]}'),
        (decode_tasks, b'[{"id": "7", "text": %s}]'),
        (decode_runs, b'{"status": "ok", "result": [{"buildRunSeq": 7, "text": %s}]}'),
        (decode_runs, b'[{"buildRunSeq": 7, "text": %s}]'),
        (decode_builds, b'{"builds": [{"id": "7", "text": %s}]}'),
    ],
    ids=["tasks", "bare tasks", "runs", "bare runs", "builds"],
)


@LISTS
@pytest.mark.parametrize("text", [b'"x"', rb'"half \ud83d of a pair"', b"NaN", b"1e400"])
def test_an_item_is_there_in_part_and_as_a_whole(decode, body, text):
    listing = decode(body % text)
    assert isinstance(listing, Listing)
    assert listing.excerpt("7") is not None
    assert "text" in listing.item("7")
    assert (listing.excerpt("8"), listing.item("8")) == (None, None)


def test_of_many_items_only_the_one_that_is_asked_for_is_decoded(mocker):
    body = b'{"pipelines": [%s]}' % b", ".join(b'{"id": "%d", "text": "%d"}' % (each, each) for each in range(1000))
    listing = decode_tasks(body)
    decoded = mocker.spy(listings, "part")
    assert listing.item("7") == {"id": "7", "text": "7"}
    *_, last = decoded.call_args_list
    assert bytes(last.args[0]) == b'{"id": "7", "text": "7"}'


@LISTS
def test_a_text_that_is_no_utf8_leaves_the_part_that_can_be_read(decode, body):
    listing = decode(body % b'"\xff"')
    assert listing.excerpt("7") is not None
    assert listing.item("7") is None


@pytest.mark.parametrize("decode", [decode_tasks, decode_runs, decode_builds])
@pytest.mark.parametrize("body", [b'{"error": "no"}', b"[1]", b'"x"'])
def test_what_is_no_list_is_given_as_it_is(decode, body):
    assert not isinstance(decode(body), Listing)


@pytest.mark.parametrize("decode", [decode_tasks, decode_runs, decode_builds])
def test_what_is_no_json_is_refused(decode):
    with pytest.raises(ValueError, match=r"malformed|Expecting"):
        decode(b"<html>")


@LISTS
def test_the_bytes_of_the_list_before_are_not_decoded_again(decode, body):
    decoded: list[bytes] = []

    def count(content: bytes):
        decoded.append(content)
        return decode(content)

    remembered = Remembered(count)
    first, same, other = body % b'"x"', body % b'"x"', body % b'"y"'
    seen = remembered(first)
    assert seen.item("7")["text"] == "x"
    again = remembered(same)
    assert decoded == [first]
    assert again.excerpt("7") is seen.excerpt("7")
    assert "_items" not in vars(again), "the whole items that were read are not kept from poll to poll"
    assert remembered(other).item("7")["text"] == "y"
    assert remembered(first).item("7")["text"] == "x"
    assert decoded == [first, other, first]


@LISTS
def test_what_is_no_list_or_very_long_is_not_remembered(decode, body):
    remembered = Remembered(decode, 200)
    assert remembered(b'{"error_code": "1"}') == remembered(b'{"error_code": "1"}') == {"error_code": "1"}
    long = body % (b'"' + b"x" * 200 + b'"')
    assert remembered(long).excerpt("7") is not remembered(long).excerpt("7")


@pytest.mark.parametrize(
    ("decode", "body", "nameless"),
    [(decode_tasks, b"[%s]", "None"), (decode_runs, b"[%s]", ""), (decode_builds, b'{"builds": [%s]}', "None")],
)
def test_a_list_of_very_many_empty_items_is_not_remembered(decode, body, nameless):
    remembered = Remembered(decode, 200)
    few, many = (body % b",".join([b"{}"] * count) for count in (4, 40))
    assert remembered(few).excerpt(nameless) is remembered(few).excerpt(nameless)
    assert remembered(many).excerpt(nameless) is not remembered(many).excerpt(nameless)


@LISTS
def test_the_items_of_a_large_list_are_there(decode, body):
    listing = decode(body % (b'"' + b"x" * LARGE + b'"'))
    assert listing.item("7")["text"] == "x" * LARGE


def test_what_equals_the_list_before_is_not_checked_again(scripted: Scripted, mocker: MockerFixture) -> None:
    checked = mocker.spy(answers, "check_size")
    body = b'[{"buildRunSeq": 7, "text": "%s"}]'
    scripted.script = [(200, {}, body % text) for text in (b"x", b"x", b"y")]
    transport, decode = Transport("cocktail", scripted.url), Remembered(decode_runs)
    read = [transport.get("/runs", decode=decode).item("7")["text"] for _ in range(3)]
    assert (read, checked.call_count) == (["x", "x", "y"], 2)


def test_a_secret_that_was_not_known_when_the_list_came_is_masked_in_the_same_list(scripted: Scripted) -> None:
    scripted.always = (200, {}, b'[{"buildRunSeq": 7, "text": "token topsecret-of-a-bot"}]')
    transport, decode = Transport("cocktail", scripted.url), Remembered(decode_runs)
    transport.auth = HeaderAuth("Authorization", "Bearer another")
    before = transport.get("/runs", decode=decode).item("7")["text"]
    transport.redact.add("topsecret-of-a-bot")
    after = transport.get("/runs", decode=decode).item("7")["text"]
    assert (before, after) == ("token topsecret-of-a-bot", "token ***")
