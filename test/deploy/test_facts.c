/*
 * What is so on a server: the parser over answers of all kinds, and the script run for real
 * on this machine, with stand-ins for the programs that tell of systemd.
 */
#include "deploy/facts.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test/support.h"

#define HASH_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static struct wanted *make_wanted(void)
{
	struct wanted *w = wanted_create();

	wanted_component(w, "test");
	want_package(w, "postfix");
	want_package(w, "nginx");
	want_no_package(w, "rspamd");
	want_group(w, "vmail");
	want_user(w, "vmail", "vmail", "/home/vmail");
	want_member(w, "postfix", "opendkim");
	want_member(w, "vmail", "opendkim");
	want_absent(w, "/etc/old");
	want_directory(w, "/etc/dir", "root", "root", 0755);
	want_file(w, &(struct wanted_file){
			 .path = "/etc/file", .content = "x", .len = 1, .mode = 0644 });
	want_state(w, &(struct wanted_state){ .what = "one",
			  .check = "true",
			  .mend = "true",
			  .stage = STAGE_CONFIGURE });
	want_state(w, &(struct wanted_state){ .what = "two",
			  .check = "false",
			  .mend = "true",
			  .stage = STAGE_CONFIGURE });
	want_unit(w, "dovecot.service", UNIT_RUNNING);
	want_unit(w, "nginx.service", UNIT_RUNNING);
	return w;
}

/* An answer is written with '^' for NUL. */
static struct facts *parse(const char *answer, char error[FACTS_ERROR_MAX])
{
	struct wanted *w = make_wanted();
	size_t len = strlen(answer);
	char *bytes = malloc(len + 1);
	struct facts *f;

	assert_non_null(bytes);
	for (size_t i = 0; i < len; i++)
		bytes[i] = answer[i] == '^' ? '\0' : answer[i];
	f = facts_parse(w, span_make(bytes, len), error);
	/* Neither is needed any more. */
	free(bytes);
	wanted_free(w);
	return f;
}

#define BEGIN "facts\t1\n^"
#define END   "state\t1\n^state\t0\n^end\t1\n^"

static struct facts *parse_good(const char *records)
{
	char error[FACTS_ERROR_MAX] = "";
	struct text whole = { 0 };
	struct facts *f;

	text_printf(&whole, "%s%s%s", BEGIN, records, END);
	f = parse(whole.data, error);
	if (!f)
		fail_msg("%s", error);
	text_free(&whole);
	return f;
}

static const struct refused_case {
	const char *name, *answer, *error;
} refused_cases[] = {
	{ "nothing", "", "makes no sense" },
	{ "a login's words", "Welcome\n", "makes no sense" },
	{ "another version", "facts\t2\n^" END, "makes no sense" },
	{ "no end", BEGIN "state\t1\n^state\t0\n^", "cut short" },
	{ "end cut", BEGIN "state\t1\n^state\t0\n^end\t1\n", "cut short" },
	{ "end within a value", BEGIN "os\t^state\t1\n^state\t0\n^resolv\tend\t1\n^",
	    "cut short" },
	{ "too few states", BEGIN "state\t1\n^end\t1\n^", "1 of 2" },
	{ "too many states", BEGIN "state\t1\n^state\t1\n^" END, "4 of 2" },
};

static void refused(void **state)
{
	const struct refused_case *c = *state;
	char error[FACTS_ERROR_MAX] = "";
	struct facts *f = parse(c->answer, error);

	assert_null(f);
	if (!strstr(error, c->error))
		fail_msg("%s", error);
}

static void nothing_known(void **state)
{
	struct facts *f = parse_good("");

	assert_string_equal(f->os_id, "");
	assert_string_equal(f->machine, "");
	assert_string_equal(f->resolv, "");
	assert_string_equal(f->manifest, "");
	assert_int_equal(f->disk_free, -1);
	assert_int_equal(f->memory, -1);
	assert_false(f->systemd || f->container || f->apt_fresh || f->ipv6);
	assert_false(f->ports_known || f->no_ipv6);
	assert_int_equal(f->npackages + f->nusers + f->ngroups + f->nmembers, 0);
	assert_int_equal(f->nstates, 2);
	assert_true(f->states[0]);
	assert_false(f->states[1]);
	assert_int_equal(f->nfiles, 3);
	assert_int_equal(facts_file(f, "/etc/file")->type, FACT_NONE);
	assert_null(facts_file(f, "/etc/other"));
	assert_string_equal(facts_unit(f, "nginx.service")->load, "not-found");
	assert_null(facts_unit(f, "other.service"));
	assert_null(f->python_relay);
	facts_free(f);
	facts_free(NULL);
}

