"""Answers that end every wait, and of which PostgreSQL's JSONB would accept nothing."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_provider.execution import ExecutionRef

_TEXT = r'"a\u0000b\ud800"'


def answers_that_cannot_be_stored(ref: ExecutionRef) -> Iterator[tuple[str, str]]:
    """Paths (regular expressions) and the bodies to be answered there."""
    number, kind = ref["id"], ref["system"]
    if kind == "code_stream":
        one = (
            f'{{"id": "{number}", "status": "COMPLETED", "statusMessage": {_TEXT}, "output": {{"n": NaN, "t": {_TEXT}}}'
        )
        link = f"/codestream/api/executions/{number}"
        yield (
            "/executions",
            f'{one}, "count": 1, "totalCount": 1, "links": ["{link}"], "documents": {{"{link}": {one}}}}}}}',
        )
    elif kind == "cocktail":
        run = f'"buildRunSeq": {number}, "buildSeq": {ref["build_seq"]}, "runType": "BUILD", "runState": "ERROR"'
        steps = f'[{{"stepType": {_TEXT}, "stepState": "ERROR", "stepOrder": NaN, "stepRunId": {_TEXT}}}]'
        one = f'{{{run}, "tagName": {_TEXT}, "imageSize": NaN, "buildStepRuns": {steps}}}'
        yield "/runs?/?[0-9]*$|/runs|/builds?/run", f'{{"status": "ok", "result": {one}}}'
    elif kind == "quay":
        one = f'"id": "{number}", "phase": "error", "error": {_TEXT}, "status": {{"x": NaN}}, "tags": [{_TEXT}]'
        yield "/build/", f'{{{one}, "builds": [{{{one}}}]}}'
    else:
        one = f'{{"id": {number}, "status": 3, "trigger_user": {_TEXT}, "trigger_at": NaN}}'
        yield "/records", f'{{"records": [{one}], "total": NaN}}'
