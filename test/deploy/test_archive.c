/* Backups as they pass, and what their scripts do with a relay's files. */
#include "deploy/archive.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "deploy/backup.h"
#include "test/support.h"

#define MAILBOXES "home/vmail/mail/chat.example"

/* Made in a directory of its own, as root's tar on a server would. */
static const char make_tree[] =
    "mkdir -p chatmail-backup " MAILBOXES "/a@b/cur " MAILBOXES "/a@b/new " MAILBOXES
    "/c@d/cur www/new\n"
    "printf 'chatmail-backup 1\\ndomain chat.example\\nmailboxes /" MAILBOXES
    "\\n' >chatmail-backup/info\n"
    "echo hash >" MAILBOXES "/a@b/password\n"
    "echo hash >" MAILBOXES "/c@d/password\n"
    "echo none >" MAILBOXES "/a@b/cur/password\n"
    "head -c 100000 /dev/zero >" MAILBOXES "/a@b/new/two\n"
    "ln " MAILBOXES "/a@b/new/two " MAILBOXES "/c@d/cur/two\n"
    "echo x >" MAILBOXES "/c@d/cur/$(printf %0200d 7)\n"
    "echo x >www/new/index.html\n"
    "echo x >www/password\n"
    "tar -c --format=gnu -f plain.tar chatmail-backup www home\n";

static char *dir;
static struct support_text plain; /* unsealed */

static void shell(const char *command)
{
	char *line;

	assert_true(
	    asprintf(&line, "cd %s && sh -eu <<'EOF'\n%s\nEOF\n", dir, command) > 0);
	assert_int_equal(system(line), 0);
	free(line);
}

static struct archive *feed(struct span bytes, size_t step, struct text *out)
{
	struct archive *a = archive_create();

	while (bytes.len > 0) {
		size_t n = bytes.len < step ? bytes.len : step;

		archive_feed(a, span_make(bytes.data, n), out);
		bytes = span_skip(bytes, n);
	}
	return a;
}

static struct text sealed(void)
{
	struct text out = { 0 };
	struct archive *a = feed(span_make(plain.data, plain.len), 65536, &out);

	assert_true(archive_ended(a));
	archive_seal(a, &out);
	archive_free(a);
	return out;
}

static void judge(struct archive *a, const char *wrong)
{
	const char *said = archive_verify(a);

	if (!wrong != !said || (wrong && !strstr(said, wrong)))
		fail_msg(
		    "'%s', but '%s'", wrong ? wrong : "good", said ? said : "good");
	archive_free(a);
}

static void counts(void **state)
{
	static const size_t steps[] = { 1, 7, 511, 512, 513, 10240, 1 << 20 };
	struct text whole = sealed();

	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		struct text out = { 0 };
		struct archive *a = feed(text_span(&whole), steps[i], &out);
		struct archive_counts n = archive_counts(a);
		struct span value;

		assert_int_equal(n.accounts, 2);
		assert_int_equal(n.messages, 4);
		assert_int_equal(n.bytes, 100000 + 3 * 5 + 3 * 2);
		assert_true(archive_info(a, "domain", &value));
		assert_true(span_is(value, "chat.example"));
		assert_false(archive_info(a, "nothing", &value));
		/* All but its end passes. */
		assert_int_equal(out.len, whole.len - 1024);
		assert_memory_equal(out.data, whole.data, out.len);
		judge(a, NULL);
		text_free(&out);
	}
	text_free(&whole);
}

/* tar itself takes it for whole, and finds what it must. */
static void other_tar(void **state)
{
	struct text whole = sealed();
	char *path = support_path(dir, "sealed.tar");

	support_write_file(path, text_span(&whole));
	shell("mkdir out; tar -xf sealed.tar -C out\n"
	      "cmp out/" MAILBOXES "/a@b/new/two " MAILBOXES "/a@b/new/two\n"
	      "[ out/" MAILBOXES "/c@d/cur/two -ef out/" MAILBOXES "/a@b/new/two ]\n"
	      "grep -q '^accounts 2$' out/chatmail-backup/manifest");
	free(path);
	text_free(&whole);
}

static void never_sealed(void **state)
{
	judge(feed(span_make(plain.data, plain.len), 512, NULL), "it is cut");
}

static void cut_anywhere(void **state)
{
	struct text whole = sealed();

	for (size_t len = 0; len < whole.len - 512; len += 97)
		judge(feed(span_make(whole.data, len), 4096, NULL), "it is cut");
	text_free(&whole);
}

static void any_byte_changed(void **state)
{
	struct text whole = sealed();

	for (size_t at = 0; at < whole.len - 1024; at += 211) {
		struct archive *a;

		whole.data[at] ^= 4;
		a = feed(text_span(&whole), 4096, NULL);
		/* What fills the manifest's last block says nothing. */
		if (at < whole.len - 1024 - 512)
			assert_non_null(archive_verify(a));
		archive_free(a);
		whole.data[at] ^= 4;
	}
	judge(feed(text_span(&whole), 4096, NULL), NULL);
	text_free(&whole);
}

static void bytes_behind(void **state)
{
	struct text whole = sealed();

	text_add_span(&whole, span_make(plain.data, plain.len));
	judge(feed(text_span(&whole), 4096, NULL), NULL);
	text_free(&whole);
}

/* A second archive in the place of the end: members behind the manifest. */
static void member_behind_manifest(void **state)
{
	struct text whole = sealed();

	whole.len -= 1024;
	text_add_span(&whole, span_make(plain.data, plain.len));
	judge(feed(text_span(&whole), 4096, NULL), "behind its manifest");
	text_free(&whole);
}

