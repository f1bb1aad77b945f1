#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""inform.py IFACE CIADDR SERVER [chaddr=HEX] [source=IP] [frame=HEX] [code=N] [option=HEX] [times=N]: sends DHCPINFORMs, as a forger would, by a packet socket;
prints for each answer that this host's wire brings "ack" and the option's length, 0 without it, and "nothing" if none came in a second."""
import os
import socket
import struct
import sys
import time

iface, ciaddr, server = sys.argv[1:4]
more = dict(a.split("=", 1) for a in sys.argv[4:])
sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
sock.bind((iface, 0))
own = sock.getsockname()[4]
chaddr = bytes.fromhex(more.get("chaddr", own.hex()))
frame = bytes.fromhex(more.get("frame", own.hex()))
source = socket.inet_aton(more.get("source", ciaddr))
option = bytes.fromhex(more.get("option", ""))


def checksum(data):
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def packet(xid):
    options = b"\x63\x82\x53\x63\x35\x01\x08\x37\x01" + bytes([int(more.get("code", "224"))])
    if option:
        options += bytes([224, len(option)]) + option
    bootp = struct.pack("!BBBBIHH4s12x", 1, 1, 6, 0, xid, 0, 0, socket.inet_aton(ciaddr)) + chaddr.ljust(16, b"\0") + bytes(192) + options + b"\xff"
    bootp = bootp.ljust(300, b"\0")
    udp = struct.pack("!HHHH", 68, 67, 8 + len(bootp), 0) + bootp
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, source, socket.inet_aton(server))
    head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
    return b"\xff" * 6 + frame + b"\x08\x00" + head + udp


def answer(xid, until):
    """The option's length in the answer, or None."""
    while time.monotonic() < until:
        sock.settimeout(max(until - time.monotonic(), 0.01))
        try:
            data = sock.recv(2000)
        except socket.timeout:
            return None
        if data[12:14] != b"\x08\x00" or data[23] != 17 or data[34:38] != b"\x00\x43\x00\x44":
            continue
        bootp = data[42:]
        if bootp[0] != 2 or bootp[4:8] != struct.pack("!I", xid):
            continue
        at = 240
        while at < len(bootp) and bootp[at] != 255:
            if bootp[at] == 0:
                at += 1
                continue
            if bootp[at] == 224:
                return bootp[at + 1]
            at += 2 + bootp[at + 1]
        return 0
    return None


for _ in range(int(more.get("times", "1"))):
    xid = struct.unpack("!I", os.urandom(4))[0]
    sock.send(packet(xid))
    length = answer(xid, time.monotonic() + 1)
    print("nothing" if length is None else "ack %d" % length)
    time.sleep(0.2)  # the broker's answer comes for the next one