static void general(void **state)
{
	struct facts *f = parse_good(
	    "os\tPRETTY_NAME=\"Debian GNU/Linux 12\"\nVERSION_ID=\"12\"\nID=debian\n^"
	    "machine\tx86_64\n^arch\tamd64\n^systemd\tyes\n^container\tsystemd-"
	    "nspawn\n^"
	    "apt\t/var/lib/apt/lists\n^disk\t      Avail\n 5000000000\n^"
	    "memory\tMemTotal:        1000000 kB\n^"
	    "addresses\t192.0.2.1 2001:db8::1 \n^resolv\t-> ../run/x\nnameserver 1\n^"
	    "generation\t12\n^manifest\tone\ntwo\n^unheard\tof\n^strange^"
	    "pending\tnginx.service:reload\ndovecot.service:restart\n"
	    "x:explode\n:restart\nreload\n^");

	assert_string_equal(f->os_id, "debian");
	assert_string_equal(f->os_version, "12");
	assert_string_equal(f->machine, "x86_64");
	assert_string_equal(f->deb_arch, "amd64");
	assert_true(f->systemd && f->container && f->apt_fresh);
	assert_true(f->disk_free == 5000000000);
	assert_true(f->home_free == 5000000000);
	assert_true(f->memory == 1024000000);
	assert_int_equal(f->naddresses, 2);
	assert_string_equal(f->addresses[0], "192.0.2.1");
	assert_string_equal(f->addresses[1], "2001:db8::1");
	assert_string_equal(f->resolv, "-> ../run/x\nnameserver 1\n");
	assert_int_equal(f->generation, 12);
	assert_string_equal(f->manifest, "one\ntwo\n");
	assert_int_equal(f->npending, 2);
	assert_string_equal(f->pending[0], "reload nginx.service");
	assert_string_equal(f->pending[1], "restart dovecot.service");
	facts_free(f);
}

static const struct ipv6_case {
	const char *name, *line;
	bool ipv6;
} ipv6_cases[] = {
	{ "global", "20010db8000000000000000000000001 02 40 00 80     eth0\n", true },
	{ "link", "fe800000000000000000000000000001 02 40 20 80     eth0\n", false },
	{ "loopback", "00000000000000000000000000000001 01 80 10 80       lo\n",
	    false },
	{ "unique local", "fd000000000000000000000000000001 02 40 00 80 eth0\n",
	    false },
	{ "cut", "2001 02\n", false },
};

static void ipv6(void **state)
{
	const struct ipv6_case *c = *state;
	struct text record = { 0 };
	struct facts *f;

	text_printf(&record, "ipv6\t%s^", c->line);
	f = parse_good(record.data);
	assert_int_equal(f->ipv6, c->ipv6);
	facts_free(f);
	text_free(&record);
}

static void kernel_without_ipv6(void **state)
{
	struct facts *without = parse_good("inet6\t^"),
		     *with = parse_good("inet6\tyes\n^");

	assert_true(without->no_ipv6);
	assert_false(with->no_ipv6);
	facts_free(without);
	facts_free(with);
}

static void files(void **state)
{
	struct facts *f =
	    parse_good("file\tf\t4644\troot\tmail\t/etc/file^link\t^"
		       "file\tl\t777\troot\troot\t/etc/old^link\tto\tthere\nend\t1^"
		       "file\td\t755\t1000\t1000\t/etc/dir^link\tno^"
		       "file\tf\t644\troot\troot\t/etc/unasked^link\t^"
		       "file\tbad^link\tx^"
		       "hash\t" HASH_A "  /etc/file^hash\t" HASH_A
		       "  /etc/dir^hash\tabc  /etc/old^");
	const struct fact_file *file = facts_file(f, "/etc/file");

	assert_int_equal(file->type, FACT_REGULAR);
	assert_int_equal(file->mode, 04644);
	assert_string_equal(file->owner, "root");
	assert_string_equal(file->group, "mail");
	assert_string_equal(file->sha256, HASH_A);
	file = facts_file(f, "/etc/old");
	assert_int_equal(file->type, FACT_SYMLINK);
	assert_string_equal(file->target, "to\tthere\nend\t1");
	assert_string_equal(file->sha256, "");
	file = facts_file(f, "/etc/dir");
	assert_int_equal(file->type, FACT_DIRECTORY);
	assert_string_equal(file->owner, "1000");
	assert_string_equal(file->target, "");
	assert_string_equal(file->sha256, "");
	facts_free(f);
}

