/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_COMPAT_CFG_GLOBALS_H
#define PA_COMPAT_CFG_GLOBALS_H

/*
 * Stands in for a header of Kea's that Debian 12's kea-dev lacks (its bug: other headers of that package include it), so that
 * dhcpsrv/lease_mgr.h can be read. Names only: whatever uses one of these numbers is a member of Kea's that we neither call nor
 * instantiate, and the type is never made here. The compiler looks here last (-idirafter), so where Kea has the header, that one is read.
 */
#include <boost/shared_ptr.hpp>
#include <cc/data.h>

namespace isc {
namespace dhcp {

class CfgGlobals {
public:
	enum Index {
		VALID_LIFETIME,
		MIN_VALID_LIFETIME,
		MAX_VALID_LIFETIME,
		RENEW_TIMER,
		REBIND_TIMER,
		RESERVATIONS_GLOBAL,
		RESERVATIONS_IN_SUBNET,
		RESERVATIONS_OUT_OF_POOL,
		CALCULATE_TEE_TIMES,
		T1_PERCENT,
		T2_PERCENT,
		DDNS_SEND_UPDATES,
		DDNS_OVERRIDE_NO_UPDATE,
		DDNS_OVERRIDE_CLIENT_UPDATE,
		DDNS_REPLACE_CLIENT_NAME,
		DDNS_GENERATED_PREFIX,
		DDNS_QUALIFYING_SUFFIX,
		HOSTNAME_CHAR_SET,
		HOSTNAME_CHAR_REPLACEMENT,
		STORE_EXTENDED_INFO,
		CACHE_THRESHOLD,
		CACHE_MAX_AGE,
		DDNS_UPDATE_ON_RENEW,
		DDNS_USE_CONFLICT_RESOLUTION,
		MATCH_CLIENT_ID,
		AUTHORITATIVE,
		NEXT_SERVER,
		SERVER_HOSTNAME,
		BOOT_FILE_NAME,
		PREFERRED_LIFETIME,
		MIN_PREFERRED_LIFETIME,
		MAX_PREFERRED_LIFETIME,
		RAPID_COMMIT,
		INTERFACE_ID,
	};

	CfgGlobals() = delete;
	isc::data::ConstElementPtr get(int index) const;
	isc::data::ConstElementPtr get(const char *name) const;
};

typedef boost::shared_ptr<CfgGlobals> CfgGlobalsPtr;
typedef boost::shared_ptr<const CfgGlobals> ConstCfgGlobalsPtr;

} // namespace dhcp
} // namespace isc

#endif
