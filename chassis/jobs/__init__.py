"""Jobs: work that outlives a call, enqueued in the transaction that makes it necessary and done at least once.

`enqueue` inserts a job, `queue` takes jobs and runs their handlers, `process` runs a worker, and `settings` configures
it. Not here: the handlers, which belong to their capabilities.
"""
