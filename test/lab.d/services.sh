# shellcheck shell=bash
# SPDX-License-Identifier: MPL-2.0
# The programs in the hosts: broker, gateway, Kea, resolver, FTP server, and on each client tunneld and dhclient.
# Sourced by test/lab.

# The broker's socket as the DHCP server's host sees it: one file system, two hosts.
broker_socket() { echo "$LAB_DIR/hosts/$(host_of broker)/run/pubaddr/broker.sock"; }

start_services() {
	start_peer
	start_resolver
	if [ -n "$LAB_STAGE" ]; then
		make_keys
		[ "$LAB_TLS" = no ] || { make_certificate broker broker && make_certificate gateway gw1; }
		start_broker
		start_gateway gateway gatewayd gw1 "$GATEWAY_IP"
		[ "$LAB_GATEWAYS" = 1 ] || start_gateway gateway2 gatewayd2 gw2 "$GATEWAY2_IP"
	fi
	start_bird
	start_kea
}

# As pubaddr(7) tells: the master key stays with the broker, the gateway gets its own and that of its pool.
make_keys() {
	nsrun broker pubaddrctl key new /etc/pubaddr/master.key >/dev/null
	nsrun gateway pubaddrctl key new-gateway /etc/pubaddr/gateway.key >/dev/null 2>&1
	nsrun broker pubaddrctl key pool --pool 1 /etc/pubaddr/master.key |
		nsrun gateway tee -a /etc/pubaddr/gateway.key >/dev/null
	[ "$LAB_GATEWAYS" = 1 ] ||
		nsrun gateway cat /etc/pubaddr/gateway.key | nsrun gateway2 sh -c 'umask 077; cat >/etc/pubaddr/gateway.key'
}

# How the gateway reaches its broker: by a socket that both see, or as between hosts.
broker_place() {
	[ "$LAB_TLS" = yes ] || { echo "\"socket\": \"$(broker_socket)\"" && return; }
	echo "\"address\": \"$(broker_ip):6443\", $(tls_files gw1)"
}
broker_listen() { [ "$LAB_TLS" = no ] || echo "\"gateway-listen\": {\"address\": \"$(broker_ip):6443\", $(tls_files broker)},"; }
tls_files() {
	echo "\"certificate\": \"/etc/pubaddr/$1.crt\", \"key\": \"/etc/pubaddr/$1.key.pem\", \"ca\": \"/etc/pubaddr/ca.crt\""
}
broker_ip() { [ "$LAB_COLOCATED" = yes ] && echo "$GATEWAY_IP" || echo 198.51.100.18; }

# make_certificate HOST NAME [CA]: signed by an authority of the lab's, whose own certificate goes with it.
make_certificate() {
	local ca=$LAB_DIR/${3:-ca}
	[ -e "$ca.key" ] || openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj "/CN=${3:-ca}" \
		-keyout "$ca.key" -out "$ca.crt" 2>/dev/null
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=$2" -keyout "$LAB_DIR/$2.pem" \
		-out "$LAB_DIR/$2.csr" 2>/dev/null
	openssl x509 -req -in "$LAB_DIR/$2.csr" -CA "$ca.crt" -CAkey "$ca.key" -CAcreateserial -days 30 -out "$LAB_DIR/$2.crt" 2>/dev/null
	nsrun "$1" tee "/etc/pubaddr/$2.crt" <"$LAB_DIR/$2.crt" >/dev/null
	nsrun "$1" tee /etc/pubaddr/ca.crt <"$LAB_DIR/ca.crt" >/dev/null
	nsrun "$1" sh -c "umask 077; cat >/etc/pubaddr/$2.key.pem" <"$LAB_DIR/$2.pem"
}

# The first gateway lets clients try out the NAT from another port and another address.
probe_listen() { [ "$1" != gateway ] || echo "\"$GATEWAY_IP:6081\", \"$PROBE_IP:6080\""; }

# Documentation addresses stand for the public network here, and gateways refuse them by default: hence "allow".
start_gateway() { # start_gateway HOST PROGRAM NAME ADDRESS
	nsrun "$1" tee /etc/pubaddr/gatewayd.conf >/dev/null <<-END
		{
		  "listen": ["$4:6080"], "probe-listen": [$(probe_listen "$1")], "device": "pubgw0", "device-address": "$4",
		  "key-file": "/etc/pubaddr/gateway.key",
		  "pools": [{"id": 1, "prefix": "$POOL"}], $(routes_conf)
		  "allow": ["192.0.2.0/24", "$POOL"],
		  "broker": {$(broker_place), "name": "$3"}, "keepalive": $LAB_KEEPALIVE,
		  "datapath": "${PUBADDR_DATAPATH:-auto}", "accelerate": ${PUBADDR_ACCELERATE:-false},
		  "control-socket": "/run/pubaddr/gateway.sock"
		}
	END
	spawn "$1" "$2" pubaddr-gatewayd -c /etc/pubaddr/gatewayd.conf
	wait_for 5 "gateway's control socket" running_with "$2" "$LAB_DIR/hosts/$1/run/pubaddr/gateway.sock"
}

