#!/bin/busybox sh
# First program of the guest: loads what its disks need, mounts the root (read only) and the data disk and
# hands over to Python. __PYTHON__ and __MODULES__ are filled in by benchmarks/vm/guest.py. What the kernel does not
# understand of its command line arrives here as environment: `data_options` and `words`, commas for spaces.
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t devtmpfs dev /dev
for module in __MODULES__; do
  /bin/busybox insmod "/modules/$module.ko" || echo "no module $module"
done
/bin/busybox mount -t ext4 -o ro /dev/vda /root || echo "no root"
/bin/busybox mount -t ext4 -o "$data_options" /dev/vdb /root/data || echo "no data disk"
/bin/busybox mount -t tmpfs tmpfs /root/run
/bin/busybox mount -t tmpfs tmpfs /root/tmp
/bin/busybox mount --move /dev /root/dev
/bin/busybox mount --move /proc /root/proc
/bin/busybox ip link set lo up
if [ -e /proc/sys/net/ipv4/conf/eth0 ] || [ -e /root/proc/sys/net/ipv4/conf/eth0 ]; then
  # the host's loopback at 10.0.2.2 (QEMU, user mode network); no route leads further
  /bin/busybox ip addr add 10.0.2.15/24 dev eth0
  /bin/busybox ip link set eth0 up
fi
export HOME=/tmp PYTHONPATH=/opt/plantroom:/opt/site PYTHONDONTWRITEBYTECODE=1 LANG=C.UTF-8
# shellcheck disable=SC2046 - words apart
exec /bin/busybox switch_root /root __PYTHON__ -m benchmarks.vm.inside $(echo "$words" | /bin/busybox tr , ' ')
