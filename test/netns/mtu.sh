# shellcheck shell=bash
# SPDX-License-Identifier: MPL-2.0
# The path's MTU, on a path between NAT and gateway that is narrower than both links, tells nobody, and loses fragments: what fits is
# found, larger packets are answered or cut up inside, and connections outlive a change. Sourced by 58-mtu-*.sh, which choose the data
# path by PUBADDR_DATAPATH.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
need socat tcpdump
got_PID='' syn_PID='' fed_PID='' # set by in_background

# path MTU: of the wire between the NAT and the Internet.
path() {
	on nat ip link set wan0 mtu "$1"
	on inet ip link set nat mtu "$1"
}

# No ICMP error comes out of the two ends of that wire, and no fragment goes through it.
silence() {
	local host=$1 dev=$2
	on "$host" nft -f - <<-END
		table inet narrow { chain out { type filter hook output priority 0; icmp type destination-unreachable drop; }; }
		table netdev narrow { chain in { type filter hook ingress device "$dev" priority -500; ip frag-off & 0x3fff != 0 counter drop; }; }
	END
}

mtu() { on client1 pubaddr status | sed -n 's/^ *MTU  *\([0-9]*\).*/\1/p'; }
mtu_is() { [ "$(mtu)" = "$1" ] || { mtu; return 1; }; }
gateway_has() { ask_gateway '{"command": "binding-get-all"}' | grep -q "\"mtu\":$1[,}]"; }
settled() { mtu_is "$1" && gateway_has "$1"; }
# used MTU: the same while the path carries something, packets of that size; a client that nothing reaches asks nothing.
used() {
	on peer ping -q -c4 -i0.05 -W1 -s $(($1 - 28)) -M dont "$CLIENT_PUBLIC_IP" >/dev/null
	settled "$1"
}
arrived() { stat -c %s "$TMP/$1" 2>/dev/null || echo 0; }
has_arrived() { [ "$(arrived "$1")" -ge "$2" ]; }
complete() { cmp "$TMP/file" "$TMP/$1"; }

# transfer FROM TO ADDRESS PORT: the file by TCP.
transfer() {
	rm -f "$TMP/got.$2"
	in_background "$2" got socat -u "TCP4-LISTEN:$4,reuseaddr" "CREATE:$TMP/got.$2"
	within 10 listening "$2" tcp "$4" || return
	on "$1" timeout 60 socat -u "OPEN:$TMP/file" "TCP4:$3:$4" || return
	wait "$got_PID"
	complete "got.$2"
}

# answered HOST ADDRESS MTU: a packet of 1472 bytes that may not be cut up is refused, and how large it may be is said.
answered() {
	on "$1" ip route flush cache # what TCP has learnt already
	on "$1" ping -c2 -i0.3 -W2 -s 1444 -M 'do' "$2" >"$TMP/answer" 2>&1
	cat "$TMP/answer"
	# Of a refusal on its own host ping says no number any more (iputils of Debian 13); the route has it.
	grep -qi "mtu *= *$3\b" "$TMP/answer" || { grep -q 'sendmsg: Message too long' "$TMP/answer" && route_mtu_is "$1" "$2" "$3"; }
}
route_mtu_is() {
	local dev
	dev=$(on "$1" ip -o route get "$2" | sed -n 's/.* dev \([^ ]*\).*/\1/p')
	[ "$(on "$1" cat "/sys/class/net/$dev/mtu")" = "$3" ]
}

# announced HOST DEVICE FROM MSS COMMAND...: what TCP from there announces, as it is seen on the device while COMMAND runs.
announced() {
	local host=$1 dev=$2 from=$3 want=$4
	shift 4
	in_background "$host" syn timeout 20 tcpdump -n -l -c1 -i "$dev" "src host $from and tcp[13] & 2 != 0"
	within 10 grep -q listening "$TMP/syn" || return
	"$@" || return
	wait "$syn_PID"
	cat "$TMP/syn"
	grep -q "mss $want\b" "$TMP/syn"
}

