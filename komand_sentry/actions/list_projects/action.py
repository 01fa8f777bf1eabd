import insightconnect_plugin_runtime

from insightconnect_plugin_runtime.telemetry import auto_instrument

from .schema import ListProjectsInput, ListProjectsOutput, Input, Output, Component

# Custom imports below


class ListProjects(insightconnect_plugin_runtime.Action):

    def __init__(self):
        super(self.__class__, self).__init__(
            name="list_projects",
            description=Component.DESCRIPTION,
            input=ListProjectsInput(),
            output=ListProjectsOutput(),
        )

    @auto_instrument
    def run(self, params={}):
        # START INPUT BINDING - DO NOT REMOVE - ANY INPUTS BELOW WILL UPDATE WITH YOUR PLUGIN SPEC AFTER REGENERATION
        cursor = params.get(Input.CURSOR)
        limit = params.get(Input.LIMIT)
        organization_slug = params.get(Input.ORGANIZATION_SLUG)
        query = params.get(Input.QUERY)
        # END INPUT BINDING - DO NOT REMOVE

        return {
            Output.NEXT_CURSOR: None,
            Output.PROJECTS: None,
            Output.TRUNCATED: None,
            Output.WARNING: None,
        }
