/* SPDX-License-Identifier: BSD-2-Clause */
/* When there is a helper process, and what its loss means. */
#include <errno.h>
#include <pthread.h>

#include "backing/charger.h"

/* How long after one was lost the next is started. */
#define LEAST_WAIT 10u
#define MOST_WAIT 1000u
#define LONG_LIVED 1000u /* ms: the wait is short again after one */

/* System calls in which a thread may be cancelled would leave the lock behind. */
static int lock(struct charger *c)
{
	int before = os_hold_cancel();
	pthread_mutex_lock(&c->lock);
	return before;
}

static void unlock(struct charger *c, int before)
{
	pthread_mutex_unlock(&c->lock);
	os_allow_cancel(before);
}

/* ---- having one ---------------------------------------------------------------------- */

static void wait_longer(struct charger *c)
{
	uint64_t now = os_clock_ms();
	unsigned next = c->wait * 2 < MOST_WAIT ? c->wait * 2 : MOST_WAIT;
	if (!c->wait || (c->started_at && now - c->started_at >= LONG_LIVED + c->wait))
		next = LEAST_WAIT;
	c->wait = next;
	c->again_at = now + next;
}

static void lose(struct charger *c)
{
	os_helper_end(&c->helper);
	c->lost++;
	wait_longer(c);
}

/* It is where the process was: what it took would be charged there. */
static void leave_other_place(struct charger *c, unsigned place)
{
	if (c->helper.pid && c->place != place)
		os_helper_end(&c->helper);
}

bool charger_wants(struct charger *c, unsigned place, size_t *bytes)
{
	int before = lock(c);
	leave_other_place(c, place);
	bool wanted = !c->helper.pid && os_clock_ms() >= c->again_at;
	if (wanted) {
		struct os_helper_need need;
		os_helper_measure(CHARGER_BALLAST, c->text, &need);
		*bytes = need.cost;
		c->weight = need.weight;
	}
	unlock(c, before);
	return wanted;
}

static const char *start(struct charger *c, unsigned place)
{
	if (!os_helper_goes_first(""))
		return "oom_score_adj is above 0, or cannot be read: the kernel would take this process first";
	c->place = place;
	c->started_at = os_clock_ms();
	switch (os_helper_start(CHARGER_BALLAST, c->weight, &c->helper)) {
	case 0:
		return NULL;
	case -ENOSYS:
		return "the kernel has no pidfd_open(2)";
	case -EXDEV:
		return "children begin in another PID namespace";
	case -EPIPE:
		return "it ends at once: /proc is not there, or a system call is denied to it";
	default:
		return "a system call is denied, or there are too many processes or descriptors, or no memory";
	}
}

void charger_start(struct charger *c, unsigned place)
{
	const char *why = NULL;
	int before = lock(c);
	if (!c->helper.pid && c->again_at != UINT64_MAX) {
		why = start(c, place);
		if (why) {
			c->started_at = 0;
			wait_longer(c);
		}
	}
	if (c->told)
		why = NULL;
	c->told = c->told || why;
	unlock(c, before);
	if (why && c->say)
		c->say("no helper process, so the guard's estimate has to do: ", why);
}

void charger_put_off(struct charger *c)
{
	int before = lock(c);
	if (!c->helper.pid && c->again_at != UINT64_MAX)
		c->again_at = os_clock_ms() + LEAST_WAIT;
	unlock(c, before);
}

/* ---- taking --------------------------------------------------------------------------- */

/* What a full memory file system, or a limit, answers. */
static int as_lack(int err) { return err == -ENOSPC || err == -EDQUOT || err == -EFBIG ? -ENOMEM : err; }

/* With the lock held. *lost: it was ended, before the request or over it. */
static int ask(struct charger *c, const struct os_file *file, size_t offset, size_t length, bool *lost)
{
	int answer = 0;
	*lost = false;
	if (!c->helper.pid || !os_is_same_file(file))
		return -EAGAIN;
	switch (os_helper_ask(&c->helper, file->fd, offset, length, &answer)) {
	case 0:
		return as_lack(answer);
	case -EPIPE:
		*lost = true;
		lose(c);
		return -ENOMEM;
	case -ESTALE: /* the program closes all descriptors: another one, as soon as may be */
		os_helper_end(&c->helper);
		return -EAGAIN;
	default:
		return -EAGAIN;
	}
}

int charger_take(struct charger *c, const struct os_file *file, size_t offset, size_t length)
{
	bool lost;
	int before = lock(c);
	int err = ask(c, file, offset, length, &lost);
	unlock(c, before);
	if (lost && c->say && c->says_losses)
		c->say("the helper process was killed", "");
	return err;
}

uint64_t charger_lost(struct charger *c)
{
	int before = lock(c);
	uint64_t lost = c->lost;
	unlock(c, before);
	return lost;
}

/* ---- the end, and fork ------------------------------------------------------------------ */

static void close_until(struct charger *c, uint64_t again_at)
{
	int before = lock(c);
	os_helper_end(&c->helper);
	c->again_at = again_at;
	unlock(c, before);
}

void charger_close(struct charger *c) { close_until(c, 0); }

/* Nobody would wait for the next one's end. */
void charger_end(struct charger *c) { close_until(c, UINT64_MAX); }

void charger_fork_prepare(struct charger *c) { pthread_mutex_lock(&c->lock); }

void charger_fork_parent(struct charger *c) { pthread_mutex_unlock(&c->lock); }

void charger_fork_child(struct charger *c)
{
	os_helper_leave(&c->helper);
	c->again_at = 0;
	c->wait = 0;
	c->lost = 0;
	pthread_mutex_unlock(&c->lock);
}
