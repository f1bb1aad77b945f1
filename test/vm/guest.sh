#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# The first process of the guest that check boots: client, NAT, Internet, gateway and peer in namespaces, the tunnel between them, and
# what shows that the kernel's programs carry it. Ends by switching off.
# shellcheck disable=SC2154,SC2034 # of tunnel-net.sh, or for it
export PATH=/usr/sbin:/usr/bin HOME=/ top_srcdir=/src top_builddir=/build

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
mount -t tmpfs run /run
mkdir -p /bpf /var/lib
mount -t bpf bpf /bpf # ip netns exec mounts a fresh /sys
modprobe -a tun veth sch_ingress cls_bpf nf_tables nft_chain_nat nft_masq
[ -c /dev/net/tun ] || { mkdir -p /dev/net && mknod /dev/net/tun c 10 200; }

PUB=203.0.113.7
value() { sed -n "s/.*\"$1\": *\"\{0,1\}\([^\",}]*\).*/\1/p"; }
gateway_status() { g "$tool" call "$dir/gateway.sock" status-get; }
client_status() { "$bin/pubaddr" --json --run-dir "$dir" status; }
cat_stat() { ip netns exec "$net$1" sh -c "cat /sys/class/net/$2/statistics/$3"; }
program_at() { ip netns exec "$net$1" tc filter show dev "$2" "$3" | grep -q "$4"; }
copy() { # copy FROM TO ADDRESS PORT: the data, by TCP; prints its checksum at the far end
	$2 socat -u "TCP-LISTEN:$4,reuseaddr" "CREATE:$dir/copy" & recv=$!
	watch $recv
	retry "$1" socat -u "OPEN:$dir/data" "TCP:$3:$4" && wait $recv
	sha256sum <"$dir/copy"
}

checks() {
	need_root
	net_up
	start_gateway
	start_client
	is "$(gateway_status | value data-path)" kernel "the gateway's data path is the kernel's"
	put_grant $PUB 100 600 && wait_for bound
	ok $? 'a grant is bound at the gateway'
	is "$(client_status | value data-path)" kernel "the client's data path is the kernel's"
	client_status | sed -n 's/.*"data-path-reason": *\(.*\)/# \1/p'
	program_at g pubgw0 egress pa_gateway_out && program_at g eth0 ingress pa_gateway_in
	ok $? 'programs stand at both interfaces of the gateway'
	program_at c pub0 egress pa_client_out && program_at c eth0 ingress pa_client_in
	ok $? 'and of the client'
	retry c ping -c 2 -i 0.2 -W 2 $PEER >/dev/null
	ok $? 'ping to the peer'
	retry p ping -c 2 -i 0.2 -W 2 $PUB >/dev/null
	ok $? 'ping from the peer'
	p ping -c 1 -W 5 -s 1444 -M 'do' $PUB >/dev/null
	ok $? 'packets of 1472 bytes, not to be fragmented'

	head -c 200000 /dev/urandom >"$dir/data"
	sum=$(sha256sum <"$dir/data")
	is "$(copy c p $PEER 7003)" "$sum" '200 kB by TCP to the peer arrives intact'
	is "$(copy p c $PUB 7004)" "$sum" '200 kB by TCP from the peer arrives intact'
	counted=$(gateway_status | tr -d ' \n' | sed -n 's/.*"from-tunnel":{"packets":\([0-9]*\).*/\1/p')
	[ "${counted:-0}" -gt 120 ]
	ok $? "the gateway's programs counted ${counted:-no} packets from the client"
	# Each of its packets has 40 octets of headers at least, also where the kernel handled many with one header.
	charged=$(g "$tool" call "$dir/gateway.sock" binding-get "{\"address\": \"$PUB\"}")
	for way in to from; do
		packets=$(echo "$charged" | value "packets-$way-client") bytes=$(echo "$charged" | value "bytes-$way-client")
		[ "${packets:-0}" -gt 120 ] && [ "${bytes:-0}" -ge $((200000 + 40 * packets)) ]
		ok $? "the binding is charged ${packets:-no} packets $way the client, with their headers: ${bytes:-no} octets"
	done
	tx_up=$(cat_stat g pubgw0 tx_packets)
	[ "$tx_up" -lt 50 ]
	ok $? "next to none went to its daemon: $tx_up"
	c socat UDP-RECVFROM:7002,fork SYSTEM:cat & watch $!
	tries=0
	until [ "$(echo hello | p socat -t 2 - UDP:$PUB:7002,sourceport=7002)" = hello ] || [ $tries -ge 5 ]; do tries=$((tries + 1)); done
	[ $tries -lt 5 ]
	ok $? 'UDP from the peer is answered from the address it was sent to'

	kill -9 $gateway_pid
	wait $gateway_pid 2>/dev/null
	p ping -c 3 -i 0.2 -W 5 $PUB >/dev/null
	ok $? 'the gateway is killed: the programs go on'
	start_gateway
	retry g "$tool" call "$dir/gateway.sock" binding-get "{\"address\": \"$PUB\"}" >/dev/null && p ping -c 1 -W 5 $PUB >/dev/null
	ok $? 'the next one takes them over'
	kill $client_pid && wait $client_pid && kill $gateway_pid && wait $gateway_pid
	ok $? 'both end cleanly'
	[ -z "$(find /bpf -mindepth 2 -type f 2>/dev/null)" ]
	ok $? 'and leave nothing in the kernel'
	is "$(leaked)" 0 'no private or foreign source reached the Internet'
}

# shellcheck source=test/netns/tunnel-net.sh
. /src/test/netns/tunnel-net.sh
bpf_dir=/bpf/pubaddr
echo "# $(uname -sr)"
(checks; finish) 2>&1
dmesg | grep -E 'BUG:|WARNING:|Oops' && echo 'not ok - the kernel complained'
echo '# the guest is done'
echo o >/proc/sysrq-trigger
sleep 60
