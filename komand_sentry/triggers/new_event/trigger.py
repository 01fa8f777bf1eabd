import insightconnect_plugin_runtime
import time
from .schema import NewEventInput, NewEventOutput, Input, Output, Component

# Custom imports below


class NewEvent(insightconnect_plugin_runtime.Trigger):

    def __init__(self):
        super(self.__class__, self).__init__(
            name="new_event", description=Component.DESCRIPTION, input=NewEventInput(), output=NewEventOutput()
        )

    def run(self, params={}):
        # START INPUT BINDING - DO NOT REMOVE - ANY INPUTS BELOW WILL UPDATE WITH YOUR PLUGIN SPEC AFTER REGENERATION
        environment = params.get(Input.ENVIRONMENT)
        interval = params.get(Input.INTERVAL)
        issue_id = params.get(Input.ISSUE_ID)
        lookback = params.get(Input.LOOKBACK)
        organization_slug = params.get(Input.ORGANIZATION_SLUG)
        project_slug = params.get(Input.PROJECT_SLUG)
        query = params.get(Input.QUERY)
        # END INPUT BINDING - DO NOT REMOVE

        while True:
            # TODO: Implement trigger functionality
            self.send(
                {
                    Output.DETAILS: None,
                    Output.EVENT: None,
                    Output.ISSUE_ID: None,
                    Output.SUMMARY: None,
                }
            )
            time.sleep(5)
