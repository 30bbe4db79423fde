"""Balances: the tables of used and granted amounts, and the arithmetic on them."""