# What looks like a network or broadcast address to some programs is not handed out.
pool_ends() { [ "$LAB_BROKER_POOL" != "$POOL" ] || echo '"203.0.113.0/32", "203.0.113.255/32"'; }

start_broker() {
	local key gateways="\"$GATEWAY_IP:6080\"" names='"gw1"'
	[ "$LAB_GATEWAYS" = 1 ] || { gateways="$gateways, \"$GATEWAY2_IP:6080\"" && names="$names, \"gw2\""; }
	key=$(nsrun gateway pubaddrctl key public /etc/pubaddr/gateway.key)
	nsrun broker tee /etc/pubaddr/brokerd.conf >/dev/null <<-END
		{
		  "socket": "/run/pubaddr/broker.sock",
		  "database": "/var/lib/pubaddr/broker.db",
		  "master-key-file": "/etc/pubaddr/master.key",
		  "realms": ["lab"],
		  "gateway-groups": [{"name": "main", "public-key": "$key", "gateways": [$gateways], "gateway-names": [$names]}],
		  "grant": {"keepalive": $LAB_KEEPALIVE, "outbound": "$LAB_OUTBOUND"},
		  "quarantine": $LAB_QUARANTINE, $(broker_listen)
		  "pools": [{"id": 1, "name": "lab", "prefix": "$LAB_BROKER_POOL", "exclude": [$(pool_ends)],
		             "gateway-group": "main", "realms": ["lab"]}]
		}
	END
	spawn broker brokerd pubaddr-brokerd -c /etc/pubaddr/brokerd.conf
	wait_for 5 "broker's socket" running_with brokerd "$(broker_socket)"
}

# running_with NAME FILE: the process is alive and has made FILE.
running_with() { alive "$1" && [ -e "$2" ]; }

# ---------------------------------------------------------------- the LAN's servers

hook_line() {
	[ "$LAB_HOOK" = yes ] || return 0
	echo "\"hooks-libraries\": [{\"library\": \"$(staged libdhcp_pubaddr.so)\", \"parameters\": {\"broker-socket\": \"$(broker_socket)\", \"realm\": \"lab\"}}],"
}

second_subnet() {
	[ "$LAB_LANS" = 2 ] || return 0
	echo ', {"id": 2, "subnet": "'"$LAN2_NET"'", "pools": [{"pool": "10.78.0.100 - 10.78.0.199"}],
	  "option-data": [{"name": "routers", "data": "10.78.0.1"}, {"name": "domain-name-servers", "data": "10.78.0.2"}]}'
}

write_kea_conf() {
	nsrun dhcp tee /etc/kea/kea-dhcp4.conf >/dev/null <<-END
		{ "Dhcp4": {
		  "interfaces-config": {"interfaces": ["*"]},
		  "control-socket": {"socket-type": "unix", "socket-name": "/run/kea/dhcp4.sock"},
		  "lease-database": {"type": "memfile", "name": "/var/lib/kea/leases4.csv", "lfc-interval": 0},
		  $(hook_line)
		  "valid-lifetime": $LAB_LEASE_TIME,
		  "calculate-tee-times": true,
		  "subnet4": [{"id": 1, "subnet": "$LAN_NET", "pools": [{"pool": "10.77.0.100 - 10.77.0.199"}],
		    "option-data": [{"name": "routers", "data": "$LAN_ROUTER"},
		                    {"name": "domain-name-servers", "data": "$DHCP_IP"},
		                    {"name": "domain-name", "data": "lab.test"}]}$(second_subnet)],
		  "loggers": [{"name": "kea-dhcp4", "severity": "${LAB_KEA_SEVERITY:-INFO}",
		               "output_options": [{"output": "stdout", "pattern": "%D{%H:%M:%S.%q} %-5p %m\n"}]}]
		} }
	END
}

start_kea() {
	write_kea_conf
	spawn dhcp kea env KEA_PIDFILE_DIR=/run/kea KEA_LOCKFILE_DIR=/run/kea kea-dhcp4 -c /etc/kea/kea-dhcp4.conf
	wait_for 10 "Kea to serve" kea_serves
}

