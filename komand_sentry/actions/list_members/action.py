from .schema import ListMembersInput, ListMembersOutput, Input, Output, Component

# Custom imports below
from komand_sentry.util.sentry.pagination import PageRange
from komand_sentry.util.step import Inputs, Outputs, SentryAction, step


class ListMembers(SentryAction):

    def __init__(self) -> None:
        super().__init__(
            name="list_members", description=Component.DESCRIPTION, input=ListMembersInput(), output=ListMembersOutput()
        )

    @step
    def run(self, params: Inputs) -> Outputs:
        # START INPUT BINDING - DO NOT REMOVE - ANY INPUTS BELOW WILL UPDATE WITH YOUR PLUGIN SPEC AFTER REGENERATION
        organization_slug = params[Input.ORGANIZATION_SLUG]
        query = params.get(Input.QUERY, "")
        page_range = PageRange(params.get(Input.LIMIT, 0), params.get(Input.CURSOR, ""))
        # END INPUT BINDING - DO NOT REMOVE
        members = self.connection.client.members.list_for_organization(organization_slug, query, page_range)
        return members.output(Output.MEMBERS)
