"""The Sentry client: one module per resource on top of one authenticated API."""
