/* SPDX-License-Identifier: BSD-2-Clause */
/* guard:helper: when there is a helper process, and what becomes of a region when it is lost. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>

#include "region/exact.h"

#include "../support/helper.h"
#include "../support/plant.h"

#define OWN "sys/fs/cgroup/a/"
#define MOST (256 * MiB)

static struct guard g = GUARD_INITIALIZER(plant_root);
static struct budget budget;
static struct region region, *r = &region;
static unsigned open_before;
static char said[512];

/* Time passes when a test says so, or as it does. */
static _Atomic uint64_t clock_ms;
uint64_t __real_os_clock_ms(void);
uint64_t __wrap_os_clock_ms(void);
uint64_t __wrap_os_clock_ms(void) { return clock_ms ? clock_ms : __real_os_clock_ms(); }

/* The helper is killed before this request comes to it; 0: never. */
static unsigned kill_at;
int __real_os_helper_ask(const struct os_helper *h, int fd, size_t offset, size_t length, int *answer);
int __wrap_os_helper_ask(const struct os_helper *h, int fd, size_t offset, size_t length, int *answer);
int __wrap_os_helper_ask(const struct os_helper *h, int fd, size_t offset, size_t length, int *answer)
{
	if (kill_at && --kill_at == 0)
		kill_helper(h->pid);
	return __real_os_helper_ask(h, fd, offset, length, answer);
}

/* By any thread. */
static void say(const char *text, const char *detail)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	pthread_mutex_lock(&lock);
	snprintf(said, sizeof said, "%s%s", text, detail);
	pthread_mutex_unlock(&lock);
}

/* A process in a cgroup of 1 GiB on a large machine. */
static void plant_cgroup(const char *current)
{
	plant("proc/self/cgroup", "0::/a\n");
	plant("proc/self/mountinfo", "31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
	plant("proc/meminfo",
	      "MemTotal: 67108864 kB\nMemFree: 1 kB\nMemAvailable: 60000000 kB\nSwapTotal: 0 kB\n");
	plant("sys/fs/cgroup/cgroup.procs", "");
	plant(OWN "cgroup.procs", "");
	plant(OWN "memory.max", "1073741824\n");
	plant(OWN "memory.current", current);
	plant(OWN "memory.stat", "anon 1\n");
}

static void open_region(const char *guard, enum conf_backing backing)
{
	struct conf conf;
	struct region_config config = {
		.size = MOST, .granule = SMALL_GRANULE, .budget = &budget, .guard = &g,
	};
	conf_default(&conf);
	conf.backing = backing;
	conf.guard = strcmp(guard, "helper") ? CONF_GUARD_AUTO : CONF_GUARD_HELPER;
	budget_init(&budget, MOST);
	region_choose(&config, &conf, 0);
	assert_int_equal(region_init(r, &config), 0);
}

static int set_up(void **state)
{
	plant_clear(state);
	open_before = own_descriptors();
	said[0] = '\0';
	clock_ms = 100000;
	g = (struct guard)GUARD_INITIALIZER(plant_root);
	g.charger.say = say;
	g.charger.says_losses = true;
	plant_cgroup("0\n");
	open_region("helper", CONF_BACKING_MEMFD);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	region_destroy(r);
	guard_close(&g);
	assert_int_equal(own_descriptors(), open_before);
	return 0;
}

/* What is charged is resident, and nothing else is. */
static void assert_books(size_t bytes)
{
	size_t resident = 1;
	region_check(r);
	assert_int_equal(region_resident(r, 0, r->size, &resident), 0);
	assert_int_equal(resident, bytes);
	assert_int_equal(region_committed(r), bytes);
	assert_int_equal(budget_charged(&budget), bytes);
	assert_int_equal(g.in_flight, 0);
}

static int helper(void) { return g.charger.helper.pid; }

static void commit(size_t from, size_t length)
{
	assert_int_equal(region_commit(r, from, length), 0);
	memset(r->base + from, 1, length);
}

/* ---- when there is one ------------------------------------------------------------- */

static void small_process_has_none(void **state)
{
	(void)state;
	commit(0, 7 * MiB);
	assert_int_equal(helper(), 0);
	commit(7 * MiB, 1 * MiB);
	assert_true(helper() > 0);
	assert_books(8 * MiB);
}

static void room_is_taken_by_it(void **state)
{
	(void)state;
	commit(0, 64 * MiB);
	int pid = helper();
	commit(128 * MiB, 64 * MiB);
	assert_true(pid > 0 && helper() == pid);
	assert_books(128 * MiB);
	assert_int_equal(region_decommit(r, 0, 64 * MiB), 0);
	assert_books(64 * MiB);
	assert_int_equal(charger_lost(&g.charger), 0);
	/* Nobody else does it. */
	pthread_t killer = stop_and_kill_soon(&pid);
	assert_int_equal(region_commit(r, 0, MiB), -ENOMEM);
	pthread_join(killer, NULL);
}

static void others_have_none(void **state)
{
	static const struct {
		const char *guard;
		enum conf_backing backing;
	} others[] = { { "auto", CONF_BACKING_MEMFD }, { "helper", CONF_BACKING_ANON } };
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		region_destroy(r);
		open_region(others[i].guard, others[i].backing);
		commit(0, 32 * MiB);
		assert_int_equal(helper(), 0);
		assert_books(32 * MiB);
	}
}

