"""Leases of rates and allowances: what a process takes in advance, so that nearly every call is decided in memory."""
