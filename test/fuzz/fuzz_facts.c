/*
 * What a server says of itself: facts or a message, never both. Facts hold what was asked
 * for, in order, and no text is missing; an answer that is cut short is no answer.
 */
#include "deploy/facts.h"
#include "test/fuzz/fuzz.h"

static struct wanted *make_wanted(void)
{
	struct wanted *w = wanted_create();

	wanted_component(w, "fuzz");
	want_package(w, "nginx");
	want_package(w, "postfix");
	want_group(w, "opendkim");
	want_user(w, "vmail", "vmail", "/home/vmail");
	want_member(w, "postfix", "opendkim");
	want_absent(w, "/etc/resolv.conf");
	want_directory(w, "/etc", "root", "root", 0755);
	want_file(w,
	    &(struct wanted_file){ .path = "/etc/hostname", .content = "x", .len = 1 });
	want_state(w, &(struct wanted_state){ .what = "state",
			  .check = "true",
			  .mend = "true",
			  .stage = STAGE_CONFIGURE });
	want_unit(w, "dovecot.service", UNIT_RUNNING);
	want_unit(w, "nginx.service", UNIT_RUNNING);
	return w;
}

static void check_files(const struct facts *f)
{
	FUZZ_CHECK(f->nfiles == 3);
	for (size_t i = 0; i < f->nfiles; i++) {
		const struct fact_file *file = &f->files[i];

		FUZZ_CHECK(facts_file(f, file->path) == file);
		FUZZ_CHECK(file->owner && file->group && file->target);
		FUZZ_CHECK(strlen(file->sha256) == (file->sha256[0] ? 64 : 0));
		FUZZ_CHECK((file->mode & ~07777U) == 0);
		FUZZ_CHECK(file->type == FACT_SYMLINK || !file->target[0]);
	}
}

static void check_rest(const struct facts *f)
{
	FUZZ_CHECK(f->os_id && f->os_version && f->machine && f->deb_arch);
	FUZZ_CHECK(f->resolv && f->manifest);
	FUZZ_CHECK(f->disk_free >= -1 && f->home_free >= -1 && f->memory >= -1);
	FUZZ_CHECK(f->npackages <= 2 && f->nusers <= 2 && f->ngroups <= 2);
	FUZZ_CHECK(f->nmembers <= 1 && f->nstates == 1);
	for (size_t i = 0; i < f->npackages; i++)
		FUZZ_CHECK(f->packages[i].version &&
			   facts_package(f, f->packages[i].name) == &f->packages[i]);
	for (size_t i = 0; i < f->nunits; i++) {
		const struct fact_unit *u = &f->units[i];

		FUZZ_CHECK(u->load && u->active && u->enabled);
		FUZZ_CHECK(facts_unit(f, u->name) == u);
	}
	for (size_t i = 0; i < f->nports; i++) {
		FUZZ_CHECK(f->ports[i].port > 0 && f->ports[i].process);
		FUZZ_CHECK(f->ports[i].protocol && f->ports[i].address);
	}
	for (size_t i = 0; i < f->npending; i++)
		FUZZ_CHECK(strchr(f->pending[i], ' ') != NULL);
	for (size_t i = 0; i < f->naddresses; i++)
		FUZZ_CHECK(f->addresses[i][0] != '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wanted *w = make_wanted();
	char error[FACTS_ERROR_MAX] = "";
	struct facts *f = facts_parse(w, span_make((const char *)data, size), error);

	if (f) {
		FUZZ_CHECK(error[0] == '\0');
		check_files(f);
		check_rest(f);
	} else {
		FUZZ_CHECK(error[0] != '\0');
	}
	facts_free(f);
	wanted_free(w);
	return 0;
}
