"""The connections in a real Airflow's UI."""

from __future__ import annotations

from tests.e2e.stage import Stage


def test_the_form_and_the_fields_of_each_connection_are_known_to_the_ui(stage: Stage) -> None:
    known = {each["connection_type"]: each for each in stage.airflow.api.call("GET", "/ui/connections/hook_meta")}
    for connection in stage.sandbox.connections():
        form = known[connection["conn_type"]]
        assert {"verify", "request_timeout", "max_connections"} <= set(form["extra_fields"])
