"""HTTP: requests and responses as values, one transport, one retrying client. Knows nothing about Sentry."""
