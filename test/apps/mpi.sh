# shellcheck shell=bash
# SPDX-License-Identifier: MPL-2.0
# Open MPI: a job of two, one of them on the client, the other started by ssh on the peer. The peer's daemon and rank get a list of the
# client's addresses, and connect to P. Whoever sends first connects; a rank refuses those from an address that is not in the list.
# The rank that sends first is the client's, but in open-mpi-called. In open-mpi-told mpirun is told which networks to use, as on any
# host with several interfaces. Without being told, in the mode policy, it gets a network namespace, where there is nothing but P.
app open-mpi 'mpirun sshd' 'tunnel=fails native=fails auto=works policy=works' 'Open MPI'
app open-mpi-told 'mpirun sshd' 'tunnel=works native=fails auto=works policy=works' 'Open MPI, subnet told'
app open-mpi-called 'mpirun sshd' 'tunnel=works native=works auto=works policy=works' 'Open MPI, peer first'

mpi_ready() {
	listening peer tcp 22 && return
	mkdir -p "$TMP/mpi" && ssh-keygen -q -t ed25519 -N '' -f "$TMP/mpi/host" && ssh-keygen -q -t ed25519 -N '' -f "$TMP/mpi/key" || return
	cat >"$TMP/mpi/sshd_config" <<-END
		ListenAddress $PEER_IP
		HostKey $TMP/mpi/host
		AuthorizedKeysFile $TMP/mpi/key.pub
		StrictModes no
		UsePAM no
		PermitRootLogin prohibit-password
		PidFile none
	END
	cat >"$TMP/mpi/ssh_config" <<-END
		IdentityFile $TMP/mpi/key
		BatchMode yes
		StrictHostKeyChecking no
		UserKnownHostsFile /dev/null
		LogLevel ERROR
	END
	on peer sh -c 'mkdir -p /run/sshd; sed -i "s/^root:[^:]*:/root:*:/" /etc/shadow'
	in_background peer mpi_sshd /usr/sbin/sshd -D -e -f "$TMP/mpi/sshd_config"
	within 10 listening peer tcp 22
}

MPI_REFUSED='it is from an IP address that is'
mpi_refused() { tr '\n' ' ' <"$TMP/mpi.out" | grep -q "$MPI_REFUSED"; }
mpi_over() { ! kill -0 "$1" 2>/dev/null || mpi_refused; }
mpi_contacted() { # the peer has connected to P
	tcpdump -nn -r "$TMP/try.pcap" "src host $PEER_IP and dst host $CLIENT_PUBLIC_IP and tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn" 2>/dev/null |
		grep -q .
}

# mpi_job FIRST OPTION...: rank 0 is the client's. It would not stop trying when it is refused.
mpi_job() {
	local job rc=0 rank=(/usr/bin/python3 "$APPS_DIR/mpi.py" "$1")
	shift
	mpi_ready || return
	: >"$TMP/mpi.out" # or what the job before was told would be read as this one's
	setsid "$LAB" exec client1 -- env OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 "${EXEC[@]}" \
		mpirun --mca orte_tmpdir_base "$TMP/mpi" --mca mpi_yield_when_idle 1 --mca plm_rsh_args "-F $TMP/mpi/ssh_config" "$@" \
		-n 1 --host localhost "${rank[@]}" : -n 1 --host "$PEER_IP" "${rank[@]}" >"$TMP/mpi.out" 2>&1 </dev/null &
	job=$!
	within 60 mpi_over "$job" || echo "it took too long"
	kill -- "-$job" 2>/dev/null
	wait "$job" || rc=1
	cat "$TMP/mpi.out"
	[ "$(grep -o 'got there\|got back-' "$TMP/mpi.out" | sort | paste -sd' ')" = "got back- got there" ] || rc=1
	mpi_contacted || { echo "the peer has not connected to P" && rc=1; }
	return "$rc"
}
try_open_mpi() {
	local EXEC=("${EXEC[@]}")
	[ "${MODE:-}" != policy ] || EXEC=(pubaddr exec --netns --)
	mpi_job 0
}
try_open_mpi_told() { mpi_job 0 --mca btl_tcp_if_include "$CLIENT_PUBLIC_IP/24,$PEER_IP/24"; }
try_open_mpi_called() { mpi_job 1; }
filter_open_mpi() { echo 'tcp and not port 22'; }
filter_open_mpi_told() { filter_open_mpi; }
filter_open_mpi_called() { filter_open_mpi; }
embeds_open_mpi() { echo '@B@'; }
embeds_open_mpi_told() { echo '@B@'; }
embeds_open_mpi_called() { echo '@B@'; }
reason_open_mpi() {
	mpi_refused && echo "the peer refuses a connection from another address than those that it was told" || echo "the job did not end"
}
reason_open_mpi_told() { reason_open_mpi; }
reason_open_mpi_called() { reason_open_mpi; }
