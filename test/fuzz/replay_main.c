/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Stands in for libFuzzer: runs the target on every file named (folders: on every file in them), on every prefix of it
 * and on a fixed number of small mutations. Each file starts from the same seed, so that a run can be repeated with the
 * one file that failed. Arguments that begin with '-' are libFuzzer's and ignored.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "test/fuzz/fuzz.h"

#define MUTATIONS 2000
#define SEED 0x9e3779b97f4a7c15u

static uint64_t seed;
static unsigned long runs;

static uint32_t next_random(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 32);
}

/* A heap copy of the exact size, so that AddressSanitizer sees one byte too far. */
static void run(const uint8_t *data, size_t len)
{
	uint8_t *copy = malloc(len > 0 ? len : 1);

	if (copy == NULL)
		exit(99);
	if (len > 0)
		memcpy(copy, data, len);
	(void)LLVMFuzzerTestOneInput(copy, len);
	free(copy);
	runs++;
}

static void run_mutated(const uint8_t *data, size_t len)
{
	uint8_t *copy = malloc(len + 8);

	if (copy == NULL)
		exit(99);
	for (unsigned i = 0; i < MUTATIONS; i++) {
		size_t n = len;
		unsigned flips = 1 + next_random() % 4;

		memcpy(copy, data, len);
		if (next_random() % 8 == 0)
			n = len > 0 ? next_random() % len : 0;
		else if (next_random() % 8 == 0)
			while (n < len + 8)
				copy[n++] = (uint8_t)next_random();
		while (n > 0 && flips-- > 0)
			copy[next_random() % n] ^= (uint8_t)(1u << next_random() % 8);
		run(copy, n);
	}
	free(copy);
}

static int run_file(const char *path)
{
	static uint8_t buf[1 << 17];
	FILE *f = fopen(path, "rb");
	size_t n;

	if (f == NULL) {
		perror(path);
		return 1;
	}
	n = fread(buf, 1, sizeof(buf), f);
	if (ferror(f) || !feof(f)) {
		fprintf(stderr, "%s: cannot be read, or is longer than %zu bytes\n", path, sizeof(buf));
		fclose(f);
		return 1;
	}
	fclose(f);
	seed = SEED;
	for (size_t i = 0; i <= n && i <= 4096; i++)
		run(buf, i);
	run(buf, n);
	run_mutated(buf, n);
	return 0;
}

static int run_path(const char *path)
{
	struct dirent *e;
	struct stat st;
	char name[4096];
	int rc = 0;
	DIR *d;

	if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
		return run_file(path);
	d = opendir(path);
	if (d == NULL) {
		perror(path);
		return 1;
	}
	while ((e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		(void)snprintf(name, sizeof(name), "%s/%s", path, e->d_name);
		rc |= run_file(name);
	}
	closedir(d);
	return rc;
}

int main(int argc, char **argv)
{
	int rc = argc > 1 ? 0 : 1;

	for (int i = 1; i < argc; i++)
		if (argv[i][0] != '-')
			rc |= run_path(argv[i]);
	printf("%lu runs\n", runs);
	return runs > 0 ? rc : 1;
}
