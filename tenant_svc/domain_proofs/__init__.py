"""Proofs that a tenant controls names in the DNS: rules, states, checks and rows, alike for login hosts and e-mail
domains.

`names` and `providers` say which names are accepted, `proof` is the life of a proof, `checks` makes the checks, and
`proofs` has the use cases. Ports: `resolver` and `web_pages`. Not here: the two kinds of names, which are capabilities
of their own.
"""
