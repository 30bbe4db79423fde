"""What all tests share: the plugins that offer real engines."""

pytest_plugins = ["tests.fixtures.engines"]
