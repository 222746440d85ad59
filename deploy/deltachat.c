/*
 * One child, two pipes. A request for the next event is always under way, so that
 * events gather in `events` while a call waits for its reply.
 */
#include "deploy/deltachat.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "deploy/host_child.h"
#include "deploy/host_signal.h"
#include "deploy/rpc.h"

#define DELTACHAT_TIMEOUT_MS 30000
#define DELTACHAT_STOP_MS    3000
#define DELTACHAT_ERROR_MAX  2048
#define READ_SIZE            65536

struct deltachat {
	pid_t pid;
	int in, out; /* the child's standard input and output */
	int timeout_ms;
	uint32_t account; /* 0 before the first login */

	struct text came; /* what was read and is not done with */

	uint64_t last_id,
	    event_id;      /* ids of requests; event_id is 0 when none is out */
	json_t *events;    /* array, oldest first */
	char trouble[512]; /* the client's last warning or error */
	char error[DELTACHAT_ERROR_MAX];
	char log_path[PATH_MAX];
};

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

__attribute__((format(printf, 2, 3))) static void fail(
    struct deltachat *dc, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(dc->error, sizeof dc->error, format, ap);
	va_end(ap);
}

/* The child is gone: say so with the end of what it wrote to stderr. */
static void fail_dead(struct deltachat *dc)
{
	char tail[1024];
	size_t n = 0;
	FILE *f = fopen(dc->log_path, "re");

	if (f) {
		if (fseek(f, -(long)(sizeof tail - 1), SEEK_END) != 0)
			rewind(f);
		n = fread(tail, 1, sizeof tail - 1, f);
		fclose(f);
	}
	while (n > 0 && tail[n - 1] == '\n')
		n--;
	tail[n] = '\0';
	fail(dc, "the client process ended%s%s", n > 0 ? ": " : "", tail);
}