static void no_archive(void **state)
{
	char text[2048];

	memset(text, 'x', sizeof(text));
	judge(feed(span_make(text, sizeof(text)), 100, NULL), "no tar archive");
}

/* What tar(1) would make of it is not left to tar(1): such an archive is refused as a whole. */
struct hostile_case {
	const char *name, *make; /* one member, by these words to the shell */
	const char *wrong;       /* NULL: it is good */
};

static const struct hostile_case hostile_cases[] = {
	{ "absolute", "touch a; tar -P --transform 's,^a,/etc/a,' -cf x.tar a",
	    "no backup has such a member: /etc/a" },
	{ "climbs out", "touch a; tar -P --transform 's,^a,../a,' -cf x.tar a",
	    ": ../a" },
	{ "climbs out late",
	    "touch a; tar -P --transform 's,^a,b/../../a,' -cf x.tar a",
	    ": b/../../a" },
	{ "controls", "touch \"$(printf 'a\\033[2J')\"; tar -cf x.tar a*", NULL },
	{ "controls shown", "mkfifo \"$(printf 'a\\033[2J')\"; tar -cf x.tar a*",
	    ": a?[2J" },
	{ "device", "mknod a c 1 3; tar -cf x.tar a", ": a" },
	{ "pipe", "mkfifo a; tar -cf x.tar a", ": a" },
	{ "set-user-ID", "touch a; chmod 4755 a; tar -cf x.tar a", ": a" },
	{ "set-group-ID of a directory", "mkdir a; chmod 2750 a; tar -cf x.tar a",
	    NULL },
	{ "link beside", "mkdir -p v/a; ln -s ../b v/a/l; tar -cf x.tar v", NULL },
	{ "link absolute", "mkdir -p v; ln -s /etc v/l; tar -cf x.tar v", ": v/l" },
	{ "link out of the top", "mkdir -p v; ln -s ../etc v/l; tar -cf x.tar v",
	    ": v/l" },
	{ "link out and back", "mkdir -p v; ln -s ../v/x v/l; tar -cf x.tar v",
	    ": v/l" },
	{ "link, long and out",
	    "mkdir -p v; ln -s \"$(printf %0150d 0)/../../../etc\" v/l; tar -cf x.tar "
	    "v",
	    ": v/l" },
	{ "hard link out",
	    "touch a; ln a b; tar -P --transform 's,^a,/etc/shadow,hRS' -cf x.tar a b",
	    ": b" },
	{ "link among mailboxes",
	    "mkdir chatmail-backup m; printf 'mailboxes /m\\n' >chatmail-backup/info; "
	    "ln -s x m/dovecot-uidlist; tar -cf x.tar chatmail-backup m",
	    ": m/dovecot-uidlist" },
};

static void hostile(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(hostile_cases); i++) {
		const struct hostile_case *c = &hostile_cases[i];
		struct support_text tar;
		struct archive *a;
		const char *wrong;
		char *script, *path = support_path(dir, "hostile/x.tar");

		assert_true(asprintf(&script,
				"rm -rf hostile; mkdir hostile; cd hostile\n"
				"%s\n",
				c->make) > 0);
		shell(script);
		tar = support_read_file(path);
		a = feed(span_make(tar.data, tar.len), 512, NULL);
		wrong = archive_feed(a, span_of(""), NULL);
		if (c->wrong ? !wrong || !span_ends(span_of(wrong), span_of(c->wrong))
			     : wrong != NULL)
			fail_msg("%s: %s", c->name, wrong ? wrong : "good");
		archive_free(a);
		free(tar.data);
		free(script);
		free(path);
	}
}

/* The scripts are read by the shell as a whole; what they hold is quoted. */
static void scripts_parse(void **state)
{
	char ini[] =
	    "[params]\nmail_domain = 192.0.2.1\ntls_external_cert_and_key = /a /b\n"
	    "mailboxes_dir = /x'y $(id)/[z]\n";
	struct config *config = config_parse("ini", ini, strlen(ini), stderr);
	struct text script = { 0 };
	char *path = support_path(dir, "script");

	assert_non_null(config);
	text_add(&script, "exit 0\n");
	backup_script(config, BACKUP_ACCOUNTS, &script);
	backup_state_script(config, &script);
	backup_look_script(config, &script);
	backup_restore_script(config, true, &script);
	assert_non_null(strstr(script.data, "mailboxes='/x'\\''y $(id)/[z]'"));
	support_write_file(path, text_span(&script));
	shell("sh -n script");
	text_free(&script);
	config_free(config);
	free(path);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TEST(counts) },
		{ SUPPORT_TEST(other_tar) },
		{ SUPPORT_TEST(never_sealed) },
		{ SUPPORT_TEST(cut_anywhere) },
		{ SUPPORT_TEST(any_byte_changed) },
		{ SUPPORT_TEST(bytes_behind) },
		{ SUPPORT_TEST(member_behind_manifest) },
		{ SUPPORT_TEST(no_archive) },
		{ SUPPORT_TEST(hostile) },
		{ SUPPORT_TEST(scripts_parse) },
	};
	char *path;
	int failed;

	dir = support_tmpdir();
	shell(make_tree);
	path = support_path(dir, "plain.tar");
	plain = support_read_file(path);
	failed = support_run("archive", tests, ARRAY_LEN(tests));
	free(plain.data);
	free(path);
	support_tmpdir_remove(dir);
	return failed;
}
