#include "deploy/component.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "deploy/template.h"

#define TEMPLATE_FILE_MAX (1 << 20) /* bytes */

__attribute__((format(printf, 2, 3))) static void *fail(
    struct relay *r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(r->error, sizeof(r->error), fmt, ap);
	va_end(ap);
	return NULL;
}

/* The whole file, to be free()d; NULL with a line in r->error. */
static char *read_template(struct relay *r, const char *path, size_t *len)
{
	FILE *file = fopen(path, "re");
	char *text;

	if (!file)
		return fail(r, "%s: %s", path, strerror(errno));
	text = malloc(TEMPLATE_FILE_MAX + 1);
	if (!text)
		abort();
	*len = fread(text, 1, TEMPLATE_FILE_MAX + 1, file);
	if (ferror(file) || *len > TEMPLATE_FILE_MAX) {
		fail(r, "%s: %s", path,
		    ferror(file) ? strerror(errno) : "larger than 1 MiB");
		free(text);
		text = NULL;
	}
	fclose(file);
	return text;
}

char *component_text(
    struct relay *r, const char *component, const char *path, size_t *len)
{
	char error[TEMPLATE_ERROR_MAX], *from, *text, *result = NULL;
	size_t text_len;

	path += strspn(path, "/");
	if (asprintf(&from, "%s/%s/%s", r->templates, component, path) < 0)
		abort();
	text = read_template(r, from, &text_len);
	if (text) {
		result = template_render(
		    from, span_make(text, text_len), r->context, NULL, len, error);
		if (!result)
			fail(r, "%s", error);
	}
	free(text);
	free(from);
	return result;
}

bool component_file(struct relay *r, struct wanted *w, const char *component,
    const struct component_file *file)
{
	struct wanted_file wanted = {
		.path = file->path,
		.owner = file->owner,
		.group = file->group,
		.mode = file->mode ? file->mode : 0644,
		.flags = file->flags,
		.effects = file->effects,
	};

	char *text = component_text(r, component, file->path, &wanted.len);

	if (!text)
		return false;
	wanted.content = text;
	want_file(w, &wanted);
	free(text);
	return true;
}
