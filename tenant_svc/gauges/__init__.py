"""Gauges: levels that rise to a limit and fall again."""
