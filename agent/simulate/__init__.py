"""A plant room made of real parts, for the demo and the tests."""
