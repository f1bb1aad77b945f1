# shellcheck shell=bash
# SPDX-License-Identifier: MPL-2.0
# How long P is out of reach after a fault: by the kernel's time stamps of what arrives for P at the client, on whatever device (pub0 may
# be made anew meanwhile; outer packets are to another port), where the peer sends something every 20 ms. Sourced after tap.sh. Set P; call watch_arrivals, then fault_begins, the fault, fault_done.
arrivals_PID='' pings_PID='' sender_PID='' # set by in_background

# What arrived on pub0: when, by the kernel, and when it was sent, which stands in the packet; Unix seconds.
arrivals() { awk '/^[0-9]+\.[0-9]+ .* IP / {at = $1} match($0, /sent=[0-9.]+;/) {print at, substr($0, RSTART + 5, RLENGTH - 6)}' "$TMP/arrivals"; }
arrives() { [ "$(arrivals | wc -l)" -gt "${1:-0}" ]; }
fault_begins() { FAULT_FROM=${EPOCHREALTIME/,/.}; }
fault_done() { FAULT_TO=${EPOCHREALTIME/,/.}; }
# Seconds from the fault's begin to the first arrival of something that was sent after its end.
outage() { arrivals | awk -v from="$FAULT_FROM" -v to="$FAULT_TO" '$2 > to {printf "%.3f\n", $1 - from; exit}'; }
healed() { [ -n "$(outage)" ]; }
mapped_of() { ask_gateway "{\"command\": \"binding-get\", \"arguments\": {\"address\": \"$1\"}}" | sed -n 's/.*"mapped": *"\([^"]*\)".*/\1/p'; }
mapped() { mapped_of "$P"; }
under() { awk -v v="$1" -v max="$2" 'BEGIN {exit !(v != "" && v + 0 <= max)}'; }

# The peer sends something every 20 ms, and nobody answers it.
watch_arrivals() {
	in_background client1 arrivals tcpdump -U -l -tt -n -A -i any "udp and src host $PEER_IP and dst port 7009"
	within 5 grep -q listening "$TMP/arrivals"
	on client1 nft 'table ip silent { chain out { type filter hook output priority 0; icmp type destination-unreachable drop; }; }'
	# shellcheck disable=SC2016 # for the other shell
	in_background peer pings bash -c 'exec 3>/dev/udp/'"$P"'/7009; while sleep 0.02; do echo "sent=$EPOCHREALTIME;" >&3; done' 2>/dev/null
	within 5 arrives 10
}

# The client sends something every 50 ms.
send_traffic() {
	# shellcheck disable=SC2016 # for the other shell
	in_background client1 sender bash -c 'exec 3>/dev/udp/'"$PEER_IP"'/7010; while sleep 0.05; do echo x >&3; done' 2>/dev/null
	within 5 test -n "$sender_PID"
}

stop_watching() {
	kill "$arrivals_PID" "$pings_PID" ${sender_PID:+"$sender_PID"} 2>/dev/null
	sender_PID=''
	return 0
}

# heals WHAT SECONDS: P is reached again, and was out of reach no longer.
heals() {
	local took
	eventually $(($2 + 20)) "$1: packets arrive again" healed
	took=$(outage)
	check "$1: within $2 s: after $took s" under "$took" "$2"
}
