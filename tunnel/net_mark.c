/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/net_mark.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/err.h"

struct pa_mark {
	int prog_fd;
};

static int bpf(int cmd, union bpf_attr *attr)
{
	return (int)syscall(SYS_bpf, cmd, attr, sizeof(*attr));
}

/* ctx->mark = mark; return 1 (the socket may be made). Instructions are data here: the compiler for BPF would be one more tool. */
static int load(uint32_t mark)
{
	const struct bpf_insn program[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_2, .imm = (int32_t)mark},
		{.code = BPF_STX | BPF_MEM | BPF_W, .dst_reg = BPF_REG_1, .src_reg = BPF_REG_2,
		 .off = offsetof(struct bpf_sock, mark)},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 1},
		{.code = BPF_JMP | BPF_EXIT},
	};
	static const char license[] = "MPL-2.0";
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_CGROUP_SOCK;
	attr.expected_attach_type = BPF_CGROUP_INET_SOCK_CREATE;
	attr.insns = (uint64_t)(uintptr_t)program;
	attr.insn_cnt = sizeof(program) / sizeof(program[0]);
	attr.license = (uint64_t)(uintptr_t)license;
	memcpy(attr.prog_name, "pubaddr_mark", sizeof("pubaddr_mark"));
	return bpf(BPF_PROG_LOAD, &attr);
}

int pa_mark_new(uint32_t mark, struct pa_mark **ret, char err[PA_MARK_ERRLEN])
{
	struct pa_mark *m = malloc(sizeof(*m));
	bool denied;

	if (m == NULL) {
		(void)snprintf(err, PA_MARK_ERRLEN, "out of memory");
		return PA_ENOMEM;
	}
	m->prog_fd = load(mark);
	if (m->prog_fd >= 0) {
		*ret = m;
		return 0;
	}
	free(m);
	denied = errno == EPERM || errno == EACCES;
	(void)snprintf(err, PA_MARK_ERRLEN, "cannot load the program that marks sockets: %s; %s", strerror(errno),
		       denied ? "the daemon must start with CAP_BPF" : "the kernel needs CONFIG_CGROUP_BPF");
	return denied ? PA_EDENIED : PA_ENOTSUP;
}

void pa_mark_free(struct pa_mark *m)
{
	if (m == NULL)
		return;
	close(m->prog_fd);
	free(m);
}

int pa_mark_attach(const struct pa_mark *m, int cgroup_fd)
{
	union bpf_attr attr;

	/* Without flags there is one program for a cgroup, and a new one takes the place of the old one. */
	memset(&attr, 0, sizeof(attr));
	attr.target_fd = (uint32_t)cgroup_fd;
	attr.attach_bpf_fd = (uint32_t)m->prog_fd;
	attr.attach_type = BPF_CGROUP_INET_SOCK_CREATE;
	return bpf(BPF_PROG_ATTACH, &attr) < 0 ? PA_EIO : 0;
}
