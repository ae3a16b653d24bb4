"""The event log and the telemetry store, on TinyDB made fit."""
