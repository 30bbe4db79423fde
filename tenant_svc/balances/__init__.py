"""Balances: the tables that say how much is used and granted, and the arithmetic on them."""