static void packages(void **state)
{
	struct facts *f =
	    parse_good("packages\tnginx\t1.22\tinstalled\nnginx\t1.21\tinstalled\n"
		       "postfix\t3.7\thalf-configured\nrspamd\t3\tinstalled\n"
		       "other\t1\tinstalled\nbroken\n^");

	assert_int_equal(f->npackages, 2);
	assert_string_equal(facts_package(f, "nginx")->version, "1.22");
	assert_string_equal(facts_package(f, "rspamd")->version, "3");
	assert_null(facts_package(f, "postfix"));
	assert_null(facts_package(f, "other"));
	facts_free(f);
}

static void accounts(void **state)
{
	struct facts *f =
	    parse_good("passwd\tpostfix:x:100:110:::/bin/false\n"
		       "vmail:x:101:111::/home/vmail:/bin/false\nother:x:1:1:::\nx\n^"
		       "group\tvmail:x:111:\nopendkim:x:112:a,postfix,vmailer\n^");

	assert_int_equal(f->nusers, 2);
	assert_string_equal(f->users[0], "postfix");
	assert_string_equal(f->users[1], "vmail");
	assert_int_equal(f->ngroups, 2);
	assert_string_equal(f->groups[0], "opendkim");
	assert_int_equal(f->nmembers, 1);
	assert_string_equal(f->members[0], "postfix:opendkim");
	facts_free(f);
	/* By the primary group. */
	f = parse_good("passwd\tpostfix:x:100:112:::\n^group\topendkim:x:112:\n^");
	assert_int_equal(f->nmembers, 1);
	facts_free(f);
}

static void units(void **state)
{
	struct facts *f =
	    parse_good("units\tMainPID=40\nId=dovecot.service\nNames=dovecot.service "
		       "imap.service\n"
		       "LoadState=loaded\nActiveState=active\nUnitFileState=enabled\n"
		       "NeedDaemonReload=yes\n\n"
		       "MainPID=0\nId=www.service\nNames=www.service nginx.service\n"
		       "LoadState=masked\nActiveState=inactive\nUnitFileState=masked\n"
		       "NeedDaemonReload=no\n\nnonsense\n^"
		       "programs\t/proc/40/exe /usr/sbin/dovecot (deleted)\n"
		       "/proc/41/exe /usr/sbin/nginx (deleted)\n^");
	const struct fact_unit *u = facts_unit(f, "dovecot.service");

	assert_string_equal(u->load, "loaded");
	assert_string_equal(u->active, "active");
	assert_string_equal(u->enabled, "enabled");
	assert_true(u->needs_reload);
	assert_true(u->stale);
	u = facts_unit(f, "nginx.service");
	assert_string_equal(u->load, "masked");
	assert_false(u->needs_reload);
	assert_false(u->stale);
	assert_null(f->python_relay);
	facts_free(f);
}

static const struct python_case {
	const char *name, *unit, *active, *enabled, *program;
	bool is, runs;
} python_cases[] = {
	{ "runs", "doveauth.service", "active", "disabled",
	    "/usr/local/lib/chatmaild/venv/bin/doveauth", true, true },
	{ "enabled", "filtermail.service", "failed", "enabled",
	    "/usr/local/lib/chatmaild/venv/bin/filtermail", true, true },
	{ "a filter that is no Python", "filtermail-transport.service", "active",
	    "enabled", "/usr/local/bin/filtermail", true, true },
	{ "neither", "filtermail.service", "inactive", "disabled",
	    "/usr/local/lib/chatmaild/venv/bin/filtermail", true, false },
	{ "another program", "lastlogin.service", "active", "enabled",
	    "/usr/bin/chatmaild", false, false },
	{ "another filter", "filtermail.service", "active", "enabled",
	    "/usr/local/bin/filtermail-2", false, false },
	{ "another unit", "nginx.service", "active", "enabled",
	    "/usr/local/lib/chatmaild/venv/bin/x", false, false },
};

