/* SPDX-License-Identifier: MPL-2.0 */
#include "tunnel/dp_steer.h"

#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/if_tun.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/err.h"
#include "common/proto.h"

#define VARIANT 0xc0	   /* GUE's variant in the first octet: 0 is a control message */
#define TYPE_AT 4	   /* of a control message */
/* The last 2 octets of an address. */
#define IP4_SOURCE_END 14
#define IP4_DESTINATION_END 18
#define IP6_SOURCE_END 22
#define IP6_DESTINATION_END 38

unsigned pa_steer(const struct pa_addr *a, unsigned n)
{
	return n > 1 ? ((unsigned)a->b[14] << 8 | a->b[15]) % n : 0;
}

/* Classic BPF over the UDP payload; a load beyond its end ends the program with 0, the socket for handshakes. */
int pa_steer_sockets(int fd, unsigned n)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, VARIANT, 8, 0),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, TYPE_AT),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PA_MSG_KEEPALIVE, 4, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PA_MSG_BYE, 3, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PA_MSG_PROBE, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PA_MSG_RECONFIRM, 2, 0),
		BPF_STMT(BPF_RET | BPF_K, PA_STEER_HANDSHAKE),
		BPF_STMT(BPF_RET | BPF_K, PA_STEER_SESSION),
		BPF_STMT(BPF_RET | BPF_K, PA_STEER_CONFIRM),
		/* data: by the inner source */
		BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 4),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 6, 2, 0),
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, IP4_SOURCE_END),
		BPF_JUMP(BPF_JMP | BPF_JA, 1, 0, 0),
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, IP6_SOURCE_END),
		BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, n),
		BPF_STMT(BPF_ALU | BPF_ADD | BPF_K, PA_STEER_DATA),
		BPF_STMT(BPF_RET | BPF_A, 0),
	};
	struct sock_fprog prog = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &prog, sizeof(prog)) < 0 ? PA_ENOTSUP : 0;
}

/* An instruction of the kind that needs few fields. */
static struct bpf_insn insn(uint8_t code, uint8_t dst, uint8_t src, int16_t off, int32_t imm)
{
	return (struct bpf_insn){.code = code, .dst_reg = dst & 0xfu, .src_reg = src & 0xfu, .off = off, .imm = imm};
}

/* The device takes 16 bits of the result modulo its number of queues, which is pa_steer's rule. */
int pa_steer_queues(int fd)
{
	const struct bpf_insn code[] = {
		insn(BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_6, BPF_REG_1, 0, 0), /* loads from the packet want it there */
		insn(BPF_LD | BPF_ABS | BPF_B, 0, 0, 0, 0),
		insn(BPF_ALU64 | BPF_RSH | BPF_K, BPF_REG_0, 0, 0, 4),
		insn(BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_0, 0, 2, 6),
		insn(BPF_LD | BPF_ABS | BPF_H, 0, 0, 0, IP4_DESTINATION_END),
		insn(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
		insn(BPF_LD | BPF_ABS | BPF_H, 0, 0, 0, IP6_DESTINATION_END),
		insn(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
	};
	static const char license[] = "Dual MPL/GPL";
	union bpf_attr attr;
	int prog, rc;

	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
	attr.insns = (uint64_t)(uintptr_t)code;
	attr.insn_cnt = sizeof(code) / sizeof(code[0]);
	attr.license = (uint64_t)(uintptr_t)license;
	prog = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));
	if (prog < 0)
		return PA_ENOTSUP;
	rc = ioctl(fd, TUNSETSTEERINGEBPF, &prog);
	close(prog);
	return rc < 0 ? PA_ENOTSUP : 0;
}
