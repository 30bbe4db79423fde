"""The chassis of the services: what a process with a chain and a database needs, whatever its capabilities are.

A module belongs here when it needs both a call or its errors and a process or its database, and when two services use
it. It knows no noun of a service. What needs only a call or its errors belongs to `interceptors`, what needs only a
process or its database to `runtime`, and what one service uses to that service.

    background     parts that run beside the calls, and a loop that repeats one piece of work
    cache_control  how long the caches of clients may keep an answer
    capability     what a capability brings to a process, and what it keeps of a tenant
    chain          assembly of a service's chain, and of its clients of the other services
    contract       the gRPC services of TenantMesh, for reflection
    doors          transactions that raise the service's own Unavailable while the database is away
    emails         e-mail addresses: which are accepted, and which two are the same
    erasure        the door through which a tenant's rows are deleted for good
    event_log      events in commit order, read by streams and by consumers inside the service
    filters        filters and orders of lists, from text to conditions of SQL
    jobs           work that outlives a call, in a queue of PostgreSQL
    lifecycle      the parts of a process, started in order and closed in reverse
    locks          advisory locks that a transaction holds until it ends
    moments        times and durations between Python and Protocol Buffers
    opaque         opaque strings with a checksum, for page tokens and cursors
    outbox         rows that a transaction leaves for another service, and the relay that sends them
    pages          the size of a page of a list, and the token of the next page
    program        the main function of a process
    refusals       refusals that several services give
    requests       the vocabulary of requests: ids, texts, idempotency keys, and the refusal of wrong fields
    service        a service, put together from its connections, capabilities and chain
    servicers      one servicer per gRPC service, joined from the parts of several capabilities
    settings       settings that services share
    signing        keys that sign what a service publishes
    tenant_rows    the rows of one tenant over all tables of a service: counted, deleted and looked for
"""
