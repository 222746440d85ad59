/*
 * OpenDKIM: one instance signs, one verifies. A relay without a name has no key, for there
 * is no place to publish it; what others sign is verified there, too.
 */
#include <stdlib.h>

#include "deploy/component.h"
#include "deploy/quote.h"

#define SIGN_UNIT   "chatmail-opendkim@sign.service"
#define VERIFY_UNIT "chatmail-opendkim@verify.service"
#define BOTH_UNITS  SIGN_UNIT " " VERIFY_UNIT

static const char *const packages[] = {
	"opendkim",
	"opendkim-tools",
	"openssl",
};

static const struct component_file files[] = {
	{ .path = "/etc/opendkim/final.lua", .effects = { .restart = VERIFY_UNIT } },
	{ .path = "/etc/opendkim/resolver.conf",
	    .effects = { .restart = VERIFY_UNIT } },
	{ .path = "/etc/opendkim/screen.lua", .effects = { .restart = VERIFY_UNIT } },
	{ .path = "/etc/opendkim/verify.conf", .effects = { .restart = VERIFY_UNIT } },
};

static const struct component_file sign_files[] = {
	{ .path = "/etc/opendkim/KeyTable", .effects = { .restart = SIGN_UNIT } },
	{ .path = "/etc/opendkim/SigningTable", .effects = { .restart = SIGN_UNIT } },
	{ .path = "/etc/opendkim/sign.conf", .effects = { .restart = SIGN_UNIT } },
};

/*
 * $key is made once: aside, and put in its place whole. What is there stays, whatever it
 * is: others know its public half from the DNS.
 */
static const char key_check[] =
    "[ \"$(stat -c %U \"$key\" 2>/dev/null)\" = opendkim ]\n"
    "[ \"$(stat -c %a \"$key\")\" = 600 ]\n"
    "openssl rsa -in \"$key\" -noout 2>/dev/null\n";

static const char key_mend[] =
    "if [ ! -e \"$key\" ]; then\n"
    "	aside=$(runuser -u opendkim -- mktemp -d \"$key.XXXXXX\")\n"
    "	trap 'rm -rf \"$aside\"' EXIT\n"
    "	runuser -u opendkim -- opendkim-genkey -b 2048 -D \"$aside\" \\\n"
    "		-d \"$domain\" -s \"$selector\"\n"
    "	sync\n"
    "	ln \"$aside/$selector.private\" \"$key\"\n"
    "fi\n"
    "openssl rsa -in \"$key\" -noout 2>/dev/null || {\n"
    "	echo \"$key is there, but is no RSA key that openssl can read: restore it\" "
    "\\\n"
    "		\"from a backup, or remove it and publish a new one\" >&2\n"
    "	exit 1\n"
    "}\n"
    "chown opendkim:opendkim \"$key\"\n"
    "chmod 600 \"$key\"\n";

static const char *variable(const struct relay *r, const char *name)
{
	return json_string_value(json_object_get(r->context, name));
}

static void want_key(const struct relay *r, struct wanted *w)
{
	const char *key = variable(r, "dkim_key_file");
	struct text what = { 0 }, check = { 0 }, mend = { 0 };

	text_printf(&what, "DKIM key %s", key);
	quote_command(&check, "key=%s\n%r", key, key_check);
	quote_command(&mend, "key=%s domain=%s selector=%s\n%r", key,
	    r->config->mail_domain, variable(r, "dkim_selector"), key_mend);
	want_state(w, &(struct wanted_state){ .what = what.data,
			  .check = check.data,
			  .mend = mend.data,
			  .stage = STAGE_CONFIGURE,
			  .effects = { .restart = SIGN_UNIT } });
	text_free(&what);
	text_free(&check);
	text_free(&mend);
}

static bool want_files(
    struct relay *r, struct wanted *w, const struct component_file *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!component_file(r, w, "opendkim", &list[i]))
			return false;
	}
	return true;
}

static bool want_signing(struct relay *r, struct wanted *w)
{
	want_directory(w, "/etc/dkimkeys", "opendkim", "opendkim", 0700);
	want_key(r, w);
	want_check(w, "opendkim -n, to sign", "opendkim -n -x /etc/opendkim/sign.conf");
	return want_files(r, w, sign_files, sizeof(sign_files) / sizeof(sign_files[0]));
}

static bool want(struct relay *r, struct wanted *w)
{
	static const struct component_file unit = {
		.path = "/etc/systemd/system/chatmail-opendkim@.service",
		.effects = { .restart = BOTH_UNITS },
	};
	bool named = !r->config->ipv4_relay;

	for (size_t i = 0; i < sizeof(packages) / sizeof(packages[0]); i++)
		want_package(w, packages[i]);
	want_directory(w, "/etc/opendkim", "root", "root", 0755);
	/* Group postfix, handed on to the sockets in there. */
	want_directory(w, "/var/spool/postfix/opendkim", "opendkim", "postfix", 02750);
	if (named && !want_signing(r, w))
		return false;
	want_check(
	    w, "opendkim -n, to verify", "opendkim -n -x /etc/opendkim/verify.conf");
	if (!want_files(r, w, files, sizeof(files) / sizeof(files[0])) ||
	    !component_file(r, w, "opendkim", &unit))
		return false;
	want_unit(w, "opendkim.service", UNIT_MASKED);
	want_unit(w, SIGN_UNIT, named ? UNIT_RUNNING : UNIT_STOPPED);
	want_unit(w, VERIFY_UNIT, UNIT_RUNNING);
	return true;
}

const struct component opendkim_component = { "opendkim", want };
