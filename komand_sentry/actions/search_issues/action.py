from .schema import SearchIssuesInput, SearchIssuesOutput, Input, Output, Component

# Custom imports below
from komand_sentry.util.sentry.issue_search import IssueSearch
from komand_sentry.util.sentry.pagination import PageRange
from komand_sentry.util.step import Inputs, Outputs, SentryAction, step


class SearchIssues(SentryAction):

    def __init__(self) -> None:
        super().__init__(
            name="search_issues",
            description=Component.DESCRIPTION,
            input=SearchIssuesInput(),
            output=SearchIssuesOutput(),
        )

    @step
    def run(self, params: Inputs) -> Outputs:
        # START INPUT BINDING - DO NOT REMOVE - ANY INPUTS BELOW WILL UPDATE WITH YOUR PLUGIN SPEC AFTER REGENERATION
        organization_slug = params[Input.ORGANIZATION_SLUG]
        search = IssueSearch(
            projects=tuple(params.get(Input.PROJECTS, ())),
            environments=tuple(params.get(Input.ENVIRONMENTS, ())),
            query=params.get(Input.QUERY, "" if params.get(Input.ALL_STATUSES) else "is:unresolved"),
            period=params.get(Input.PERIOD, ""),
            start=params.get(Input.START, ""),
            end=params.get(Input.END, ""),
            sort=params.get(Input.SORT, ""),
        )
        page_range = PageRange(params.get(Input.LIMIT, 100), params.get(Input.CURSOR, ""))
        # END INPUT BINDING - DO NOT REMOVE
        issues = self.connection.client.issues.search(organization_slug, search, page_range)
        return issues.output(Output.ISSUES)
