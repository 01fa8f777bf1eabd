import insightconnect_plugin_runtime

from insightconnect_plugin_runtime.telemetry import auto_instrument

from .schema import ListCommentsInput, ListCommentsOutput, Input, Output, Component

# Custom imports below


class ListComments(insightconnect_plugin_runtime.Action):

    def __init__(self):
        super(self.__class__, self).__init__(
            name="list_comments",
            description=Component.DESCRIPTION,
            input=ListCommentsInput(),
            output=ListCommentsOutput(),
        )

    @auto_instrument
    def run(self, params={}):
        # START INPUT BINDING - DO NOT REMOVE - ANY INPUTS BELOW WILL UPDATE WITH YOUR PLUGIN SPEC AFTER REGENERATION
        cursor = params.get(Input.CURSOR)
        issue_id = params.get(Input.ISSUE_ID)
        limit = params.get(Input.LIMIT)
        organization_slug = params.get(Input.ORGANIZATION_SLUG)
        # END INPUT BINDING - DO NOT REMOVE

        return {
            Output.COMMENTS: None,
            Output.NEXT_CURSOR: None,
            Output.TRUNCATED: None,
            Output.WARNING: None,
        }
