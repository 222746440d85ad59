/*
 * The notification service of a private relay: takes every POST, answers 200, and writes
 * one line for it to standard output, when the whole request is there: the time, seconds
 * of CLOCK_MONOTONIC, a space, and the body, which is the device token. Its authority is
 * made anew at each start.
 */
#include <err.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "test/flow/h2_server.h"

static void on_post(void *arg)
{
	struct h2_server *const *server = arg;
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	printf("%lld.%06ld %s\n", (long long)ts.tv_sec, ts.tv_nsec / 1000,
	    h2_server_seen(*server)->last);
}

int main(int argc, char **argv)
{
	struct h2_server_script script = { .nsteps = 1 };
	struct tls_authority *authority;
	struct h2_server *server;
	struct event_base *base;
	int port = argc == 3 ? atoi(argv[1]) : 0;

	if (port <= 0 || port > 65535) {
		fputs("usage: push_service PORT CA-FILE\n"
		      "  CA-FILE  where to write the certificate to be trusted\n",
		    stderr);
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_IGN);
	script.port = (uint16_t)port;
	base = event_base_new();
	if (!base)
		err(1, "event_base_new");
	/* Its file is there before the port answers. */
	authority = tls_authority_create();
	tls_authority_write(authority, argv[2]);
	server = h2_server_create(base, authority, &script);
	h2_server_watch(server, on_post, &server);
	event_base_dispatch(base);
	return 1;
}
