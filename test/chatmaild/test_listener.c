/* Listeners on real sockets: files, limits, and a machine out of descriptors. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "chatmaild/log.h"
#include "chatmaild/service.h"
#include "test/support.h"

#define CLIENTS 8

/* A service that keeps what it accepts. */
struct keeper {
	struct listener *from;
	int fd[CLIENTS];
	unsigned n, told_full, wanted;
};

static void keep(void *state, struct listener *from, evutil_socket_t fd)
{
	struct keeper *k = state;

	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	k->from = from;
	assert_true(k->n < CLIENTS);
	k->fd[k->n++] = fd;
}

static void say_full(void *state, evutil_socket_t fd)
{
	struct keeper *k = state;

	k->told_full++;
	assert_int_equal(write(fd, "full\n", 5), 5);
	close(fd);
}

static bool got_wanted(void *arg)
{
	struct keeper *k = arg;

	return k->n + k->told_full >= k->wanted;
}

static const struct service waiting_service = {
	.name = "keeper",
	.socket_mode = 0660,
	.max_connections = 2,
	.accept = keep,
};
static const struct service telling_service = {
	.name = "keeper",
	.socket_mode = 0600,
	.max_connections = 2,
	.accept = keep,
	.full = say_full,
};

struct place {
	char *dir, *path;
	struct endpoint ep;
	struct event_base *base;
	struct keeper keeper;
	struct listener *listener;
};

static struct endpoint endpoint_at(const char *path)
{
	char text[160];
	struct endpoint ep;

	snprintf(text, sizeof(text), "unix:%s", path);
	assert_null(endpoint_parse(&ep, span_of(text)));
	return ep;
}

static void place_init(struct place *p)
{
	*p = (struct place){ .dir = support_tmpdir() };
	p->path = support_path(p->dir, "keeper.sock");
	p->ep = endpoint_at(p->path);
	p->base = event_base_new();
}

static void place_deinit(struct place *p)
{
	for (unsigned i = 0; i < p->keeper.n; i++)
		if (p->keeper.fd[i] >= 0)
			close(p->keeper.fd[i]);
	if (p->listener)
		listener_stop(p->listener);
	listener_destroy(p->listener);
	event_base_free(p->base);
	free(p->path);
	support_tmpdir_remove(p->dir);
}

static struct listener *listen_at(struct place *p, const struct service *service)
{
	p->listener = listener_create(p->base, service, &p->keeper, &p->ep, (gid_t)-1);
	return p->listener;
}

static int connect_to(const struct endpoint *ep)
{
	int fd = socket(ep->addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&ep->addr, ep->len), 0);
	return fd;
}

static void wait_for(struct place *p, unsigned n)
{
	p->keeper.wanted = n;
	support_loop(p->base, got_wanted, &p->keeper);
}

/* Whatever is ready now, without waiting. */
static void turn(struct place *p)
{
	for (unsigned i = 0; i < 10; i++)
		event_base_loop(p->base, EVLOOP_NONBLOCK);
}

static int bind_file(const struct endpoint *ep, bool listening)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&ep->addr, ep->len), 0);
	if (listening)
		assert_int_equal(listen(fd, 4), 0);
	return fd;
}

static mode_t mode_of(const char *path)
{
	struct stat st;

	assert_int_equal(lstat(path, &st), 0);
	return st.st_mode & 07777;
}

static const struct mode_case {
	const char *name;
	mode_t mask, mode;
} mode_cases[] = {
	{ "0660 whatever the mask", 0077, 0660 },
	{ "0600 whatever the mask", 0000, 0600 },
	{ "0666", 0027, 0666 },
};

static void file_has_its_mode(void **state)
{
	const struct mode_case *c = *state;
	struct service service = waiting_service;
	struct place p;
	mode_t before;

	place_init(&p);
	service.socket_mode = c->mode;
	before = umask(c->mask);
	assert_non_null(listen_at(&p, &service));
	umask(before);
	assert_int_equal(mode_of(p.path), c->mode);
	place_deinit(&p);
}

static void group_follows_the_directory(void **state)
{
	struct place p;
	struct stat st;

	if (geteuid() != 0)
		skip();
	place_init(&p);
	assert_int_equal(chown(p.dir, (uid_t)-1, 4242), 0);
	assert_int_equal(chmod(p.dir, 02750), 0);
	p.listener = listener_create(p.base, &waiting_service, &p.keeper, &p.ep, 4343);
	assert_non_null(p.listener);
	assert_int_equal(stat(p.path, &st), 0);
	assert_int_equal(st.st_gid, 4242);
	listener_destroy(p.listener);

	assert_int_equal(chmod(p.dir, 0750), 0);
	p.listener = listener_create(p.base, &waiting_service, &p.keeper, &p.ep, 4343);
	assert_int_equal(stat(p.path, &st), 0);
	assert_int_equal(st.st_gid, 4343);
	place_deinit(&p);
}

static void stale_file_is_replaced(void **state)
{
	struct place p;
	int client;

	place_init(&p);
	close(bind_file(&p.ep, true)); /* as a killed process leaves it */
	assert_non_null(listen_at(&p, &waiting_service));
	client = connect_to(&p.ep);
	wait_for(&p, 1);
	close(client);
	place_deinit(&p);
}

static void socket_in_use_is_refused(void **state)
{
	struct place p;
	int other;

	place_init(&p);
	other = bind_file(&p.ep, true);
	assert_null(listen_at(&p, &waiting_service));
	close(connect_to(&p.ep)); /* still the other's */
	close(other);
	place_deinit(&p);
}

