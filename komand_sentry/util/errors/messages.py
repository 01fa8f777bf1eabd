"""Texts of errors: what happened (cause) and what to do about it (assistance).

The runtime prints cause, assistance and data on one line. `data` holds the message of the server.
"""

from typing import NamedTuple

from komand_sentry.util.http.messages import FailureKind


class Explanation(NamedTuple):
    """Two templates. Their fields are those of ErrorContext, and {status} and {delay}."""

    cause: str
    assistance: str


BY_STATUS = {
    400: Explanation(
        "Sentry refused the request for {name} as invalid (400).",
        "See the server's response for the input that it did not accept. Correct that input and run the step again.",
    ),
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
    400: Explanation(
        "Sentry refused {name} as invalid (400).",
        "See the server's response for what it did not accept. Check the event, sentry_version (7 is current), and "
        "that the project number and the key of the DSN belong together.",
    ),
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
ORGANIZATION_TOKEN = Explanation(
    "The connection's token is an organization token (sntrys_...), which may not access {name} (403).",
    "Organization tokens are for build pipelines only: they can neither list nor update issues. Give the connection a "
    "user token or the token of an internal integration with the scope {scope}.",
)
HTML_PAGE = Explanation(
    "The response to the request for {name} is an HTML page ({status}), not a response of Sentry's API.",
    "A proxy, a firewall or a login page is between the plugin and Sentry. See the server's response for the title of "
    "the page. Allow the orchestrator through, or check host and path of the URL or the DSN.",
)
SERVER_FAILED = Explanation(
    "The Sentry server failed on {name} ({status}).",
    "The server, or a proxy in front of it, has a fault or is overloaded; the input is not the cause. Run the step "
    "again later. If the error persists, see the server's log or https://status.sentry.io.",
)
REDIRECT = Explanation(
    "The response to the request for {name} is a redirect to another address ({status}).",
    "Redirects are followed only within the API of the connection's server, because the token must not be sent "
    "anywhere else. See the Location in the server's response, and check the URL of the connection (https, host, "
    "port, path prefix).",
)
REDIRECT_LOOP = Explanation(
    "The request for {name} was redirected too many times ({status}).",
    "The server redirects in a loop. Check its configuration, and that of a proxy in front of it.",
)
OTHER_STATUS = Explanation(
    "The response to the request for {name} has the unexpected status {status}.",
    "Check the URL of the connection, and see the server's response.",
)
UNEXPECTED_RESPONSE = Explanation(
    "The response to the request for {name} is not one of Sentry's API.",
    "Check that the URL of the connection is the base URL of a Sentry server, and that no login page or proxy is in "
    "front of it.",
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
    FailureKind.TLS: "The server does not use TLS on this port, or no version that is secure. Check the scheme (https "
    "or http) and the port of the URL.",
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
