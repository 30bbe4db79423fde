"""Adapters for the library's ports. Each passes the same contract suite as its in-memory twin."""