kea_serves() { alive kea && grep -q DHCP4_STARTED "$LAB_DIR/log/kea"; }

# A resolver that only the LAN reaches; it logs who asks, so tests see by which address a client came.
start_resolver() {
	spawn dhcp resolver dnsmasq --keep-in-foreground --conf-file=/dev/null --user=root --pid-file= --no-resolv --no-hosts \
		--listen-address="$DHCP_IP" --bind-interfaces --log-queries --log-facility=- \
		--host-record=peer.lab.test,"$PEER_IP" --host-record=dhcp.lab.test,"$DHCP_IP"
	wait_for 5 "resolver" grep -q 'started' "$LAB_DIR/log/resolver"
}

# ---------------------------------------------------------------- the Internet's servers

# vsftpd with its defaults but for anonymous reading and writing: it refuses a PORT that is not the control connection's peer.
start_peer() {
	local ftp=$LAB_DIR/hosts/peer/run/ftp
	mkdir -p "$ftp/incoming"
	chown ftp "$ftp/incoming"
	echo "Hello from the peer's FTP server." >"$ftp/hello.txt"
	nsrun peer tee /etc/vsftpd.conf >/dev/null <<-END
		listen=YES
		background=NO
		anonymous_enable=YES
		anon_root=/run/ftp
		write_enable=YES
		anon_upload_enable=YES
		secure_chroot_dir=/run/vsftpd/empty
		connect_from_port_20=YES
		seccomp_sandbox=NO
		xferlog_enable=YES
		log_ftp_protocol=YES
		vsftpd_log_file=/run/vsftpd.log
	END
	spawn peer vsftpd vsftpd /etc/vsftpd.conf
	wait_for 5 "FTP server" listens peer tcp 21
}

# listens HOST tcp|udp PORT
listens() { nsrun "$1" ss -Hln "--$2" "sport = :$3" | grep -q .; }

# ---------------------------------------------------------------- clients

start_clients() {
	local i
	say "clients: asking for an address"
	for ((i = 1; i <= LAB_CLIENTS; i++)); do
		prepare_client "client$i"
		start_dhclient "client$i"
	done
	for ((i = 1; i <= LAB_CLIENTS; i++)); do
		await_client "client$i"
	done
}

await_client() {
	wait_for 20 "DHCP lease of $1" has_route "$1"
	[ "$LAB_HOOK" = no ] || wait_for 20 "public address of $1" nsrun "$1" pubaddr status
}

prepare_client() {
	[ -n "$LAB_STAGE" ] || return 0
	nsrun "$1" tee /etc/pubaddr/tunneld.conf >/dev/null <<<"{ \"allow-documentation\": true, \"datapath\": \"${PUBADDR_DATAPATH:-auto}\" }"
	spawn "$1" "$1.tunneld" pubaddr-tunneld -i eth0 -c /etc/pubaddr/tunneld.conf
	# The lines that pubaddr-dhclient(8) tells to add; the script itself is where `make install` put it.
	nsrun "$1" sh -c 'pubaddr dhclient-conf >/run/dhclient.lines && cat /run/dhclient.lines >>/etc/dhcp/dhclient.conf'
}

start_dhclient() {
	spawn "$1" "$1.dhclient" dhclient -4 -d -v -cf /etc/dhcp/dhclient.conf -lf /var/lib/dhcp/dhclient.leases \
		-pf /run/dhclient.pid eth0
}

has_route() { ip -n "$LAB_NAME-$1" -4 route show default | grep -q .; }

# private_ip, public_ip CLIENT: prints the address; fails while there is none. P on eth0, in native mode, has link scope.
private_ip() { first_address "$1" eth0; }
public_ip() { first_address "$1" pub0; }
first_address() {
	ip -n "$LAB_NAME-$1" -4 -o addr show dev "$2" scope global 2>/dev/null | awk '{sub("/.*", "", $4); print $4; exit}' | grep .
}

write_vars() {
	{
		echo "CLIENT_NS=$(ns_of client1)"
		echo "NAT_NS=$(ns_of nat)"
		echo "DHCP_NS=$(ns_of dhcp)"
		echo "BROKER_NS=$(ns_of broker)"
		echo "GATEWAY_NS=$(ns_of gateway)"
		echo "PEER_NS=$(ns_of peer)"
		echo "PEER_IP=$PEER_IP"
		echo "CLIENT_PUBLIC_IP=$(public_ip client1 || true)"
		echo "CLIENT_PRIVATE_IP=$(private_ip client1 || true)"
		echo "CLIENTS=$LAB_CLIENTS"
		echo "LAB_DIR=$LAB_DIR"
	} >"$LAB_DIR/vars"
}
