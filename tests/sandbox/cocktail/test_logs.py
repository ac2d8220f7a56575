"""What the Cocktail stand-in promises, over real HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.cocktail_calls import Api
from tests.support.until import until


@pytest.mark.parametrize(("switches", "texts"), [({}, 3), ({"db_log": False}, 0), ({"logs": "never"}, 0)])
def test_logs_appear_per_finished_step_or_never(api: Api, switches: dict[str, Any], texts: int) -> None:
    api.switch(**switches)
    run_seq = api.start()["buildRunSeq"]
    api.ended(run_seq)
    log = api.call("GET", f"/build/run/log/{run_seq}").json()
    assert log["dbLog"] is switches.get("db_log", True)
    assert len([step for step in log["buildRunLogs"] if step["log"]]) == texts


def test_the_log_of_a_running_run_holds_the_finished_steps_only(api: Api) -> None:
    api.switch(step_seconds={"INIT": 0.1, "CODE_DOWN": 1000})
    run_seq = api.start()["buildRunSeq"]
    log = until(
        lambda: api.call("GET", f"/build/run/log/{run_seq}").json()["buildRunLogs"], lambda steps: steps[0]["log"]
    )
    assert [bool(step["log"]) for step in log] == [True, False, False]
