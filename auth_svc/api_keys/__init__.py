"""System keys: API keys of operators and services."""
