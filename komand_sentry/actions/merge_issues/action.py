import insightconnect_plugin_runtime

from insightconnect_plugin_runtime.telemetry import auto_instrument

from .schema import MergeIssuesInput, MergeIssuesOutput, Input, Output, Component

# Custom imports below


class MergeIssues(insightconnect_plugin_runtime.Action):

    def __init__(self):
        super(self.__class__, self).__init__(
            name="merge_issues", description=Component.DESCRIPTION, input=MergeIssuesInput(), output=MergeIssuesOutput()
        )

    @auto_instrument
    def run(self, params={}):
        # START INPUT BINDING - DO NOT REMOVE - ANY INPUTS BELOW WILL UPDATE WITH YOUR PLUGIN SPEC AFTER REGENERATION
        issue_ids = params.get(Input.ISSUE_IDS)
        organization_slug = params.get(Input.ORGANIZATION_SLUG)
        # END INPUT BINDING - DO NOT REMOVE

        return {
            Output.COMPLETED: None,
            Output.ISSUE: None,
            Output.MERGED: None,
        }