static void python(void **state)
{
	const struct python_case *c = *state;
	struct text record = { 0 };
	struct facts *f;

	text_printf(&record,
	    "units\tExecStart={ path=%s ; argv[]=x }\nNames=%s\nLoadState=loaded\n"
	    "ActiveState=%s\nUnitFileState=%s\n^",
	    c->program, c->unit, c->active, c->enabled);
	f = parse_good(record.data);
	if (c->is)
		assert_string_equal(f->python_relay, c->unit);
	else
		assert_null(f->python_relay);
	assert_int_equal(f->python_runs, c->runs);
	facts_free(f);
	text_free(&record);
}

static const struct port_case {
	const char *name, *line, *address;
	unsigned port;
	const char *first, *second; /* processes; NULL: no such row */
} port_cases[] = {
	{ "one",
	    "tcp   LISTEN 0      100      0.0.0.0:25  0.0.0.0:*    "
	    "users:((\"master\",pid=1,fd=13))",
	    "0.0.0.0", 25, "master", NULL },
	{ "workers",
	    "tcp LISTEN 0 1 [::]:443 [::]:* "
	    "users:((\"nginx\",pid=1,fd=1),(\"nginx\",pid=2,fd=1))",
	    "::", 443, "nginx", NULL },
	{ "two programs",
	    "tcp LISTEN 0 1 *:22 *:* "
	    "users:((\"sshd\",pid=1,fd=1),(\"systemd\",pid=1,fd=9))",
	    "*", 22, "sshd", "systemd" },
	{ "interface",
	    "udp UNCONN 0 0 127.0.0.53%lo:53 0.0.0.0:* "
	    "users:((\"systemd-resolve\",pid=9,fd=1))",
	    "127.0.0.53%lo", 53, "systemd-resolve", NULL },
	{ "link local", "udp UNCONN 0 0 [fe80::1]%eth0:546 [::]:*", "fe80::1%eth0", 546,
	    "", NULL },
	{ "strange name", "tcp LISTEN 0 1 *:22 *:* users:((\"a\" (b\",pid=1,fd=1))",
	    "*", 22, "a\" (b", NULL },
	{ "no address", "tcp LISTEN 0 1", NULL, 0, NULL, NULL },
	{ "no port", "tcp LISTEN 0 1 *:* *:*", NULL, 0, NULL, NULL },
	{ "port too large", "tcp LISTEN 0 1 *:65536 *:*", NULL, 0, NULL, NULL },
};

static void port(void **state)
{
	const struct port_case *c = *state;
	struct text record = { 0 };
	struct facts *f;

	text_printf(&record, "ports\t%s\n^", c->line);
	f = parse_good(record.data);
	assert_true(f->ports_known);
	assert_int_equal(f->nports, (c->first != NULL) + (c->second != NULL));
	if (c->first) {
		assert_string_equal(f->ports[0].address, c->address);
		assert_int_equal(f->ports[0].port, c->port);
		assert_string_equal(f->ports[0].process, c->first);
	}
	if (c->second)
		assert_string_equal(f->ports[1].process, c->second);
	facts_free(f);
	text_free(&record);
}

/* The script on this machine. */

struct machine {
	char *dir;
	struct wanted *wanted;
};

static char *path_in(const struct machine *m, const char *name)
{
	return support_path(m->dir, name);
}

static void put(
    const struct machine *m, const char *name, const char *text, mode_t mode)
{
	char *path = path_in(m, name);

	support_write_file(path, span_of(text));
	assert_int_equal(chmod(path, mode), 0);
	free(path);
}

static void want_absent_in(const struct machine *m, const char *name)
{
	char *path = path_in(m, name);

	want_absent(m->wanted, path);
	free(path);
}

/* Run the script by sh -eu, with the folder's bin first in the path. */
static struct span run_script(const struct machine *m, struct text *output)
{
	char *script = facts_script(m->wanted);
	char *path = path_in(m, "script"), *bin = path_in(m, "bin");
	struct text command = { 0 };
	char bytes[4096];
	size_t n;
	FILE *out;

