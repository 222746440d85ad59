/*
 * What the components of mail want of a server, for several inis; and their scripts, run
 * for real below a root directory of their own.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "deploy/component.h"
#include "deploy/context.h"
#include "deploy/text.h"
#include "test/support.h"

static const struct component *const mail_components[] = {
	&base_component,
	&obsolete_component,
	&journald_component,
	&chatmaild_component,
	&opendkim_component,
	&dovecot_component,
	&postfix_component,
};

/* A relay with its ini in a directory of its own. */
struct fixture {
	struct relay relay;
	struct config *config;
	struct wanted *wanted;
	char *dir, *ini, *templates;
};

static void set_up(struct fixture *f, const char *domain, const char *lines)
{
	char error[CONTEXT_ERROR_MAX], *data = getenv("CHATMAIL_TEST_DATA");
	struct text text = { 0 };

	assert_non_null(data);
	f->dir = support_tmpdir();
	f->ini = support_path(f->dir, "chatmail.ini");
	f->templates = support_path(data, "../../templates");
	text_printf(&text, "[params]\nmail_domain = %s\n%s\n", domain, lines);
	support_write_file(f->ini, text_span(&text));
	text_free(&text);
	f->config = config_load(f->ini, stderr);
	assert_non_null(f->config);
	f->relay = (struct relay){
		.config = f->config,
		.context = context_create(f->config, NULL, 0, error),
		.templates = f->templates,
	};
	assert_non_null(f->relay.context);
	f->wanted = wanted_create();
}

static void tear_down(struct fixture *f)
{
	wanted_free(f->wanted);
	json_decref(f->relay.context);
	config_free(f->config);
	free(f->templates);
	free(f->ini);
	support_tmpdir_remove(f->dir);
}

static bool want_all(struct fixture *f)
{
	for (size_t i = 0; i < ARRAY_LEN(mail_components); i++) {
		wanted_component(f->wanted, mail_components[i]->name);
		if (!mail_components[i]->want(&f->relay, f->wanted))
			return false;
	}
	return true;
}

static const char *or_none(const char *text)
{
	return text ? text : "-";
}

/* A thing in a line. */
static void describe(struct text *to, const struct wanted_thing *t)
{
	static const char *const states[] = { "running", "stopped", "masked",
		"present" };

	switch (t->kind) {
	case WANTED_FILE:
		text_printf(to, "file %s %s:%s %o restart %s reload %s%s\n",
		    t->file.path, or_none(t->file.owner), or_none(t->file.group),
		    t->file.mode, or_none(t->file.effects.restart),
		    or_none(t->file.effects.reload),
		    t->file.flags & FILE_SECRET ? " secret" : "");
		break;
	case WANTED_DIRECTORY:
		text_printf(to, "directory %s %s:%s %o\n", t->directory.path,
		    t->directory.owner, t->directory.group, t->directory.mode);
		break;
	case WANTED_UNIT:
		text_printf(to, "unit %s %s\n", t->unit.name, states[t->unit.state]);
		break;
	case WANTED_DEB:
		text_printf(to, "deb %s %s %s %.8s restart %s reload %s\n", t->deb.name,
		    t->deb.version, t->deb.arch, t->deb.sha256,
		    or_none(t->deb.effects.restart), or_none(t->deb.effects.reload));
		break;
	default:
		text_printf(
		    to, "%s %s\n", wanted_shapes[t->kind].name, wanted_text(t, 0));
		break;
	}
}

/* All things, each in a line, after one that is empty. */
static char *describe_all(const struct wanted *w)
{
	struct text text = { 0 };
	size_t n;
	const struct wanted_thing *list = wanted_list(w, &n);

	text_add(&text, "\n");
	for (size_t i = 0; i < n; i++)
		describe(&text, &list[i]);
	return text_take(&text);
}

#define OWN_TLS       "tls_external_cert_and_key = /etc/c.pem /etc/k.pem"
#define RESTART(unit) " restart " unit " reload -"
#define RELOAD(unit)  " restart - reload " unit

