#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# The path's MTU with the data path in the kernel: see mtu.sh.
export PUBADDR_DATAPATH=kernel
# shellcheck source=test/netns/mtu.sh
. "$(dirname "$0")/mtu.sh"
