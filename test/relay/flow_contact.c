/*
 * First contact: real Delta Chat clients find their way to a relay as people do, with
 * nothing but its name, the link on its page or an address, and get to know each other there.
 *
 * The relay has the ports of a real one, in a network of its own, and a certificate that
 * is checked as strictly as ever: the clients' program is a copy that has our authority's
 * key in place of a public one's (trust.h). That there is no gentler way is a test, too.
 * What this cannot show is a relay named "_x": for that client nginx is asked for
 * "https://_x/new" in the request line and refuses the underscore; such a relay's page hands out
 * login links instead.
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "deploy/deltachat.h"
#include "test/relay/client.h"
#include "test/relay/network.h"
#include "test/relay/private.h"
#include "test/relay/trust.h"
#include "test/support.h"

#define DOMAIN   "relay.example"
#define PAGE     "https://" DOMAIN "/"
#define PASSWORD "a-long-password"
#define XML      "/.well-known/autoconfig/mail/config-v1.1.xml HTTP/1.1\" 200"
#define NEW      "\"POST " PAGE "new HTTP/1.1\" 200"

#define ALL_PORTS                                                                      \
	"--port smtp=25 --port submission=587 --port submissions=465 --port imap=143 " \
	"--port imaps=993 --port http=80 "
/* The name server tells that names like autoconfig.DOMAIN do not exist. */
#define DNS_AND_HTTPS "--port dns=53 --port https=443 "

struct world {
	struct private_relay relay;
	const char *program; /* as it was fetched */
	char dir[64];        /* certificates and the clients' data */
	char client[80];     /* the program that trusts them */
	unsigned clients;
};

static struct world world;

/* --- the relay's side ------------------------------------------------------------- */

/* Requests that the web server has answered, of those whose line in the log has text. */
static unsigned requests(const char *text)
{
	char path[128], line[1024];
	unsigned n = 0;
	FILE *log;

	snprintf(path, sizeof(path), "%s/log/web_access.log", world.relay.dir);
	log = fopen(path, "re");
	assert_non_null(log);
	while (fgets(line, sizeof(line), log))
		n += strstr(line, text) != NULL;
	fclose(log);
	return n;
}

__attribute__((format(printf, 1, 2))) static void run(const char *format, ...)
{
	char command[512];
	va_list ap;

	va_start(ap, format);
	vsnprintf(command, sizeof(command), format, ap);
	va_end(ap);
	assert_int_equal(system(command), 0);
}

/* Where the button leads, malloc()ed. */
static char *page_link(void)
{
	static const char start[] = "href=\"DCACCOUNT:";
	char command[256], page[16384], *link;
	size_t len;
	FILE *pipe;

	snprintf(command, sizeof(command), "curl -sS -m 10 --cacert %s/ca.pem " PAGE,
	    world.dir);
	pipe = popen(command, "re");
	assert_non_null(pipe);
	len = fread(page, 1, sizeof(page) - 1, pipe);
	page[len] = '\0';
	assert_int_equal(pclose(pipe), 0);
	link = strstr(page, start);
	assert_non_null(link);
	link += strlen("href=\"");
	return strndup(link, strcspn(link, "\""));
}

/* --- the clients' side ------------------------------------------------------------ */

static struct deltachat *new_client(const char *program)
{
	struct deltachat_program p = { .server = program };
	struct deltachat *dc;
	char name[16];

	snprintf(name, sizeof(name), "client%u", world.clients++);
	dc = deltachat_start(&p, world.dir, name);
	assert_non_null(dc);
	return dc;
}

static void good(struct deltachat *dc, int rc)
{
	if (rc < 0)
		fail_msg("%s", deltachat_error(dc));
}

static void refused(struct deltachat *dc, int rc, const char *why)
{
	assert_int_equal(rc, -1);
	if (!strstr(deltachat_error(dc), why))
		fail_msg("no \"%s\": %s", why, deltachat_error(dc));
}

static void assert_is_here(struct deltachat *dc)
{
	char *address = deltachat_address(dc);

	assert_non_null(address);
	assert_non_null(strchr(address, '@'));
	assert_string_equal(strchr(address, '@'), "@" DOMAIN);
	free(address);
}

static struct deltachat *client_by_link(const char *link)
{
	struct deltachat *dc = new_client(world.client);

	good(dc, deltachat_follow(dc, link));
	assert_is_here(dc);
	return dc;
}

static struct deltachat *client_by_page(void)
{
	char *link = page_link();
	struct deltachat *dc = client_by_link(link);

	free(link);
	return dc;
}

static void say(
    struct deltachat *from, uint32_t chat, struct deltachat *to, const char *text)
{
	struct deltachat_message m;

	good(from, deltachat_send(from, chat, text, NULL) != 0 ? 0 : -1);
	good(to, deltachat_receive(to, &m));
	assert_string_equal(m.text, text);
	assert_true(m.encrypted);
	deltachat_message_deinit(&m);
}

static void meet_and_talk(struct deltachat *alice, struct deltachat *bob)
{
	char *invitation = deltachat_invite(alice);
	uint32_t alices_chat, bobs_chat, contact;

	good(alice, invitation ? 0 : -1);
	bobs_chat = deltachat_join(bob, invitation);
	good(bob, bobs_chat != 0 ? 0 : -1);
	good(alice, deltachat_invited(alice, &alices_chat, &contact));
	good(bob, deltachat_joined(bob));
	say(alice, alices_chat, bob, "hello");
	say(bob, bobs_chat, alice, "hello yourself");
	free(invitation);
}

/* --- a relay in an open network --------------------------------------------------- */

static void page_has_the_link(void **state)
{
	char *link = page_link();

	assert_string_equal(link, "DCACCOUNT:" PAGE "new");
	free(link);
}

