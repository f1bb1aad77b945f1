#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# The whole path behind the usual home router.
# shellcheck source=test/netns/path.sh
. "$(dirname "$0")/path.sh"
path_checks --nat port-restricted
