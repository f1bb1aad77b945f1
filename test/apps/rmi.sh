# shellcheck shell=bash
# SPDX-License-Identifier: MPL-2.0
# Java RMI: the client hands an object to the server, which calls it back by the address that Java put into the reference. That is what
# the host's own name resolves to: P where /etc/hosts says so. If the name resolves to nothing, Java asks its first peer (unnamed).
app java-rmi 'java javac' 'tunnel=works native=works auto=works policy=works' 'Java RMI'
app java-rmi-unnamed 'java javac' 'tunnel=works native=fails auto=works policy=works' 'Java RMI, name unknown'

rmi_ready() {
	listening peer tcp 1099 && return
	echo "$PEER_IP peer" | on peer tee -a /etc/hosts >/dev/null
	javac -d "$TMP/rmi" "$APPS_DIR/Peer.java" || return
	in_background peer rmi_server timeout 900 java -Xmx64m -cp "$TMP/rmi" Peer server
	within 30 listening peer tcp 1099 || { cat "$TMP/rmi_server" && return 1; }
}
rmi_call() { # rmi_call LINE: with that in the client's /etc/hosts
	rmi_ready || return
	printf '127.0.0.1 localhost\n%s\n' "$1" | on client1 tee /etc/hosts >/dev/null
	on client1 "${EXEC[@]}" timeout 40 java -Xmx64m -cp "$TMP/rmi" Peer client "$PEER_IP" >"$TMP/rmi_client" 2>&1
	tail -n 5 "$TMP/rmi_client"
	grep -q '^called back by server$' "$TMP/rmi_client"
}
try_java_rmi() { rmi_call "$CLIENT_PUBLIC_IP client1"; }
try_java_rmi_unnamed() { rmi_call ""; }
filter_java_rmi() { echo 'tcp dst port 1098 or tcp dst port 1099'; }
filter_java_rmi_unnamed() { filter_java_rmi; }
embeds_java_rmi() { echo '@P@'; }
embeds_java_rmi_unnamed() { echo '@P@'; }
reason_java_rmi() { echo "the server could not call back"; }
reason_java_rmi_unnamed() { echo "the server could not call back: Java names the address that its first peer saw"; }
