# SPDX-License-Identifier: MPL-2.0
. "$top_srcdir/test/fuzz/replay.sh"
replay gw gw_state client inner offload path
