from .schema import ListProjectIssuesInput, ListProjectIssuesOutput, Input, Output, Component

# Custom imports below
from komand_sentry.util.sentry.issues import IssueFilter
from komand_sentry.util.sentry.pagination import PageRange
from komand_sentry.util.step import Inputs, Outputs, SentryAction, step


class ListProjectIssues(SentryAction):

    def __init__(self) -> None:
        super().__init__(
            name="list_project_issues",
            description=Component.DESCRIPTION,
            input=ListProjectIssuesInput(),
            output=ListProjectIssuesOutput(),
        )

    @step
    def run(self, params: Inputs) -> Outputs:
        # START INPUT BINDING - DO NOT REMOVE - ANY INPUTS BELOW WILL UPDATE WITH YOUR PLUGIN SPEC AFTER REGENERATION
        organization_slug = params[Input.ORGANIZATION_SLUG]
        project_slug = params[Input.PROJECT_SLUG]
        issue_filter = IssueFilter(
            query=params.get(Input.QUERY, "" if params.get(Input.ALL_STATUSES) else "is:unresolved"),
            stats_period=params.get(Input.STATSPERIOD, ""),
            short_id_lookup=params.get(Input.SHORTIDLOOKUP, False),
            environment=params.get(Input.ENVIRONMENT, ""),
            sort=params.get(Input.SORT, ""),
        )
        page_range = PageRange(params.get(Input.LIMIT, 0), params.get(Input.CURSOR, ""))
        # END INPUT BINDING - DO NOT REMOVE
        issues = self.connection.client.issues.list_for_project(
            organization_slug, project_slug, issue_filter, page_range
        )
        return issues.output(Output.ISSUES)
