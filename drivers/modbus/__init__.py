"""Modbus over TCP, RTU and RTU over TCP."""
