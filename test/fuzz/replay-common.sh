# SPDX-License-Identifier: MPL-2.0
# shellcheck shell=sh
. "${top_srcdir:?}/test/fuzz/replay.sh"
replay command conf dhcp_inform grant inpolicy keyfile msg relay relay_local socks5
