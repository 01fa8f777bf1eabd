"""Texts of errors: what happened (cause) and what to do about it (assistance).

The runtime prints cause, assistance and data on one line. `data` holds the message of the server.
"""

from typing import NamedTuple

from komand_sentry.util.errors.redaction import sanitize
from komand_sentry.util.http.messages import FailureKind


class Explanation(NamedTuple):
    """Two templates. Their fields are those of ErrorContext, and:

    - {status} of the response, {delay} before the next attempt
    - {fields}: the inputs that the server names, "" or a part of a sentence
    - {code}: of Sentry's error object
    - {address}: the setting that names the server, {status_page}: where the server reports its faults
    """

    cause: str
    assistance: str


# The setting that names the server of a request.
CONNECTION_URL = "the URL of the connection"
DSN = "the DSN"
# Where a server reports its faults.
SAAS_STATUS_PAGE = "https://status.sentry.io"
SERVER_LOG = "the log of the server"

_INVALID = Explanation(
    "Sentry refused the request for {name} as invalid ({status}){fields}.",
    "See the server's response for the input that it did not accept. Correct that input and run the step again.",
)
_INVALID_EVENT = Explanation(
    "Sentry refused {name} as invalid ({status}){fields}.",
    "See the server's response for what it did not accept. Check the event, sentry_version (7 is current), and "
    "that the project number and the key of the DSN belong together.",
)
BY_STATUS = {
    400: _INVALID,
    422: _INVALID,
    401: Explanation(
        "Sentry did not accept the token (401).",
        "Check that the token of the connection is complete, has not expired or been revoked, and was created on the "
        "server that the connection's URL names.",
    ),
    403: Explanation(
        "The token may not access {name} (403).",
        "Give the token the scope {scope}, and check that its user or integration is a member of the organization "
        "and of a team of the project. Organization tokens (sntrys_...) never have this scope: use a user token or "
        "an internal integration.",
    ),
    404: Explanation("Sentry found no {name} (404).", "{advice}"),
    409: Explanation(
        "Sentry is already changing {name} (409).",
        "Another change is in progress. Wait a moment and run the step again.",
    ),
    410: Explanation(
        "This server no longer has the endpoint for {name} (410).",
        "Run the step again later, because Sentry first disables a retired endpoint for short periods. For a single "
        "issue, set organization_slug: the endpoint of the organization remains. If the error persists, update the "
        "plugin.",
    ),
    413: Explanation(
        "The request for {name} is too large for Sentry (413).",
        "Sentry accepts events of up to 1 MiB. Shorten extra, breadcrumbs, contexts or stack traces.",
    ),
    414: Explanation(
        "The URL of the request for {name} is too long for Sentry or for a proxy (414).",
        "Shorten the query or other long inputs.",
    ),
    429: Explanation(
        "Sentry limits the rate of requests and refused {name} (429).",
        "Wait {delay} and run the step again. If it happens often, run fewer steps at a time or request less data.",
    ),
}
INGESTION_BY_STATUS = BY_STATUS | {
    400: _INVALID_EVENT,
    422: _INVALID_EVENT,
    410: Explanation("The server no longer has the endpoint for {name} (410).", "{advice}"),
    401: Explanation(
        "Sentry did not accept the key of the DSN (401).",
        "Copy the DSN again from the settings of the project, Client Keys (DSN), and check that the key is enabled "
        "there. If the DSN has a secret key, it must be the right one; a DSN without a secret key works, too.",
    ),
    403: Explanation(
        "Sentry refused {name} (403).",
        "The key of the DSN is unknown, disabled or of another project, or an inbound filter rejected the event, or "
        "an event with the same ID already exists. Check the DSN in the settings of the project, Client Keys (DSN).",
    ),
}
_INTEGRATION_HINT = "The token of an internal integration has no such requirement."
# By `detail.code` of a 401 or 403: Sentry recognized the token, but requires more.
BY_CODE = {
    "sso-required": Explanation(
        "Sentry refused {name}, because its organization requires single sign-on ({status}).",
        "Log in to the organization once with single sign-on as the user of the token, so that Sentry links the two, "
        f"and run the step again. {_INTEGRATION_HINT}",
    ),
    "2fa-required": Explanation(
        "Sentry refused {name}, because its organization requires two-factor authentication ({status}).",
        "Enable two-factor authentication for the user of the token, in Sentry's user settings under Security. "
        f"{_INTEGRATION_HINT}",
    ),
    "member-disabled-over-limit": Explanation(
        "Sentry refused {name}, because the user of the token is disabled in its organization ({status}).",
        "The organization has more members than its plan allows. Change the plan or remove members. "
        f"{_INTEGRATION_HINT}",
    ),
    "sudo-required": Explanation(
        "Sentry refused {name}, because the user of the token must confirm the password for it ({status}).",
        "A token cannot confirm a password. Make this change in Sentry's web interface, or use another token. "
        f"{_INTEGRATION_HINT}",
    ),
    "email-verification-required": Explanation(
        "Sentry refused {name}, because the e-mail address of the token's user is not verified ({status}).",
        f"Verify the address in Sentry's user settings under Email Addresses. {_INTEGRATION_HINT}",
    ),
    "data-secrecy": Explanation(
        "Sentry refused {name}, because its organization does not let staff of Sentry see its data ({status}).",
        "The user of the token is a superuser without membership. Use the token of a member of the organization, or of "
        "an internal integration.",
    ),
    "superuser-required": Explanation(
        "Sentry refused {name}, because only a superuser of the server may access it ({status}).",
        "Use the token of a member of the organization, or of an internal integration.",
    ),
}
OTHER_CODE = Explanation(
    "Sentry recognized the token, but requires more for {name} ({status}, {code}).",
    "See the server's response for what is missing. Do it in Sentry's web interface as the user of the token, or use "
    "the token of an internal integration.",
)
# A server checks the CSRF token of a browser only if it did not authenticate the request by its token.
CSRF_FAILED = Explanation(
    "Sentry did not accept the token, and treated the request for {name} as that of a browser ({status}).",
    "Check that the token of the connection is complete, has not expired or been revoked, and was created on the "
    "server that the connection's URL names, and that a proxy passes the Authorization header on.",
)
ORGANIZATION_TOKEN = Explanation(
    "The connection's token is an organization token (sntrys_...), which may not access {name} (403).",
    "Organization tokens are for build pipelines only: they cannot read or change issues. Give the connection a "
    "user token or the token of an internal integration with the scope {scope}.",
)
HTML_PAGE = Explanation(
    "The response to the request for {name} is an HTML page ({status}), not a response of Sentry's API.",
    "A proxy, a firewall or a login page is between the plugin and Sentry. See the server's response for the title of "
    "the page. Allow the orchestrator through, or check host and path of {address}.",
)
SENTRY_PAGE = Explanation(
    "The response to the request for {name} is Sentry's own web page ({status}), not a response of its API.",
    "The server does not have this endpoint, or the path of the URL of the connection is wrong. Set the URL at which "
    "Sentry's web interface starts, such as https://sentry.example.com.",
)
SERVER_FAILED = Explanation(
    "The Sentry server failed on {name} ({status}).",
    "The server, or a proxy in front of it, has a fault or is overloaded; the input is not the cause. Run the step "
    "again later. If the error persists, see {status_page}.",
)
# Sentry fails in this way on some inputs that it does not support.
INTERNAL_ERROR = Explanation(
    "The Sentry server failed on {name} ({status}).",
    "{failure_advice} If the inputs are right, run the step again later. If the error persists, see {status_page}.",
)
REDIRECT = Explanation(
    "The response to the request for {name} is a redirect to another address ({status}).",
    "Redirects are followed only within the API of the same server, because the credentials must not be sent "
    "anywhere else. See the Location in the server's response, and check {address} (https, host, port, path prefix).",
)
REDIRECT_LOOP = Explanation(
    "The request for {name} was redirected too many times ({status}).",
    "The server redirects in a loop. Check its configuration, and that of a proxy in front of it.",
)
OTHER_STATUS = Explanation(
    "The response to the request for {name} has the unexpected status {status}.",
    "Check {address}, and see the server's response.",
)
UNEXPECTED_RESPONSE = Explanation(
    "The response to the request for {name} is not one of Sentry's API.",
    "Check that the URL of the connection is the base URL of a Sentry server, and that no login page or proxy is in "
    "front of it.",
)
UNEXPECTED_INGESTION_RESPONSE = Explanation(
    "The response to the request for {name} is not one of Sentry's ingestion.",
    "Check host and path of the DSN, and that no login page or proxy is in front of the server. The DSN is in the "
    "settings of the project, Client Keys (DSN).",
)
NOT_SENTRY = Explanation(
    "The URL of the connection is not the base URL of a Sentry server.",
    "Set the URL at which Sentry's web interface starts, such as https://sentry.io, https://de.sentry.io or "
    "https://sentry.example.com, and check that no login page or proxy is in front of it.",
)
LOGIN_PAGE = Explanation(
    "The URL of the connection leads to a login page and is not the base URL of a Sentry server.",
    "A login (single sign-on, an identity-aware proxy) is in front of Sentry, or the path of the URL is wrong. Set the "
    "URL at which Sentry's web interface starts, and let the orchestrator reach its /api/ without that login.",
)
# Sentry returns this page for every path that it does not know.
SENTRY_PAGE_AT_BASE = Explanation(
    "The URL of the connection leads to Sentry's own web page instead of its API.",
    "The path of the URL{path} is wrong. Set the URL at which Sentry's web interface starts, without the slug of an "
    "organization, such as https://sentry.io or https://sentry.example.com.",
)
PROXY_PAGE = Explanation(
    "The response is an HTML page instead of a response of Sentry's API.",
    "A proxy or a firewall responded, or another web server is at the URL of the connection. See the server's response "
    "for the title of the page. Check HTTPS_PROXY and NO_PROXY of the orchestrator, and host and path of the URL.",
)

