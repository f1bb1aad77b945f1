#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# What the tunnel makes of a packet, each way, by each data path: it costs the one hop that the gateway is as a router and no time
# for company to come, and its holder's binding alone is charged for it, exactly.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
need socat ethtool
ROUTERS="192.0.2.1 198.51.100.10" # from the peer to a client: the Internet's, the gateway by its device-address

# hop FROM TO TTL: who says that such a packet has come to its end. The kernel limits these errors.
hop() { on "$1" ping -n -c1 -W1 -t "$3" "$2" | sed -n 's/^From \([0-9.]*\) .*Time to live exceeded.*/\1/p'; }
ends_at() { [ "$(hop "$1" "$2" "$3")" = "$4" ]; }

hops() {
	local router ttl=0
	watch client1 <<-END
		request in iifname "pub0" icmp type echo-request
		left in iifname "pub0" icmp type echo-request ip ttl 8
	END
	watch peer <<-END
		request in ip saddr $CLIENT_PUBLIC_IP icmp type echo-request
		left in ip saddr $CLIENT_PUBLIC_IP icmp type echo-request ip ttl 8
	END
	check "$1: ping from the peer, 10 hops at most" on peer ping -c3 -i0.2 -W2 -t 10 "$CLIENT_PUBLIC_IP"
	is "$1: comes to the client with 8 left" "$(counter client1 request) $(counter client1 left)" "3 3"
	check "$1: ping from the client, 10 hops at most" on client1 ping -c3 -i0.2 -W2 -t 10 "$PEER_IP"
	is "$1: comes to the peer with 8 left" "$(counter peer request) $(counter peer left)" "3 3"
	for router in $ROUTERS; do
		ttl=$((ttl + 1))
		eventually 10 "$1: to the client, hop $ttl is $router" ends_at peer "$CLIENT_PUBLIC_IP" $ttl "$router"
	done
	check "$1: and hop 3 the client" on peer ping -c1 -W2 -t 3 "$CLIENT_PUBLIC_IP"
	eventually 10 "$1: to the peer, hop 1 is the gateway" ends_at client1 "$PEER_IP" 1 198.51.100.10
	check "$1: and hop 3 the peer" on client1 ping -c1 -W2 -t 3 "$PEER_IP"
}

more() { echo "$(charged "$CLIENT_PUBLIC_IP") $1" | awk '{print $1 - $5, $2 - $6, $3 - $7, $4 - $8}'; }
more_is() { [ "$(more "$1")" = "$2" ] || { more "$1"; return 1; }; }

# charges MORE WHAT COMMAND...: what COMMAND adds to the binding of client1.
charges() {
	local by=$1 what=$2 before
	shift 2
	before=$(charged "$CLIENT_PUBLIC_IP")
	check "$what" "$@"
	eventually 5 "$what: charged $by" more_is "$before" "$by"
}

# datagrams FROM TO N LENGTH: nobody answers them.
datagrams() { on "$1" bash -c "for k in \$(seq $3); do head -c $4 /dev/zero >/dev/udp/$2/7001 || exit; done"; }

accounts() {
	local other
	other=$(charged "$OTHER")
	watch gateway <<-END
		from_client in iifname "pubgw0" ip saddr $CLIENT_PUBLIC_IP
	END
	in_background client1 sink socat -u UDP4-RECV:7001 OPEN:/dev/null
	in_background peer sink socat -u UDP4-RECV:7001 OPEN:/dev/null
	within 5 listening client1 udp 7001
	within 5 listening peer udp 7001
	charges "10 1280 10 1280" "$1: 10 pings of 128 bytes" on peer ping -c10 -i0.05 -W2 -s 100 "$CLIENT_PUBLIC_IP"
	charges "7 1596 0 0" "$1: 7 datagrams of 228 bytes to the client" datagrams peer "$CLIENT_PUBLIC_IP" 7 200
	charges "0 0 9 2952" "$1: 9 datagrams of 328 bytes from it" datagrams client1 "$PEER_IP" 9 300
	is "$1: nothing of it to another binding" "$(charged "$OTHER")" "$other"
	is "$1: of those from the client the gateway's kernel saw $2" "$(counter gateway from_client)" "$2"
}

# The median of the round-trip times of packets with nothing before and nothing after them, in microseconds.
lone() { on "$1" ping -n -c51 -i0.02 -W2 "$2" | sed -n 's/.*time=\([0-9.]*\) ms$/\1/p' | sort -n | awk 'NR == 26 {print int($1 * 1000)}'; }

# exact NAME PATH SEEN: a lab whose gateway says that it has this data path, with which its kernel sees so many of the 19 packets.
exact() {
	local us
	lab_up --clients 2
	OTHER=$(on client2 ip -4 -o addr show dev pub0 | awk '{sub("/.*", "", $4); print $4}')
	# A virtual Ethernet device takes frames from XDP only if the other end polls, as real ones do.
	on inet ethtool -K gateway gro on >/dev/null
	within 10 on peer ping -c1 -W1 "$CLIENT_PUBLIC_IP" >/dev/null # neighbours are found
	is "the gateway's data path" "$(ask_gateway '{"command": "status-get"}' |
		grep -oE '"(data-path|accelerated)":["a-z]*' | tr -d '"' | paste -sd ' ')" "$2"
	hops "$1"
	accounts "$1" "$3"
	us=$(lone peer "$CLIENT_PUBLIC_IP")
	note <<<"$1: a lone packet's way there and back: $us us"
	check "$1: lone packets wait for nobody: less than 10 ms there and back" test "${us:-10000}" -lt 10000
	check "$1: no private or foreign source on the Internet" no_leaks
	"$LAB" down
}

if [ "${PUBADDR_DATAPATH:-auto}" != user ]; then
	exact kernel data-path:kernel 19
	PUBADDR_ACCELERATE=true exact xdp "data-path:kernel accelerated:true" 0
fi
export PUBADDR_DATAPATH=user
exact user data-path:user 19
done_testing
