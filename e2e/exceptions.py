"""What a server cannot serve, and why. A test named here is run all the same and must fail: a row that has become
wrong fails the suite."""

SENTRY_9 = "sentry-9.1.2"

EXCEPTIONS: dict[tuple[str, str], str] = {
    (SENTRY_9, "TestListIssueEvents.test_every_event_of_a_large_issue_is_listed"): (
        "it samples: of more than 50 like events it keeps only some"
    ),
    (SENTRY_9, "TestListIssueEvents.test_the_short_form_leaves_out_what_full_events_carry"): (
        "its default store of events has only the full form, and ignores `full`"
    ),
    (
        SENTRY_9,
        "TestListProjectIssues.test_sort_by_trends",
    ): "the sort `trends` came in 2023, as the new name of `priority`",
}
