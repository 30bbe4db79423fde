"""Quotas: how much of its allowances and levels each tenant has used."""
