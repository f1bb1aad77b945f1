# shellcheck shell=bash
# SPDX-License-Identifier: MPL-2.0
# BitTorrent: aria2 on the client has the file and waits for others; opentracker on the peer hands out the address that it saw, and
# aria2 beside it fetches the file from there. Only what the other dials counts: the client is told of nobody to dial.
app bittorrent 'aria2c opentracker mktorrent' 'tunnel=works native=fails auto=works policy=works' BitTorrent

bt_clean() {
	local pid
	for pid in "$@"; do
		kill "$pid" 2>/dev/null
		wait "$pid" 2>/dev/null
	done
}
# The tracker has answered the client, as the capture shows.
bt_announced() { tcpdump -nn -r "$TMP/try.pcap" "tcp src port 6969 and not dst host $PEER_IP and greater 100" 2>/dev/null | grep -q .; }
# Every try has a torrent of its own, so that the tracker knows nobody from another try.
bt_torrent() {
	rm -rf "$TMP/seed" "$TMP/fetched" "$TMP/data.torrent"
	mkdir -p "$TMP/seed" && head -c 300000 /dev/urandom >"$TMP/seed/data" &&
		mktorrent -a "http://$PEER_IP:6969/announce" -o "$TMP/data.torrent" "$TMP/seed/data" >/dev/null
}
# Debian's opentracker serves only what is on its list, which it reads in the folder that it shuts itself into.
bt_tracker() {
	mkdir -p "$TMP/tracker" && chmod 755 "$TMP" "$TMP/tracker" &&
		aria2c -S "$TMP/data.torrent" | sed -n 's/^Info Hash: //p' >"$TMP/tracker/list" &&
		in_background peer tracker_log opentracker -i "$PEER_IP" -p 6969 -d "$TMP/tracker" -w list -u nobody &&
		within 5 listening peer tcp 6969
}
try_bittorrent() {
	local seed tracker_log_PID rc=0 quiet=(--console-log-level=error --summary-interval=0 --disable-ipv6 --enable-dht=false --enable-peer-exchange=false --bt-enable-lpd=false --file-allocation=none)
	bt_torrent && bt_tracker || return
	"$LAB" exec client1 -- "${EXEC[@]}" timeout 60 aria2c "${quiet[@]}" --check-integrity=true --seed-ratio=0 --seed-time=5 --listen-port=6881 -d "$TMP/seed" \
		"$TMP/data.torrent" >"$TMP/seeder" 2>&1 &
	seed=$!
	within 10 bt_announced || rc=1
	on peer timeout 20 aria2c "${quiet[@]}" --seed-time=0 --listen-port=6999 -d "$TMP/fetched" "$TMP/data.torrent" || rc=1
	cmp "$TMP/seed/data" "$TMP/fetched/data" || rc=1
	kill "$seed" "$tracker_log_PID"
	wait "$seed" "$tracker_log_PID"
	[ "$rc" = 0 ] || tail -n 5 "$TMP/seeder" "$TMP/tracker_log"
	return "$rc"
}
filter_bittorrent() { echo 'tcp dst port 6969'; }
embeds_bittorrent() { :; }
reason_bittorrent() { echo "the tracker hands out the address that it saw"; }
