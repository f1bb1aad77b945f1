#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# Active FTP, the protocol that sends the client's address in its commands: stock curl and stock vsftpd.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
need curl strace

lab_up
log=/run/pubaddr-lab/$PUBADDR_LAB/hosts/peer/run/vsftpd.log
numbers=${CLIENT_PUBLIC_IP//./,}
curl_ftp() { on client1 curl -sS --max-time 20 "$@"; }

check "active FTP with EPRT: the file arrives" curl_ftp --ftp-port - -o "$TMP/eprt" "ftp://$PEER_IP/hello.txt"
check "and is the server's" grep -q 'Hello from the peer' "$TMP/eprt"
check "active FTP with PORT: the file arrives" curl_ftp --disable-eprt --ftp-port - -o "$TMP/port" "ftp://$PEER_IP/hello.txt"
check "and is the server's" cmp "$TMP/eprt" "$TMP/port"
check "the server read P in EPRT" grep -q "FTP command: Client \"$CLIENT_PUBLIC_IP\", \"EPRT |1|$CLIENT_PUBLIC_IP|" "$log"
check "the server read P in PORT" grep -q "FTP command: Client \"$CLIENT_PUBLIC_IP\", \"PORT $numbers," "$log"

watch client1 <<END
data in iifname "pub0" ip saddr $PEER_IP tcp sport 20 tcp flags & (syn | ack) == syn
END
head -c 3M /dev/urandom >"$TMP/upload"
check "active FTP upload" curl_ftp --disable-eprt --ftp-port - -T "$TMP/upload" "ftp://$PEER_IP/incoming/upload"
check "arrives intact" cmp "$TMP/upload" "/run/pubaddr-lab/$PUBADDR_LAB/hosts/peer/run/ftp/incoming/upload"
is "the server opened the data connection, to P by the tunnel" "$(counter client1 data)" 1
strace_ftp() { on client1 strace -f -o "$TMP/trace" -e trace=network,openat curl -sS --max-time 20 --ftp-port - -o /dev/null "ftp://$PEER_IP/hello.txt"; }
check "once more under strace" strace_ftp
check "which saw curl connect to the server" grep -q "connect(.*sin_port=htons(21).*$PEER_IP" "$TMP/trace"
check "and neither our files nor our port" not grep -qi 'pubaddr\|htons(6080)' "$TMP/trace"
check "passive FTP works too" curl_ftp -o "$TMP/pasv" "ftp://$PEER_IP/hello.txt"
check "no private or foreign source on the Internet" no_leaks
done_testing
