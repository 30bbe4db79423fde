"""The process that works on jobs: what takes longer than a call, taken from the queue and done once.

Not here: what a job does, which is its capability's (`tenant_svc.operations.steps`), and putting jobs into the queue
(`chassis.jobs.enqueue`).
"""