static int write_all(struct deltachat *dc, const char *p, size_t len)
{
	while (len > 0) {
		ssize_t n = write(dc->in, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			fail_dead(dc);
			return -1;
		}
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Send a request; takes params. Its id, or 0. */
static uint64_t request(struct deltachat *dc, const char *method, json_t *params)
{
	uint64_t id = ++dc->last_id;
	char *line = rpc_request(id, method, params);
	int rc = write_all(dc, line, strlen(line));

	free(line);
	return rc == 0 ? id : 0;
}

/* Clients log a relay's temporary refusal as mere information. */
static bool tells_trouble(const char *kind, const char *msg)
{
	return strcmp(kind, "Warning") == 0 || strcmp(kind, "Error") == 0 ||
	       (strcmp(kind, "Info") == 0 && strstr(msg, "failed"));
}

/* Keep an event if it may be waited for, or else the last words of trouble. */
static void keep_event(struct deltachat *dc, json_t *event)
{
	const char *kind = json_string_value(json_object_get(event, "kind"));
	const char *msg = json_string_value(json_object_get(event, "msg"));

	if (kind && msg && tells_trouble(kind, msg))
		snprintf(dc->trouble, sizeof dc->trouble, "%s", msg);
	else if (kind && strcmp(kind, "Info") != 0)
		json_array_append(dc->events, event);
}

/* Not for a batch of them: older clients, such as a phone's may be, have no call for it. */
static int ask_for_event(struct deltachat *dc)
{
	if (dc->event_id == 0)
		dc->event_id = request(dc, "get_next_event", json_array());
	return dc->event_id != 0 ? 0 : -1;
}

/* Read what is there, waiting until the deadline. 0, or -1 with the reason. */
static int fill(struct deltachat *dc, int64_t deadline)
{
	struct pollfd p = { .fd = dc->out, .events = POLLIN };
	int64_t left = deadline - now_ms();
	char bytes[READ_SIZE];
	ssize_t n;
	int ready = poll(&p, 1, left > 0 ? (int)left : 0);

	if (ready < 0 && errno == EINTR && host_signals_caught() == 0)
		return 0;
	if (ready < 0) {
		fail(dc, "interrupted");
		return -1;
	}
	if (ready == 0) {
		fail(dc, "no answer in time%s%s",
		    dc->trouble[0] ? "; the client said: " : "", dc->trouble);
		return -1;
	}
	n = read(dc->out, bytes, sizeof bytes);
	if (n <= 0) {
		fail_dead(dc);
		return -1;
	}
	text_add_span(&dc->came, span_make(bytes, (size_t)n));
	return 0;
}

/* The next answer, waiting until the deadline. 0, or -1 with the reason. */
static int next_answer(struct deltachat *dc, int64_t deadline, struct rpc_answer *a)
{
	for (;;) {
		switch (rpc_take(&dc->came, a)) {
		case RPC_ANSWER:
			return 0;
		case RPC_ENDLESS:
			fail(dc, "the client sent an endless line");
			return -1;
		case RPC_MORE:
			if (fill(dc, deadline) < 0)
				return -1;
		}
	}
}

/*
 * The next answer to a call; or, if events will do, an empty one as soon as there are any.
 * Events are kept on the way.
 */
static int next_reply(
    struct deltachat *dc, int64_t deadline, bool events_will_do, struct rpc_answer *a)
{
	while (next_answer(dc, deadline, a) == 0) {
		if (a->id != dc->event_id)
			return 0;
		dc->event_id = 0;
		keep_event(dc, json_object_get(a->result, "event"));
		rpc_answer_deinit(a);
		if (ask_for_event(dc) < 0)
			return -1;
		if (events_will_do && json_array_size(dc->events) > 0)
			return 0;
	}
	return -1;
}

json_t *deltachat_call(struct deltachat *dc, const char *method, json_t *params)
{
	int64_t deadline = now_ms() + dc->timeout_ms;
	uint64_t id = request(dc, method, params);
	struct rpc_answer a;

	if (id == 0)
		return NULL;
	while (next_reply(dc, deadline, false, &a) == 0) {
		json_t *result = json_incref(a.result);
		bool ours = a.id == id;

		if (ours && a.complaint)
			fail(dc, "%s: %s", method, a.complaint);
		rpc_answer_deinit(&a);
		if (ours)
			return result;
		json_decref(result);
	}
	return NULL;
}

/* A message that was not sent and will not be: the reason is in the message. */
static void fail_message(struct deltachat *dc, const json_t *event)
{
	json_t *m = deltachat_call(dc, "get_message",
	    json_pack(
		"[I, O]", (json_int_t)dc->account, json_object_get(event, "msgId")));
	const char *why = json_string_value(json_object_get(m, "error"));

	fail(dc, "a message was not sent: %s", why ? why : "no reason given");
	json_decref(m);
}

json_t *deltachat_wait(struct deltachat *dc, const char *kind)
{
	int64_t deadline = now_ms() + dc->timeout_ms;
	struct rpc_answer a;

	if (ask_for_event(dc) < 0)
		return NULL;
	for (;;) {
		while (json_array_size(dc->events) > 0) {
			json_t *event = json_incref(json_array_get(dc->events, 0));
			const char *k =
			    json_string_value(json_object_get(event, "kind"));

			json_array_remove(dc->events, 0);
			if (strcmp(k, kind) == 0)
				return event;
			if (strcmp(k, "MsgFailed") == 0) {
				fail_message(dc, event);
				json_decref(event);
				return NULL;
			}
			json_decref(event);
		}
		if (next_reply(dc, deadline, true, &a) < 0)
			return NULL;
		rpc_answer_deinit(&a);
	}
}

static void run_child(
    const struct deltachat_program *program, int in, int out, int log, const char *data)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 ||
	    dup2(log, STDERR_FILENO) < 0 || setenv("DC_ACCOUNTS_PATH", data, 1) < 0)
		_exit(126);
	setenv("RUST_LOG", "error", 1);
	if (program->run)
		program->run(program->arg);
	execlp(program->server, program->server, (char *)NULL);
	dprintf(STDERR_FILENO, "cannot run %s: %s\n", program->server, strerror(errno));
	_exit(127);
}