# What to do about a failure without a response. Its cause is FailureKind.describe.
TRANSPORT_ASSISTANCE = {
    FailureKind.DNS: "Check the spelling of the host, and that the orchestrator can resolve it.",
    FailureKind.DNS_TEMPORARY: "The name server of the orchestrator did not respond. Check its network, and run the "
    "step again later.",
    FailureKind.REFUSED: "Check the port, that the server is running, and that a firewall lets the orchestrator "
    "through.",
    FailureKind.TIMEOUT: "Check that the server is running and that a firewall lets the orchestrator through, or run "
    "the step again later. For a slow server, increase the timeout of the connection.",
    FailureKind.CERTIFICATE: "If your own certificate authority issued it, set REQUESTS_CA_BUNDLE to its CA bundle. "
    "For a test server only, set ssl_verify to false.",
    FailureKind.TLS: "The server does not use TLS on this port, or only insecure versions of it. Check the scheme "
    "(https or http) and the port of the URL.",
    FailureKind.CA_BUNDLE: "Check that REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE of the orchestrator names an existing "
    "file.",
    FailureKind.GEVENT: "gevent was loaded too late. Start HTTP mode with `--worker_class gevent` in two words, not "
    "with `--worker_class=gevent`, or with `--worker_class sync`.",
    FailureKind.PROXY_INVALID: "Set HTTPS_PROXY or HTTP_PROXY of the orchestrator to the URL of an HTTP proxy, such as "
    "http://proxy.example.com:3128. SOCKS proxies are not supported.",
    FailureKind.PROXY: "Check HTTPS_PROXY, HTTP_PROXY and NO_PROXY of the orchestrator, and the proxy itself.",
    FailureKind.PROXY_REFUSED: "See the proxy's response. Check user and password in HTTPS_PROXY of the orchestrator, "
    "and that the proxy allows connections to this host.",
    FailureKind.CLOSED: "Run the step again. If the error persists, check that host, port and scheme (https or http) "
    "of the URL belong together, and look for a proxy or a firewall that closes connections.",
    FailureKind.INCOMPLETE: "Run the step again. If the error persists, look for a proxy that truncates responses.",
    FailureKind.MALFORMED: "The server does not use HTTP as Sentry does, or compresses its response incorrectly. Check "
    "host and port of the URL, and look for a proxy that changes responses.",
    FailureKind.TOO_LARGE: "Request less data at a time: set a limit below 100, and full to false for events.",
    FailureKind.TIME_SPENT: "The server responds slowly or limits the rate of requests. Run the step again later, "
    "request less data at a time, or increase the timeout of the connection.",
    FailureKind.INVALID_REQUEST: "Check the URL, the token and the DSN for invalid characters, and that HTTPS_PROXY "
    "does not name a SOCKS proxy, which is not supported.",
    FailureKind.CONNECTION: "Check the network between the orchestrator and the server, and run the step again.",
}


