/* The life cycle of a table of services. */
#include "chatmaild/service.h"

#include <stdlib.h>
#include <unistd.h>

#include "chatmaild/daemon.h"
#include "test/support.h"

/* What happened, one letter an event; the services' states point here. */
static char journal[64];

static void note(char event, const struct service *service)
{
	size_t n = strlen(journal);

	assert_true(n + 2 < sizeof(journal));
	journal[n] = event;
	journal[n + 1] = service->name[0];
	journal[n + 2] = '\0';
}

static void *start(struct daemon *d, const struct service *self)
{
	note('+', self);
	return (void *)(uintptr_t)self;
}

static void *start_fails(struct daemon *d, const struct service *self)
{
	note('!', self);
	return NULL;
}

static void stop(void *state)
{
	note('-', state);
}

static void reload(void *state)
{
	note('r', state);
}

static void drain(void *state)
{
	note('d', state);
}

static unsigned pending(const void *state)
{
	return 3;
}

static void refuse(void *state, struct listener *from, evutil_socket_t fd)
{
	close(fd);
	listener_release(from);
}

#define SOCKET(field) offsetof(struct config, field)

static const struct service a = { .name = "a",
	.socket = SOCKET(auth_socket),
	.socket_mode = 0600,
	.max_connections = 1,
	.start = start,
	.accept = refuse,
	.reload = reload,
	.drain = drain,
	.pending = pending,
	.stop = stop };
static const struct service b = {
	.name = "b", .socket = SERVICE_NO_SOCKET, .start = start, .stop = stop
};
static const struct service c = { .name = "c",
	.socket = SOCKET(http_socket),
	.socket_mode = 0600,
	.max_connections = 1,
	.start = start,
	.accept = refuse,
	.drain = drain,
	.pending = pending,
	.stop = stop };
static const struct service unset = {
	.name = "unset", .socket = SOCKET(metrics_address), .start = start, .stop = stop
};
static const struct service failing = { .name = "failing",
	.socket = SERVICE_NO_SOCKET,
	.start = start_fails,
	.stop = stop };
static const struct service clash = { .name = "x",
	.socket = SOCKET(auth_socket),
	.socket_mode = 0600,
	.max_connections = 1,
	.start = start,
	.accept = refuse,
	.stop = stop };

static const struct start_case {
	const char *name;
	const struct service *table[4];
	size_t n;
	bool runs;
	const char *journal; /* after services_stop() */
} start_cases[] = {
	{ "none", { NULL }, 0, true, "" },
	{ "in order, stopped in reverse", { &a, &b, &c }, 3, true, "+a+b+c-c-b-a" },
	{ "one without its socket set", { &a, &unset, &c }, 3, true, "+a+c-c-a" },
	{ "one that fails", { &a, &b, &failing, &c }, 4, false, "+a+b!f-b-a" },
	{ "one that cannot listen", { &a, &clash, &c }, 3, false, "+a+x-x-a" },
};

struct house {
	char *dir;
	struct config config;
	struct daemon daemon;
};

static void set_socket(struct house *h, struct endpoint *ep, const char *name)
{
	char text[160];

	snprintf(text, sizeof(text), "unix:%s/%s", h->dir, name);
	assert_null(endpoint_parse(ep, span_of(text)));
}

static void house_init(struct house *h)
{
	*h = (struct house){ .dir = support_tmpdir() };
	set_socket(h, &h->config.auth_socket, "a.sock");
	set_socket(h, &h->config.http_socket, "c.sock");
	h->daemon.config = &h->config;
	h->daemon.base = event_base_new();
	journal[0] = '\0';
}

static void house_deinit(struct house *h)
{
	event_base_free(h->daemon.base);
	/* Every socket file is gone again. */
	assert_int_equal(rmdir(h->dir), 0);
	free(h->dir);
}

static void starts_and_stops(void **state)
{
	const struct start_case *t = *state;
	struct services *s;
	struct house h;

	house_init(&h);
	s = services_start(&h.daemon, t->table, t->n);
	assert_int_equal(s != NULL, t->runs);
	services_stop(s);
	assert_string_equal(journal, t->journal);
	house_deinit(&h);
}

static void reload_and_drain(void **state)
{
	static const struct service *const table[] = { &a, &b, &c };
	struct services *s;
	struct house h;
	size_t n;

	house_init(&h);
	s = services_start(&h.daemon, table, ARRAY_LEN(table));
	journal[0] = '\0';
	services_reload(s);
	services_drain(s);
	assert_string_equal(journal, "radadc");
	assert_int_equal(services_pending(s), 6);
	assert_int_equal(services_connections(s), 0);
	assert_ptr_equal(services_list(s, &n)[1].service, &b);
	assert_null(services_list(s, &n)[1].listener);
	assert_int_equal(n, 3);
	services_stop_accepting(s);
	services_stop(s);
	house_deinit(&h);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TABLE(starts_and_stops, start_cases) },
		{ SUPPORT_TEST(reload_and_drain) },
	};

	return support_run("service", tests, ARRAY_LEN(tests));
}
