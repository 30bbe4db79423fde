"""Allowances: each tenant's used units of METERED features, and the ledger that gives units out."""
