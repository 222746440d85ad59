/* What a config that is read again may change. */
#include "chatmaild/reload.h"

#include <stdlib.h>

#include "test/support.h"

static struct config *new_config(
    const char *domain, const char *dir, const char *socket, int per_minute)
{
	struct config *c = calloc(1, sizeof(*c));

	assert_non_null(c);
	c->mail_domain = strdup(domain);
	c->mail_domain_bare = strdup(domain);
	c->mailboxes_dir = strdup(dir);
	c->max_user_send_per_minute = per_minute;
	if (socket)
		assert_null(endpoint_parse(&c->auth_socket, span_of(socket)));
	return c;
}

static void free_config(struct config *c)
{
	free(c->mail_domain);
	free(c->mail_domain_bare);
	free(c->mailboxes_dir);
	free(c);
}

static const struct keep_case {
	const char *name;
	const char *domain, *dir, *socket; /* of the new one */
	const char *changed;
	size_t n;
} keep_cases[] = {
	{ "nothing fixed changes", "a.example", "/m", "unix:/run/a.sock", "", 0 },
	{ "domain", "b.example", "/m", "unix:/run/a.sock", "mail_domain", 1 },
	{ "socket", "a.example", "/m", "inet:127.0.0.1:7", "auth_socket", 1 },
	{ "socket unset", "a.example", "/m", NULL, "auth_socket", 1 },
	{ "all", "b.example", "/n", "unix:/run/b.sock",
	    "mail_domain mailboxes_dir auth_socket", 3 },
};

static void keeps_what_is_fixed(void **state)
{
	const struct keep_case *c = *state;
	struct config *old = new_config("a.example", "/m", "unix:/run/a.sock", 60);
	struct config *fresh = new_config(c->domain, c->dir, c->socket, 7);
	char changed[128];

	assert_int_equal(reload_keep_fixed(fresh, old, changed, sizeof(changed)), c->n);
	assert_string_equal(changed, c->changed);
	free_config(old);
	assert_string_equal(fresh->mail_domain, "a.example");
	assert_string_equal(fresh->mail_domain_bare, "a.example");
	assert_string_equal(fresh->mailboxes_dir, "/m");
	assert_string_equal(fresh->auth_socket.text, "unix:/run/a.sock");
	assert_int_equal(fresh->max_user_send_per_minute, 7);
	free_config(fresh);
}

static void list_is_cut_to_size(void **state)
{
	struct config *old = new_config("a.example", "/m", "unix:/run/a.sock", 60);
	struct config *fresh = new_config("b.example", "/n", NULL, 60);
	char changed[16];

	assert_int_equal(reload_keep_fixed(fresh, old, changed, sizeof(changed)), 3);
	assert_string_equal(changed, "mail_domain mai");
	free_config(old);
	free_config(fresh);
}

static void mistakes_give_no_config(void **state)
{
	char *dir = support_tmpdir();
	char *path = support_path(dir, "chatmail.ini");

	assert_null(reload_read(path));
	support_write_file(path, span_of("[params]\nmail_domain =\n"));
	assert_null(reload_read(path));
	free(path);
	support_tmpdir_remove(dir);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TABLE(keeps_what_is_fixed, keep_cases) },
		{ SUPPORT_TEST(list_is_cut_to_size) },
		{ SUPPORT_TEST(mistakes_give_no_config) },
	};

	return support_run("reload", tests, ARRAY_LEN(tests));
}