static const struct thing_case {
	const char *name, *domain, *lines;
	const char *there;     /* in a line of its own; NULL: nothing */
	const char *not_there; /* anywhere */
	bool disable_mail;
} thing_cases[] = {
	{ "no recommended packages", "x.example", "",
	    "file /etc/apt/apt.conf.d/00InstallRecommends root:root 644" RESTART("-"),
	    NULL, false },
	{ "inotify for the sessions allowed", "x.example", "",
	    "state inotify limits of 65535 instances, 80000 watches", NULL, false },
	{ "inotify for few", "x.example", "max_imap_connections = 10",
	    "state inotify limits of 65535 instances, 65535 watches", NULL, false },
	{ "inotify for many", "x.example", "max_imap_connections = 100000",
	    "state inotify limits of 100000 instances, 800000 watches", NULL, false },
	{ "the log", "x.example", "",
	    "file /etc/systemd/journald.conf.d/chatmail.conf root:root 644" RESTART(
		"systemd-journald.service"),
	    NULL, false },
	{ "no log on disk", "x.example", "", "absent /var/log/journal", NULL, false },
	{ "what others left", "x.example", "", "no-package rspamd", NULL, false },
	{ "mtail stays", "x.example", "", NULL, "no-package mtail", false },
	{ "the Python relay is not just deleted", "x.example", "", NULL,
	    "absent /usr/local/lib/chatmaild", false },

	{ "our packages out of an archive", "x.example", "",
	    "package chatmaild-dovecot-plugin", "\ndeb ", false },
	{ "the ini is no secret of users", "x.example", "",
	    "file /etc/chatmaild/chatmail.ini root:vmail 640" RESTART(
		"chatmaild.service"),
	    NULL, false },
	{ "the ini is shown", "x.example", "", NULL, "secret\n", false },
	{ "its secret is not", "x.example", "turn_secret = s",
	    "file /etc/chatmaild/chatmail.ini root:vmail 640 restart chatmaild.service "
	    "reload - secret",
	    NULL, false },
	{ "mailboxes", "x.example", "",
	    "directory /home/vmail/mail/x.example vmail:vmail 700", NULL, false },
	{ "mailboxes elsewhere", "x.example", "mailboxes_dir = /srv/mail",
	    "directory /srv/mail vmail:vmail 700", "/home/vmail", false },
	{ "sockets of systemd's", "x.example", "", "unit chatmaild.socket running",
	    NULL, false },
	{ "sockets for the web server", "x.example", "",
	    "unit chatmaild-http.socket running", NULL, false },
	{ "filters on a port of old, both", "x.example",
	    "filtermail_smtp_port = 10080\nfiltermail_smtp_port_incoming = 10081",
	    "unit chatmaild-filter.socket masked", NULL, false },
	{ "filters on a port of old, one", "x.example", "filtermail_smtp_port = 10080",
	    "unit chatmaild-filter.socket running", NULL, false },
	{ "the daemon, with mail or not", "x.example", "",
	    "unit chatmaild.service running", NULL, true },

	{ "Debian's OpenDKIM", "x.example", "", "unit opendkim.service masked", NULL,
	    false },
	{ "signing", "x.example", "", "unit chatmail-opendkim@sign.service running",
	    NULL, false },
	{ "its key", "x.example", "", "state DKIM key /etc/dkimkeys/opendkim.private",
	    NULL, false },
	{ "nothing to sign for", "192.0.2.1", "",
	    "unit chatmail-opendkim@sign.service stopped", "DKIM key", false },
	{ "but to verify", "192.0.2.1", "",
	    "unit chatmail-opendkim@verify.service running", NULL, false },
	{ "its socket is Postfix's to use", "x.example", "",
	    "directory /var/spool/postfix/opendkim opendkim:postfix 2750", NULL,
	    false },

	{ "Dovecot", "x.example", "", "unit dovecot.service running", NULL, false },
	{ "Dovecot's sessions end for its config", "x.example", "",
	    "file /etc/dovecot/dovecot.conf root:root 644" RESTART("dovecot.service"),
	    NULL, false },
	{ "but not for a script", "x.example", "",
	    "file /etc/dovecot/push_notification.lua root:root 644" RELOAD(
		"dovecot.service"),
	    NULL, false },
	{ "no Dovecot", "x.example", "", "unit dovecot.service stopped", NULL, true },
	{ "Postfix", "x.example", "", "unit postfix.service running", NULL, false },
	{ "Postfix takes its config as it runs", "x.example", "",
	    "file /etc/postfix/main.cf root:root 644" RELOAD("postfix@-.service"), NULL,
	    false },
	{ "no Postfix", "x.example", "", "unit postfix.service stopped", NULL, true },
	{ "nor what runs it", "x.example", "", "unit postfix@-.service stopped", NULL,
	    true },
	{ "aliases are the host's", "x.example", "", NULL, "/etc/aliases", false },
};