# What to check if Sentry fails with 500 and no input is known to cause it.
FAILURE_ADVICE = "The server has a fault or is overloaded, or an input is one that this version does not support."


def organization_advice() -> str:
    """What to check if Sentry does not find an organization."""
    return (
        "Check the organization_slug (it is in the URL of the organization's pages), that the user or integration of "
        "the token is a member, and for Sentry SaaS that the connection's URL is that of the region, such as "
        "https://de.sentry.io."
    )


def project_advice(environment: str = "") -> str:
    """What to check if Sentry does not find a project.

    :param environment: the input of the step, "" if it is not set
    """
    return (
        f"{_environment_advice(environment)}Check both slugs (they are in the URL of the project's page, not in its "
        "title), that the token may see the project, and for Sentry SaaS that the connection's URL is that of the "
        "region, such as https://de.sentry.io."
    )


def search_advice(environments: tuple[str, ...] = ()) -> str:
    """What to check if Sentry does not find an organization, or an environment of a search in it.

    :param environments: the input of the step
    """
    return (
        f"{_environment_advice(', '.join(environments))}Check the organization_slug (it is in the URL of its pages), "
        "that the token may see the organization, and for Sentry SaaS that the connection's URL is that of the region, "
        "such as https://de.sentry.io."
    )


def issue_advice(environment: str = "") -> str:
    """What to check if Sentry does not find an issue.

    :param environment: the input of the step, "" if it is not set
    """
    return (
        f"{_environment_advice(environment)}Check the ID, that the issue was not deleted or merged, that the token may "
        "see its project, the organization_slug if you set one, and for Sentry SaaS that the connection's URL is that "
        "of the region, such as https://de.sentry.io."
    )


