/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * memload SOCKET KEYS OPERATIONS: a load for memcached, the same in every run. Stores KEYS
 * values, then gets nine and stores one of ten, in random order and of random sizes, by
 * four connections in turn, 16 requests at a time; looks at what it gets. Prints
 * requests a second, and microseconds that 16 took.
 */
#include <sys/socket.h>
#include <sys/un.h>

#include "bench.h"
#include "histogram.h"

#define CONNECTIONS 4
#define BATCH 16
#define LEAST_BYTES 40
#define MOST_BYTES 4000

struct connection {
	int fd;
	FILE *replies;
};

struct load {
	struct connection connections[CONNECTIONS];
	size_t turn, keys, hits;
	uint64_t state;
	struct histogram times;
	char requests[BATCH * (MOST_BYTES + 64)];
	char value[MOST_BYTES + 2];
};

_Noreturn static void die_of(const char *what, const char *reply)
{
	dprintf(STDERR_FILENO, "memload: %s: %s\n", what, reply);
	_exit(1);
}

static void connect_to(struct connection *c, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	if (strlen(path) >= sizeof address.sun_path)
		die_of("the name of the socket is too long", path);
	strcpy(address.sun_path, path);
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&address, sizeof address))
		bench_die(path);
	c->replies = fdopen(c->fd, "r");
	if (!c->replies)
		bench_die("fdopen");
}

/* A value begins with the number of its key, and ends with a mark. */
static size_t add_set(struct load *l, char *out, size_t key)
{
	size_t length = LEAST_BYTES + (bench_random(&l->state) >> 20) % (MOST_BYTES - LEAST_BYTES);
	int head = sprintf(out, "set k%zu 0 0 %zu\r\n", key, length);

	memset(out + head, 'v', length);
	out[head + sprintf(out + head, "%zu.", key)] = 'v';
	memcpy(out + head + length - 1, "$\r\n", 3);
	return (size_t)head + length + 2;
}

static void read_stored(const struct connection *c)
{
	char line[256];

	if (!fgets(line, sizeof line, c->replies) || strcmp(line, "STORED\r\n"))
		die_of("not stored", line);
}

static void read_value(struct load *l, const struct connection *c, size_t key)
{
	char line[256];
	size_t length;

	if (!fgets(line, sizeof line, c->replies))
		bench_die("memcached closed the connection");
	if (!strcmp(line, "END\r\n")) /* it was thrown out */
		return;
	if (sscanf(line, "VALUE %*s %*u %zu", &length) != 1 || length < LEAST_BYTES || length > MOST_BYTES ||
	    fread(l->value, 1, length + 2, c->replies) != length + 2)
		die_of("not a value", line);
	if (strtoull(l->value, NULL, 10) != key || l->value[length - 1] != '$')
		die_of("another value than was stored", line);
	if (!fgets(line, sizeof line, c->replies) || strcmp(line, "END\r\n"))
		die_of("no end of a value", line);
	l->hits++;
}

/* Sends 16 requests and reads what comes back; stores keys from `first` on, or mixed ones. */
static void run_batch(struct load *l, const size_t *first)
{
	const struct connection *c = &l->connections[l->turn++ % CONNECTIONS];
	size_t keys[BATCH], used = 0;
	uint64_t begin = (uint64_t)bench_ns();
	unsigned sets = 0;

	for (size_t i = 0; i < BATCH; i++) {
		uint64_t r = bench_random(&l->state) >> 20;

		keys[i] = first ? *first + i : r % l->keys;
		if (first || r % 10 == 0) {
			sets |= 1u << i;
			used += add_set(l, l->requests + used, keys[i]);
		} else {
			used += (size_t)sprintf(l->requests + used, "get k%zu\r\n", keys[i]);
		}
	}
	for (size_t sent = 0; sent < used;) {
		ssize_t n = send(c->fd, l->requests + sent, used - sent, MSG_NOSIGNAL);

		if (n < 0)
			bench_die("send");
		sent += (size_t)n;
	}
	for (size_t i = 0; i < BATCH; i++)
		if (sets >> i & 1)
			read_stored(c);
		else
			read_value(l, c, keys[i]);
	histogram_add(&l->times, (uint64_t)bench_ns() - begin);
}

int main(int argc, char **argv)
{
	static struct load l = {.state = 0x59f111f1u};

	if (argc != 4)
		return 2;
	l.keys = bench_number(argv[2]);
	size_t operations = bench_number(argv[3]);
	if (l.keys < BATCH || operations < BATCH)
		return 2;
	for (size_t i = 0; i < CONNECTIONS; i++)
		connect_to(&l.connections[i], argv[1]);
	double begin = bench_ns();
	for (size_t i = 0; i + BATCH <= l.keys; i += BATCH)
		run_batch(&l, &i);
	for (size_t i = 0; i + BATCH <= operations; i += BATCH)
		run_batch(&l, NULL);
	double took = bench_ns() - begin;
	if (!l.hits)
		die_of("nothing was found", argv[1]);
	bench_print("time_ms", took / 1e6);
	bench_print("requests_per_s", (double)(l.keys + operations) / took * 1e9);
	bench_print("p99_us", histogram_at(&l.times, 0.99) / 1e3);
	bench_print("p99.9_us", histogram_at(&l.times, 0.999) / 1e3);
	return 0;
}
