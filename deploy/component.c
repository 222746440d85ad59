#include "deploy/component.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "deploy/template.h"

#define TEMPLATE_FILE_MAX (1 << 20) /* bytes */

bool component_fail(struct relay *r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(r->error, sizeof(r->error), fmt, ap);
	va_end(ap);
	return false;
}

/* As long as it was when it was opened. */
static char *read_file(
    struct relay *r, const char *path, FILE *file, size_t max, size_t *len)
{
	struct stat st = { 0 };
	char *data;

	if (fstat(fileno(file), &st) < 0 || !S_ISREG(st.st_mode)) {
		component_fail(r, "%s: %s", path,
		    S_ISDIR(st.st_mode) ? strerror(EISDIR) : "no regular file");
		return NULL;
	}
	if ((uintmax_t)st.st_size > max) {
		component_fail(r, "%s: larger than %zu MiB", path, max >> 20);
		return NULL;
	}
	data = malloc((size_t)st.st_size + 1);
	if (!data)
		abort();
	*len = fread(data, 1, (size_t)st.st_size, file);
	data[*len] = '\0';
	if (!ferror(file))
		return data;
	component_fail(r, "%s: %s", path, strerror(errno));
	free(data);
	return NULL;
}

char *component_read(struct relay *r, const char *path, size_t max, size_t *len)
{
	FILE *file = fopen(path, "re");
	char *data;

	if (!file) {
		component_fail(r, "%s: %s", path, strerror(errno));
		return NULL;
	}
	data = read_file(r, path, file, max, len);
	fclose(file);
	return data;
}

char *component_text(
    struct relay *r, const char *component, const char *path, size_t *len)
{
	char error[TEMPLATE_ERROR_MAX], *from, *text, *result = NULL;
	size_t text_len;

	path += strspn(path, "/");
	if (asprintf(&from, "%s/%s/%s", r->templates, component, path) < 0)
		abort();
	text = component_read(r, from, TEMPLATE_FILE_MAX, &text_len);
	if (text) {
		result = template_render(
		    from, span_make(text, text_len), r->context, NULL, len, error);
		if (!result)
			component_fail(r, "%s", error);
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
