"""End-to-end tests: the plugin as a workflow runs it, against any Sentry server. See README.md."""
