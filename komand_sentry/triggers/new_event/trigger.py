from .schema import NewEventInput, NewEventOutput, Input, Component

# Custom imports below
from komand_sentry.util.errors.factory import invalid_input
from komand_sentry.util.sentry.client import SentryClient
from komand_sentry.util.sentry.issue_search import IssueSearch
from komand_sentry.util.sentry.organizations import check_slug
from komand_sentry.util.step import Inputs
from komand_sentry.util.trigger.base import SentryTrigger
from komand_sentry.util.trigger.event_source import NewEvents
from komand_sentry.util.trigger.lists import IssueList
from komand_sentry.util.trigger.source import Source


class NewEvent(SentryTrigger):

    def __init__(self) -> None:
        super().__init__(
            name="new_event", description=Component.DESCRIPTION, input=NewEventInput(), output=NewEventOutput()
        )

    def sources(self, client: SentryClient, params: Inputs) -> tuple[Source, ...]:
        # START INPUT BINDING - DO NOT REMOVE - ANY INPUTS BELOW WILL UPDATE WITH YOUR PLUGIN SPEC AFTER REGENERATION
        organization_slug = params[Input.ORGANIZATION_SLUG]
        issue_id = params.get(Input.ISSUE_ID, "")
        project_slug = params.get(Input.PROJECT_SLUG, "")
        environment = params.get(Input.ENVIRONMENT, "")
        query = params.get(Input.QUERY, "")
        # END INPUT BINDING - DO NOT REMOVE
        check_slug(Input.ORGANIZATION_SLUG, organization_slug)
        if bool(issue_id) == bool(project_slug):
            raise invalid_input(
                "Both issue_id and project_slug are set." if issue_id else "Neither issue_id nor project_slug is set.",
                "Set issue_id for the events of one issue, or project_slug for those of a project.",
            )
        if issue_id and query:
            raise invalid_input("query is set together with issue_id.", "Use query with project_slug only.")
        environments = (environment,) if environment else ()
        search = IssueSearch(projects=(project_slug,), environments=environments, query=query)
        issues = IssueList(client, organization_slug, search)
        return (NewEvents(client, organization_slug, issue_id, issues, environment),)
