#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# A few applications in each mode behind each kind of NAT, compared with the table that pubaddr-modes(7) has of them; `make apps` has
# all of them, and writes that table.
top=$(cd "$(dirname "$0")/../.." && pwd)
exec "$top/test/apps/run" --jobs 4 --table /dev/null --compare "$top/man/pubaddr-modes.7" ftp-active ftp-passive sip-udp h323-calls h323-called
