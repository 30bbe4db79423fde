"""Names the fixture modules, nothing else."""

pytest_plugins = ["tests.fixtures.engines", "tests.fixtures.stack", "tests.fixtures.mesh"]
