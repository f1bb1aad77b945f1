#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# What a binding is charged for a bulk transfer is what a wire would carry of it: as many packets, each with its headers, by each data
# path, also where the gateway's kernel handles many of them as one. The last links on the ways to peer and client are such wires, and
# packet filters behind them count.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
need socat ethtool
sent_PID='' # set by in_background
BYTES=4000000
WINDOW=100000 # so much is under way at most, so that no queue overflows
NEAR="3 4500" # packets and bytes that may have got lost behind the gateway

# wires PATH: the links pass on packets of 64 KB, but for those that come to the peer and to the client. XDP's device, too, gets what
# a wire would bring, for XDP knows no checksum that is still to be finished.
wires() {
	whole_packets || return
	on inet ethtool -K peer tx off tso off gso off && on lan ethtool -K p-client1 tx off tso off gso off || return
	on peer ethtool -K eth0 gro off && on client1 ethtool -K eth0 gro off || return
	[ "$1" != xdp ] || on inet ethtool -K gateway tx off tso off gso off
}

# counted HOST NAME HEADERS: packets and bytes of a counter of watch, without so many bytes of each.
counted() { on "$1" nft list counter ip watch "n_$2" | awk -v h="$3" '$1 == "packets" {print $2, $4 - h * $2}'; }
# carried: packets and bytes that came to the client, and that came from it to the peer.
carried() { echo "$(counted client1 to "$OUTER") $(counted peer from 0)"; }

# transfer FROM TO ADDRESS PORT
transfer() {
	in_background "$2" sent socat -u "TCP4-LISTEN:$4,reuseaddr,rcvbuf=$WINDOW" "CREATE:$TMP/$2.got"
	within 5 listening "$2" tcp "$4"
	on "$1" timeout 60 socat -u "OPEN:$TMP/file" "TCP4:$3:$4,rcvbuf=$WINDOW" && wait "$sent_PID" && cmp "$TMP/file" "$TMP/$2.got"
}

# as_carried CARRIED CHARGED: whether since then as much was charged as carried.
as_carried() {
	echo "$1 $(carried) $2 $(charged "$CLIENT_PUBLIC_IP") $NEAR" | awk '
		{ for (i = 1; i <= 4; i++) {
			carried = $(4 + i) - $i; charged = $(12 + i) - $(8 + i); near = $(18 - i % 2)
			printf "%s%d charged for %d", (i > 1 ? ", " : ""), charged, carried
			if (charged < carried || charged - carried > near || carried == 0) bad = 1
		} print ""; exit bad }'
}

# charges WHAT COMMAND...: what it makes the link carry is charged, both ways.
charges() {
	local what=$1 carried charged
	shift
	carried=$(carried) charged=$(charged "$CLIENT_PUBLIC_IP")
	check "$what" "$@"
	eventually 10 "$what: charged as carried" as_carried "$carried" "$charged"
	note <"$TMP/last"
}

# joined NAME HOST NAME: whether the gateway's kernel saw less than half as many packets as came to the host.
joined() { [ "$(counter gateway "$1")" -gt 0 ] && [ $(($(counter gateway "$1") * 2)) -lt "$(counter "$2" "$3")" ]; }

# bulk PATH SAYS: a lab whose gateway says that it has this data path.
bulk() {
	local to='iifname "pub0"'
	OUTER=0
	if [ "$1" = user ]; then # the client's daemon hands many packets to pub0 as one: count what comes to it, but no control messages
		to='iifname "eth0" udp sport 6080 @th,64,8 0x45'
		OUTER=28
	fi
	lab_up
	within 10 on peer ping -c1 -W1 "$CLIENT_PUBLIC_IP" >/dev/null # neighbours are found
	is "the gateway's data path" "$(ask_gateway '{"command": "status-get"}' |
		grep -oE '"(data-path|accelerated)":["a-z]*' | tr -d '"' | paste -sd ' ')" "$2"
	check "$1: the links carry packets of 64 KB, the last ones frames" wires "$1"
	watch peer <<-END
		from in ip saddr $CLIENT_PUBLIC_IP
	END
	watch client1 <<-END
		to in $to
	END
	watch gateway <<-END
		from in iifname "pubgw0" ip saddr $CLIENT_PUBLIC_IP
		to in iifname "eth0" ip daddr $CLIENT_PUBLIC_IP
	END
	charges "$1: 4 MB to the peer" transfer client1 peer "$PEER_IP" 7001
	[ "$1" = xdp ] || check "$1: the gateway's kernel had them as fewer packets" joined from peer from
	charges "$1: 4 MB from the peer" transfer peer client1 "$CLIENT_PUBLIC_IP" 7002
	[ "$1" = xdp ] || check "$1: the gateway's kernel had them as fewer packets" joined to client1 to
	check "$1: no private or foreign source on the Internet" no_leaks
	"$LAB" down
}

head -c $BYTES /dev/urandom >"$TMP/file"
if [ "${PUBADDR_DATAPATH:-auto}" != user ]; then
	bulk kernel data-path:kernel
	PUBADDR_ACCELERATE=true bulk xdp "data-path:kernel accelerated:true"
fi
export PUBADDR_DATAPATH=user
bulk user data-path:user
done_testing
