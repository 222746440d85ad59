/*
 * The echo bot's client: Delta Chat's program without a screen, which systemd starts for
 * the daemon, at a socket. A server that cannot get it is a relay all the same.
 */
#include "deploy/component.h"

#define SOCKET  "chatmail-echobot.socket"
#define PATH    "unix:/run/chatmail-echobot/rpc.sock" /* as the unit says */
#define DAEMON  "chatmaild.service"
#define PROGRAM "/usr/local/bin/deltachat-rpc-server"
#define URL     "https://github.com/chatmail/core/releases/download/v2.57.0/"

/* A running client goes with its socket; the daemon calls again, at once if it had given up
 * for a while. */
static const struct wanted_binary binaries[] = {
	{
	    .path = PROGRAM,
	    .arch = "x86_64",
	    .url = URL "deltachat-rpc-server-x86_64-linux",
	    .sha256 =
		"a573a30136698ef50df499e70ec9596bdbc0490c544631b2e18883eb16b9b5e6",
	    .optional = 1,
	    .effects = { .restart = SOCKET, .reload = DAEMON },
	},
	{
	    .path = PROGRAM,
	    .arch = "aarch64",
	    .url = URL "deltachat-rpc-server-aarch64-linux",
	    .sha256 =
		"e9d09f104ec50372d42ee6338aa9478d51262c4f8e8748c1cbf019c41aa54362",
	    .optional = 1,
	    .effects = { .restart = SOCKET, .reload = DAEMON },
	},
};

static const struct component_file files[] = {
	{ .path = "/etc/systemd/system/" SOCKET, .effects = { .restart = SOCKET } },
	{ .path = "/etc/systemd/system/chatmail-echobot@.service",
	    .effects = { .restart = SOCKET } },
};

/* A socket elsewhere is of a client that somebody else starts. */
static bool want(struct relay *r, struct wanted *w)
{
	if (!r->config->echobot || strcmp(r->config->echobot_socket.text, PATH) != 0) {
		want_unit(w, SOCKET, UNIT_STOPPED);
		return true;
	}
	want_group(w, "echobot");
	want_user(w, "echobot", "echobot", "/nonexistent");
	for (size_t i = 0; i < sizeof(binaries) / sizeof(binaries[0]); i++)
		want_binary(w, &binaries[i]);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		if (!component_file(r, w, "echobot", &files[i]))
			return false;
	}
	want_unit(w, SOCKET, UNIT_RUNNING);
	return true;
}

const struct component echobot_component = { "echobot", want };
