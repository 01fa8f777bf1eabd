from insightconnect_plugin_runtime.telemetry import auto_instrument

from .schema import ListProjectIssuesInput, ListProjectIssuesOutput, Input, Output, Component

# Custom imports below
from typing import Any

from komand_sentry.util.client import IssueFilter
from komand_sentry.util.pagination import Window
from komand_sentry.util.step import Params, SentryAction


class ListProjectIssues(SentryAction):

    def __init__(self) -> None:
        super().__init__(
            name="list_project_issues",
            description=Component.DESCRIPTION,
            input=ListProjectIssuesInput(),
            output=ListProjectIssuesOutput(),
        )

    @auto_instrument
    def run(self, params: Any = None) -> Params:
        given = self.given(params)
        # START INPUT BINDING - DO NOT REMOVE - ANY INPUTS BELOW WILL UPDATE WITH YOUR PLUGIN SPEC AFTER REGENERATION
        organization_slug = given[Input.ORGANIZATION_SLUG]
        project_slug = given[Input.PROJECT_SLUG]
        issue_filter = IssueFilter(
            query=given.get(Input.QUERY, "" if given.get(Input.ALL_STATUSES) else "is:unresolved"),
            stats_period=given.get(Input.STATSPERIOD, ""),
            short_id_lookup=given.get(Input.SHORTIDLOOKUP, False),
            environment=given.get(Input.ENVIRONMENT, ""),
            sort=given.get(Input.SORT, ""),
        )
        window = Window(given.get(Input.LIMIT, 0), given.get(Input.CURSOR, ""), self.shape_of(Output.ISSUES))
        # END INPUT BINDING - DO NOT REMOVE
        listing = self.connection.client.list_project_issues(organization_slug, project_slug, issue_filter, window)
        end = self.answer({Output.TRUNCATED: listing.truncated, Output.NEXT_CURSOR: listing.next_cursor})
        return {Output.ISSUES: listing.records, **end}
