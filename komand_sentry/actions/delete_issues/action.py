import insightconnect_plugin_runtime

from insightconnect_plugin_runtime.telemetry import auto_instrument

from .schema import DeleteIssuesInput, DeleteIssuesOutput, Input, Output, Component

# Custom imports below


class DeleteIssues(insightconnect_plugin_runtime.Action):

    def __init__(self):
        super(self.__class__, self).__init__(
            name="delete_issues",
            description=Component.DESCRIPTION,
            input=DeleteIssuesInput(),
            output=DeleteIssuesOutput(),
        )

    @auto_instrument
    def run(self, params={}):
        # START INPUT BINDING - DO NOT REMOVE - ANY INPUTS BELOW WILL UPDATE WITH YOUR PLUGIN SPEC AFTER REGENERATION
        confirm = params.get(Input.CONFIRM)
        issue_ids = params.get(Input.ISSUE_IDS)
        organization_slug = params.get(Input.ORGANIZATION_SLUG)
        # END INPUT BINDING - DO NOT REMOVE

        return {
            Output.DELETED: None,
            Output.RESULTS: None,
        }
