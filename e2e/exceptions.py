"""The tests that a server cannot serve, and why. They run and must fail, so an outdated row fails the suite."""

SENTRY_9 = "sentry-9.1.2"

EXCEPTIONS: dict[tuple[str, str], str] = {
    (SENTRY_9, "TestListIssueEvents.test_every_event_of_a_large_issue_is_listed"): (
        "it samples: of more than 50 similar events it stores only some"
    ),
    (SENTRY_9, "TestListIssueEvents.test_the_short_form_has_no_details"): (
        "its default event store has only the full form and ignores `full`"
    ),
    (
        SENTRY_9,
        "TestListProjectIssues.test_sort_by_trends",
    ): "the sort `trends` exists since 2023; it was `priority` before",
}
