"""Leases: units that a process takes in advance, so that nearly every call is decided in memory.

    ledger      PostgreSQL: what is left of each allowance. It never gives more than plan and grants allow
     │  ▲
     │  return  units that nobody charged
    lease       about a second of demand, and a reserve
     ▼  │
    pool        Redis or Valkey: units that are leased and that no process has taken
     │  ▲
     │  return  units that lie idle
    take        a quarter of a second of demand
     ▼  │
    holding     this process: the units of one tenant's meter that calls take from
     │  ▲
     │  refund  what a call took that is not counted after all
    charge      the cost of one call
     ▼  │
    call        keeps a receipt for each meter

A unit is given once, and always downwards. A step without an answer is never repeated, and its units are *forfeited*:
units can be lost, and none is given twice. `docs/decisions/0018` says why, and how many can be lost.

* *allowance*: the units of a *meter* that a tenant may use in a period.
* *slice*: the units of one meter that a process gets at once, by a lease from the ledger or by a take from the pool.
* *refill* (`refill`): one task per tenant gets units for all of its waiting calls: from the pool, then from the ledger.
  It holds the process's share of a lease, and puts the *surplus* into the pool.
* *holding* (`holding`): one meter's state, and the arithmetic of how much to take, lease and keep. `tenant_holdings` is
  one tenant's state: its holdings, its waiting calls, and the units to return.
* *tick*: five times a second `allowances` measures demand, returns what a holding has too much, and *drains* idle pools
  to the ledger. It also *evicts* tenants without units when it caches too many.
* *reserve* (`reserves`): units in the pool to serve from while the ledger is away. Nothing is served beyond them:
  `docs/decisions/0045`.
* *generation*: a change of a tenant's entitlements begins a new one. Units of an older one go back to the ledger.
* *breaker* (`breaker`): keeps `sources`, which asks pool and ledger, from waiting for a store that did not answer. A
  question without an answer concerns its tenant; the ledger is *away* when it answers nobody.

`rates` leases burst limits in the same way, from a RateStore that stays exact: `docs/decisions/0019`.
"""
