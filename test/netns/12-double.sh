#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# The whole path behind two NATs, the customer's and the carrier's.
# shellcheck source=test/netns/path.sh
. "$(dirname "$0")/path.sh"
path_checks --nat double