struct deltachat *deltachat_start(
    const struct deltachat_program *program, const char *dir, const char *name)
{
	struct deltachat *dc = calloc(1, sizeof *dc);
	char data[PATH_MAX];
	int in[2] = { -1, -1 }, out[2] = { -1, -1 }, log = -1, error;

	if (!dc)
		return NULL;
	signal(SIGPIPE, SIG_IGN); /* a child that died shows at write() */
	dc->timeout_ms = DELTACHAT_TIMEOUT_MS;
	snprintf(data, sizeof data, "%s/%s", dir, name);
	snprintf(dc->log_path, sizeof dc->log_path, "%s/%s.log", dir, name);
	log = open(dc->log_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (log < 0 || pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0)
		goto fail;
	dc->pid = fork();
	if (dc->pid == 0)
		run_child(program, in[0], out[1], log, data);
	if (dc->pid < 0)
		goto fail;
	close(in[0]);
	close(out[1]);
	close(log);
	dc->in = in[1];
	dc->out = out[0];
	dc->events = json_array();
	return dc;
fail:
	error = errno;
	for (int i = 0; i < 2; i++) {
		child_close(&in[i]);
		child_close(&out[i]);
	}
	child_close(&log);
	errno = error;
	free(dc);
	return NULL;
}

void deltachat_stop(struct deltachat *dc)
{
	int64_t deadline = now_ms() + DELTACHAT_STOP_MS;
	const struct timespec pause = { .tv_nsec = 10000000 };

	if (!dc)
		return;
	close(dc->in); /* end of input ends the server */
	while (waitpid(dc->pid, NULL, WNOHANG) == 0) {
		if (now_ms() > deadline)
			kill(dc->pid, SIGKILL);
		nanosleep(&pause, NULL);
	}
	close(dc->out);
	json_decref(dc->events);
	text_free(&dc->came);
	free(dc);
}

const char *deltachat_error(const struct deltachat *dc)
{
	return dc->error;
}

const char *deltachat_trouble(struct deltachat *dc)
{
	int64_t now = now_ms();
	struct rpc_answer a;

	while (ask_for_event(dc) == 0 && next_reply(dc, now, true, &a) == 0) {
		rpc_answer_deinit(&a);
		json_array_clear(dc->events);
	}
	return dc->trouble;
}

void deltachat_set_timeout(struct deltachat *dc, int timeout_ms)
{
	dc->timeout_ms = timeout_ms;
}

/* Whether method did it; takes params. */
static int act(struct deltachat *dc, const char *method, json_t *params)
{
	json_t *r = deltachat_call(dc, method, params);

	json_decref(r);
	return r ? 0 : -1;
}

static int add_account(struct deltachat *dc)
{
	json_t *r = deltachat_call(dc, "add_account", json_array());

	if (!r)
		return -1;
	dc->account = (uint32_t)json_integer_value(r);
	json_decref(r);
	return 0;
}

static int go_online(struct deltachat *dc)
{
	json_t *r;

	if (act(dc, "start_io", json_pack("[I]", (json_int_t)dc->account)) < 0)
		return -1;
	r = deltachat_wait(dc, "ImapInboxIdle");
	json_decref(r);
	return r ? 0 : -1;
}

int deltachat_follow(struct deltachat *dc, const char *link)
{
	if (add_account(dc) < 0 ||
	    act(dc, "add_transport_from_qr",
		json_pack("[I, s]", (json_int_t)dc->account, link)) < 0)
		return -1;
	return go_online(dc);
}

/* text as a value in a link, malloc()ed. */
static char *escape(const char *text)
{
	char *escaped = malloc(3 * strlen(text) + 1), *at = escaped;

	if (!escaped)
		abort();
	for (*at = '\0'; *text; text++)
		at += sprintf(at, isalnum((unsigned char)*text) ? "%c" : "%%%02X",
		    (unsigned char)*text);
	return escaped;
}

int deltachat_login(struct deltachat *dc, const struct deltachat_relay *relay,
    const char *address, const char *password)
{
	char link[1024], *secret = escape(password);

	snprintf(link, sizeof link,
	    "dclogin:%s?p=%s&v=1&ih=%s&ip=%u&is=ssl&sh=%s&sp=%u&ss=ssl&ic=3", address,
	    secret, relay->host, relay->imap_port, relay->host, relay->smtp_port);
	free(secret);
	return deltachat_follow(dc, link);
}

int deltachat_find(struct deltachat *dc, const char *address, const char *password)
{
	if (add_account(dc) < 0 ||
	    act(dc, "add_or_update_transport",
		json_pack("[I, {s:s, s:s}]", (json_int_t)dc->account, "addr", address,
		    "password", password)) < 0)
		return -1;
	return go_online(dc);
}

/* The result of a call that is a string, malloc()ed, or NULL. Takes params. */
static char *call_for_text(struct deltachat *dc, const char *method, json_t *params)
{
	json_t *r = deltachat_call(dc, method, params);
	char *text = json_is_string(r) ? strdup(json_string_value(r)) : NULL;

	if (r && !text)
		fail(dc, "%s: no text", method);
	json_decref(r);
	return text;
}

char *deltachat_config(struct deltachat *dc, const char *key)
{
	return call_for_text(
	    dc, "get_config", json_pack("[I, s]", (json_int_t)dc->account, key));
}

/* No event tells of it. */
char *deltachat_stored_token(struct deltachat *dc)
{
	const struct timespec pause = { .tv_nsec = 20000000 };
	int64_t deadline = now_ms() + dc->timeout_ms;
	char *state;

	while ((state = call_for_text(
		    dc, "get_push_state", json_pack("[I]", (json_int_t)dc->account)))) {
		bool stored = strcmp(state, "Connected") == 0;

		free(state);
		if (stored)
			return deltachat_config(dc, "encrypted_device_token");
		if (now_ms() > deadline) {
			fail(dc, "the token was not stored in time%s%s",
			    dc->trouble[0] ? "; the client said: " : "", dc->trouble);
			return NULL;
		}
		nanosleep(&pause, NULL);
	}
	return NULL;
}

char *deltachat_address(struct deltachat *dc)
{
	return deltachat_config(dc, "configured_addr");
}

char *deltachat_invite(struct deltachat *dc)
{
	return call_for_text(dc, "get_chat_securejoin_qr_code",
	    json_pack("[I, n]", (json_int_t)dc->account));
}

uint32_t deltachat_join(struct deltachat *dc, const char *invitation)
{
	json_t *r = deltachat_call(dc, "secure_join",
	    json_pack("[I, s]", (json_int_t)dc->account, invitation));
	uint32_t chat = (uint32_t)json_integer_value(r);

	json_decref(r);
	return chat;
}

/* Wait for the last step of a SecureJoin: its event, or NULL. */
static json_t *wait_for_progress(struct deltachat *dc, const char *kind)
{
	json_t *event;

	while ((event = deltachat_wait(dc, kind))) {
		json_int_t progress =
		    json_integer_value(json_object_get(event, "progress"));

		if (progress == 1000)
			return event;
		json_decref(event);
		if (progress == 0) {
			fail(dc, "SecureJoin failed%s%s", dc->trouble[0] ? ": " : "",
			    dc->trouble);
			return NULL;
		}
	}
	return NULL;
}

int deltachat_joined(struct deltachat *dc)
{
	json_t *event = wait_for_progress(dc, "SecurejoinJoinerProgress");

	json_decref(event);
	return event ? 0 : -1;
}

int deltachat_invited(struct deltachat *dc, uint32_t *chat, uint32_t *contact)
{
	json_t *event = wait_for_progress(dc, "SecurejoinInviterProgress");

	if (!event)
		return -1;
	*chat = (uint32_t)json_integer_value(json_object_get(event, "chatId"));
	*contact = (uint32_t)json_integer_value(json_object_get(event, "contactId"));
	json_decref(event);
	return 0;
}

uint32_t deltachat_send(
    struct deltachat *dc, uint32_t chat, const char *text, const char *file)
{
	json_t *data = json_pack("{s:s}", "text", text);
	json_t *r;
	uint32_t id;

	if (file)
		json_object_set_new(data, "file", json_string(file));
	r = deltachat_call(dc, "send_msg",
	    json_pack("[I, I, o]", (json_int_t)dc->account, (json_int_t)chat, data));
	id = (uint32_t)json_integer_value(r);
	json_decref(r);
	return id;
}

void deltachat_message_deinit(struct deltachat_message *m)
{
	free(m->text);
	free(m->file);
	*m = (struct deltachat_message){ 0 };
}

static int read_message(struct deltachat *dc, uint32_t id, struct deltachat_message *m)
{
	json_t *r = deltachat_call(dc, "get_message",
	    json_pack("[I, I]", (json_int_t)dc->account, (json_int_t)id));
	const char *text, *file, *state;

	if (!r)
		return -1;
	text = json_string_value(json_object_get(r, "text"));
	file = json_string_value(json_object_get(r, "file"));
	state = json_string_value(json_object_get(r, "downloadState"));
	*m = (struct deltachat_message){
		.id = id,
		.chat = (uint32_t)json_integer_value(json_object_get(r, "chatId")),
		.encrypted = json_is_true(json_object_get(r, "showPadlock")),
		.pending = state && strcmp(state, "Done") != 0,
		.text = strdup(text ? text : ""),
		.file = file ? strdup(file) : NULL,
	};
	json_decref(r);
	return 0;
}

int deltachat_receive(struct deltachat *dc, struct deltachat_message *m)
{
	json_t *event = deltachat_wait(dc, "IncomingMsg");
	uint32_t id = (uint32_t)json_integer_value(json_object_get(event, "msgId"));

	json_decref(event);
	return event ? read_message(dc, id, m) : -1;
}

int deltachat_fetch(struct deltachat *dc, struct deltachat_message *m)
{
	while (m->pending) {
		uint32_t id = m->id;
		json_t *event = deltachat_wait(dc, "MsgsChanged");

		if (!event)
			return -1;
		json_decref(event);
		deltachat_message_deinit(m);
		if (read_message(dc, id, m) < 0)
			return -1;
	}
	return 0;
}
