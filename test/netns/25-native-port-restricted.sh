#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# Programs see and embed P, their own flows leave through the NAT: a NAT of the kind port-restricted.
# shellcheck source=test/netns/native.sh
. "$(dirname "$0")/native.sh"
native_checks port-restricted
