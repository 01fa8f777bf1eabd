import insightconnect_plugin_runtime

from insightconnect_plugin_runtime.telemetry import auto_instrument

from .schema import ListTagValuesInput, ListTagValuesOutput, Input, Output, Component

# Custom imports below


class ListTagValues(insightconnect_plugin_runtime.Action):

    def __init__(self):
        super(self.__class__, self).__init__(
            name="list_tag_values",
            description=Component.DESCRIPTION,
            input=ListTagValuesInput(),
            output=ListTagValuesOutput(),
        )

    @auto_instrument
    def run(self, params={}):
        # START INPUT BINDING - DO NOT REMOVE - ANY INPUTS BELOW WILL UPDATE WITH YOUR PLUGIN SPEC AFTER REGENERATION
        cursor = params.get(Input.CURSOR)
        environment = params.get(Input.ENVIRONMENT)
        issue_id = params.get(Input.ISSUE_ID)
        key = params.get(Input.KEY)
        limit = params.get(Input.LIMIT)
        organization_slug = params.get(Input.ORGANIZATION_SLUG)
        # END INPUT BINDING - DO NOT REMOVE

        return {
            Output.NEXT_CURSOR: None,
            Output.TOTAL: None,
            Output.TRUNCATED: None,
            Output.VALUES: None,
            Output.WARNING: None,
        }
