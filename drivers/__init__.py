"""Wires to readings: the buses, and nothing of the agent."""
