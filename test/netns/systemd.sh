# shellcheck shell=bash
# SPDX-License-Identifier: MPL-2.0
# Machines for tests that need systemd as process 1: each a set of namespaces with a private copy of this machine's files
# (an overlay in memory), a cgroup of its own, udev and journal, and nothing of the project but what is installed into it.
# Sourced after tap.sh. machine_up NAME, machine NAME COMMAND..., machine_link NAME1 NAME2; all of it ends with the test.

MACHINES=()
top_builddir=${PUBADDR_BUILD:-$HERE/../..}

machine_obstacle() {
	[ -x /lib/systemd/systemd ] || { echo "no systemd; install the Debian package systemd" && return; }
	command -v udevadm >/dev/null || { echo "no udevadm; install the Debian package udev" && return; }
	[ -n "$(machine_cgroup2)" ] || echo "no cgroup2 file system is mounted here"
}
machine_cgroup2() { findmnt -nrt cgroup2 -o TARGET | head -n 1; }

# What a machine of Debian's would do for hardware and for a kernel of its own, and what is this machine's business.
machine_mask() {
	local u
	rm -rf "$1/etc/systemd/system" && mkdir -p "$1/etc/systemd/system"
	for u in systemd-sysctl systemd-udev-trigger systemd-modules-load kmod-static-nodes systemd-remount-fs systemd-random-seed \
		systemd-machine-id-commit systemd-update-utmp systemd-hwdb-update systemd-pstore systemd-firstboot modprobe@tun; do
		ln -s /dev/null "$1/etc/systemd/system/$u.service"
	done
	for u in tmp.mount dev-hugepages.mount dev-mqueue.mount sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount \
		sys-fs-fuse-connections.mount proc-sys-fs-binfmt_misc.automount systemd-journald-audit.socket; do
		ln -s /dev/null "$1/etc/systemd/system/$u"
	done
	printf '%s\n' '[Unit]' 'Requires=basic.target' 'Wants=systemd-udevd.service' 'After=basic.target' 'AllowIsolate=yes' \
		>"$1/etc/systemd/system/machine.target"
	# What other packages of this machine would start is not wanted either.
	mkdir -p "$1/etc/systemd/system-generators"
	for u in "$1"/lib/systemd/system-generators/*; do
		ln -s /dev/null "$1/etc/systemd/system-generators/${u##*/}"
	done
}

# Runs as process 1 of the new namespaces until systemd takes over; the kernel's own settings are read-only but for net.
machine_init() {
	local r=$1 d
	mount --make-rprivate /
	mount -t proc proc "$r/proc"
	mount -t sysfs sysfs "$r/sys"
	mount --bind "$r/proc/sys" "$r/proc/sys"
	mount --bind "$r/proc/sys/net" "$r/proc/sys/net"
	mount -o remount,bind,ro "$r/proc/sys"
	mount -t tmpfs -o mode=755 dev "$r/dev"
	for d in null zero full random urandom tty; do
		touch "$r/dev/$d" && mount --bind "/dev/$d" "$r/dev/$d"
	done
	mkdir "$r/dev/net" "$r/dev/pts" "$r/dev/shm"
	mknod -m 666 "$r/dev/net/tun" c 10 200
	mount -t devpts -o newinstance,ptmxmode=666 devpts "$r/dev/pts"
	ln -s pts/ptmx "$r/dev/ptmx"
	mount -t tmpfs shm "$r/dev/shm"
	mount -t tmpfs -o mode=755 run "$r/run"
	mkdir "$r/run/udev" && : >"$r/run/udev/control" # without it systemd takes udev for absent here, and never looks again
	mount -t cgroup2 none "$r/sys/fs/cgroup"
	mount -t bpf bpf "$r/sys/fs/bpf" || true # the data path of the process works without
	mkdir -p "$r/.old" && cd "$r" && pivot_root . .old
	exec chroot . /bin/sh -c 'umount -l /.old; exec env -i container=pubaddr-test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
		/lib/systemd/systemd --system --unit=machine.target --log-target=journal --show-status=no'
}

# machine_up NAME: boots it, and waits until it is up.
machine_up() {
	local m=$TMP/machine-$1 group
	group=$(machine_cgroup2)/pubaddr-$$-$1
	mkdir -p "$m" "$group" && mount -t tmpfs none "$m" || return
	mkdir "$m/up" "$m/work" "$m/root"
	mount -t overlay none -o "lowerdir=/,upperdir=$m/up,workdir=$m/work" "$m/root" || return
	machine_mask "$m/root"
	echo "$1" >"$m/root/etc/hostname"
	tr -d - </proc/sys/kernel/random/uuid >"$m/root/etc/machine-id"
	rm -rf "$m/root/run" "$m/root/var/log/journal" && mkdir "$m/root/run"
	make -C "$top_builddir" install DESTDIR="$m/root" >"$TMP/install" 2>&1 || { tail -n 5 "$TMP/install" >&2; return 1; }
	{ declare -f machine_init && echo "machine_init $m/root"; } >"$m/init"
	(echo "$BASHPID" >"$group/cgroup.procs" && exec unshare --mount --pid --net --uts --ipc --cgroup --fork --kill-child \
		bash -e "$m/init" </dev/null >"$m/console" 2>&1) &
	MACHINES+=("$1:$!")
	within 60 machine_booted "$1" "$!"
}
machine_booted() {
	local pid
	pid=$(pgrep -P "$2") || return
	echo "$pid" >"$TMP/machine-$1/pid"
	machine "$1" systemctl is-system-running 2>/dev/null | grep -qE 'running|degraded'
}

machine() { # machine NAME COMMAND...
	local pid
	pid=$(<"$TMP/machine-$1/pid")
	shift
	nsenter -t "$pid" -m -p -n -u -i -C -r -w env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"
}

# machine_link NAME1 NAME2 INTERFACE: an Ethernet between the two; the same name at both ends.
machine_link() { ip link add "$3" netns "$(<"$TMP/machine-$1/pid")" type veth peer name "$3" netns "$(<"$TMP/machine-$2/pid")"; }

machines_down() {
	local m name
	for m in "${MACHINES[@]}"; do
		kill -KILL "${m#*:}" 2>/dev/null
		wait "${m#*:}" 2>/dev/null
		name=${m%:*}
		umount -l "$TMP/machine-$name/root" "$TMP/machine-$name"
		find "$(machine_cgroup2)/pubaddr-$$-$name" -depth -type d -exec rmdir {} + 2>/dev/null
	done
	MACHINES=()
}
