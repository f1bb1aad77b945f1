#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# The whole path behind a NAT that takes a new port for each destination.
# shellcheck source=test/netns/path.sh
. "$(dirname "$0")/path.sh"
path_checks --nat symmetric
