# shellcheck shell=bash
# SPDX-License-Identifier: MPL-2.0
# holder.sh LAB_DIR HOST STAGE: runs in a host's new namespaces, gives it files of its own, and stays so that they stay.
set -eu
lab=$1 host=$2 stage=$3 dir=$1/hosts/$2

hostname "$host"
mount -t sysfs sysfs /sys
# Hidden by that; programs are marked by it (pubaddr exec).
mount -t cgroup2 cgroup2 /sys/fs/cgroup 2>/dev/null || true
# Where there is none to be had, the daemons do without programs in the kernel.
mount -t bpf bpf /sys/fs/bpf || true
# The staged installation lies over this machine's /usr and /opt.
for d in usr opt; do
	[ -n "$stage" ] && [ -d "$stage/$d" ] || continue
	mount -t overlay overlay -o "ro,lowerdir=$stage/$d:/$d" "/$d"
done
# What is changed in /etc goes to $dir/etc. Where writable overlays are not to be had, a copy serves.
below=/etc
[ -z "$stage" ] || [ ! -d "$stage/etc" ] || below=$stage/etc:/etc
if ! mount -t overlay overlay -o "lowerdir=$below,upperdir=$dir/etc,workdir=$dir/work" /etc 2>/dev/null; then
	cp -a /etc/. "$dir/etc/"
	[ "$below" = /etc ] || cp -a "$stage/etc/." "$dir/etc/"
	mount --bind "$dir/etc" /etc
fi
rm -f /etc/resolv.conf /etc/hosts /etc/hostname
echo "$host" >/etc/hostname
printf '127.0.0.1 localhost\n' >/etc/hosts
: >/etc/resolv.conf
rm -rf /etc/pubaddr
mkdir /etc/pubaddr

# Fresh /run and /var/lib; the lab's own folder stays visible in it, so that Kea's host reaches the broker's socket.
mkdir -p "$dir/run/${lab#/run/}" "$dir/run/kea" "$dir/run/vsftpd/empty" "$dir/lib/dhcp" "$dir/lib/kea"
chmod 750 "$dir/run/kea" # or Kea (2.6.3 and later) makes no socket in it
mount --bind "$lab" "$dir/run/${lab#/run/}"
mount --bind "$dir/lib" /var/lib
mount --rbind "$dir/run" /run

sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1 2>/dev/null || true
ip link set lo up
: >"$lab/hosts/$host/ready"
exec sleep infinity