static void full_cgroup_starts_none(void **state)
{
	(void)state;
	commit(0, 7 * MiB);
	clock_ms += 20;
	plant(OWN "memory.current", "1054343168\n"); /* 18.5 MiB are left, 16 of them to others */
	commit(7 * MiB, 2 * MiB);
	assert_int_equal(helper(), 0);
	clock_ms += 20;
	plant(OWN "memory.current", "1073741824\n");
	assert_int_equal(region_commit(r, 9 * MiB, MiB), -ENOMEM); /* by the estimate */
	assert_books(9 * MiB);
	assert_string_equal(said, "");
	clock_ms += 20;
	plant(OWN "memory.current", "0\n");
	commit(9 * MiB, 2 * MiB);
	assert_true(helper() > 0);
	/* Once it is there, what it does counts and not what is written there. */
	plant(OWN "memory.current", "1073741824\n");
	clock_ms += 20;
	commit(20 * MiB, 20 * MiB);
	assert_books(31 * MiB);
}

static void moved_process_gets_another(void **state)
{
	(void)state;
	commit(0, 16 * MiB);
	int pid = helper();
	plant("proc/self/cgroup", "0::/b\n");
	plant("sys/fs/cgroup/b/cgroup.procs", "");
	commit(16 * MiB, MiB);
	assert_int_equal(helper(), pid); /* looked for once a second */
	clock_ms += 1100;
	commit(17 * MiB, MiB);
	assert_true(helper() > 0 && helper() != pid && has_ended(pid));
	assert_int_equal(charger_lost(&g.charger), 0);
	assert_books(18 * MiB);
}

/* ---- when it is lost ------------------------------------------------------------------ */

static void lost_between_requests(void **state)
{
	(void)state;
	commit(0, 16 * MiB);
	kill_helper(helper());
	assert_int_equal(region_commit(r, 32 * MiB, MiB), -ENOMEM);
	assert_books(16 * MiB);
	assert_int_equal(charger_lost(&g.charger), 1);
	assert_int_equal(r->counts.guarded, 1);
	assert_string_equal(said, "the helper process was killed");
	assert_int_equal(helper(), 0);
	commit(32 * MiB, MiB); /* by the estimate */
	assert_int_equal(helper(), 0);
	clock_ms += 10;
	commit(33 * MiB, MiB);
	assert_true(helper() > 0);
	assert_books(18 * MiB);
}

static void lost_in_a_request(void **state)
{
	(void)state;
	commit(0, 16 * MiB);
	commit(40 * MiB, MiB);
	int pid = helper();
	pthread_t killer = stop_and_kill_soon(&pid);
	assert_int_equal(region_commit(r, 32 * MiB, 64 * MiB), -ENOMEM);
	pthread_join(killer, NULL);
	assert_books(17 * MiB);
	for (size_t i = 40 * MiB; i < 41 * MiB; i++)
		assert_int_equal(r->base[i], 1);
	clock_ms += 10;
	commit(32 * MiB, 64 * MiB);
	assert_books(80 * MiB);
	assert_true(helper() > 0 && helper() != pid);
}

static void what_it_took_before_is_given_back(void **state)
{
	(void)state;
	commit(0, 16 * MiB);
	commit(40 * MiB, MiB);
	kill_at = 4;
	assert_int_equal(region_commit(r, 32 * MiB, 96 * MiB), -ENOMEM);
	assert_int_equal(kill_at, 0);
	assert_books(17 * MiB);
	assert_int_equal(r->base[40 * MiB], 1);
}

/* How long after one was lost there is another, in ms. */
static unsigned time_without(void)
{
	kill_helper(helper());
	unsigned ms = 0;
	assert_int_equal(region_commit(r, 32 * MiB, MiB), -ENOMEM);
	while (!helper()) {
		commit(32 * MiB, MiB);
		assert_int_equal(region_decommit(r, 32 * MiB, MiB), 0);
		clock_ms += !helper();
		ms += !helper();
	}
	return ms;
}

static void next_one_is_waited_for(void **state)
{
	static const unsigned waits[] = { 10, 20, 40, 80, 160, 320, 640, 1000, 1000 };
	(void)state;
	commit(0, 16 * MiB);
	for (size_t i = 0; i < sizeof waits / sizeof *waits; i++)
		assert_int_equal(time_without(), waits[i]);
	clock_ms += 5000; /* it was there for long */
	assert_int_equal(time_without(), 10);
	assert_int_equal(charger_lost(&g.charger), 10);
}

