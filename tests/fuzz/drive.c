/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where there is no libFuzzer. Usage: TARGET [-max_total_time=SECONDS] [FILE|DIR...]: each file
 * once; then, for so long, files with some bytes changed, doubled or left out. The option is
 * libFuzzer's, of which all others are passed over; SPARENA_TEST_SEED repeats a run. An input that makes it fail is left in
 * ./failed-input.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../support/random.h"
#include "fuzz.h"

#define MOST_INPUTS 1024
#define MOST_BYTES 4096

static struct input {
	uint8_t *data;
	size_t size;
} inputs[MOST_INPUTS];
static size_t count;

static void add_file(int directory, const char *name)
{
	int fd = openat(directory, name, O_RDONLY | O_CLOEXEC);
	uint8_t *data = malloc(MOST_BYTES);
	ssize_t size = fd >= 0 && data ? read(fd, data, MOST_BYTES) : -1;
	if (fd >= 0)
		close(fd);
	if (size < 0 || count == MOST_INPUTS) {
		free(data);
		return;
	}
	inputs[count++] = (struct input){ data, (size_t)size };
}

static void add(const char *path)
{
	DIR *directory = opendir(path);
	if (!directory) {
		add_file(AT_FDCWD, path);
		return;
	}
	for (struct dirent *entry; (entry = readdir(directory));)
		if (entry->d_name[0] != '.')
			add_file(dirfd(directory), entry->d_name);
	closedir(directory);
}

/* A part of another input in the place of a part of this one, and some changed bytes. */
static size_t change(uint8_t data[MOST_BYTES])
{
	const struct input *a = &inputs[random_below(count)], *b = &inputs[random_below(count)];
	size_t head = random_below(a->size + 1), from = random_below(b->size + 1), tail = random_below(b->size - from + 1);
	size_t size = head + tail < MOST_BYTES ? head + tail : MOST_BYTES;
	memcpy(data, a->data, head);
	memcpy(data + head, b->data + from, size - head);
	for (size_t n = random_below(8); n > 0 && size; n--)
		data[random_below(size)] = (uint8_t)random_next();
	for (size_t n = random_below(4); n > 0 && size < MOST_BYTES; n--)
		data[size++] = (uint8_t)random_next();
	return size;
}

static struct input current;

static void keep(void)
{
	int fd = open("failed-input", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0 || write(fd, current.data, current.size) < 0)
		(void)!write(STDERR_FILENO, "failed-input could not be written\n", 34);
}

static void on_signal(int signal)
{
	keep();
	raise(signal); /* once more, and now it ends the process */
}

/* Of sanitizers, which end a process without a signal. */
__attribute__((weak)) void __sanitizer_set_death_callback(void (*callback)(void));

static void keep_what_fails(void)
{
	static const int ends[] = { SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE, SIGTERM };
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESETHAND | SA_NODEFER };
	for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
		sigaction(ends[i], &action, NULL);
	if (__sanitizer_set_death_callback)
		__sanitizer_set_death_callback(keep);
}

static void run(uint8_t *data, size_t size)
{
	current = (struct input){ data, size };
	LLVMFuzzerTestOneInput(data, size);
}

int main(int argc, char **argv)
{
	static uint8_t data[MOST_BYTES];
	long seconds = 0;
	random_start(0);
	for (int i = 1; i < argc; i++)
		if (strncmp(argv[i], "-max_total_time=", 16) == 0)
			seconds = atol(argv[i] + 16);
		else if (argv[i][0] != '-')
			add(argv[i]);
	keep_what_fails();
	printf("seed %u, %zu inputs\n", random_seed, count);
	if (!count)
		add_file(AT_FDCWD, "/dev/null");
	for (size_t i = 0; i < count; i++)
		run(inputs[i].data, inputs[i].size);

	for (time_t end = time(NULL) + seconds; time(NULL) < end; random_op++) {
		size_t size = change(data);
		run(data, size);
	}
	printf("%lu runs\n", random_op);
	return 0;
}
