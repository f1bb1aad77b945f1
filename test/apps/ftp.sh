# shellcheck shell=bash
# SPDX-License-Identifier: MPL-2.0
# FTP: curl and vsftpd, which compares the address of PORT and EPRT with the control connection's peer.
app ftp-active 'curl vsftpd' 'tunnel=works native=fails auto=works policy=works' 'FTP, active'
app ftp-passive 'curl vsftpd' 'tunnel=works native=works auto=works policy=works' 'FTP, passive'

ftp_get() { on client1 "${EXEC[@]}" curl -sS --max-time 15 "$@" -o "$TMP/got" "ftp://$PEER_IP/hello.txt" && grep -q 'Hello from the peer' "$TMP/got"; }
try_ftp_active() { rm -f "$TMP/got" && ftp_get --ftp-port -; }
try_ftp_passive() { rm -f "$TMP/got" && ftp_get; }
filter_ftp_active() { echo 'tcp dst port 21'; }
filter_ftp_passive() { echo 'tcp dst port 21'; }
embeds_ftp_active() { echo 'EPRT \|1\|@P@\|'; }
embeds_ftp_passive() { :; }
reason_ftp_active() { echo "the server refuses another address than the connection's"; }
reason_ftp_passive() { echo "no transfer"; }
