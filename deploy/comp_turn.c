/*
 * The TURN server, for calls: chatmail's small one, which tells the daemon credentials by a
 * socket; or Debian's coturn, where the ini has the secret that both know.
 */
#include "deploy/component.h"

#define HELPER           "turnserver.service"
#define HELPER_DIRECTORY "/run/chatmail-turn/" /* which the unit makes */
#define COTURN           "coturn.service"

#define URL     "https://github.com/chatmail/chatmail-turn/releases/download/v0.4/"
#define PROGRAM "/usr/local/bin/chatmail-turn"

static const struct wanted_binary binaries[] = {
	{
	    .path = PROGRAM,
	    .arch = "x86_64",
	    .url = URL "chatmail-turn-x86_64-linux",
	    .sha256 =
		"1ec1f5c50122165e858a5a91bcba9037a28aa8cb8b64b8db570aa457c6141a8a",
	    .effects = { .restart = HELPER },
	},
	{
	    .path = PROGRAM,
	    .arch = "aarch64",
	    .url = URL "chatmail-turn-aarch64-linux",
	    .sha256 =
		"0fb3e792419494e21ecad536464929dba706bb2c88884ed8f1788141d26fc756",
	    .effects = { .restart = HELPER },
	},
};

static bool want_helper(struct relay *r, struct wanted *w)
{
	static const struct component_file unit = {
		.path = "/etc/systemd/system/" HELPER,
		.effects = { .restart = HELPER },
	};

	for (size_t i = 0; i < sizeof(binaries) / sizeof(binaries[0]); i++)
		want_binary(w, &binaries[i]);
	if (!component_file(r, w, "turn", &unit))
		return false;
	want_unit(w, COTURN, UNIT_STOPPED); /* first: both want the port */
	want_unit(w, HELPER, UNIT_RUNNING);
	return true;
}

static bool want_coturn(struct relay *r, struct wanted *w)
{
	static const struct component_file files[] = {
		{ .path = "/etc/turnserver.conf",
		    .group = "turnserver",
		    .mode = 0640,
		    .flags = FILE_SECRET,
		    .effects = { .restart = COTURN } },
		{ .path = "/etc/systemd/system/" COTURN ".d/chatmail.conf",
		    .effects = { .restart = COTURN } },
	};

	want_package(w, "coturn");
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		if (!component_file(r, w, "turn", &files[i]))
			return false;
	}
	want_unit(w, HELPER, UNIT_STOPPED);
	want_unit(w, COTURN, UNIT_RUNNING);
	return true;
}

static bool is_plain_path(const char *path)
{
	return path[strspn(path, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				 "0123456789._-/")] == '\0';
}

/* A socket elsewhere is of a helper that somebody else runs. */
static bool want(struct relay *r, struct wanted *w)
{
	const char *socket = r->config->turn_socket_path;

	if (*r->config->turn_secret)
		return want_coturn(r, w);
	if (strncmp(socket, HELPER_DIRECTORY, strlen(HELPER_DIRECTORY)) == 0 &&
	    is_plain_path(socket))
		return want_helper(r, w);
	want_unit(w, HELPER, UNIT_STOPPED);
	return true;
}

const struct component turn_component = { "turn", want };
