"""Power cuts of a small arm64 machine under QEMU: `make vm-test`."""