static void closed_descriptors(void **state)
{
	(void)state;
	commit(0, 16 * MiB);
	int pid = helper();
	close(g.charger.helper.socket.fd);
	commit(16 * MiB, MiB);
	assert_true(has_ended(pid));
	commit(17 * MiB, MiB);
	assert_true(helper() > 0);
	assert_int_equal(charger_lost(&g.charger), 0);
	/* The memory file's too: then the kernel's own populating serves, as far as the guard allows. */
	close(r->backing.file.fd);
	commit(18 * MiB, MiB);
	assert_books(19 * MiB);
}

static void reason_is_said_once(void **state)
{
	char score[OS_VICTIM_SIZE];
	(void)state;
	assert_int_equal(os_get_victim(score), 0);
	assert_int_equal(os_set_victim("100"), 0);
	commit(0, 16 * MiB);
	assert_non_null(strstr(said, "oom_score_adj is above 0"));
	said[0] = '\0';
	clock_ms += 2000;
	commit(16 * MiB, MiB);
	assert_int_equal(helper(), 0);
	assert_string_equal(said, "");
	assert_int_equal(os_set_victim(score), 0);
	clock_ms += 2000;
	commit(17 * MiB, MiB);
	assert_true(helper() > 0);
	assert_books(18 * MiB);
}

/* ---- fork ------------------------------------------------------------------------------ */

static int in_child(int pid)
{
	struct region own;
	struct region_config config = {
		.size = MOST, .granule = SMALL_GRANULE, .budget = &budget, .guard = &g,
	};
	struct conf conf;
	if (helper() || g.charger.helper.socket.fd >= 0)
		return 1;
	conf_default(&conf);
	conf.backing = CONF_BACKING_MEMFD;
	conf.guard = CONF_GUARD_HELPER;
	budget_init(&budget, MOST);
	region_choose(&config, &conf, 0);
	if (region_init(&own, &config) || region_commit(&own, 0, 16 * MiB))
		return 2;
	return helper() > 0 && helper() != pid ? 0 : 3;
}

static void child_has_its_own(void **state)
{
	int status;
	(void)state;
	commit(0, 16 * MiB);
	int before = helper();
	guard_fork_prepare(&g);
	int pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		guard_fork_child(&g);
		_exit(in_child(before));
	}
	guard_fork_parent(&g);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	commit(16 * MiB, 16 * MiB);
	assert_int_equal(helper(), before);
	assert_int_equal(charger_lost(&g.charger), 0);
	assert_books(32 * MiB);
}

/* ---- many threads, and a helper that is killed all the time ---------------------------- */

#define THREADS 4
#define ROUNDS 150

static atomic_uint refused, ready;

static void *come_and_go(void *argument)
{
	size_t from = (size_t)(uintptr_t)argument * 32 * MiB;
	for (unsigned i = 0; i < ROUNDS; i++) {
		int err = region_commit(r, from, (i % 16 + 1) * MiB);
		if (err && err != -ENOMEM)
			abort();
		refused += err != 0;
		if (!err)
			memset(r->base + from, 1, MiB);
		if (region_decommit(r, from, 16 * MiB))
			abort();
	}
	ready++;
	return NULL;
}

/* Between requests, or in one; and the next one comes at once. */
static void kill_now(bool between)
{
	pthread_mutex_lock(&g.charger.lock);
	int pid = helper();
	if (pid && between)
		kill(pid, SIGKILL);
	g.charger.wait = 0;
	g.charger.again_at = 0;
	pthread_mutex_unlock(&g.charger.lock);
	if (pid && !between)
		kill(pid, SIGKILL);
}

static void threads(void **state)
{
	pthread_t thread[THREADS];
	(void)state;
	clock_ms = 0;
	commit(200 * MiB, 16 * MiB);
	refused = ready = 0;
	for (uintptr_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, come_and_go, (void *)i), 0);
	for (unsigned i = 0; ready < THREADS; i++) {
		kill_now(i % 2);
		usleep(2000);
	}
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	assert_books(16 * MiB);
	assert_true(charger_lost(&g.charger) > 0);
	assert_int_equal(charger_lost(&g.charger), refused);
	printf("%u of %u commits refused, as a helper was killed\n", refused, THREADS * ROUNDS);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(small_process_has_none), TEST(room_is_taken_by_it), TEST(others_have_none),
		TEST(full_cgroup_starts_none), TEST(moved_process_gets_another),
		TEST(lost_between_requests), TEST(lost_in_a_request),
		TEST(what_it_took_before_is_given_back), TEST(next_one_is_waited_for),
		TEST(closed_descriptors), TEST(reason_is_said_once), TEST(child_has_its_own), TEST(threads),
	};
	return cmocka_run_group_tests(tests, plant_make, plant_remove);
}
