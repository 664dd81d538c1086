/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A library of test_fork: accounts in a list, each a block of malloc, between which
 * threads move amounts under a lock that is one, too. Its atfork handlers hold the lock
 * over a fork, so a child must find all of them sound. With LEDGER_EARLY in the
 * environment they are registered before anything else.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

enum { ACCOUNTS = 4000, EACH = 1000, MOST_THREADS = 8, PAGE = 4096 };

void ledger_start(unsigned threads);
void ledger_stop(void);
bool ledger_is_sound(void);
void ledger_protect(void);

struct account {
	struct account *next, *previous;
	long amount;
	char rest[PAGE - 3 * sizeof(long)]; /* each on a page of its own */
};

static struct ledger {
	pthread_mutex_t lock;
	struct account *account[ACCOUNTS];
} *ledger;

static pthread_t thread[MOST_THREADS];
static unsigned running;
static bool stop;

static void lock_all(void)
{
	if (ledger)
		pthread_mutex_lock(&ledger->lock);
}

static void unlock_all(void)
{
	if (ledger)
		pthread_mutex_unlock(&ledger->lock);
}

void ledger_protect(void)
{
	if (pthread_atfork(lock_all, unlock_all, unlock_all))
		abort();
}

__attribute__((constructor)) static void begin(void)
{
	if (getenv("LEDGER_EARLY"))
		ledger_protect();
}

/* Takes an account out of the list and puts it in at another place. */
static void move(struct account *a, struct account *behind)
{
	if (a == behind)
		return;
	a->previous->next = a->next;
	a->next->previous = a->previous;
	a->previous = behind;
	a->next = behind->next;
	behind->next->previous = a;
	behind->next = a;
}

static void *work(void *arg)
{
	uint32_t random = (uint32_t)(uintptr_t)arg + 1;
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		random = random * 1664525 + 1013904223;
		unsigned from = (random >> 8) % ACCOUNTS, to = (random >> 4) % ACCOUNTS;
		pthread_mutex_lock(&ledger->lock);
		ledger->account[from]->amount -= random % 100;
		move(ledger->account[from], ledger->account[to]);
		ledger->account[to]->amount += random % 100;
		pthread_mutex_unlock(&ledger->lock);
	}
	return NULL;
}

void ledger_start(unsigned threads)
{
	ledger = calloc(1, sizeof *ledger);
	if (!ledger)
		abort();
	pthread_mutex_init(&ledger->lock, NULL);
	for (int i = 0; i < ACCOUNTS; i++) {
		struct account *a = ledger->account[i] = malloc(sizeof *a), *first = ledger->account[0];
		if (!a)
			abort();
		a->amount = EACH;
		a->next = a->previous = a;
		if (a != first) {
			a->next = first->next;
			a->previous = first;
			first->next->previous = a;
			first->next = a;
		}
	}
	for (running = 0; running < threads; running++)
		if (pthread_create(&thread[running], NULL, work, (void *)(uintptr_t)running))
			abort();
}

void ledger_stop(void)
{
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	while (running)
		pthread_join(thread[--running], NULL);
}

bool ledger_is_sound(void)
{
	long sum = 0;
	int count = 0;
	pthread_mutex_lock(&ledger->lock);
	struct account *first = ledger->account[0], *a = first;
	do {
		if (a->next->previous != a || a->previous->next != a || ++count > ACCOUNTS)
			return false;
		sum += a->amount;
		a = a->next;
	} while (a != first);
	pthread_mutex_unlock(&ledger->lock);
	return count == ACCOUNTS && sum == (long)ACCOUNTS * EACH;
}
