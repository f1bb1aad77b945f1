#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# Twenty clients behind one NAT: each has an address of its own, nobody gets another's packets, and they reach each other.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
need socat

N=20
declare -A P

# The gateway's packets as they reach eth0, that is before tunneld could refuse any: the address inside (bytes 16 to 19
# of an IPv4 header right behind the UDP header) is the client's own or somebody else's.
count_inner() {
	watch "client$1" <<-END
		own in iifname "eth0" udp sport 6080 @th,64,4 4 @th,192,32 $2
		other in iifname "eth0" udp sport 6080 @th,64,4 4 @th,192,32 != $2
		mine in iifname "pub0" udp dport 7000 ip daddr ${P[$1]}
	END
}

hex_of() { printf '0x%02x%02x%02x%02x' ${1//./ }; }

lab_up --clients "$N"
for ((i = 1; i <= N; i++)); do
	P[$i]=$(on "client$i" ip -4 -o addr show dev pub0 | awk '{sub("/.*", "", $4); print $4}')
	count_inner "$i" "$(hex_of "${P[$i]}")"
done
is "$N different public addresses" "$(printf '%s\n' "${P[@]}" | grep '^203\.0\.113\.' | sort -u | wc -l)" "$N"
is "behind one address of the NAT" \
	"$(ask_gateway '{"command": "binding-get-all"}' | grep -o '"mapped": *"198\.51\.100\.2:' | wc -l)" "$N"

for ((i = 1; i <= N; i++)); do
	echo "for k in \$(seq $i); do echo x >/dev/udp/${P[$i]}/7000; done"
done >"$TMP/send"
on peer bash "$TMP/send"
all_counted() {
	local c
	for ((c = 1; c <= N; c++)); do
		[ "$(counter "client$c" mine)" = "$c" ] || return 1
	done
}
eventually 10 "each client got what was sent to its address: client 1 one packet, client 2 two, ..." all_counted
others=0
for ((i = 1; i <= N; i++)); do
	others=$((others + $(counter "client$i" other)))
done
is "no packet of one client came to another" "$others" 0

in_background client2 echo socat TCP4-LISTEN:7002,fork,reuseaddr 'SYSTEM:echo $SOCAT_PEERADDR'
within 5 listening client2 tcp 7002
is "client1 reaches client2 by its P, and is seen as its own P" "$(on client1 socat -u "TCP4:${P[2]}:7002" -)" "${P[1]}"
check "client${N} pings client1's P" on "client$N" ping -c2 -i0.2 -W2 "${P[1]}"
check "each reaches the peer" sh -c "for i in \$(seq $N); do '$LAB' exec client\$i -- ping -c1 -W2 $PEER_IP >/dev/null || exit 1; done"
check "no private or foreign source on the Internet" no_leaks
done_testing
