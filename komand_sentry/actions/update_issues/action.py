import insightconnect_plugin_runtime

from insightconnect_plugin_runtime.telemetry import auto_instrument

from .schema import UpdateIssuesInput, UpdateIssuesOutput, Input, Output, Component

# Custom imports below


class UpdateIssues(insightconnect_plugin_runtime.Action):

    def __init__(self):
        super(self.__class__, self).__init__(
            name="update_issues",
            description=Component.DESCRIPTION,
            input=UpdateIssuesInput(),
            output=UpdateIssuesOutput(),
        )

    @auto_instrument
    def run(self, params={}):
        # START INPUT BINDING - DO NOT REMOVE - ANY INPUTS BELOW WILL UPDATE WITH YOUR PLUGIN SPEC AFTER REGENERATION
        assignedto = params.get(Input.ASSIGNEDTO)
        comment = params.get(Input.COMMENT)
        dry_run = params.get(Input.DRY_RUN)
        hasseen = params.get(Input.HASSEEN)
        ignorecount = params.get(Input.IGNORECOUNT)
        ignoreduration = params.get(Input.IGNOREDURATION)
        ignoreusercount = params.get(Input.IGNOREUSERCOUNT)
        ignoreuserwindow = params.get(Input.IGNOREUSERWINDOW)
        ignorewindow = params.get(Input.IGNOREWINDOW)
        incommit = params.get(Input.INCOMMIT)
        innextrelease = params.get(Input.INNEXTRELEASE)
        inrelease = params.get(Input.INRELEASE)
        isbookmarked = params.get(Input.ISBOOKMARKED)
        ispublic = params.get(Input.ISPUBLIC)
        issubscribed = params.get(Input.ISSUBSCRIBED)
        issue_ids = params.get(Input.ISSUE_IDS)
        max_changes = params.get(Input.MAX_CHANGES)
        organization_slug = params.get(Input.ORGANIZATION_SLUG)
        priority = params.get(Input.PRIORITY)
        projects = params.get(Input.PROJECTS)
        query = params.get(Input.QUERY)
        status = params.get(Input.STATUS)
        substatus = params.get(Input.SUBSTATUS)
        unassign = params.get(Input.UNASSIGN)
        # END INPUT BINDING - DO NOT REMOVE

        return {
            Output.CHANGED: None,
            Output.DRY_RUN: None,
            Output.FAILED: None,
            Output.MATCHED: None,
            Output.RESULTS: None,
            Output.WARNING: None,
        }
