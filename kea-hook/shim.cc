/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Kea's side of the hook library: translates between Kea's types and kea-hook/hook.h, and decides nothing.
 *
 * A packet waits from leases4_committed until the broker's answer, which is handled on Kea's main thread alone: unpark()
 * continues on the calling thread when Kea is single-threaded. What leases4_committed needs from earlier, and pkt4_send
 * from later, travels in the packet's callout context. Nothing here may outlive unload(): one packet that is still held
 * keeps Kea from unloading and wedges the server, and unpark() inside unload() would run callouts of a library that goes.
 */
#include <cc/command_interpreter.h>
#include <cc/data.h>
#include <dhcp/dhcp4.h>
#include <dhcp/iface_mgr.h>
#include <dhcp/option.h>
#include <dhcp/pkt4.h>
#include <dhcpsrv/lease.h>
#include <dhcpsrv/lease_mgr_factory.h>
#include <hooks/hooks.h>
#include <hooks/parking_lots.h>
#include <log/logger.h>
#include <log/macros.h>
#include <log/message_initializer.h>
#include <stats/stats_mgr.h>

#include <boost/make_shared.hpp>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "kea-hook/hook.h"
extern "C" {
#include "common/cred.h"
#include "common/log.h"
}

using isc::data::ConstElementPtr;
using isc::data::Element;
using isc::dhcp::Lease4;
using isc::dhcp::Lease4CollectionPtr;
using isc::dhcp::LeaseMgrFactory;
using isc::dhcp::Lease4Ptr;
using isc::dhcp::Option;
using isc::dhcp::OptionPtr;
using isc::dhcp::Pkt4Ptr;
using isc::hooks::CalloutHandle;
using isc::hooks::LibraryHandle;
using isc::hooks::ParkingLotHandlePtr;

