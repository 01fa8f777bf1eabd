from .schema import ListTagValuesInput, ListTagValuesOutput, Input, Output, Component

# Custom imports below
from komand_sentry.util.sentry.pagination import PageRange
from komand_sentry.util.step import Inputs, Outputs, SentryAction, step


class ListTagValues(SentryAction):

    def __init__(self) -> None:
        super().__init__(
            name="list_tag_values",
            description=Component.DESCRIPTION,
            input=ListTagValuesInput(),
            output=ListTagValuesOutput(),
        )

    @step
    def run(self, params: Inputs) -> Outputs:
        # START INPUT BINDING - DO NOT REMOVE - ANY INPUTS BELOW WILL UPDATE WITH YOUR PLUGIN SPEC AFTER REGENERATION
        issue_id = params[Input.ISSUE_ID]
        organization_slug = params.get(Input.ORGANIZATION_SLUG, "")
        key = params[Input.KEY]
        environment = params.get(Input.ENVIRONMENT, "")
        page_range = PageRange(params.get(Input.LIMIT, 100), params.get(Input.CURSOR, ""))
        # END INPUT BINDING - DO NOT REMOVE
        tag = self.connection.client.tags.list_values(issue_id, organization_slug, key, environment, page_range)
        return {**tag.values.output(Output.VALUES), Output.TOTAL: tag.total}
