# shellcheck shell=bash
# SPDX-License-Identifier: MPL-2.0
# TFTP: the server answers from another port of its own to the address that it saw (RFC 1350, 4).
app tftp 'tftp in.tftpd' 'tunnel=works native=fails auto=works policy=works' TFTP

tftp_ready() {
	listening peer udp 69 && return
	mkdir -p "$TMP/tftp" && chmod 755 "$TMP" "$TMP/tftp"
	head -c 20000 /dev/urandom >"$TMP/tftp/file" && chmod 644 "$TMP/tftp/file"
	in_background peer tftpd in.tftpd -L --address "$PEER_IP:69" -s "$TMP/tftp"
	within 5 listening peer udp 69
}
try_tftp() {
	tftp_ready || return
	rm -f "$TMP/got"
	on client1 "${EXEC[@]}" timeout 12 tftp -m octet "$PEER_IP" -c get file "$TMP/got"
	cmp "$TMP/tftp/file" "$TMP/got"
}
filter_tftp() { echo 'udp dst port 69'; }
embeds_tftp() { :; }
reason_tftp() { echo "the answer comes from another port, and the NAT does not let it in"; }
