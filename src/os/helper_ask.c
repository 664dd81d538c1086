/* SPDX-License-Identifier: BSD-2-Clause */
/* The helper process, once it is there: asking it, and ending it. */
#define _GNU_SOURCE
#include "os/helper.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ANSWER_MS 10000 /* later, something is wrong with it */
#define LOOK_MS 100     /* so often it is looked at meanwhile */

/* ---- asking ------------------------------------------------------------------------- */

/* Whether it is a child of ours that has not ended. */
static bool is_alive(int pid)
{
	siginfo_t info = {0};
	int r = waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT | __WCLONE);

	return r == 0 && info.si_pid == 0;
}

/* 1: an answer; 0: none yet; -EPIPE: none ever. */
static int receive(const struct os_helper *h, int *answer)
{
	int64_t word;
	ssize_t n = recv(h->socket.fd, &word, sizeof(word), MSG_DONTWAIT);

	if (n == (ssize_t)sizeof(word)) {
		*answer = (int)word;
		return 1;
	}
	return n < 0 && (errno == EINTR || errno == EAGAIN) ? 0 : -EPIPE;
}

/* Also where its end of the socket stays open in some other process; and where ours is
 * closed meanwhile, since then what it does is not known. */
int os_helper_hear(const struct os_helper *h, int *answer)
{
	uint64_t until = os_clock_ms() + ANSWER_MS;

	for (;;) {
		struct pollfd p = {.fd = h->socket.fd, .events = POLLIN};
		bool alive = is_alive(h->pid);
		int r = poll(&p, 1, alive ? LOOK_MS : 0);

		if (!os_is_same_file(&h->socket))
			return -EPIPE;
		if (r > 0) {
			r = receive(h, answer);
			if (r != 0)
				return r < 0 ? r : 0;
		} else if (!alive) {
			return -EPIPE;
		}
		if (os_clock_ms() > until)
			return -EPIPE;
	}
}

static int tell(const struct os_helper *h, int fd, struct os_helper_request *request)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec part = {request, sizeof(*request)};
	struct msghdr message = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control),
	};

	control.header = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
	memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	if (sendmsg(h->socket.fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)sizeof(*request))
		return 0;
	return errno == ECONNRESET || errno == ENOTCONN ? -EPIPE : -errno;
}

int os_helper_ask(const struct os_helper *h, int fd, size_t offset, size_t length, int *answer)
{
	int saved_errno = errno;
	struct os_helper_request request = {offset, length};
	int r;

	if (!os_is_same_file(&h->socket))
		return -ESTALE;
	r = tell(h, fd, &request);
	if (r == 0)
		r = os_helper_hear(h, answer);
	errno = saved_errno;
	return r;
}

/* ---- the end -------------------------------------------------------------------------- */

/* Other children may have the socket too; and who changed its user may not be allowed to
 * kill it. */
void os_helper_end(struct os_helper *h)
{
	int saved_errno = errno;
	siginfo_t info;

	if (os_is_same_file(&h->socket))
		shutdown(h->socket.fd, SHUT_RDWR);
	os_close_file(&h->socket);
	if (h->pid > 0 && is_alive(h->pid))
		kill(h->pid, SIGKILL);
	while (h->pid > 0 && waitid(P_PID, (id_t)h->pid, &info, WEXITED | __WCLONE) != 0 && errno == EINTR)
		continue;
	h->pid = 0;
	errno = saved_errno;
}

void os_helper_leave(struct os_helper *h)
{
	os_close_file(&h->socket);
	h->pid = 0;
}
