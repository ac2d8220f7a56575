"""Every duration that a decision uses, in seconds, each with its reason."""

from __future__ import annotations

import msgspec


class Durations(msgspec.Struct):
    """Defaults fit the four systems and Airflow 3.3.2; tests shorten them."""

    error_budget: float = 15 * 60.0
    """How long polls may fail before the wait fails: restarts and upgrades of a vendor take minutes."""
    slowest_after_errors: float = 60.0
    """Longest interval between polls while they fail."""

    settling: float = 20.0
    """How long after a start its execution may still be missing from the system's lists: they lag."""
    settling_per_second: float = 3.0
    """By how much that grows per second that the request itself took: a server that needs 30 s for an answer may need
    even longer for the effect."""
    doubles_searched: float = 86400.0
    """How long after a start that got no answer its execution is searched for, and ended, before another one starts:
    queues of gateways and proxies hold a request for minutes, and what began late may run for hours."""
    search_pause: float = 0.5
    longest_search_pause: float = 5.0
    """Pauses between two searches for a start grow from the first to the second."""
    gone_after: float = 10.0
    """How long a known execution must be missing before it counts as gone: a gateway may answer 404 while it is being
    reconfigured."""
    not_found_pause: float = 2.0
    """Between two polls of an execution that is not found: a replica may lag."""
    longest_retry_after: float = 300.0
    """The longest Retry-After for which an attempt waits before it sends a start again; anything longer is left to
    Airflow's own retries."""
    first_resend_pause: float = 1.0
    """Before a start that certainly did not arrive is sent again; doubles each time."""
    busy_pause: float = 5.0
    longest_busy_pause: float = 60.0
    """Pauses while a busy system accepts no start grow from the first to the second."""
    busy_limit: float = 3600.0
    """How long a task without a deadline waits for a busy system: no task waits forever."""
    cleared_grace: float = 5.0
    """How long a new attempt lets the previous worker or triggerer cancel before it does so itself: both learn of a
    clear within a heartbeat."""
    cleared_cancel_pause: float = 2.0
    longest_cleared_cancel_pause: float = 15.0
    """Pauses after a failed cancel of it grow from the first to the second: in Quay, each refused one uses up one of
    the build's retries."""
    cleared_limit: float = 60.0
    """How long a new attempt tries to end what a cleared one had started; then it fails with an error that names it."""
    pushed_interval: float = 600.0
    """Between two polls of an execution whose system reports its end by itself: for reports that get lost."""
    let_end_pause: float = 1.0
    """Between two polls of an execution that is to end."""
    deadline_cancel_limit: float = 60.0
    """How long a cancel at the deadline is retried."""
    act_limit: float = 60.0
    """How long an act is retried while the system does not answer."""
    worker_kill_limit: float = 4.0
    """How long a killed worker may take to cancel: the supervisor sends SIGKILL five seconds after SIGTERM."""
    trigger_kill_limit: float = 20.0
    """How long a trigger may take to cancel: Airflow gives it 30 s."""
    undecided_limit: float = 10.0
    """How long Airflow may take to show whether a person cleared the task or its trigger only moved: the process of a
    new attempt deletes the XComs of the previous one as it starts, which takes 1 to 5 s."""
    undecided_pause: float = 0.3
    frozen: float = 60.0
    """A process that did not run for this long was frozen: Airflow may have given up its task, so that the task's state
    may not be a person's doing. A fifth of the default heartbeat time-out of 300 s; half of a much shorter one."""
    frozen_lately: float = 60.0
    """For how long it matters that a process was frozen: if Airflow has given it up, it learns so within heartbeats."""
    freeze_tick: float = 1.0
    """How often a process checks that it is running."""
    answer_limit: float = 3.0
    """How long a killed worker waits for Airflow to report who ended its task: SIGKILL follows after five seconds."""
    stalled: float = 20.0
    """A triggerer that did not run for this long may have lost its waits to another one: Airflow gives it 30 s. Two
    thirds of that time if it is configured shorter."""
    failed_settling: float = 5.0
    """How long a Code Stream execution that was seen unfinished must be FAILED before that counts as its end: it may
    be rolled back, which is its end only then."""
    expired_settling: float = 60.0
    """How long an image build that was seen unfinished must be expired before that counts as its end: a late heartbeat
    brings it back, and builders send one every half minute."""
    refused_login_pause: float = 30.0
    longest_refused_login_pause: float = 900.0
    """Pauses after refused logins grow from the first to the second: vendors lock accounts after a handful of wrong
    logins, for fifteen minutes or until a person unlocks them."""
    early_answer: float = 10.0
    """After how long a trigger checks once more for an answer that came while its task was about to defer."""
    start_window: float = 450.0
    """How long after an intent an execution without a marker may have begun to count as ours. A worker that is frozen
    in between is given up after a heartbeat time-out of 300 s, which Airflow checks every 10 s; after that, its request
    may take 30 s, and the effect ``settling_per_second`` times as long."""
    first_reminder: float = 300.0
    longest_reminder: float = 3600.0
    """A wait in which nothing happens logs so after five minutes, by which time most builds are over, and then at
    intervals that double up to an hour: it shows that the wait is alive, and adds thirty lines a day to the log."""
    same_clock: float = 2.0
    """By how much the vendor's times may differ from its ``Date`` header, which has whole seconds."""
    late_change: float = 600.0
    """By how much later than a younger change a change may appear in a vendor's list: the clocks of its nodes differ,
    replicas lag, and a long transaction begins before it is visible."""
    clock_tolerance: float = 300.0
    """By how much the clocks of two machines may differ."""


DURATIONS = Durations()
"""The values in use."""

MOST_SENDS = 3
"""Start requests of one attempt, each sent only after the previous one certainly had no effect."""
MOST_CRASHES = 3
"""Deferrals that may end without an event before a task waits in the worker instead."""
