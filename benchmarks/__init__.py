"""Measurements that can be repeated; docs/benchmarks.md holds the tables and says how."""
