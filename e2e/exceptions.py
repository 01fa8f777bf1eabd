"""The tests that a server cannot serve, and why. They run and must fail, so an outdated row fails the suite.

A row is for one test, or for all tests of a class.
"""

SENTRY_9 = "sentry-9.1.2"
SENTRY_23 = "sentry-23.7.1"

EXCEPTIONS: dict[tuple[str, str], str] = {
    (SENTRY_9, "TestListIssueEvents.test_every_event_of_a_large_issue_is_listed"): (
        "it samples: of more than 50 similar events it stores only some"
    ),
    (SENTRY_9, "TestListIssueEvents.test_the_short_form_has_no_details"): (
        "its default event store has only the full form and ignores `full`"
    ),
    (SENTRY_9, "TestListProjectIssues.test_sort_by_trends"): (
        "the sort `trends` exists since 2023; it was `priority` before"
    ),
    (SENTRY_9, "TestNewIssue.test_escalating"): "a substatus exists since 2023",
    (SENTRY_9, "TestRead.test_the_recommended_event"): "it knows only the latest and the oldest event",
    (SENTRY_9, "TestRead.test_tag_values_of_an_environment"): (
        "its default tag store counts the values of all environments"
    ),
    (SENTRY_9, "TestSearchIssues"): "it searches issues of an organization only with Snuba",
    (SENTRY_9, "TestUpdateIssue.test_ignored_with_a_substatus"): "a substatus exists since 2023",
    (SENTRY_9, "TestUpdateIssue.test_priority"): "a priority exists since 2024",
    (SENTRY_9, "TestUpdateIssues.test_issues_by_query"): "it searches issues of an organization only with Snuba",
    (SENTRY_23, "TestListProjectIssues.test_sort_by_trends"): "the sort `trends` exists since late 2023",
    (SENTRY_23, "TestRead.test_the_recommended_event"): "the recommended event exists since late 2023",
    (SENTRY_23, "TestUpdateIssue.test_priority"): "a priority exists since 2024",
}