static void thing(void **state)
{
	const struct thing_case *c = *state;
	struct text line = { 0 };
	struct fixture f;
	char *all;

	set_up(&f, c->domain, c->lines);
	f.relay.disable_mail = c->disable_mail;
	assert_true(want_all(&f));
	all = describe_all(f.wanted);
	text_printf(&line, "\n%s\n", or_none(c->there));
	if (c->there && !strstr(all, line.data))
		fail_msg("not there: %s\nbut:%s", c->there, all);
	if (c->not_there && strstr(all, c->not_there))
		fail_msg("there: %s\nin:%s", c->not_there, all);
	text_free(&line);
	free(all);
	tear_down(&f);
}

static const struct file_case {
	const char *name, *domain, *lines, *path;
	const char *there, *not_there; /* NULL: not asked */
} file_cases[] = {
	{ "mail name", "x.example", "", "/etc/mailname", "x.example\n", NULL },
	{ "mail name of an address", "192.0.2.1", "", "/etc/mailname", "[192.0.2.1]\n",
	    NULL },
	{ "certificate by ACME", "x.example", "", "/etc/postfix/main.cf",
	    "\nsmtpd_tls_cert_file = /var/lib/acme/live/x.example/fullchain\n", NULL },
	{ "self-signed", "_x.example", "", "/etc/postfix/main.cf",
	    "\nsmtpd_tls_key_file = /etc/ssl/private/mailserver.key\n", NULL },
	{ "external", "_x.example", OWN_TLS, "/etc/dovecot/dovecot.conf",
	    "\nssl_cert = </etc/c.pem\n", NULL },
	{ "self-signed, of an address", "192.0.2.1", "", "/etc/dovecot/dovecot.conf",
	    "\nssl_cert = </etc/ssl/certs/mailserver.pem\n", NULL },
	{ "both families", "x.example", "",
	    "/etc/systemd/system/postfix@.service.d/chatmail.conf",
	    "\n# inet_protocols = all\n", NULL },
	/* Else Postfix would not be restarted for it. */
	{ "one family", "x.example", "disable_ipv6 = true",
	    "/etc/systemd/system/postfix@.service.d/chatmail.conf",
	    "\n# inet_protocols = ipv4\n", "protocols = all" },
	{ "Postfix's group", "x.example", "",
	    "/etc/systemd/system/chatmaild.service.d/relay.conf",
	    "\nSupplementaryGroups=postdrop\n", "Path" },
	{ "mailboxes out of the sandbox", "x.example", "mailboxes_dir = /srv/mail",
	    "/etc/systemd/system/chatmaild.service.d/relay.conf",
	    "\nReadWritePaths=\"-/srv/mail\"\n", "BindPaths" },
	{ "mailboxes in another home", "x.example", "mailboxes_dir = /home/mail",
	    "/etc/systemd/system/chatmaild.service.d/relay.conf",
	    "\nBindPaths=\"-/home/mail\"\n", "ReadWritePaths" },
	{ "the ini as it is", "x.example", "# a remark", "/etc/chatmaild/chatmail.ini",
	    "[params]\nmail_domain = x.example\n# a remark\n", NULL },
	{ "bounces are signed", "x.example", "", "/etc/postfix/main.cf",
	    "\nnon_smtpd_milters = unix:opendkim/sign.sock\n", NULL },
	{ "not without a key", "192.0.2.1", "", "/etc/postfix/main.cf", NULL,
	    "opendkim/sign.sock" },
	{ "nor what users send", "192.0.2.1", "", "/etc/postfix/master.cf",
	    "smtpd_milters=unix:opendkim/verify.sock", "opendkim/sign.sock" },
	{ "re-injection at a port of old", "x.example", "postfix_reinject_port = 10025",
	    "/etc/postfix/master.cf", "\n127.0.0.1:10025 inet ", "reinject-out" },
};

