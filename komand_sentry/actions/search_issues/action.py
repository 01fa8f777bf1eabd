import insightconnect_plugin_runtime

from insightconnect_plugin_runtime.telemetry import auto_instrument

from .schema import SearchIssuesInput, SearchIssuesOutput, Input, Output, Component

# Custom imports below


class SearchIssues(insightconnect_plugin_runtime.Action):

    def __init__(self):
        super(self.__class__, self).__init__(
            name="search_issues",
            description=Component.DESCRIPTION,
            input=SearchIssuesInput(),
            output=SearchIssuesOutput(),
        )

    @auto_instrument
    def run(self, params={}):
        # START INPUT BINDING - DO NOT REMOVE - ANY INPUTS BELOW WILL UPDATE WITH YOUR PLUGIN SPEC AFTER REGENERATION
        all_statuses = params.get(Input.ALL_STATUSES)
        cursor = params.get(Input.CURSOR)
        end = params.get(Input.END)
        environments = params.get(Input.ENVIRONMENTS)
        limit = params.get(Input.LIMIT)
        organization_slug = params.get(Input.ORGANIZATION_SLUG)
        period = params.get(Input.PERIOD)
        projects = params.get(Input.PROJECTS)
        query = params.get(Input.QUERY)
        sort = params.get(Input.SORT)
        start = params.get(Input.START)
        # END INPUT BINDING - DO NOT REMOVE

        return {
            Output.ISSUES: None,
            Output.NEXT_CURSOR: None,
            Output.TRUNCATED: None,
            Output.WARNING: None,
        }
