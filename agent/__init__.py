"""The agent: decides, switches, remembers, tells."""

from importlib.metadata import PackageNotFoundError, version

try:
    VERSION = version("plantroom-agent")
except PackageNotFoundError:  # running from a tree that was never installed
    VERSION = "0+unknown"