static void file_text(void **state)
{
	const struct file_case *c = *state;
	const struct wanted_thing *t;
	struct fixture f;

	set_up(&f, c->domain, c->lines);
	assert_true(want_all(&f));
	t = wanted_find(f.wanted, WANTED_FILE, c->path, NULL);
	assert_non_null(t);
	if (c->there && !strstr(t->file.content, c->there))
		fail_msg("not there: %s\nin:\n%s", c->there, t->file.content);
	if (c->not_there && strstr(t->file.content, c->not_there))
		fail_msg("there: %s\nin:\n%s", c->not_there, t->file.content);
	tear_down(&f);
}

static const struct deb_case {
	const char *name;
	const char *files[5]; /* each holds its name */
	const char *wanted;   /* lines */
	const char *error;    /* behind the directory; NULL: none */
} deb_cases[] = {
	{ "both, and others",
	    { "chatmaild_1.0-1_amd64.deb", "chatmaild-dovecot-plugin_1.0-1_amd64.deb",
		"chatmaild-dbgsym_1.0-1_amd64.deb", "cmdeploy_1.0-1_amd64.deb" },
	    "deb chatmaild-dovecot-plugin 1.0-1 amd64 f3eea19b restart - reload -\n"
	    "deb chatmaild 1.0-1 amd64 48eff982 restart chatmaild.service reload -\n",
	    NULL },
	{ "two processors",
	    { "chatmaild_1_amd64.deb", "chatmaild_1_arm64.deb",
		"chatmaild-dovecot-plugin_1_all.deb" },
	    "deb chatmaild-dovecot-plugin 1 all 01f4e612 restart - reload -\n"
	    "deb chatmaild 1 amd64 4371c02c restart chatmaild.service reload -\n"
	    "deb chatmaild 1 arm64 bb033fc2 restart chatmaild.service reload -\n",
	    NULL },
	{ "one is missing", { "chatmaild_1_amd64.deb" }, NULL,
	    ": there is no chatmaild-dovecot-plugin_*.deb" },
	{ "none",
	    { "chatmaild_1.deb", "chatmaild_1_amd64", "chatmaild__amd64.deb",
		"chatmaild_1_2_amd64.deb", "_1_amd64.deb" },
	    NULL, ": there is no chatmaild_*.deb" },
	{ "which version?",
	    { "chatmaild_1_amd64.deb", "chatmaild_2_amd64.deb",
		"chatmaild-dovecot-plugin_1_amd64.deb" },
	    NULL,
	    "/chatmaild_2_amd64.deb: another version of the package lies beside it: "
	    "remove one" },
};

static void make_debs(const struct fixture *f, const struct deb_case *c)
{
	for (size_t i = 0; i < ARRAY_LEN(c->files) && c->files[i]; i++) {
		char *path = support_path(f->dir, c->files[i]);

		support_write_file(path, span_of(c->files[i]));
		free(path);
	}
}

static void debs(void **state)
{
	const struct deb_case *c = *state;
	struct fixture f;
	char *all;

	set_up(&f, "x.example", "");
	make_debs(&f, c);
	f.relay.packages = f.dir;
	assert_int_equal(want_all(&f), c->error == NULL);
	if (c->error) {
		assert_memory_equal(f.relay.error, f.dir, strlen(f.dir));
		assert_string_equal(f.relay.error + strlen(f.dir), c->error);
	} else {
		all = describe_all(f.wanted);
		if (!strstr(all, c->wanted))
			fail_msg("not there: %s\nbut:%s", c->wanted, all);
		assert_null(strstr(all, "package chatmaild"));
		free(all);
	}
	tear_down(&f);
}

