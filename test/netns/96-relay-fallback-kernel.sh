#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# The tunnel's fallback with the data path in the kernel, see fallback.sh. The configuration names the relay.
# shellcheck disable=SC2034 # fallback.sh reads them
set -u
DATAPATH=kernel
RELAY=198.51.100.10:443
. "${top_srcdir:?}/test/netns/fallback.sh"
need_root
net_up
plan 35
fallback
finish_fallback
