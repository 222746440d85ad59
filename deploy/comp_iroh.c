/*
 * The iroh relay: where apps between devices meet when they cannot reach each other. nginx
 * is its only client.
 */
#include "deploy/component.h"

#define UNIT "iroh-relay.service"

#define URL     "https://github.com/n0-computer/iroh/releases/download/v0.35.0/"
#define PROGRAM "/usr/local/bin/iroh-relay"

static const struct wanted_binary binaries[] = {
	{
	    .path = PROGRAM,
	    .arch = "x86_64",
	    .url = URL "iroh-relay-v0.35.0-x86_64-unknown-linux-musl.tar.gz",
	    .member = "./iroh-relay",
	    .sha256 =
		"45c81199dbd70f8c4c30fef7f3b9727ca6e3cea8f2831333eeaf8aa71bf0fac1",
	    .effects = { .restart = UNIT },
	},
	{
	    .path = PROGRAM,
	    .arch = "aarch64",
	    .url = URL "iroh-relay-v0.35.0-aarch64-unknown-linux-musl.tar.gz",
	    .member = "./iroh-relay",
	    .sha256 =
		"f8ef27631fac213b3ef668d02acd5b3e215292746a3fc71d90c63115446008b1",
	    .effects = { .restart = UNIT },
	},
};

static const struct component_file files[] = {
	{ .path = "/etc/iroh-relay.toml", .effects = { .restart = UNIT } },
	{ .path = "/etc/systemd/system/" UNIT, .effects = { .restart = UNIT } },
};

static bool want(struct relay *r, struct wanted *w)
{
	if (r->config->iroh != IROH_LOCAL) {
		want_unit(w, UNIT, UNIT_STOPPED);
		return true;
	}
	want_group(w, "iroh");
	want_user(w, "iroh", "iroh", "/nonexistent");
	for (size_t i = 0; i < sizeof(binaries) / sizeof(binaries[0]); i++)
		want_binary(w, &binaries[i]);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		if (!component_file(r, w, "iroh", &files[i]))
			return false;
	}
	want_unit(w, UNIT, UNIT_RUNNING);
	return true;
}

const struct component iroh_component = { "iroh", want };
