/*
 * A chat client, driven: what a program says over its pipes, and how it ends. The program is a
 * shell script that answers as a client would.
 */
#include "deploy/deltachat.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "deploy/chat.h"
#include "deploy/host_signal.h"
#include "deploy/text.h"
#include "test/support.h"

/* Reads requests, of which "$id" and "$method" are taken; then the case says what to do. */
#define HEAD                                                                           \
	"#!/bin/sh\n"                                                                  \
	"say() { printf '{\"jsonrpc\":\"2.0\",\"id\":%s,%s}\\n' \"$1\" \"$2\"; }\n"    \
	"event() { say $id '\"result\":{\"event\":{'\"$1\"'}}'; }\n"                   \
	"while read -r line; do\n"                                                     \
	"	id=${line#*\\\"id\\\":} id=${id%%,*}\n"                                      \
	"	method=${line#*\\\"method\\\":\\\"} method=${method%%\\\"*}\n"               \
	"	case $method in\n"
#define TAIL                                                                           \
	"	*) say $id '\"error\":{\"message\":\"no '$method'\"}' ;;\n"                  \
	"	esac\n"                                                                      \
	"done\n"

#define ACCOUNT "	add_account) say $id '\"result\":7' ;;\n"
#define ONLINE  "	add_transport_from_qr | start_io) say $id '\"result\":null' ;;\n"
/* All events in turn; then silence. */
#define EVENTS                                                                         \
	"	get_next_event) n=$((n + 1))\n"                                              \
	"		case $n in\n"                                                               \
	"		1) event '\"kind\":\"Info\",\"msg\":\"hello\"' ;;\n"                        \
	"		2) event '\"kind\":\"Warning\",\"msg\":\"it thunders\"' ;;\n"               \
	"		3) event '\"kind\":\"ImapInboxIdle\"' ;;\n"                                 \
	"		4) event '\"kind\":\"IncomingMsg\",\"msgId\":12' ;;\n"                      \
	"		esac ;;\n"

struct world {
	char *dir, *program;
	struct deltachat *client;
};

static struct world begin(const char *cases)
{
	struct world w = { .dir = support_tmpdir() };
	struct deltachat_program program;
	struct text script = { 0 };

	w.program = support_path(w.dir, "client.sh");
	text_add(&script, HEAD);
	text_add(&script, cases);
	text_add(&script, TAIL);
	support_write_file(w.program, text_span(&script));
	text_free(&script);
	assert_int_equal(chmod(w.program, 0700), 0);
	program = (struct deltachat_program){ .server = w.program };
	w.client = deltachat_start(&program, w.dir, "alice");
	assert_non_null(w.client);
	return w;
}

static void end(struct world *w)
{
	deltachat_stop(w->client);
	free(w->program);
	support_tmpdir_remove(w->dir);
}

static void answers(void **state)
{
	struct world w = begin("	one) say 99 '\"result\":0'; echo noise\n"
			       "		say $id '\"result\":1' ;;\n"
			       "	nothing) say $id '\"result\":null' ;;\n");
	json_t *r = deltachat_call(w.client, "one", json_array());

	assert_int_equal(json_integer_value(r), 1);
	json_decref(r);
	r = deltachat_call(w.client, "nothing", json_array());
	assert_true(json_is_null(r));
	assert_null(deltachat_call(w.client, "dance", json_array()));
	assert_string_equal(deltachat_error(w.client), "dance: no dance");
	end(&w);
}

static void logs_in_and_receives(void **state)
{
	struct world w = begin(ACCOUNT ONLINE EVENTS
	    "	get_message) say $id '\"result\":{\"text\":\"hi\",\"chatId\":3,"
	    "\"showPadlock\":true}' ;;\n");
	struct deltachat_message m;

	assert_int_equal(deltachat_follow(w.client, "dcaccount:x"), 0);
	assert_string_equal(deltachat_trouble(w.client), "it thunders");
	end(&w);
	w = begin(ACCOUNT ONLINE EVENTS
	    "	get_message) say $id '\"result\":{\"text\":\"hi\",\"chatId\":3,"
	    "\"showPadlock\":true}' ;;\n");
	assert_int_equal(deltachat_follow(w.client, "dcaccount:x"), 0);
	assert_int_equal(deltachat_receive(w.client, &m), 0);
	assert_int_equal(m.id, 12);
	assert_int_equal(m.chat, 3);
	assert_true(m.encrypted);
	assert_false(m.pending);
	assert_string_equal(m.text, "hi");
	deltachat_message_deinit(&m);
	end(&w);
}

