"""Every duration of the decisions, in seconds, each with its reason."""

from __future__ import annotations

import msgspec


class Durations(msgspec.Struct):
    """Defaults fit the four systems and Airflow 3.3.2; tests shorten them."""

    error_budget: float = 15 * 60.0
    """How long looks may fail before the wait fails: restarts and upgrades of a vendor take minutes."""
    slowest_after_errors: float = 60.0
    """The longest interval to which failing looks slow a poll down."""

    settling: float = 20.0
    """How long after a start its execution may still be missing from the system's lists: they lag."""
    settling_per_second: float = 3.0
    """By how much that grows with the duration of the request itself: a server that needs 30 s for an answer may need
    longer still for the effect."""
    latest_effect: float = 1800.0
    """How long after a start that got no answer its execution may begin, at the very most: queues of gateways and
    proxies hold a request for minutes."""
    search_pause: float = 0.5
    longest_search_pause: float = 5.0
    """Pauses between two searches for a start grow between these."""
    gone_after: float = 10.0
    """How long an execution that was there must not be found until it is believed to be gone: a gateway that is being
    changed says 404, too."""
    not_found_pause: float = 2.0
    """Between two looks at what is not found: a replica may lag."""
    longest_retry_after: float = 300.0
    """The longest Retry-After that an attempt waits for before it sends a start again; beyond it, Airflow's own retries
    are for it."""
    first_resend_pause: float = 1.0
    """Before a start is sent again that certainly did not arrive; doubles each time."""
    busy_pause: float = 5.0
    longest_busy_pause: float = 60.0
    """Pauses while a system is busy and takes no start grow between these."""
    busy_limit: float = 3600.0
    """How long a task without a deadline waits for a busy system: no task waits for ever."""
    cleared_grace: float = 5.0
    """How long a new attempt lets the previous worker or triggerer cancel before it does so itself: both hear of a
    clear within a heartbeat."""
    cleared_limit: float = 60.0
    """How long a new attempt tries to end what a cleared one had started; then it fails and names it."""
    pushed_interval: float = 600.0
    """Between two looks at an execution whose system tells its end by itself: a net for what is lost on its way."""
    let_end_pause: float = 1.0
    """Between two looks at what is to end."""
    deadline_cancel_limit: float = 60.0
    """How long a cancel at the deadline is tried."""
    act_limit: float = 60.0
    """How long an act goes on trying while the system does not answer."""
    worker_kill_limit: float = 4.0
    """How long a killed worker may cancel: the supervisor sends SIGKILL five seconds after SIGTERM."""
    trigger_kill_limit: float = 20.0
    """How long a trigger may cancel: Airflow gives it 30 s."""
    undecided_limit: float = 10.0
    """How long Airflow may take to show whether a person cleared the task or its trigger only moved: a new attempt
    deletes the XComs of the one before within the start of its process, 1 to 5 s."""
    undecided_pause: float = 0.3
    frozen: float = 60.0
    """A process that did not run for this long was frozen: Airflow may have given its task up meanwhile, so that what
    it says of the task may be a machine's doing. A fifth of the default heartbeat time-out of 300 s."""
    frozen_lately: float = 60.0
    """For how long it matters that a process was frozen: one that Airflow has given up is told so within heartbeats."""
    freeze_tick: float = 1.0
    """How often a process looks whether it runs."""
    answer_limit: float = 3.0
    """How long a killed worker waits for Airflow to say who ended its task: SIGKILL follows five seconds later."""
    stalled: float = 20.0
    """A triggerer that did not run for this long may have lost its waits to another one: Airflow gives it 30 s."""
    failed_settling: float = 5.0
    """How long an execution of Code Stream that was seen going on must be FAILED until that counts as its end: it may
    be rolled back from there, which is its end only then."""
    expired_settling: float = 60.0
    """How long an image build that was seen going on must be expired until that counts as its end: a heartbeat that
    comes late brings it back, and builders send one every half minute."""
    refused_login_pause: float = 30.0
    longest_refused_login_pause: float = 900.0
    """Pauses after refused logins grow between these: vendors lock accounts after a handful of wrong logins, for
    fifteen minutes or until a person comes."""
    early_answer: float = 10.0
    """After how long a trigger looks once more for an answer that came while its task was about to defer."""
    start_window: float = 450.0
    """How long after an intent an execution without a marker may have begun to be taken for ours. A worker that is
    frozen between the two is given up after a heartbeat time-out of 300 s, which Airflow looks for every 10 s; and then
    its request may take 30 s, and its effect ``settling_per_second`` times that."""
    first_reminder: float = 300.0
    longest_reminder: float = 3600.0
    """A wait in which nothing happens says so after five minutes, in which most builds are over, and then at intervals
    that double up to an hour: whoever looks sees that it lives, and a wait of a day adds thirty lines to its log."""
    same_clock: float = 2.0
    """By how much the vendor's times may be apart from its ``Date``, which is cut to seconds."""
    late_change: float = 600.0
    """By how much a change may show in a vendor's list after a younger one did: the clocks of its nodes differ,
    replicas lag, a long transaction begins before it is seen."""
    clock_tolerance: float = 300.0
    """By how much the clocks of two machines may differ."""


DURATIONS = Durations()
"""What the package runs with."""

MOST_SENDS = 3
"""Start requests of one attempt, each sent only after the one before certainly had no effect."""
MOST_CRASHES = 3
"""Deferrals that may end without an event before a task waits in the worker instead."""
