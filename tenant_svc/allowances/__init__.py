"""Allowances: how much of each METERED feature a tenant has used, and the ledger that gives units out."""