static void other_file_is_left_alone(void **state)
{
	struct support_text text;
	struct place p;

	place_init(&p);
	support_write_file(p.path, span_of("precious"));
	assert_null(listen_at(&p, &waiting_service));
	text = support_read_file(p.path);
	assert_string_equal(text.data, "precious");
	free(text.data);
	place_deinit(&p);
}

static void directory_must_exist(void **state)
{
	struct place p;
	char *path;

	place_init(&p);
	path = support_path(p.dir, "absent/keeper.sock");
	p.ep = endpoint_at(path);
	assert_null(listen_at(&p, &waiting_service));
	free(path);
	place_deinit(&p);
}

static void destroy_unlinks_its_own_file_only(void **state)
{
	struct place p;
	int other;

	place_init(&p);
	assert_non_null(listen_at(&p, &waiting_service));
	listener_destroy(p.listener);
	assert_int_equal(access(p.path, F_OK), -1);

	assert_non_null(listen_at(&p, &waiting_service));
	assert_int_equal(unlink(p.path), 0);
	other = bind_file(&p.ep, true);
	listener_destroy(p.listener);
	p.listener = NULL;
	assert_int_equal(access(p.path, F_OK), 0);
	close(other);
	place_deinit(&p);
}

static void inet_address(void **state)
{
	struct place p;
	int client;

	place_init(&p);
	assert_null(endpoint_parse(&p.ep, span_of("inet:127.0.0.1:41873")));
	assert_non_null(listen_at(&p, &waiting_service));
	client = connect_to(&p.ep);
	wait_for(&p, 1);
	close(client);
	place_deinit(&p);
}

static void at_the_limit_they_wait(void **state)
{
	struct place p;
	int client[3];

	place_init(&p);
	assert_non_null(listen_at(&p, &waiting_service));
	for (unsigned i = 0; i < 3; i++)
		client[i] = connect_to(&p.ep);
	wait_for(&p, 2);
	turn(&p);
	assert_int_equal(p.keeper.n, 2);
	assert_int_equal(listener_connections(p.listener), 2);

	close(p.keeper.fd[0]);
	p.keeper.fd[0] = -1;
	listener_release(p.keeper.from);
	wait_for(&p, 3);
	assert_int_equal(listener_connections(p.listener), 2);
	assert_int_equal(listener_accepted(p.listener), 3);
	assert_int_equal(listener_refused(p.listener), 0);
	for (unsigned i = 0; i < 3; i++)
		close(client[i]);
	place_deinit(&p);
}

static void at_the_limit_they_are_told(void **state)
{
	struct place p;
	char text[16];
	int client[4];

	place_init(&p);
	assert_non_null(listen_at(&p, &telling_service));
	for (unsigned i = 0; i < 3; i++)
		client[i] = connect_to(&p.ep);
	wait_for(&p, 3);
	assert_int_equal(p.keeper.n, 2);
	assert_int_equal(p.keeper.told_full, 1);
	assert_int_equal(read(client[2], text, sizeof(text)), 5);
	assert_int_equal(listener_refused(p.listener), 1);

	listener_release(p.keeper.from);
	client[3] = connect_to(&p.ep);
	wait_for(&p, 4);
	assert_int_equal(p.keeper.n, 3);
	for (unsigned i = 0; i < 4; i++)
		close(client[i]);
	place_deinit(&p);
}

static void stopped_takes_no_more(void **state)
{
	struct place p;
	int client;

	place_init(&p);
	assert_non_null(listen_at(&p, &waiting_service));
	listener_stop(p.listener);
	client = connect_to(&p.ep);
	turn(&p);
	assert_int_equal(p.keeper.n, 0);
	listener_stop(p.listener); /* again does nothing */
	close(client);
	place_deinit(&p);
}

static bool was_refused(void *arg)
{
	const struct place *p = arg;

	return listener_refused(p->listener) > 0;
}

static void without_descriptors_it_rests(void **state)
{
	struct rlimit before, none;
	struct place p;
	int client;

	place_init(&p);
	assert_non_null(listen_at(&p, &waiting_service));
	client = connect_to(&p.ep);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = 3;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	support_loop(p.base, was_refused, &p);
	for (unsigned i = 0; i < 1000; i++)
		event_base_loop(p.base, EVLOOP_NONBLOCK);
	/* One try per rest, however often the loop turns meanwhile. */
	assert_in_range(listener_refused(p.listener), 1, 20);
	assert_int_equal(p.keeper.n, 0);

	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	wait_for(&p, 1);
	assert_int_equal(listener_accepted(p.listener), 1);
	close(client);
	place_deinit(&p);
}

static void release_of_none(void **state)
{
	listener_release(NULL);
	listener_destroy(NULL);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TABLE(file_has_its_mode, mode_cases) },
		{ SUPPORT_TEST(group_follows_the_directory) },
		{ SUPPORT_TEST(stale_file_is_replaced) },
		{ SUPPORT_TEST(socket_in_use_is_refused) },
		{ SUPPORT_TEST(other_file_is_left_alone) },
		{ SUPPORT_TEST(directory_must_exist) },
		{ SUPPORT_TEST(destroy_unlinks_its_own_file_only) },
		{ SUPPORT_TEST(inet_address) },
		{ SUPPORT_TEST(at_the_limit_they_wait) },
		{ SUPPORT_TEST(at_the_limit_they_are_told) },
		{ SUPPORT_TEST(stopped_takes_no_more) },
		{ SUPPORT_TEST(without_descriptors_it_rests) },
		{ SUPPORT_TEST(release_of_none) },
	};

	return support_run("listener", tests, ARRAY_LEN(tests));
}