	support_write_file(path, span_of(script));
	text_printf(&command, "PATH=%s:$PATH LC_ALL=C sh -eu %s", bin, path);
	out = popen(command.data, "r");
	assert_non_null(out);
	while ((n = fread(bytes, 1, sizeof(bytes), out)) > 0)
		text_add_span(output, span_make(bytes, n));
	assert_int_equal(pclose(out), 0);
	text_free(&command);
	free(script);
	free(path);
	free(bin);
	return text_span(output);
}

static void make_machine(struct machine *m)
{
	char *path;

	m->dir = support_tmpdir();
	m->wanted = wanted_create();
	wanted_component(m->wanted, "test");
	path = path_in(m, "bin");
	assert_int_equal(mkdir(path, 0755), 0);
	free(path);
	put(m, "bin/systemctl",
	    "#!/bin/sh\n[ \"$1\" = show ] || exit 1\nfor name; do case $name in "
	    "*.service)\n"
	    "echo MainPID=$PPID; echo Names=$name; echo ActiveState=active; echo;; "
	    "esac; done\n",
	    0755);
	put(m, "bin/ss",
	    "#!/bin/sh\n[ \"$*\" = '-H -lntup' ] || exit 1\n"
	    "echo 'tcp LISTEN 0 1 *:25 *:* users:((\"master\",pid=1,fd=1))'\n",
	    0755);
}

static void free_machine(struct machine *m)
{
	wanted_free(m->wanted);
	support_tmpdir_remove(m->dir);
}

static struct facts *ask(const struct machine *m)
{
	struct text output = { 0 };
	char error[FACTS_ERROR_MAX] = "";
	struct facts *f = facts_parse(m->wanted, run_script(m, &output), error);

	if (!f)
		fail_msg("%s", error);
	text_free(&output);
	return f;
}

static const struct fact_file *file_in(
    const struct machine *m, const struct facts *f, const char *name)
{
	char *path = path_in(m, name);
	const struct fact_file *file = facts_file(f, path);

	free(path);
	assert_non_null(file);
	return file;
}

static void real_files(void **state)
{
	static const char *const names[] = { "plain", "it's $(a) \"file\"",
		"line\nbreak", "link", "fifo", "bin", "missing" };
	char sha256[WANTED_SHA256_SIZE];
	struct machine m;
	struct facts *f;
	char *path;

	make_machine(&m);
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		want_absent_in(&m, names[i]);
	put(&m, "plain", "text\n", 0640);
	put(&m, "it's $(a) \"file\"", "text\n", 04755);
	put(&m, "line\nbreak", "", 0);
	path = path_in(&m, "link");
	assert_int_equal(symlink("to\n end\t1", path), 0);
	free(path);
	path = path_in(&m, "fifo");
	assert_int_equal(mkfifo(path, 0600), 0);
	free(path);

	f = ask(&m);
	wanted_sha256(span_of("text\n"), sha256);
	assert_string_equal(file_in(&m, f, "plain")->sha256, sha256);
	assert_int_equal(file_in(&m, f, "plain")->mode, 0640);
	assert_string_equal(file_in(&m, f, names[1])->sha256, sha256);
	assert_int_equal(file_in(&m, f, names[1])->mode, 04755);
	assert_int_equal(file_in(&m, f, names[2])->type, FACT_REGULAR);
	assert_int_equal(file_in(&m, f, "link")->type, FACT_SYMLINK);
	assert_string_equal(file_in(&m, f, "link")->target, "to\n end\t1");
	assert_int_equal(file_in(&m, f, "fifo")->type, FACT_OTHER);
	assert_int_equal(file_in(&m, f, "bin")->type, FACT_DIRECTORY);
	assert_int_equal(file_in(&m, f, "missing")->type, FACT_NONE);
	facts_free(f);
	free_machine(&m);
}

static void want_check_of(struct machine *m, const char *check)
{
	want_state(m->wanted, &(struct wanted_state){ .what = check,
				  .check = check,
				  .mend = "true",
				  .stage = STAGE_CONFIGURE });
}

