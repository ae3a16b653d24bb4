"""The pure core: readings and commands in, effects out. No I/O, no clock, no third party."""
