/* See accounts.h. */
#include "test/chatmaild/accounts.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "chatmaild/push_queue.h"
#include "chatmaild/store.h"
#include "chatmaild/worker.h"

void accounts_start(struct accounts *a)
{
	const struct workers_options options = { .threads = 2 };

	a->d = (struct daemon){ .base = event_base_new(), .config = &a->config };
	a->d.store = store_open(a->d.base, a->config.state_dir, &a->fresh);
	assert_non_null(a->d.store);
	a->d.hashers = workers_create(a->d.base, &options);
	a->d.workers = workers_create(a->d.base, &options);
	assert_true(a->d.hashers && a->d.workers);
	a->d.users = users_create(&a->d, a->fresh);
	assert_non_null(a->d.users);
	users_admission(a->d.users)->closed_file = a->closed_file;
}

void accounts_stop(struct accounts *a)
{
	users_stop(a->d.users);
	workers_destroy(a->d.hashers);
	workers_destroy(a->d.workers);
	a->d.workers = NULL;
	store_close(a->d.store);
	a->d.store = NULL;
	push_queue_destroy(a->d.pushes); /* NULL unless the test made it */
	users_destroy(a->d.users);
	event_base_free(a->d.base);
}

bool accounts_settled(void *arg)
{
	struct accounts *a = arg;

	return users_counters(a->d.users)->rebuilding == 0;
}

void accounts_init(struct accounts *a)
{
	*a = (struct accounts){ .dir = support_tmpdir() };
	a->mailboxes = support_path(a->dir, "mail");
	a->closed_file = support_path(a->dir, "nocreate");
	a->config = (struct config){
		.mail_domain = (char *)DOMAIN,
		.username_min_length = 9,
		.username_max_length = 9,
		.password_min_length = 9,
		.max_load_1m = 1e9,
		.mailboxes_dir = a->mailboxes,
		.state_dir = support_path(a->dir, "state"),
		.mail_user = (char *)"vmail",
		.user_cache_size = 1,
	};
	accounts_start(a);
	support_loop(a->d.base, accounts_settled, a);
}

void accounts_deinit(struct accounts *a)
{
	accounts_stop(a);
	free(a->mailboxes);
	free(a->closed_file);
	free(a->config.state_dir);
	support_tmpdir_remove(a->dir);
}

char *accounts_path(const struct accounts *a, const char *address, const char *name)
{
	char *box = support_path(a->config.mailboxes_dir, address);
	char *path = support_path(box, name);

	free(box);
	return path;
}

void accounts_write(struct accounts *a, const char *address, const char *password_file)
{
	char *box = support_path(a->mailboxes, address);
	char *path = support_path(box, "password");

	assert_true(mkdir(a->mailboxes, 0700) == 0 || errno == EEXIST);
	assert_true(mkdir(box, 0700) == 0 || errno == EEXIST);
	support_write_file(path, span_of(password_file));
	free(path);
	free(box);
}

struct made {
	bool done;
	enum users_answer answer;
	char *hash;
};

static void on_made(void *arg, enum users_answer answer, const struct user *user)
{
	struct made *m = arg;

	assert_false(m->done);
	m->done = true;
	m->answer = answer;
	assert_true((answer == USERS_FOUND) == (user != NULL));
	if (user && m->hash)
		memcpy(m->hash, user->hash, strlen(user->hash) + 1);
}

static bool made_done(void *arg)
{
	const struct made *m = arg;

	return m->done;
}

enum users_answer accounts_make(struct accounts *a, const char *address,
    const char *password, char hash[PASSWORD_HASH_MAX])
{
	struct made m = { .hash = hash };

	users_make(a->d.users, span_of(address), span_of(password), NULL, on_made, &m);
	support_loop(a->d.base, made_done, &m);
	return m.answer;
}

enum users_answer accounts_find(
    struct accounts *a, const char *address, char hash[PASSWORD_HASH_MAX])
{
	struct user user;
	enum users_answer answer = users_find(a->d.users, span_of(address), &user);

	if (answer == USERS_FOUND) {
		assert_string_equal(user.address, address);
		memcpy(hash, user.hash, strlen(user.hash) + 1);
	}
	return answer;
}

char *accounts_sql(struct accounts *a, const char *sql)
{
	sqlite3_stmt *stmt = store_prepare(a->d.store, sql);
	char *text;

	assert_non_null(stmt);
	text = strdup(sqlite3_step(stmt) == SQLITE_ROW && sqlite3_column_text(stmt, 0)
			  ? (const char *)sqlite3_column_text(stmt, 0)
			  : "");
	sqlite3_finalize(stmt);
	return text;
}

void talk_open(
    struct talk *t, struct accounts *a, const struct service *service, void *state)
{
	int fd[2];

	support_socketpair(fd);
	t->a = a;
	t->fd = fd[0];
	service->accept(state, NULL, fd[1]);
}

void talk_send(struct talk *t, const char *request)
{
	size_t len = strlen(request);

	assert_int_equal(send(t->fd, request, len, MSG_NOSIGNAL), len);
}

void talk_half_close(struct talk *t)
{
	assert_return_code(shutdown(t->fd, SHUT_WR), errno);
}

void talk_close(struct talk *t)
{
	close(t->fd);
}

struct reading {
	int fd;
	size_t len, want;
	bool line; /* until LF */
	bool end;
	char *text;
};

static bool read_done(void *arg)
{
	struct reading *r = arg;

	while (!r->end && r->len < r->want &&
	       !(r->line && r->len && r->text[r->len - 1] == '\n')) {
		size_t room = r->line ? 1 : r->want - r->len;
		ssize_t n = recv(r->fd, r->text + r->len, room, 0);

		if (n < 0)
			return false;
		r->end = n == 0;
		r->len += (size_t)n;
	}
	return true;
}

void talk_expect(struct talk *t, const char *want)
{
	struct reading r = { .fd = t->fd, .want = strlen(want) };

	r.text = malloc(r.want + 1);
	assert_non_null(r.text);
	support_loop(t->a->d.base, read_done, &r);
	support_assert_span(span_make(r.text, r.len), span_of(want));
	free(r.text);
}

void talk_expect_end(struct talk *t)
{
	char byte;
	struct reading r = { .fd = t->fd, .want = 1, .text = &byte };

	support_loop(t->a->d.base, read_done, &r);
	assert_int_equal(r.len, 0);
}

char *talk_line(struct talk *t)
{
	struct reading r = { .fd = t->fd, .want = 65536, .line = true };

	r.text = malloc(r.want + 1);
	assert_non_null(r.text);
	support_loop(t->a->d.base, read_done, &r);
	assert_true(r.len > 0 && r.text[r.len - 1] == '\n');
	r.text[r.len - 1] = '\0';
	return r.text;
}