static void real_states(void **state)
{
	static const struct {
		const char *check;
		bool so;
		const char *why; /* is said of it */
	} checks[] = {
		{ "true", true, "" },
		{ "false", false, "" },
		{ "false; true", false, "" },
		{ "[ \"$nothing\" = '' ]", false, "nothing" },
		{ "echo out; echo err >&2; printf '\\0end\\t1\\n\\0'", true, "" },
		{ "echo out; echo 'a%sb' >&2; exit 1", false, "a%sb" },
		{ "printf 'x\\0end\\t1\\n\\0' >&2; exit 1", false, "xend\t1" },
		{ "if then", false, "Syntax error" },
		{ "! read line", true, "" },
		{ "set --; cd /; g=9; exit 0", true, "" },
		{ "kill -9 $$", false, "" },
		{ "# it's \"quoted\"\ntrue", true, "" },
	};
	struct machine m;
	struct facts *f;

	make_machine(&m);
	for (size_t i = 0; i < ARRAY_LEN(checks); i++)
		want_check_of(&m, checks[i].check);
	f = ask(&m);
	assert_int_equal(f->nstates, ARRAY_LEN(checks));
	for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
		if (f->states[i] != checks[i].so)
			fail_msg("%s", checks[i].check);
		if (!strstr(f->whys[i], checks[i].why) ||
		    (!*checks[i].why && *f->whys[i]))
			fail_msg("%s: %s", checks[i].check, f->whys[i]);
	}
	facts_free(f);
	free_machine(&m);
}

/* Of this machine some things are known for sure. */
static void real_machine(void **state)
{
	struct machine m;
	struct facts *f;

	make_machine(&m);
	want_package(m.wanted, "dash");
	want_package(m.wanted, "there-is-no-such-package");
	want_user(m.wanted, "root", "root", "/root");
	want_user(m.wanted, "there-is-no-such-user", "no-such-group", "/");
	want_member(m.wanted, "root", "root");
	want_unit(m.wanted, "one.service", UNIT_RUNNING);
	f = ask(&m);
	assert_string_equal(f->os_id, "debian");
	assert_true(f->disk_free > 0 && f->home_free > 0 && f->memory > 0);
	assert_true(f->machine[0] && f->deb_arch[0]);
	assert_int_equal(f->npackages, 1);
	assert_non_null(facts_package(f, "dash"));
	assert_int_equal(f->nusers, 1);
	assert_int_equal(f->ngroups, 1);
	assert_int_equal(f->nmembers, 1);
	assert_string_equal(f->members[0], "root:root");
	assert_int_equal(f->nports, 1);
	assert_string_equal(f->ports[0].process, "master");
	assert_string_equal(facts_unit(f, "one.service")->active, "active");
	assert_false(facts_unit(f, "one.service")->stale);
	facts_free(f);
	free_machine(&m);
}

/* Wherever the connection breaks, it is noticed. */
static void cut_anywhere(void **state)
{
	struct text output = { 0 };
	char error[FACTS_ERROR_MAX];
	struct machine m;
	struct span all;

	make_machine(&m);
	want_check_of(&m, "true");
	want_absent_in(&m, "missing");
	all = run_script(&m, &output);
	for (size_t n = 0; n < all.len; n++) {
		char *part = malloc(n + 1);

		assert_non_null(part);
		memcpy(part, all.data, n);
		assert_null(facts_parse(m.wanted, span_make(part, n), error));
		assert_true(error[0] != '\0');
		free(part);
	}
	text_free(&output);
	free_machine(&m);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TABLE(refused, refused_cases) },
		{ SUPPORT_TEST(nothing_known) },
		{ SUPPORT_TEST(general) },
		{ SUPPORT_TABLE(ipv6, ipv6_cases) },
		{ SUPPORT_TEST(kernel_without_ipv6) },
		{ SUPPORT_TEST(files) },
		{ SUPPORT_TEST(packages) },
		{ SUPPORT_TEST(accounts) },
		{ SUPPORT_TEST(units) },
		{ SUPPORT_TABLE(python, python_cases) },
		{ SUPPORT_TABLE(port, port_cases) },
		{ SUPPORT_TEST(real_files) },
		{ SUPPORT_TEST(real_states) },
		{ SUPPORT_TEST(real_machine) },
		{ SUPPORT_TEST(cut_anywhere) },
	};

	return support_run("facts", tests, ARRAY_LEN(tests));
}
