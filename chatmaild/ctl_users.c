/* chatmailctl users: accounts, one and all. */
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "chatmaild/ctl.h"
#include "chatmaild/password.h"

#define DAY           86400
#define PASSWORD_SIZE 22 /* characters of a password that we choose */

/* The address as it was given, or of the relay's domain if only a name was. free() it. */
static char *full_address(struct ctl *c)
{
	const char *domain = ctl_config(c)->mail_domain, *given = c->arg[0];
	bool has_domain = strchr(given, '@') != NULL;
	char *address;

	if (asprintf(&address, "%s%s%s", given, has_domain ? "" : "@",
		has_domain ? "" : domain) < 0)
		abort();
	return address;
}

/* Ask for something about the one address. */
static enum ctl_exit ask_address(struct ctl *c, const char *command, char **address,
    const char *password, json_t **reply)
{
	json_t *request;

	*address = full_address(c);
	request = json_pack("{s:s, s:s}", "command", command, "address", *address);
	if (!request) {
		ctl_error("the address is not UTF-8");
		return CTL_FAILED;
	}
	if (password)
		json_object_set_new(request, "password", json_string(password));
	return ctl_ask(c, request, NULL, NULL, reply);
}

/* --- list, show ---------------------------------------------------------------------- */

static void on_listed(void *arg, const json_t *line)
{
	const struct ctl *c = arg;
	char day[CTL_WORDS_MAX];
	const char *state = ctl_text(line, "state");

	if (c->json) {
		ctl_put_json(line);
		return;
	}
	printf("%-10s  %-7s  ", ctl_day(day, ctl_number(line, "last_login")),
	    strcmp(state, "ok") == 0 ? "" : state);
	ctl_put(stdout, ctl_text(line, "address"));
	putchar('\n');
}

enum ctl_exit ctl_users_list(struct ctl *c)
{
	json_t *request = json_pack("{s:s}", "command", "users-list"), *reply;
	enum ctl_exit rc;

	if (c->nargs > 0 &&
	    json_object_set_new(request, "filter", json_string(c->arg[0])) < 0) {
		ctl_error("the text is not UTF-8");
		json_decref(request);
		return CTL_FAILED;
	}
	rc = ctl_ask(c, request, on_listed, c, &reply);
	if (rc != CTL_OK)
		return rc;
	if (!c->json && isatty(STDOUT_FILENO))
		printf("%lld accounts\n", (long long)ctl_number(reply, "count"));
	json_decref(reply);
	return CTL_OK;
}

static void print_account(const json_t *a)
{
	char one[CTL_WORDS_MAX], two[CTL_WORDS_MAX];

	printf("address         ");
	ctl_put(stdout, ctl_text(a, "address"));
	printf("\nstate           %s\n", ctl_text(a, "state"));
	if (json_object_get(a, "created"))
		printf("created         %s\n", ctl_day(one, ctl_number(a, "created")));
	printf("last login      %s\n", ctl_day(one, ctl_number(a, "last_login")));
	printf("mail            %lld messages, %s on disk\n",
	    (long long)ctl_number(a, "messages"),
	    ctl_size(one, (uint64_t)ctl_number(a, "bytes")));
	printf("quota           %s of %s\n",
	    ctl_size(one, (uint64_t)ctl_number(a, "quota_used")),
	    ctl_size(two, (uint64_t)ctl_number(a, "quota")));
	printf("cleartext mail  %s\n",
	    json_is_true(json_object_get(a, "encrypted_only")) ? "refused"
							       : "accepted");
	printf("notifications   %lld devices, %lld waiting\n",
	    (long long)ctl_number(a, "devices"),
	    (long long)ctl_number(a, "push_queued"));
}

enum ctl_exit ctl_users_show(struct ctl *c)
{
	json_t *reply;
	char *address;
	enum ctl_exit rc = ask_address(c, "users-show", &address, NULL, &reply);

	free(address);
	if (rc != CTL_OK)
		return rc;
	if (c->json)
		ctl_put_json(reply);
	else
		print_account(reply);
	json_decref(reply);
	return CTL_OK;
}

/* --- create -------------------------------------------------------------------------- */

static bool choose_password(char password[PASSWORD_MAX + 2])
{
	static const char letters[] = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz"
				      "23456789-_.+=:@%"; /* 64 */
	unsigned char random[PASSWORD_SIZE];

	_Static_assert(sizeof(letters) - 1 == 64, "each byte picks one fairly");
	if (RAND_bytes(random, sizeof(random)) != 1)
		return false;
	for (size_t i = 0; i < PASSWORD_SIZE; i++)
		password[i] = letters[random[i] % 64];
	password[PASSWORD_SIZE] = '\0';
	return true;
}

static bool read_password(char password[PASSWORD_MAX + 2])
{
	if (!fgets(password, PASSWORD_MAX + 2, stdin))
		return false;
	password[strcspn(password, "\n")] = '\0';
	return true;
}

enum ctl_exit ctl_users_create(struct ctl *c)
{
	char password[PASSWORD_MAX + 2];
	json_t *reply;
	char *address;
	enum ctl_exit rc;

	if (c->password_stdin ? !read_password(password) : !choose_password(password)) {
		ctl_error("there is no password");
		return CTL_FAILED;
	}
	rc = ask_address(c, "users-create", &address, password, &reply);
	if (rc == CTL_OK && c->json) {
		json_object_set_new(reply, "password", json_string(password));
		ctl_put_json(reply);
	} else if (rc == CTL_OK) {
		printf("address   %s\n", ctl_text(reply, "address"));
		if (!c->password_stdin)
			printf("password  %s\n", password);
	}
	if (rc == CTL_OK)
		json_decref(reply);
	explicit_bzero(password, sizeof(password));
	free(address);
	return rc;
}

/* --- block, unblock, delete ---------------------------------------------------------- */

/* Who is logged in now stays so until then. Without Dovecot there is nobody to throw out. */
static void end_sessions(const char *address)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		if (!freopen("/dev/null", "w", stdout) ||
		    !freopen("/dev/null", "w", stderr))
			_exit(1);
		execlp("doveadm", "doveadm", "kick", "--", address, (char *)NULL);
		_exit(1);
	}
	if (pid > 0)
		waitpid(pid, &status, 0);
}

static enum ctl_exit change(struct ctl *c, const char *command, bool ends_sessions)
{
	json_t *reply;
	char *address;
	enum ctl_exit rc = ask_address(c, command, &address, NULL, &reply);

	if (rc == CTL_OK) {
		json_decref(reply);
		if (ends_sessions)
			end_sessions(address);
	}
	free(address);
	return rc;
}

enum ctl_exit ctl_users_block(struct ctl *c)
{
	return change(c, "users-block", true);
}

enum ctl_exit ctl_users_unblock(struct ctl *c)
{
	return change(c, "users-unblock", false);
}

enum ctl_exit ctl_users_delete(struct ctl *c)
{
	if (!ctl_confirm(c,
		"Delete %s with all its mail? Its name is free again then: to keep "
		"somebody out, block it instead.",
		c->arg[0]))
		return CTL_FAILED;
	return change(c, "users-delete", true);
}
