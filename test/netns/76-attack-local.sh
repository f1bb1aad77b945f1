#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# Another user of each host: he cannot hand over grants, ask for leases, read keys or grants, or keep root from asking.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
need socat setpriv tcpdump
# shellcheck source=test/netns/attack.sh
. "$(dirname "$0")/attack.sh"
attack_up
remember

nobody() { # nobody HOST COMMAND...
	local host=$1
	shift
	on "$host" setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
}
tell() { # tell HOST SOCKET COMMAND [ARGUMENTS]: as that user
	echo "{\"command\":\"$3\",\"arguments\":${4:-{\}}}" | nobody "$1" socat -t3 - "UNIX:$2"
}
denied() { tell "$@" >"$TMP/told" 2>&1; grep -q 'permission denied\|Permission denied' "$TMP/told"; }
T=/run/pubaddr/tunneld-eth0.sock
grant=$(make_message grant "$(on client1 pubaddr key)" 203.0.113.9/32 600 "$GW" 1400 25)

check "he may not hand over a grant" denied client1 $T grant-put "{\"grant\":\"$grant\",\"reason\":\"BOUND\",\"lease-time\":600}"
check "nor end one" denied client1 $T grant-end '{"reason":"RELEASE"}'
check "he may ask for the status" sh -c "'$LAB' exec client1 -- setpriv --reuid=65534 --clear-groups pubaddr status | grep -q '$CLIENT_PUBLIC_IP'"
tell client1 $T status-get >"$TMP/status" 2>&1
check "which names no key, secret or session" not grep -qiE 'secret|"key|"session"|token' "$TMP/status"
secret=$(listened_grant | sed 's/^.*:4:0:0:[^:]*:[^:]*:2:20://' | cut -d: -f1-8)
# shellcheck disable=SC2046,SC2086 # a list of bytes
hex=$(printf '%02x' $(printf '0x%s ' ${secret//:/ }))
check "the grant's secret begins with 8 known bytes" test ${#hex} = 16
check "which are in no log" not grep -rqiE "$secret|$hex" "/run/pubaddr-lab/$PUBADDR_LAB/log"
check "he may not ask the broker for a lease" denied broker /run/pubaddr/broker.sock lease-allocate '{"realm":"lab"}'
check "nor for the list" denied broker /run/pubaddr/broker.sock lease-get-page '{"from":"start","limit":10}'
check "nor command the gateway" denied gateway /run/pubaddr/gateway.sock binding-end "{\"address\":\"$CLIENT_PUBLIC_IP\"}"
for f in client1:/var/lib/pubaddr/client.key client1:/var/lib/pubaddr/bind gateway:/etc/pubaddr/gateway.key \
	broker:/etc/pubaddr/master.key broker:/var/lib/pubaddr/broker.db; do
	check "$f is there" on "${f%%:*}" test -s "${f#*:}"
	check "and he cannot read it" not nobody "${f%%:*}" cat "${f#*:}"
done
for host in client1 gateway broker; do
	check "he cannot put anything into $host's /run/pubaddr" not nobody $host touch /run/pubaddr/x
done
check "nor plant a grant for the next start" not nobody client1 sh -c 'echo {} >/run/pubaddr/pending-eth0.json'
check "nor replace the key" not nobody client1 sh -c 'mv /var/lib/pubaddr/client.key /var/lib/pubaddr/old'
unchanged

# A key file, or a waiting grant, that others can write is not believed.
on client1 sh -c "echo '{\"grant\": \"$grant\"}' >/run/pubaddr/pending-eth0.json && chmod 666 /run/pubaddr/pending-eth0.json"
"$LAB" stop client1.tunneld
on client1 sh -c 'exec pubaddr-tunneld -i eth0 -c /etc/pubaddr/tunneld.conf >/run/tunneld.log 2>&1 </dev/null &'
eventually 5 "a waiting grant that others can write is refused" \
	on client1 grep -q 'grant.refused .*others can access it' /run/tunneld.log
"$LAB" renew client1 >/dev/null 2>&1

# He asks on many connections and does not read.
pid=$(ip netns pids "$CLIENT_NS" | while read -r p; do grep -qs tunneld "/proc/$p/comm" && echo "$p"; done | head -n 1)
rss() { awk '$1 == "VmRSS:" {print $2}' "/proc/$pid/status"; }
full() { grep -qi "too many" <<<"$(nobody client1 pubaddr status 2>&1)"; }
# Who is refused ends. To ask before that would take a place from one of them.
decided() { [ "$(jobs -rp | wc -l)" -le $((others + 32)) ]; }
before=$(rss)
others=$(jobs -rp | wc -l)
for _ in $(seq 40); do
	yes '{"command":"status-get"}' | "$LAB" exec client1 -- setpriv --reuid=65534 --regid=65534 --clear-groups \
		socat -u - "UNIX:$T" >/dev/null 2>&1 &
done
eventually 30 "forty connections are made or refused" decided
check "he takes every place" full
check "root is answered all the same" within 2 on client1 pubaddr status
grown=$(($(rss) - before))
echo "# tunneld grew by $grown KiB"
check "and what he does not read takes 16 MiB at most, half a MiB each" test "$grown" -le 16384
check "the tunnel works meanwhile" on peer ping -c2 -W2 "$CLIENT_PUBLIC_IP"
done_testing