def event_advice(event_id: str) -> str:
    """What to check if Sentry does not find an event.

    :param event_id: an ID, or latest, oldest or recommended
    """
    if event_id == "recommended":
        return "Only versions of Sentry from the end of 2023 on have recommended events: set event_id to latest."
    return (
        "Sentry deletes events after some time, usually 90 days, even if it keeps their issue. Check the event_id and "
        "the organization_slug, and that the token may see the project."
    )


def _environment_advice(environment: str) -> str:
    if not environment:
        return ""
    return f"Check the environment {sanitize(environment)} first: if it is unknown, Sentry responds with 404 as well. "


def list_failure_advice(sort: str = "", cursor: str = "") -> str:
    """What to check if Sentry fails with 500 on a list.

    :param sort: the input of the step, "" if it is not set
    :param cursor: the input of the step, "" if it is not set
    """
    hints = []
    if sort:
        hints.append(f"This version of Sentry may not have the sort {sanitize(sort)}: set date or no sort.")
    if cursor:
        hints.append("Check the cursor: some versions fail on one that they did not return.")
    return " ".join(hints) or FAILURE_ADVICE


def update_failure_advice(status: str = "") -> str:
    """What to check if Sentry fails with 500 on an update of an issue.

    :param status: the input of the step, "" if it is not set
    """
    if status != "resolvedInNextRelease":
        return FAILURE_ADVICE
    return (
        "Sentry fails on the status resolvedInNextRelease (statusDetails inNextRelease) if the project has no release: "
        "create a release, or set the status resolved."
    )
