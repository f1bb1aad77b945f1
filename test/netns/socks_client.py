#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""A SOCKS5 client that does what no stock one does: octets as they are given, BIND, UDP ASSOCIATE.

  socks_client.py PORT raw HEX               sends the octets, prints what comes until the end, as hexadecimal digits
  socks_client.py PORT idle SECONDS          says nothing, prints whether the server ends it within that time
  socks_client.py PORT hold N                holds N connections that say nothing until standard input ends; prints how many stay
  socks_client.py PORT nonsense N            asks N times for an address of IPv6, which nobody has; prints how often that is refused
  socks_client.py PORT stall ADDRESS PORT    calls and never reads, until standard input ends
  socks_client.py PORT abort ADDRESS PORT    calls, says something, and closes with SO_LINGER of 0 s
  socks_client.py PORT torn ADDRESS PORT     calls, says something, and prints "reset" or "end", whichever comes
  socks_client.py PORT bind ADDRESS          prints "listening" and "called" with endpoints, the first line that comes, and answers
  socks_client.py PORT udp ADDRESS PORT TEXT prints the answer and whose it is; then tries what must not pass
Each line of output is flushed. Exit code 1: the server refused, with the reply's number printed.
"""
import os
import select
import socket
import struct
import sys


def say(*words):
    print(*words, flush=True)


def take(s, n):
    data = b""
    while len(data) < n:
        more = s.recv(n - len(data))
        if not more:
            say("end")
            sys.exit(1)
        data += more
    return data


def address(host, port):
    try:
        return b"\x01" + socket.inet_aton(host) + struct.pack("!H", port)
    except OSError:
        return b"\x03" + bytes([len(host)]) + host.encode() + struct.pack("!H", port)


def take_reply(s):
    _, reply, _, kind = take(s, 4)
    if kind != 1:
        say("reply of type", kind)
        sys.exit(1)
    host, port = socket.inet_ntoa(take(s, 4)), struct.unpack("!H", take(s, 2))[0]
    if reply != 0:
        say("reply", reply)
        sys.exit(1)
    return host, port


def request(port, command, host, to):
    s = socket.create_connection(("127.0.0.1", port))
    s.settimeout(30)
    s.sendall(b"\x05\x01\x00")
    if take(s, 2) != b"\x05\x00":
        say("no method")
        sys.exit(1)
    s.sendall(b"\x05" + bytes([command]) + b"\x00" + address(host, to))
    return s, take_reply(s)


def raw(port, text):
    s = socket.create_connection(("127.0.0.1", port))
    s.settimeout(30)
    s.sendall(bytes.fromhex(text))
    data = b""
    while True:
        more = s.recv(4096)
        if not more:
            break
        data += more
    say(data.hex())


def idle(port, seconds):
    s = socket.create_connection(("127.0.0.1", port))
    s.settimeout(float(seconds))
    try:
        say("ended" if s.recv(1) == b"" else "data")
    except TimeoutError:
        say("still there")


def hold(port, count):
    alive = []
    for _ in range(int(count)):
        s = socket.create_connection(("127.0.0.1", port))
        s.settimeout(30)
        try:
            s.sendall(b"\x05\x01\x00")
            if s.recv(2) == b"\x05\x00":
                alive.append(s)
        except ConnectionError:
            pass
    say(len(alive))
    sys.stdin.read()


def nonsense(port, count):
    refused = 0
    for _ in range(int(count)):
        s = socket.create_connection(("127.0.0.1", port))
        s.settimeout(30)
        s.sendall(b"\x05\x01\x00\x05\x01\x00\x04" + bytes(15) + b"\x09\x00\x50")
        refused += take(s, 12)[3] == 8
        s.close()
    say(refused)


def stall(port, host, to):
    s, _ = request(port, 1, host, int(to))
    say("connected")
    sys.stdin.read()
    s.close()


def abort(port, host, to):
    s, _ = request(port, 1, host, int(to))
    s.sendall(b"some octets")
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()
    say("aborted")


def torn(port, host, to):
    s, _ = request(port, 1, host, int(to))
    s.sendall(b"x")
    try:
        while s.recv(1024):
            pass
        say("end")
    except ConnectionResetError:
        say("reset")


def bind(port, host):
    s, at = request(port, 2, host, 0)
    say("listening", "%s:%d" % at)
    s.settimeout(60)
    who = take_reply(s)
    say("called", "%s:%d" % who)
    say(s.makefile().readline().strip())
    s.sendall(b"answer\n")
    s.shutdown(socket.SHUT_WR)
    s.recv(1)


def answered(s, seconds):
    return bool(select.select([s], [], [], seconds)[0])


def udp(port, host, to, text):
    s, at = request(port, 3, "0.0.0.0", 0)
    say("flow", "%s:%d" % at)
    to = int(to)
    header = b"\x00\x00\x00" + address(host, to)
    if os.getuid() == 0:  # another user is quicker, and is not heard
        pid = os.fork()
        if pid == 0:
            os.setuid(65534)
            u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            u.sendto(header + b"intruder", at)
            say("intruder heard" if answered(u, 1) else "intruder not heard")
            os._exit(0)
        os.waitpid(pid, 0)
    u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    u.settimeout(30)
    for _ in range(20):
        u.sendto(header + text.encode(), at)
        if answered(u, 0.5):
            break
    data = u.recv(65536)
    say("from", socket.inet_ntoa(data[4:8]) + ":%d" % struct.unpack("!H", data[8:10])[0], data[10:].decode().strip())
    while answered(u, 0.5):
        u.recv(65536)
    second = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    second.sendto(header + b"second", at)
    u.sendto(b"\x00\x00\x01" + address(host, to) + text.encode(), at)
    say("fragment passes" if answered(u, 1) else "fragment dropped")
    big = header + b"x" * 1400
    u.sendto(big, at)
    say("long", len(u.recv(65536)) - 10 if answered(u, 5) else 0)
    s.close()
    u.connect(at)
    try:
        for _ in range(100):
            u.send(header + text.encode())
            if answered(u, 0.1):
                u.recv(65536)
        say("flow remains")
    except ConnectionError:
        say("flow ended")


if __name__ == "__main__":
    commands = {"raw": raw, "idle": idle, "hold": hold, "nonsense": nonsense, "stall": stall, "abort": abort, "torn": torn, "bind": bind, "udp": udp}
    commands[sys.argv[2]](int(sys.argv[1]), *sys.argv[3:])
