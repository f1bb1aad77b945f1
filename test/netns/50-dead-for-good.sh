#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# The client daemon is killed and nobody starts it again: programs in the kernel carry on for a bounded time, and then nothing
# goes by the tunnel any more. --cleanup gives plain NAT back, a start the address.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
# shellcheck source=test/netns/outage.sh
. "$(dirname "$0")/outage.sh"
need tcpdump

BOUND=60 # seconds
# Seconds from the fault to the last arrival.
lasted() { arrivals | awk -v from="$FAULT_FROM" '{at = $1} END {printf "%.3f\n", at - from}'; }
quiet() { awk -v from="$FAULT_FROM" -v now="${EPOCHREALTIME/,/.}" -v last="$(lasted)" 'BEGIN {exit !(now - from - last > 3)}'; }
plain_nat() { on client1 ip route get "$PEER_IP" | grep -q "dev eth0"; }

export PUBADDR_DATAPATH=kernel
lab_up
P=$CLIENT_PUBLIC_IP
watch_arrivals
fault_begins
check "the daemon is killed" "$LAB" stop client1.tunneld
fault_done
within 3 arrives $(($(arrivals | wc -l) + 50))
check "programs in the kernel carry on" under 1 "$(lasted)"
eventually $((BOUND + 20)) "then P is silent" quiet
took=$(lasted)
check "within $BOUND s: after $took s" under "$took" $((BOUND + 1))
check "nobody says that it serves" not on client1 pubaddr status
check "--cleanup" on client1 pubaddr-tunneld --cleanup -i eth0 -c /etc/pubaddr/tunneld.conf
check "plain NAT" plain_nat
check "it works" on client1 ping -c1 -W2 "$PEER_IP"
check "the daemon is started again" "$LAB" start client1.tunneld
eventually 20 "P is reached" on peer ping -c1 -W1 "$P"
stop_watching
check "no private or foreign source on the Internet" no_leaks
done_testing
