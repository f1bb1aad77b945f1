# shellcheck shell=bash
# SPDX-License-Identifier: MPL-2.0
# With --bird: each gateway puts a route for each binding into a table, BIRD announces them by BGP, and the Internet's router
# has no other route to P. Sourced by test/lab.

ROUTES_TABLE=6081

routes_conf() { [ "$LAB_BIRD" = no ] || echo "\"routes\": {\"table\": $ROUTES_TABLE},"; }

start_bird() {
	[ "$LAB_BIRD" = yes ] || return 0
	bird_of_router
	bird_of_gateway gateway "$GATEWAY_IP" 198.51.100.9 65010
	[ "$LAB_GATEWAYS" = 1 ] || bird_of_gateway gateway2 "$GATEWAY2_IP" 198.51.100.25 65026
}

# The example of pubaddr-gatewayd.conf(5).
bird_of_gateway() { # bird_of_gateway HOST ADDRESS ROUTER AS
	nsrun "$1" tee /etc/bird.conf >/dev/null <<-END
		router id $2;
		ipv4 table bound;
		protocol device { }
		protocol kernel pubaddr {
			kernel table $ROUTES_TABLE;
			learn;
			ipv4 { table bound; import all; export none; };
		}
		protocol bgp uplink {
			local $2 as $4;
			neighbor $3 as 65000;
			connect retry time 1;
			error wait time 1, 2;
			ipv4 { table bound; import none; export where net ~ [ $POOL{32,32} ]; next hop self; };
		}
	END
	bird_run "$1"
}

bird_of_router() {
	{
		echo "router id $PEER_IP;"
		echo "protocol device { scan time 1; }"
		echo "protocol kernel { ipv4 { import none; export all; }; }"
		bird_peer gateway "$GATEWAY_IP" 198.51.100.9 65010
		[ "$LAB_GATEWAYS" = 1 ] || bird_peer gateway2 "$GATEWAY2_IP" 198.51.100.25 65026
	} | nsrun inet tee /etc/bird.conf >/dev/null
	bird_run inet
}

bird_peer() { # bird_peer NAME ADDRESS OWN AS
	cat <<-END
		protocol bgp to_$1 {
			local $3 as 65000;
			neighbor $2 as $4;
			hold time 9;
			connect retry time 1;
			error wait time 1, 2;
			check link yes;
			direct;
			ipv4 { import where net ~ [ $POOL{32,32} ]; export none; };
		}
	END
}

bird_run() {
	spawn "$1" "bird-$1" bird -f -c /etc/bird.conf -s /run/bird.ctl
	wait_for 5 "BIRD of $1" running_with "bird-$1" "$LAB_DIR/hosts/$1/run/bird.ctl"
}