static void nothing_in_time(void **state)
{
	struct world w =
	    begin(ACCOUNT ONLINE "	get_next_event) [ $((n += 1)) -gt 1 ] || event "
				 "'\"kind\":\"Error\",\"msg\":\"no network\"' ;;\n");

	deltachat_set_timeout(w.client, 1000);
	assert_int_equal(deltachat_follow(w.client, "dcaccount:x"), -1);
	assert_string_equal(deltachat_error(w.client),
	    "no answer in time; the client said: no network");
	end(&w);
}

static void refused_message(void **state)
{
	struct world w = begin(ACCOUNT ONLINE
	    "	get_next_event) event '\"kind\":\"MsgFailed\",\"msgId\":5' ;;\n"
	    "	get_message) say $id '\"result\":{\"error\":\"523\"}' ;;\n");

	assert_int_equal(deltachat_follow(w.client, "dcaccount:x"), -1);
	assert_string_equal(deltachat_error(w.client), "a message was not sent: 523");
	end(&w);
}

static void dies(void **state)
{
	struct world w = begin("	die) echo 'out of luck' >&2; exit 3 ;;\n");

	assert_null(deltachat_call(w.client, "die", json_array()));
	assert_string_equal(
	    deltachat_error(w.client), "the client process ended: out of luck");
	end(&w);
}

static void is_not_there(void **state)
{
	struct deltachat_program program = { .server = "/nowhere/client" };
	char *dir = support_tmpdir();
	struct deltachat *client = deltachat_start(&program, dir, "alice");

	assert_non_null(client);
	assert_null(deltachat_call(client, "one", json_array()));
	assert_non_null(strstr(deltachat_error(client),
	    "cannot run /nowhere/client: No such file or directory"));
	deltachat_stop(client);
	assert_null(deltachat_start(&program, "/nowhere", "alice"));
	assert_int_equal(errno, ENOENT);
	support_tmpdir_remove(dir);
}

/* One that does not hear is killed. */
static void is_stubborn(void **state)
{
	struct world w = begin("	stay) trap '' TERM; say $id '\"result\":1'\n"
			       "		while :; do sleep 0.1; done ;;\n");
	json_t *r = deltachat_call(w.client, "stay", json_array());

	assert_non_null(r);
	json_decref(r);
	end(&w);
}

static void hear(int sig)
{
}

/* A signal that is noted ends what waits. */
static void interrupted(void **state)
{
	struct world w = begin("	wait) kill -INT $PPID ;;\n");
	struct host_signals signals;

	signal(SIGINT, hear); /* it is raised again */
	host_signals_catch(&signals);
	assert_null(deltachat_call(w.client, "wait", json_array()));
	assert_string_equal(deltachat_error(w.client), "interrupted");
	assert_int_equal(host_signals_caught(), SIGINT);
	host_signals_restore(&signals);
	assert_int_equal(host_signals_caught(), 0);
	signal(SIGINT, SIG_DFL);
	end(&w);
}

/* What the other's client said is told, too. */
static void chats_fail(void **state)
{
	struct world
	    a = begin("	get_chat_securejoin_qr_code) say $id '\"result\":\"X\"' ;;\n"
		      "	get_next_event) [ $((n += 1)) -gt 1 ] || event "
		      "'\"kind\":\"Error\",\"msg\":\"no network\"' ;;\n"),
	    b = begin("");
	struct chat c = { { "Alice", a.client, 0 }, { "Bob", b.client, 0 } };
	char error[CHAT_ERROR_MAX];

	/* Her last words are read by the way: she has said them before. */
	assert_null(deltachat_call(a.client, "dance", json_array()));
	deltachat_set_timeout(a.client, 200);
	assert_null(deltachat_wait(a.client, "Nothing"));
	assert_false(chat_meet(&c, error));
	assert_string_equal(error, "Bob: secure_join: no secure_join; the other's "
				   "client said: no network");
	end(&a);
	end(&b);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TEST(answers) },
		{ SUPPORT_TEST(logs_in_and_receives) },
		{ SUPPORT_TEST(nothing_in_time) },
		{ SUPPORT_TEST(refused_message) },
		{ SUPPORT_TEST(dies) },
		{ SUPPORT_TEST(is_not_there) },
		{ SUPPORT_TEST(is_stubborn) },
		{ SUPPORT_TEST(interrupted) },
		{ SUPPORT_TEST(chats_fail) },
	};

	return support_run("deltachat", tests, ARRAY_LEN(tests));
}