static void packages_of_no_directory(void **state)
{
	struct fixture f;

	(void)state;
	set_up(&f, "x.example", "");
	f.relay.packages = "/nonexistent";
	assert_false(want_all(&f));
	assert_string_equal(f.relay.error, "/nonexistent: No such file or directory");
	tear_down(&f);
}

static void another_mail_user(void **state)
{
	struct fixture f;

	(void)state;
	set_up(&f, "x.example", "mail_user = mail");
	assert_false(want_all(&f));
	assert_string_equal(f.relay.error,
	    "mail_user = mail: the packages run as vmail; remove the key");
	tear_down(&f);
}

/* --- scripts ------------------------------------------------------------------------ */

/* The script with its places below root. */
static char *below(const char *script, const char *root)
{
	static const char *const places[] = { "/etc/", "/proc/sys/" };
	struct text to = { 0 };

	while (*script) {
		for (size_t i = 0; i < ARRAY_LEN(places); i++) {
			if (strncmp(script, places[i], strlen(places[i])) == 0)
				text_add(&to, root);
		}
		text_add_span(&to, span_make(script++, 1));
	}
	return text_take(&to);
}

/* Whether "sh -eu" says 0. */
static bool succeeds(const char *script, const char *root)
{
	char *text = below(script, root);
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		execl("/bin/sh", "sh", "-eu", "-c", text, (char *)NULL);
		_exit(127);
	}
	free(text);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status) == 0;
}

/* The state whose line begins so. */
static const struct wanted_state *find_state(const struct wanted *w, const char *what)
{
	size_t n;
	const struct wanted_thing *list = wanted_list(w, &n);

	for (size_t i = 0; i < n; i++) {
		if (list[i].kind == WANTED_STATE &&
		    strncmp(list[i].state.what, what, strlen(what)) == 0)
			return &list[i].state;
	}
	fail_msg("no state '%s'", what);
	return NULL;
}

static void make_directories(const char *root)
{
	static const char *const names[] = { "etc", "etc/sysctl.d", "etc/apt", "proc",
		"proc/sys", "proc/sys/fs", "proc/sys/fs/inotify" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		char *path = support_path(root, names[i]);

		assert_int_equal(mkdir(path, 0755), 0);
		free(path);
	}
}

#define INSTANCES  "proc/sys/fs/inotify/max_user_instances"
#define WATCHES    "proc/sys/fs/inotify/max_user_watches"
#define PERSISTENT "etc/sysctl.d/60-chatmail.conf"
#define REMARK     "# One inotify instance for each IMAP session.\n"
#define OBS                                                                            \
	"deb [signed-by=/etc/apt/keyrings/obs-home-deltachat.gpg] "                    \
	"https://download.opensuse.org/repositories/home:/deltachat/Debian_12/ ./\n"

static const struct state_case {
	const char *name, *what;
	struct {
		const char *path, *text; /* NULL: no more */
	} before[3], after[3];
} state_cases[] = {
	{ "low limits are raised", "inotify",
	    { { INSTANCES, "128\n" }, { WATCHES, "8192\n" } },
	    { { INSTANCES, "65535\n" }, { WATCHES, "80000\n" },
		{ PERSISTENT, REMARK "fs.inotify.max_user_instances = 65535\n"
				     "fs.inotify.max_user_watches = 80000\n" } } },
	{ "high ones stay as the kernel has them", "inotify",
	    { { INSTANCES, "128\n" }, { WATCHES, "1048576\n" } },
	    { { WATCHES, "1048576\n" },
		{ PERSISTENT, REMARK "fs.inotify.max_user_instances = 65535\n" } } },
	{ "raised before, but not for good", "inotify",
	    { { INSTANCES, "65535\n" }, { WATCHES, "1048576\n" } },
	    { { PERSISTENT, REMARK "fs.inotify.max_user_instances = 65535\n" } } },
	{ "a kernel without them", "inotify", { { NULL, NULL } },
	    { { PERSISTENT, REMARK } } },
	{ "time zone", "TZ", { { "etc/environment", "A=1" } },
	    { { "etc/environment", "A=1\nTZ=:/etc/localtime\n" } } },
	{ "another time zone", "TZ", { { "etc/environment", "TZ=UTC\nA=1\n" } },
	    { { "etc/environment", "A=1\nTZ=:/etc/localtime\n" } } },
	{ "no environment yet", "TZ", { { NULL, NULL } },
	    { { "etc/environment", "TZ=:/etc/localtime\n" } } },
	{ "former package source", "no package source",
	    { { "etc/apt/sources.list", "deb a b c\n" OBS "deb d e f\n" } },
	    { { "etc/apt/sources.list", "deb a b c\ndeb d e f\n" } } },
};

