from .schema import ListProjectsInput, ListProjectsOutput, Input, Output, Component

# Custom imports below
from komand_sentry.util.sentry.pagination import PageRange
from komand_sentry.util.step import Inputs, Outputs, SentryAction, step


class ListProjects(SentryAction):

    def __init__(self) -> None:
        super().__init__(
            name="list_projects",
            description=Component.DESCRIPTION,
            input=ListProjectsInput(),
            output=ListProjectsOutput(),
        )

    @step
    def run(self, params: Inputs) -> Outputs:
        # START INPUT BINDING - DO NOT REMOVE - ANY INPUTS BELOW WILL UPDATE WITH YOUR PLUGIN SPEC AFTER REGENERATION
        organization_slug = params[Input.ORGANIZATION_SLUG]
        query = params.get(Input.QUERY, "")
        page_range = PageRange(params.get(Input.LIMIT, 0), params.get(Input.CURSOR, ""))
        # END INPUT BINDING - DO NOT REMOVE
        projects = self.connection.client.projects.list_for_organization(organization_slug, query, page_range)
        return projects.output(Output.PROJECTS)