namespace {

/* ------------------------------------------------------------------ log */

/* The event names of the C part and Kea's message for each; libdhcp_pubaddr(8) has a paragraph on every one. */
struct Message {
	const char *event;
	const char *id;
};

const Message event_messages[] = {
	{"broker.up", "PUBADDR_BROKER_UP"},
	{"broker.down", "PUBADDR_BROKER_DOWN"},
	{"broker.nonsense", "PUBADDR_BROKER_NONSENSE"},
	{"release.dropped", "PUBADDR_RELEASE_DROPPED"},
	{"request.granted", "PUBADDR_REQUEST_GRANTED"},
	{"request.refused", "PUBADDR_REQUEST_REFUSED"},
	{"request.timeout", "PUBADDR_REQUEST_TIMEOUT"},
	{"request.lost", "PUBADDR_REQUEST_LOST"},
	{"parked.limit", "PUBADDR_PARKED_LIMIT"},
	{"inform.asked", "PUBADDR_INFORM_ASKED"},
	{"inform.answered", "PUBADDR_INFORM_ANSWERED"},
	{"inform.release", "PUBADDR_INFORM_RELEASE"},
	{"inform.released", "PUBADDR_INFORM_RELEASED"},
	{"inform.foreign", "PUBADDR_INFORM_FOREIGN"},
};

/* Kea's message compiler is not packaged, so the array it would write is written here. */
const char *message_texts[] = {
	"PUBADDR_LOAD", "public addresses are on: %1",
	"PUBADDR_LOAD_FAILED", "the hook library cannot start: %1",
	"PUBADDR_UNLOAD", "public addresses are off; %1 waiting packets were discarded, their clients will ask again",
	"PUBADDR_CALLOUT_FAILED", "callout %1 failed, the packet goes on without a public address: %2",
	"PUBADDR_BROKER_UP", "the broker is there: %1",
	"PUBADDR_BROKER_DOWN", "the broker is away, ACKs leave without the option until it is back: %1",
	"PUBADDR_BROKER_NONSENSE", "a reply of the broker made no sense, the connection was closed: %1",
	"PUBADDR_RELEASE_DROPPED", "too many releases wait for the broker, the oldest was given up: %1",
	"PUBADDR_REQUEST_GRANTED", "the ACK carries a public address: %1",
	"PUBADDR_REQUEST_REFUSED", "the broker gave no public address: %1",
	"PUBADDR_REQUEST_TIMEOUT", "the broker did not answer in time, the ACK leaves without the option: %1",
	"PUBADDR_REQUEST_LOST", "the broker went away before it answered, the ACK leaves without the option: %1",
	"PUBADDR_PARKED_LIMIT", "too many packets wait for the broker, the ACK leaves without the option: %1",
	"PUBADDR_INFORM_ASKED", "a DHCPINFORM asks for a public address, the broker was asked: %1",
	"PUBADDR_INFORM_ANSWERED", "the answer to a DHCPINFORM carries the option: %1",
	"PUBADDR_INFORM_RELEASE", "a DHCPINFORM gives a public address back, the broker was told: %1",
	"PUBADDR_INFORM_RELEASED", "a public address was given back: %1",
	"PUBADDR_INFORM_FOREIGN", "a DHCPINFORM asks for an address that is not its sender's, it gets none: %1",
	nullptr,
};

const isc::log::MessageInitializer message_initializer(message_texts);
isc::log::Logger logger("pubaddr-hooks");

extern "C" void
log_sink(enum pa_log_level level, const char *event, const char *text)
{
	const char *id = "PUBADDR_CALLOUT_FAILED";

	try {
		for (const Message &m : event_messages) {
			if (strcmp(m.event, event) == 0)
				id = m.id;
		}
		switch (level) {
		case PA_LOG_ERROR:
			LOG_ERROR(logger, id).arg(text);
			break;
		case PA_LOG_WARN:
			LOG_WARN(logger, id).arg(text);
			break;
		case PA_LOG_INFO:
			LOG_INFO(logger, id).arg(text);
			break;
		default:
			LOG_DEBUG(logger, isc::log::DBGLVL_TRACE_BASIC, id).arg(text);
		}
	} catch (...) {
		/* A log line is not worth a packet, and C code is below us on the stack. */
	}
}

extern "C" void
count(void *, enum pa_hook_stat stat)
{
	try {
		isc::stats::StatsMgr::instance().addValue(pa_hook_stat_name(stat), static_cast<int64_t>(1));
	} catch (...) {
		/* As above. */
	}
}

/* ------------------------------------------------------------------ state */

const char CONTEXT[] = "pubaddr";

/* What a REQUEST's callouts tell each other. */
struct Transaction {
	Lease4Ptr lease;	     /* of lease4_select or lease4_renew; none of them runs before a NAK */
	std::vector<uint8_t> option; /* what pkt4_send adds */

	~Transaction()
	{
		if (!option.empty())
			pa_wipe(option.data(), option.size());
	}
};
typedef boost::shared_ptr<Transaction> TransactionPtr;

/* A packet in Kea's parking lot, owned by the C part while it waits. */
struct Parked {
	Pkt4Ptr query;
	ParkingLotHandlePtr lot;
	TransactionPtr transaction;
};

struct HookDeleter {
	void operator()(struct pa_hook *h) const
	{
		pa_hook_free(h);
	}
};

/* Kea gives a library no place for its state but this. */
std::unique_ptr<struct pa_hook, HookDeleter> hook;

/* ------------------------------------------------------------------ translation */

/* A DHCPREQUEST with the buffers that the C struct borrows. */
class Query {
public:
	explicit Query(const Pkt4Ptr &packet)
	{
		const OptionPtr prl = packet->getOption(isc::dhcp::DHO_DHCP_PARAMETER_REQUEST_LIST);
		const OptionPtr own = packet->getOption(pa_hook_option_code(hook.get()));

		if (prl)
			requested_ = prl->toBinary();
		if (own)
			option_ = own->toBinary();
		for (const auto &name : packet->getClasses())
			names_.push_back(name);
		for (const std::string &name : names_)
			classes_.push_back(name.c_str());
		c_.xid = packet->getTransid();
		c_.requested = requested_.data();
		c_.requested_len = requested_.size();
		c_.has_option = static_cast<bool>(own);
		c_.option = option_.data();
		c_.option_len = option_.size();
		c_.classes = classes_.data();
		c_.n_classes = classes_.size();
	}
	Query(const Query &) = delete;
	Query &operator=(const Query &) = delete;

