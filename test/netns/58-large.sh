#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# What a host's TCP hands to its network card as one packet of up to 64 KB crosses the tunnel as one, each way, by both data
# paths: packet filters behind it see a fraction of the segments that the bytes make. And what arrives is what was sent.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
need socat ethtool
sent_PID='' # set by in_background
BYTES=20000000
SEGMENTS=$((BYTES / 1432)) # 1472 less 40

# transfer FROM TO ADDRESS PORT
transfer() {
	in_background "$2" sent socat -u "TCP4-LISTEN:$4,reuseaddr" "CREATE:$TMP/$2.got"
	within 5 listening "$2" tcp "$4"
	on "$1" socat -u "OPEN:$TMP/file" "TCP4:$3:$4" && wait "$sent_PID" && cmp "$TMP/file" "$TMP/$2.got"
}

# large PATH: 20 MB each way by the lab that is up, whose gateway says that it has this data path.
large() {
	local from to
	is "the gateway's data path" "$(ask_gateway '{"command": "status-get"}' | sed -n 's/.*"data-path":"\([a-z]*\)".*/\1/p')" "$1"
	check "the links carry packets of 64 KB" whole_packets
	watch gateway <<-END
		from_tunnel in iifname "pubgw0" ip saddr $CLIENT_PUBLIC_IP tcp dport 7001
	END
	watch client1 <<-END
		from_tunnel in iifname "pub0" ip daddr $CLIENT_PUBLIC_IP tcp dport 7002
	END
	check "20 MB to the peer" transfer client1 peer "$PEER_IP" 7001
	check "20 MB from the peer" transfer peer client1 "$CLIENT_PUBLIC_IP" 7002
	from=$(counter gateway from_tunnel) to=$(counter client1 from_tunnel)
	note <<<"$SEGMENTS segments each way: out of the tunnel come $from packets at the gateway, $to at the client"
	check "they come as a fraction of their segments at the gateway" test "$from" -gt 0 -a "$from" -lt $((SEGMENTS / 4))
	check "and at the client" test "$to" -gt 0 -a "$to" -lt $((SEGMENTS / 4))
	check "no private or foreign source on the Internet" no_leaks
	"$LAB" down
}

head -c $BYTES /dev/urandom >"$TMP/file"
if [ "${PUBADDR_DATAPATH:-auto}" != user ]; then
	lab_up
	large kernel
fi
export PUBADDR_DATAPATH=user
lab_up
large user
done_testing
