from .schema import NewIssueInput, NewIssueOutput, Input, Component

# Custom imports below
from typing import Any

from komand_sentry.util.errors.factory import invalid_input
from komand_sentry.util.errors.redaction import join_truncated
from komand_sentry.util.sentry.client import SentryClient
from komand_sentry.util.sentry.issue_search import IssueSearch
from komand_sentry.util.sentry.organizations import check_slug
from komand_sentry.util.step import Inputs
from komand_sentry.util.trigger.base import SentryTrigger
from komand_sentry.util.trigger.issue_sources import NEW, REASONS, ChangedIssues, NewIssues
from komand_sentry.util.trigger.lists import IssueList
from komand_sentry.util.trigger.source import Source


class NewIssue(SentryTrigger):

    def __init__(self) -> None:
        super().__init__(
            name="new_issue", description=Component.DESCRIPTION, input=NewIssueInput(), output=NewIssueOutput()
        )

    def sources(self, client: SentryClient, params: Inputs) -> tuple[Source, ...]:
        # START INPUT BINDING - DO NOT REMOVE - ANY INPUTS BELOW WILL UPDATE WITH YOUR PLUGIN SPEC AFTER REGENERATION
        organization_slug = params[Input.ORGANIZATION_SLUG]
        search = IssueSearch(
            projects=tuple(params.get(Input.PROJECTS, ())),
            environments=tuple(params.get(Input.ENVIRONMENTS, ())),
            query=params.get(Input.QUERY, ""),
        )
        reasons = _parse_events(params.get(Input.EVENTS) or [NEW])
        # END INPUT BINDING - DO NOT REMOVE
        check_slug(Input.ORGANIZATION_SLUG, organization_slug)
        issues = IssueList(client, organization_slug, search)
        changes = tuple(reason for reason in reasons if reason != NEW)
        new = (NewIssues(client, organization_slug, issues),) if NEW in reasons else ()
        changed = (ChangedIssues(client, organization_slug, issues, changes),) if changes else ()
        return (*new, *changed)


def _parse_events(events: list[Any]) -> tuple[str, ...]:
    """The input `events`, without regard to case.

    :raises InvalidInput: one of them does not exist
    """
    reasons = tuple(str(event).strip().lower() for event in events)
    unknown = tuple(reason for reason in reasons if reason not in REASONS)
    if unknown:
        raise invalid_input(
            f"The input 'events' has unknown values: {join_truncated(unknown)}.", f"Use any of {', '.join(REASONS)}."
        )
    return reasons
