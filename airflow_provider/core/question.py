"""The text of a required action: what a reviewer needs to know, as Markdown that vendors' texts cannot break. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

LONGEST_VALUE = 500
LONGEST_SUBJECT = 200


def subject_of(title: str, question: str = "Approve or reject") -> str:
    return _one_line(f"{question}: {title}", LONGEST_SUBJECT)


def body_of(details: Mapping[str, object], rules: Sequence[str], task_url: str) -> str:
    """The text that the reviewer reads. Airflow keeps it over retries and clears, so it says that it may be outdated.

    :param details: by names for people.
    :param rules: who may answer, and until when, as sentences.
    :param task_url: URL of the task's log.
    """
    lines = [f"- **{name}**: {_quoted(value)}" for name, value in details.items() if value not in (None, "", {}, [])]
    sentences = " ".join(_escaped(rule) for rule in rules)
    return "\n\n".join(
        filter(
            None,
            (
                "\n".join(lines),
                sentences,
                "Airflow keeps this text when the task is cleared or retried. The "
                f"[log of the task]({task_url}) says what your answer is for now, and lists the answers so far.",
            ),
        )
    )


def _quoted(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{_quoted(name)} = {_quoted(each)}" for name, each in value.items()) or "none"
    text = _one_line(str(value), LONGEST_VALUE)
    if text.startswith(("http://", "https://")) and not set(text) & set(" <>`"):
        return f"<{text}>"
    # Inside a code span nothing is Markdown, but a backtick would end it.
    return f"`{text.replace('`', chr(39))}`"


def _escaped(text: str) -> str:
    return "".join(f"\\{char}" if char in "\\`*_[]<>#!|" else char for char in " ".join(text.split()))


def _one_line(text: str, longest: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= longest else f"{line[: longest - 3]}..."
