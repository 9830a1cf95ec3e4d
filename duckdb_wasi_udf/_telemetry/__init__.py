"""OpenTelemetry metrics and spans, where its API is installed."""