/* The program as it comes does not care which authorities the system trusts. */
static void strangers_authority_is_refused(void **state)
{
	char ca[80], *link = page_link();
	struct deltachat *dc;

	snprintf(ca, sizeof(ca), "%s/ca.pem", world.dir);
	setenv("SSL_CERT_FILE", ca, 1);
	dc = new_client(world.program);
	refused(dc, deltachat_follow(dc, link), "invalid peer certificate");
	unsetenv("SSL_CERT_FILE");
	assert_int_equal(requests(NEW), 0);
	deltachat_stop(dc);
	free(link);
}

static void by_the_pages_link_and_by_name(void **state)
{
	struct deltachat *alice, *bob;

	alice = client_by_page();
	assert_int_equal(requests(NEW), 1);
	bob = client_by_link("dcaccount:" DOMAIN);
	assert_int_equal(requests(NEW), 1); /* invented by the client */
	meet_and_talk(alice, bob);
	deltachat_stop(alice);
	deltachat_stop(bob);
}

static void by_address_with_autoconfig(void **state)
{
	unsigned before = requests(XML);
	struct deltachat *dc = new_client(world.client);

	good(dc, deltachat_find(dc, "carol1234@" DOMAIN, PASSWORD));
	assert_is_here(dc);
	assert_int_equal(requests(XML), before + 1);
	deltachat_stop(dc);
}

/* Not even autoconfig: there is no web server. */
static void by_name_without_http(void **state)
{
	struct deltachat *dc;

	private_part(&world.relay, "stop", "web");
	dc = client_by_link("dcaccount:" DOMAIN);
	deltachat_stop(dc);
	private_part(&world.relay, "start", "web");
}

static void full_relay_tells_why(void **state)
{
	struct deltachat *dc = new_client(world.client);

	private_part(&world.relay, "stop", "chatmaild");
	run("sed -i 's/^min_free_disk_space = .*/min_free_disk_space = 1000000G/' "
	    "%s/etc/chatmail.ini",
	    world.relay.dir);
	private_part(&world.relay, "start", "chatmaild");
	refused(dc, deltachat_follow(dc, "dcaccount:" PAGE "new"),
	    "This server is too busy for new profiles at the moment.");
	deltachat_stop(dc);
}

/* --- where nothing but port 443 gets through ----------------------------------------- */

static void mail_ports_are_closed(void **state)
{
	static const unsigned ports[] = { 25, 143, 465, 587, 993 };

	for (size_t i = 0; i < ARRAY_LEN(ports); i++)
		assert_null(client_open(ports[i], CLIENT_PLAIN));
}

/* What autoconfig names first does not answer; what it names last does. */
static void by_the_pages_link_through_443(void **state)
{
	struct deltachat *dc = client_by_page();

	assert_int_equal(requests(NEW), 1);
	assert_int_equal(requests(XML), 1);
	deltachat_stop(dc);
}

static void by_login_link_through_443(void **state)
{
	struct deltachat *alice, *bob;

	alice =
	    client_by_link("dclogin:alice1234@" DOMAIN "?p=" PASSWORD "&v=1&ih=" DOMAIN
			   "&ip=443&is=ssl&sh=" DOMAIN "&sp=443&ss=ssl&ic=1");
	bob =
	    client_by_link("dclogin:bob123456@" DOMAIN "?p=" PASSWORD "&v=1&ih=" DOMAIN
			   "&ip=443&is=ssl&sh=" DOMAIN "&sp=443&ss=ssl&ic=1");
	meet_and_talk(alice, bob);
	deltachat_stop(alice);
	deltachat_stop(bob);
}

/* ---------------------------------------------------------------------------------- */

static void make_world(const char *program)
{
	strcpy(world.dir, "/run/chatmail-contact-XXXXXX");
	if (!mkdtemp(world.dir))
		err(1, "%s", world.dir);
	world.program = program;
	trust_make(world.dir, program, DOMAIN);
	snprintf(world.client, sizeof(world.client), "%s/client", world.dir);
}

static int run_at(const char *group, const char *ports,
    const struct support_test *tests, size_t ntests)
{
	char options[512];
	int failed;

	snprintf(options, sizeof(options), "--domain " DOMAIN " --tls %s %s", world.dir,
	    ports);
	private_up(&world.relay, options);
	failed = support_run(group, tests, ntests);
	private_down(&world.relay);
	return failed;
}

int main(void)
{
	static const struct support_test open_tests[] = {
		{ SUPPORT_TEST(page_has_the_link) },
		{ SUPPORT_TEST(strangers_authority_is_refused) },
		{ SUPPORT_TEST(by_the_pages_link_and_by_name) },
		{ SUPPORT_TEST(by_address_with_autoconfig) },
		{ SUPPORT_TEST(by_name_without_http) },
		{ SUPPORT_TEST(full_relay_tells_why) },
	};
	static const struct support_test narrow_tests[] = {
		{ SUPPORT_TEST(mail_ports_are_closed) },
		{ SUPPORT_TEST(by_the_pages_link_through_443) },
		{ SUPPORT_TEST(by_login_link_through_443) },
	};
	const char *program = getenv("CHATMAIL_CLIENT");
	int failed;

	if (!private_possible() || !network_alone(DOMAIN))
		return PRIVATE_SKIPPED;
	if (!program)
		errx(1, "CHATMAIL_CLIENT is not set: run me by meson test");
	make_world(program);
	failed = run_at(
	    "contact", ALL_PORTS DNS_AND_HTTPS, open_tests, ARRAY_LEN(open_tests));
	failed += run_at("contact through port 443", DNS_AND_HTTPS, narrow_tests,
	    ARRAY_LEN(narrow_tests));
	if (failed == 0)
		run("rm -rf %s", world.dir);
	return failed;
}
