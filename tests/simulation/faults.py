"""The faults of part 3 of issue 9: which guards keep each from returning, and which tests hold what no life reaches."""

from __future__ import annotations

ALL = range(1, 34)

TESTS: dict[int, tuple[str, ...]] = {
    4: ("test_reruns_of_one_event_after_each_other_lead_to_an_execution_each",),
    5: ("test_the_longest_tag_that_quay_keeps_of_a_build_is_found_again",),
    10: (
        "test_a_start_is_remembered_for_as_long_as_it_takes",
        "test_what_a_newer_version_has_written_otherwise_is_left_alone_and_starts_nothing",
    ),
    11: ("test_a_marker_that_comes_first_outlives_a_server_that_cuts_comments",),
    15: ("test_a_run_that_is_deleted_while_its_task_is_deferred_takes_its_execution_along",),
    17: ("test_a_rerun_without_a_timeout_waits_ten_minutes_for_its_execution_to_show_up",),
    18: ("test_the_success_of_the_release_before_that_a_list_still_shows_is_not_taken_for_the_new_one",),
    19: ("test_logs_that_take_long_hold_up_no_poll_and_no_end_for_long",),
    20: (
        "test_executions_that_end_at_once_are_polled_side_by_side_and_reported_as_they_come",
        "test_no_more_requests_than_the_budget_are_sent_and_every_wait_gets_its_turn",
    ),
    21: ("test_a_task_that_others_are_expanded_over_ends_in_a_worker_and_says_so",),
    23: ("test_that_a_cancel_fails_is_in_the_tasks_log_from_the_first_try_on",),
    24: ("test_a_start_that_a_read_only_quay_refuses_is_sent_once_and_says_so",),
    25: ("test_an_archive_url_beyond_ascii_is_built",),
    26: ("test_a_start_with_a_token_that_may_not_cancel_is_warned_about",),
    27: ("test_the_check_does_not_take_any_web_server_for_a_quay",),
    28: ("test_a_timeout_says_how_things_stood",),
    29: ("test_an_equal_notification_that_quay_has_disabled_is_reported_and_not_reset_unasked",),
    30: ("test_every_recorded_request_is_answered_as_by_the_real_server",),
    31: ("test_no_xcom_holds_what_lets_its_reader_send_messages",),
    32: ("test_code_stream_says_the_words_of_its_connection",),
    33: ("test_each_connection_has_lists_and_a_login_of_its_own",),
}
"""For what no life reaches; each test was seen to fail without its fix."""
