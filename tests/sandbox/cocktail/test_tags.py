"""What the Cocktail stand-in promises, over real HTTP."""

from __future__ import annotations

import re

import requests

from tests.support.cocktail_calls import AUTOTAG, BROKEN, SHOP, TOKEN, Api


def test_autotag_discards_the_tag_sent(api: Api) -> None:
    run = api.start(AUTOTAG, tag="mine")
    assert run["autotagUseYn"] == "Y"
    assert re.fullmatch(r"test-\d{8}-\d{6}", run["tagName"])
    assert run["imageUrl"].endswith(":" + run["tagName"])


def test_autotag_by_sequence_counts_builds(api: Api) -> None:
    edited = requests.put(
        f"{api.url}/cocktail/v1/build/{AUTOTAG}", json={"autotagSeqType": "SEQUENCE"}, headers=TOKEN, timeout=60
    )
    assert edited.json()["autotagSeqType"] == "SEQUENCE"
    assert api.start(AUTOTAG)["tagName"] == "test-00001"


def test_a_missing_tag_becomes_the_word_null_or_a_refusal(api: Api) -> None:
    run = api.call("POST", f"/build/run/{SHOP}").json()
    assert run["imageUrl"] == "registry.example.com/acme/shop:null"
    api.switch(refuse_missing_tag=True)
    assert api.call("POST", f"/build/run/{BROKEN}").json()["code"] == "K8sApiStatus400"


def test_the_image_url_can_come_without_tag(api: Api) -> None:
    api.switch(image_url_with_tag=False)
    assert api.start()["imageUrl"] == "registry.example.com/acme/shop"