narrow() { # narrow MTU: of the path; what fits inside takes 28 less
	local inner=$(($1 - 28))
	path "$1"
	eventually 40 "path of $1: $inner is found, and the gateway knows" used "$inner"
	check "path of $1: TCP to the peer" transfer client1 peer "$PEER_IP" 7001
	check "path of $1: TCP from the peer" transfer peer client1 "$CLIENT_PUBLIC_IP" 7002
	check "path of $1: a packet that is too large and whole is answered to the peer, with $inner" \
		answered peer "$CLIENT_PUBLIC_IP" "$inner"
	check "path of $1: and by the gateway" grep -q "From 198.51.100.10" "$TMP/answer"
	check "path of $1: and to the client" answered client1 "$PEER_IP" "$inner"
	check "path of $1: one that fits passes" on peer ping -c1 -W3 -s $((inner - 28)) -M 'do' "$CLIENT_PUBLIC_IP"
	check "path of $1: large ones are cut up inside, from the peer" on peer ping -c2 -i0.3 -W3 -s 4000 -M dont "$CLIENT_PUBLIC_IP"
	check "path of $1: and from the client" on client1 ping -c2 -i0.3 -W3 -s 4000 -M dont "$PEER_IP"
	check "path of $1: the peer's SYN announces no more" announced client1 pub0 "$PEER_IP" $((inner - 40)) \
		transfer client1 peer "$PEER_IP" 7003
}

# Octets at a steady pace, for as long as somebody listens.
# shellcheck disable=SC2016 # for the other shell
FEED='while head -c 20000 /dev/zero; do sleep 0.05; done'

# feed FROM TO ADDRESS PORT NAME: such a connection.
feed() {
	in_background "$2" got socat -u "TCP4-LISTEN:$4,reuseaddr" "CREATE:$TMP/$5"
	within 10 listening "$2" tcp "$4"
	in_background "$1" fed sh -c "{ $FEED; } 2>/dev/null | socat -u - TCP4:$3:$4"
	within 10 has_arrived "$5" 100000
}

goes_on() { # goes_on NAME SECONDS WHAT: a megabyte more arrives
	eventually "$2" "$3" has_arrived "$1" $(($(arrived "$1") + 1000000))
}

head -c 3000000 /dev/urandom >"$TMP/file"
lab_up
is "the data path" "$(ask_gateway '{"command": "status-get"}' | grep -o '"data-path":"[a-z]*"')" "\"data-path\":\"$PUBADDR_DATAPATH\""
silence nat wan0
silence inet nat
eventually 10 "a path of 1500 carries 1472" settled 1472
narrow 1492
narrow 1400
on client1 ip route add "$PEER_IP" dev pub0 src "$CLIENT_PUBLIC_IP" advmss 1460
check "what the client's SYN announces is lowered by the gateway" announced peer eth0 "$CLIENT_PUBLIC_IP" 1332 \
	transfer client1 peer "$PEER_IP" 7004
on client1 ip route del "$PEER_IP" dev pub0
path 1500
feed client1 peer "$PEER_IP" 7005 up
feed peer client1 "$CLIENT_PUBLIC_IP" 7006 down
eventually 60 "while data is carried the size grows with the path" settled 1472
path 1400
eventually 20 "a path that shrinks is noticed within seconds" settled 1372
goes_on up 20 "the connection to the peer goes on"
goes_on down 20 "and that from the peer"
check "a black hole was found" sh -c "echo '$(on client1 pubaddr --json status)' | tr -d ' ' | grep -q '\"black-holes\":[1-9]'"
"$LAB" stop gatewayd
"$LAB" start gatewayd
eventually 20 "a gateway that was killed knows the MTU of its bindings" gateway_has 1372
check "and so does the kernel" sh -c "'$LAB' exec gateway -- ip route show $CLIENT_PUBLIC_IP | grep -q 'mtu 1372'"
path 1500
eventually 60 "and it grows again" settled 1472
check "the kernel needs no route for it any more" sh -c "! '$LAB' exec gateway -- ip route show $CLIENT_PUBLIC_IP | grep -q mtu"
done_testing