static void expect_files(const char *root, const struct state_case *c)
{
	for (size_t i = 0; i < ARRAY_LEN(c->after) && c->after[i].path; i++) {
		char *path = support_path(root, c->after[i].path);
		struct support_text text = support_read_file(path);
		/* The name of the time zone's file is changed like the others'. */
		char *wanted = below(c->after[i].text, root);

		assert_string_equal(text.data, wanted);
		free(wanted);
		free(text.data);
		free(path);
	}
}

/* It is not so; it is mended; then it is so, and stays as it is. */
static void mended(void **state)
{
	const struct state_case *c = *state;
	char *root = support_tmpdir();
	const struct wanted_state *s;
	struct fixture f;

	make_directories(root);
	for (size_t i = 0; i < ARRAY_LEN(c->before) && c->before[i].path; i++) {
		char *path = support_path(root, c->before[i].path);

		support_write_file(path, span_of(c->before[i].text));
		free(path);
	}
	set_up(&f, "x.example", "");
	assert_true(want_all(&f));
	s = find_state(f.wanted, c->what);
	assert_false(succeeds(s->check, root));
	for (int i = 0; i < 2; i++) {
		assert_true(succeeds(s->mend, root));
		assert_true(succeeds(s->check, root));
		expect_files(root, c);
	}
	tear_down(&f);
	support_tmpdir_remove(root);
}

/* Made once, never replaced, and not by half: what is no key is told of. */
static void dkim_key(void **state)
{
	const struct wanted_state *s;
	struct support_text first, again;
	struct fixture f;
	char *root, *key;

	(void)state;
	if (geteuid() != 0 || access("/usr/sbin/opendkim-genkey", X_OK) < 0)
		skip();
	root = support_tmpdir();
	key = support_path(root, "etc/dkimkeys/opendkim.private");
	assert_int_equal(chmod(root, 0755), 0);
	make_directories(root);
	set_up(&f, "x.example", "");
	assert_true(want_all(&f));
	s = find_state(f.wanted, "DKIM key");
	assert_true(succeeds("install -d -o opendkim -m 700 /etc/dkimkeys", root));
	assert_false(succeeds(s->check, root));
	assert_true(succeeds(s->mend, root));
	assert_true(succeeds(s->check, root));
	assert_true(succeeds("[ \"$(ls /etc/dkimkeys)\" = opendkim.private ]", root));
	first = support_read_file(key);

	assert_true(succeeds("chown root:root /etc/dkimkeys/opendkim.private", root));
	assert_false(succeeds(s->check, root));
	assert_true(succeeds(s->mend, root));
	assert_true(succeeds(s->check, root));
	again = support_read_file(key);
	assert_string_equal(again.data, first.data);

	support_write_file(key, span_of(""));
	assert_false(succeeds(s->check, root));
	assert_false(succeeds(s->mend, root));
	assert_true(succeeds("[ ! -s /etc/dkimkeys/opendkim.private ]", root));
	free(first.data);
	free(again.data);
	free(key);
	tear_down(&f);
	support_tmpdir_remove(root);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TABLE(thing, thing_cases) },
		{ SUPPORT_TABLE(file_text, file_cases) },
		{ SUPPORT_TABLE(debs, deb_cases) },
		{ SUPPORT_TEST(packages_of_no_directory) },
		{ SUPPORT_TEST(another_mail_user) },
		{ SUPPORT_TABLE(mended, state_cases) },
		{ SUPPORT_TEST(dkim_key) },
	};

	return support_run("comp_mail", tests, ARRAY_LEN(tests));
}
