/*
 * The echo bot's talk: events name messages, each of them becomes a task, a chain of calls
 * from a look at it to its removal. What a call refuses ends its task only.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "chatmaild/echobot_private.h"
#include "chatmaild/log.h"
#include "milter/ratelimit.h"

static int64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void task_end(struct echobot_task *t)
{
	echobot_message_deinit(&t->message);
	t->id = 0;
}

/* Takes params. */
static void ask(
    struct echobot_task *t, const char *method, json_t *params, rpc_done *done)
{
	rpc_call(t->bot->rpc, method, params, t->bot->timing->call_s, done, t);
}

static void on_deleted(void *arg, const json_t *result, const char *why)
{
	task_end(arg);
}

/* What is done with leaves the client's database and the mailbox. */
static void task_delete(struct echobot_task *t)
{
	ask(t, "delete_messages", json_pack("[I, [I]]", t->bot->id, t->id), on_deleted);
}

static void on_sent(void *arg, const json_t *result, const char *why)
{
	struct echobot_task *t = arg;
	struct echobot_counters *c = &t->bot->counters;

	if (!result) {
		c->broken++;
		log_info("echobot: a message could not be answered: %s", why);
	} else if (t->help) {
		c->helped++;
	} else {
		c->echoed++;
	}
	task_delete(t);
}

/* A contact who asks for too much costs the others nothing. */
static bool may_answer(struct echobot_task *t)
{
	struct echobot *b = t->bot;
	char sender[32];
	int64_t wait, now = now_us();

	snprintf(sender, sizeof(sender), "%lld", (long long)t->message.sender);
	return ratelimit_take(b->each, span_of(sender), now, &wait) &&
	       ratelimit_take(b->all, span_of("all"), now, &wait);
}

static void task_answer(struct echobot_task *t)
{
	json_t *answer = t->message.answer;

	if (!may_answer(t)) {
		t->bot->counters.limited++;
		task_delete(t);
		return;
	}
	t->message.answer = NULL;
	ask(t, "send_msg", json_pack("[I, I, o]", t->bot->id, t->message.chat, answer),
	    on_sent);
}

static void on_accepted(void *arg, const json_t *result, const char *why)
{
	task_answer(arg);
}

static void on_chat(void *arg, const json_t *result, const char *why)
{
	struct echobot_task *t = arg;

	if (!result || !echobot_chat_is_ours(result)) {
		t->bot->counters.ignored++;
		task_delete(t);
	} else if (json_is_true(json_object_get(result, "isContactRequest"))) {
		ask(t, "accept_chat", json_pack("[I, I]", t->bot->id, t->message.chat),
		    on_accepted);
	} else {
		task_answer(t);
	}
}

static void on_message(void *arg, const json_t *result, const char *why);

static void task_look(struct echobot_task *t)
{
	t->waiting = false;
	ask(t, "get_message", json_pack("[I, I]", t->bot->id, t->id), on_message);
}

static void on_fetching(void *arg, const json_t *result, const char *why)
{
	struct echobot_task *t = arg;

	t->waiting = true;
}

static void task_fetch(struct echobot_task *t)
{
	t->waiting = t->fetching;
	if (t->fetching)
		return;
	t->fetching = true;
	ask(t, "download_full_message", json_pack("[I, I]", t->bot->id, t->id),
	    on_fetching);
}

static void on_message(void *arg, const json_t *result, const char *why)
{
	struct echobot_task *t = arg;
	struct echobot *b = t->bot;
	enum echobot_verdict verdict =
	    echobot_judge(result, t->age < b->timing->await_s, &t->message);

	switch (verdict) {
	case ECHOBOT_IGNORE:
		b->counters.ignored++;
		task_end(t);
		break;
	case ECHOBOT_AWAIT:
		t->waiting = true;
		break;
	case ECHOBOT_FETCH:
		task_fetch(t);
		break;
	case ECHOBOT_ECHO:
	case ECHOBOT_SAY_HELP:
		t->help = verdict == ECHOBOT_SAY_HELP;
		ask(t, "get_basic_chat_info",
		    json_pack("[I, I]", b->id, t->message.chat), on_chat);
		break;
	}
}

/* The place of message id, or with 0 a free one; or NULL. */
static struct echobot_task *task_of(struct echobot *b, json_int_t id)
{
	for (struct echobot_task *t = b->tasks; t < b->tasks + ECHOBOT_TASKS_MAX; t++)
		if (t->id == id)
			return t;
	return NULL;
}

static void on_incoming(struct echobot *b, json_int_t id)
{
	struct echobot_task *t;

	if (id <= 0 || task_of(b, id))
		return;
	t = task_of(b, 0);
	if (!t) {
		b->counters.dropped++;
		return;
	}
	*t = (struct echobot_task){ .bot = b, .id = id };
	task_look(t);
}

static void ask_for_event(struct echobot *b);

static void on_event(void *arg, const json_t *result, const char *why)
{
	struct echobot *b = arg;
	const json_t *event = json_object_get(result, "event");
	const char *kind = json_string_value(json_object_get(event, "kind"));

	b->awaiting_event = false;
	if (!kind && why != rpc_too_long) {
		echobot_give_up(
		    b, why ? why : "get_next_event: an answer of another kind");
		return;
	}
	b->nevents++;
	if (kind && strcmp(kind, "IncomingMsg") == 0)
		on_incoming(b, json_integer_value(json_object_get(event, "msgId")));
	ask_for_event(b);
}

/* Beyond the most of a second the next one has to wait for the tick. */
static void ask_for_event(struct echobot *b)
{
	if (b->awaiting_event || b->nevents >= ECHOBOT_EVENTS_MAX)
		return;
	b->awaiting_event = true;
	rpc_call(b->rpc, "get_next_event", json_array(), 0, on_event, b);
}

static void on_look(void *arg, const json_t *result, const char *why)
{
}

void echobot_talk_begin(struct echobot *b)
{
	unsigned per_minute = (unsigned)b->daemon->config->max_user_send_per_minute;

	ratelimit_configure(b->each, ECHOBOT_PER_MINUTE, ECHOBOT_BURST);
	ratelimit_configure(
	    b->all, per_minute, (unsigned)b->daemon->config->max_user_send_burst_size);
	b->nevents = 0;
	ask_for_event(b);
}

/* It need not say more than that it lives. */
static void look(struct echobot *b)
{
	b->silent_s = 0;
	rpc_call(b->rpc, "get_connectivity", json_pack("[I]", b->id), b->timing->call_s,
	    on_look, b);
}

void echobot_talk_tick(struct echobot *b)
{
	for (struct echobot_task *t = b->tasks; t < b->tasks + ECHOBOT_TASKS_MAX; t++) {
		if (!t->id || !t->waiting)
			continue;
		t->age++;
		task_look(t);
	}
	if (++b->silent_s >= b->timing->look_s)
		look(b);
	b->nevents = 0;
	ask_for_event(b);
}

void echobot_talk_end(struct echobot *b)
{
	for (struct echobot_task *t = b->tasks; t < b->tasks + ECHOBOT_TASKS_MAX; t++)
		if (t->id)
			task_end(t);
	b->awaiting_event = false;
	b->silent_s = 0;
}