	const struct pa_hook_query *c() const
	{
		return &c_;
	}

private:
	std::vector<uint8_t> requested_, option_;
	std::vector<std::string> names_;
	std::vector<const char *> classes_;
	struct pa_hook_query c_ = {};
};

/* Borrows from the lease. Its identity is the one that Kea goes by: match-client-id false leaves the client-id out. */
struct pa_hook_lease
to_c(const Lease4 &lease)
{
	struct pa_hook_lease l = {};

	l.subnet_id = lease.subnet_id_;
	l.address = lease.addr_.toUint32();
	l.valid_lifetime = lease.valid_lft_;
	if (lease.client_id_) {
		l.client_id = lease.client_id_->getClientId().data();
		l.client_id_len = lease.client_id_->getClientId().size();
	}
	if (lease.hwaddr_) {
		l.hw_address = lease.hwaddr_->hwaddr_.data();
		l.hw_address_len = lease.hwaddr_->hwaddr_.size();
	}
	return l;
}

TransactionPtr
transaction_of(CalloutHandle &handle)
{
	TransactionPtr t;

	try {
		handle.getContext(CONTEXT, t);
	} catch (const isc::hooks::NoSuchCalloutContext &) {
		/* A NAK, or another type of message. */
	}
	return t;
}

/* ------------------------------------------------------------------ the way of a packet */

void
remember(CalloutHandle &handle)
{
	Pkt4Ptr query;
	TransactionPtr t;

	handle.getArgument("query4", query);
	if (query->getType() != isc::dhcp::DHCPREQUEST)
		return;
	t = boost::make_shared<Transaction>();
	handle.getArgument("lease4", t->lease);
	handle.setContext(CONTEXT, t);
}

/* The lease that the ACK will confirm, or none. */
Lease4Ptr
lease_of(CalloutHandle &handle, const TransactionPtr &t)
{
	Lease4CollectionPtr committed;

	handle.getArgument("leases4", committed);
	if (committed && !committed->empty())
		return committed->front();
	/* A renewal that Kea answered from its cache commits nothing. */
	if (t->lease && t->lease->reuseable_valid_lft_ > 0)
		return t->lease;
	return Lease4Ptr();
}

void
park(CalloutHandle &handle, const Pkt4Ptr &query, const TransactionPtr &t, const struct pa_hook_lease &lease,
     const Query &q)
{
	auto parked = std::make_unique<Parked>();

	parked->query = query;
	parked->lot = handle.getParkingLotHandlePtr();
	parked->transaction = t;
	parked->lot->reference(query);
	/* From here on the main thread may unpark; Kea holds that back until this callout has returned. */
	if (pa_hook_submit(hook.get(), &lease, q.c(), parked.get()) < 0) {
		(void)parked->lot->dereference(query);
		return;
	}
	(void)parked.release();
	handle.setStatus(CalloutHandle::NEXT_STEP_PARK);
}

void
committed(CalloutHandle &handle)
{
	Pkt4Ptr query;
	TransactionPtr t;
	Lease4Ptr lease;

	handle.getArgument("query4", query);
	if (query->getType() != isc::dhcp::DHCPREQUEST || handle.getStatus() == CalloutHandle::NEXT_STEP_DROP)
		return;
	t = transaction_of(handle);
	lease = t ? lease_of(handle, t) : Lease4Ptr();
	if (!lease)
		return;

	const struct pa_hook_lease l = to_c(*lease);
	const Query q(query);

	if (pa_hook_wants(hook.get(), l.subnet_id, q.c()))
		park(handle, query, t, l, q);
}

/* What is left of a lease, in seconds. */
uint32_t
lifetime_left(const Lease4 &lease)
{
	const int64_t left = static_cast<int64_t>(lease.cltt_) + lease.valid_lft_ - time(nullptr);

	if (lease.valid_lft_ == Lease4::INFINITY_LFT)
		return lease.valid_lft_;
	return left > 0 ? static_cast<uint32_t>(left) : 0;
}

/* The lease of an INFORM's client address; none if it is over. */
Lease4Ptr
lease_at(const Pkt4Ptr &query)
{
	const Lease4Ptr lease = LeaseMgrFactory::instance().getLease4(query->getCiaddr());

	if (!lease || lease->state_ != Lease4::STATE_DEFAULT || lifetime_left(*lease) == 0)
		return Lease4Ptr();
	return lease;
}

struct pa_hook_sender
sender_of(const Pkt4Ptr &query, const OptionPtr &client_id)
{
	const isc::dhcp::HWAddrPtr hw = query->getHWAddr(), frame = query->getRemoteHWAddr();
	struct pa_hook_sender s = {};

	if (hw) {
		s.hw_address = hw->hwaddr_.data();
		s.hw_address_len = hw->hwaddr_.size();
	}
	if (client_id) {
		s.client_id = client_id->getData().data();
		s.client_id_len = client_id->getData().size();
	}
	if (frame) {
		s.frame = frame->hwaddr_.data();
		s.frame_len = frame->hwaddr_.size();
	}
	s.source = query->getRemoteAddr().toUint32();
	s.relayed = query->isRelayed();
	return s;
}

/* An INFORM has no lease of its own, and cannot wait: Kea parks none. */
std::vector<uint8_t>
inform(const Pkt4Ptr &query)
{
	const OptionPtr client_id = query->getOption(isc::dhcp::DHO_DHCP_CLIENT_IDENTIFIER);
	const struct pa_hook_sender from = sender_of(query, client_id);
	uint8_t buf[PA_HOOK_OPTION_MAX];
	struct pa_hook_lease l = {};
	std::vector<uint8_t> option;
	const Query q(query);
	Lease4Ptr lease;

	if (!pa_hook_informs(hook.get(), q.c()))
		return option;
	lease = lease_at(query);
	if (lease) {
		l = to_c(*lease);
		l.valid_lifetime = lifetime_left(*lease);
	}
	option.assign(buf, buf + pa_hook_inform(hook.get(), lease ? &l : nullptr, &from, q.c(), buf));
	pa_wipe(buf, sizeof(buf));
	return option;
}

void
add_option(CalloutHandle &handle)
{
	const uint8_t code = pa_hook_option_code(hook.get());
	std::vector<uint8_t> option;
	Pkt4Ptr query, response;
	TransactionPtr t;

	handle.getArgument("query4", query);
	handle.getArgument("response4", response);
	if (response->getType() != isc::dhcp::DHCPACK)
		return;
	t = transaction_of(handle);
	if (t)
		option = t->option;
	else if (query->getType() == isc::dhcp::DHCPINFORM)
		option = inform(query);
	if (option.empty())
		return;
	/* Another library may have echoed what the client sent. */
	while (response->delOption(code))
		;
	response->addOption(boost::make_shared<Option>(Option::V4, code, option));
	pa_wipe(option.data(), option.size());
}

void
release(CalloutHandle &handle)
{
	Lease4Ptr lease;

	handle.getArgument("lease4", lease);
	if (lease) {
		const struct pa_hook_lease l = to_c(*lease);

		pa_hook_release(hook.get(), &l);
	}
}

void
unpark(const struct pa_hook_done &done)
{
	const std::unique_ptr<Parked> parked(static_cast<Parked *>(done.packet));

	parked->transaction->option.assign(done.option, done.option + done.len);
	(void)parked->lot->unpark(parked->query);
}

/* Kea's main thread: the broker's descriptor is readable. */
void
on_readable(int)
{
	struct pa_hook_done done = {};

	if (!hook)
		return;
	pa_hook_dispatch(hook.get());
	while (pa_hook_next_done(hook.get(), &done)) {
		try {
			unpark(done);
		} catch (const std::exception &e) {
			LOG_ERROR(logger, "PUBADDR_CALLOUT_FAILED").arg("unpark").arg(e.what());
		}
	}
	pa_wipe(&done, sizeof(done));
}

/* No exception leaves a callout, and no failure of ours costs a client its lease. */
int
guarded(const char *name, void (*callout)(CalloutHandle &), CalloutHandle &handle)
{
	try {
		if (hook)
			callout(handle);
	} catch (const std::exception &e) {
		LOG_ERROR(logger, "PUBADDR_CALLOUT_FAILED").arg(name).arg(e.what());
	} catch (...) {
		LOG_ERROR(logger, "PUBADDR_CALLOUT_FAILED").arg(name).arg("unknown exception");
	}
	return 0;
}

/* ------------------------------------------------------------------ command and life */

void
answer_status(CalloutHandle &handle)
{
	const std::unique_ptr<char, decltype(&free)> text(pa_hook_status(hook.get()), free);
	ConstElementPtr response;

	if (text)
		response = isc::config::createAnswer(0, "pubaddr", Element::fromJSON(text.get()));
	else
		response = isc::config::createAnswer(1, "out of memory");
	handle.setArgument("response", response);
}

extern "C" int
status_command(CalloutHandle &handle)
{
	return guarded("pubaddr-status", answer_status, handle);
}

void
start(LibraryHandle &handle)
{
	const ConstElementPtr parameters = handle.getParameters();
	const std::string text = parameters ? parameters->str() : "{}";
	const struct pa_hook_ops ops = {count, nullptr};
	struct pa_hook *h = nullptr;
	char err[PA_HOOK_ERROR_LEN];

	pa_log_init("kea", PA_LOG_DEBUG); /* Kea's logger filters */
	pa_log_set_sink(log_sink);
	if (pa_hook_new(text.c_str(), text.size(), &ops, &h, err) < 0)
		throw std::runtime_error(err);
	hook.reset(h);
	/* So that statistic-get shows all of them from the beginning; a reload keeps the values. */
	for (int i = 0; i < PA_HOOK_N_STATS; i++)
		isc::stats::StatsMgr::instance().addValue(pa_hook_stat_name(static_cast<enum pa_hook_stat>(i)),
							  static_cast<int64_t>(0));
	handle.registerCommandCallout("pubaddr-status", status_command);
	isc::dhcp::IfaceMgr::instance().addExternalSocket(pa_hook_fd(hook.get()), on_readable);
	LOG_INFO(logger, "PUBADDR_LOAD").arg(pa_hook_summary(hook.get()));
}

/* Drops every packet that waits, without unparking it. */
unsigned
stop()
{
	unsigned n = 0;

	if (!hook)
		return 0;
	isc::dhcp::IfaceMgr::instance().deleteExternalSocket(pa_hook_fd(hook.get()));
	for (void *p; (p = pa_hook_drain(hook.get())) != nullptr; n++)
		delete static_cast<Parked *>(p);
	hook.reset();
	return n;
}

} // namespace

