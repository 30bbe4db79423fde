"""Jobs: work that outlives a call, put into PostgreSQL in the transaction that makes it necessary and done once.

`enqueue` puts a job in, `queue` takes jobs out and hands them to their handlers, `process` is the life of a worker.
Not here: what a job does, which is its capability's.
"""