/* ------------------------------------------------------------------ what Kea looks up by name */

extern "C" {

int version()
{
	return KEA_HOOKS_VERSION;
}

int multi_threading_compatible()
{
	return 1;
}

int load(LibraryHandle &handle)
{
	try {
		start(handle);
		return 0;
	} catch (const std::exception &e) {
		LOG_ERROR(logger, "PUBADDR_LOAD_FAILED").arg(e.what());
	} catch (...) {
		LOG_ERROR(logger, "PUBADDR_LOAD_FAILED").arg("unknown exception");
	}
	hook.reset();
	return 1;
}

int unload()
{
	try {
		const unsigned n = stop();

		LOG_INFO(logger, "PUBADDR_UNLOAD").arg(n);
	} catch (const std::exception &e) {
		LOG_ERROR(logger, "PUBADDR_CALLOUT_FAILED").arg("unload").arg(e.what());
	}
	return 0;
}

int lease4_select(CalloutHandle &handle)
{
	return guarded("lease4_select", remember, handle);
}

int lease4_renew(CalloutHandle &handle)
{
	return guarded("lease4_renew", remember, handle);
}

int leases4_committed(CalloutHandle &handle)
{
	return guarded("leases4_committed", committed, handle);
}

int pkt4_send(CalloutHandle &handle)
{
	return guarded("pkt4_send", add_option, handle);
}

int lease4_release(CalloutHandle &handle)
{
	return guarded("lease4_release", release, handle);
}

int lease4_decline(CalloutHandle &handle)
{
	return guarded("lease4_decline", release, handle);
}

int lease4_expire(CalloutHandle &handle)
{
	return guarded("lease4_expire", release, handle);
}

} // extern "C"
