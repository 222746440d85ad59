/* Read, checked to be JSON, and put on one line. */
#include "chatmaild/appversions.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char *appversions_path(const char *path)
{
	if (*path)
		return path;
	if (access(APPVERSIONS_INSTALLED, F_OK) == 0)
		return APPVERSIONS_INSTALLED;
	return APPVERSIONS_SOURCE;
}

/* All of a small regular file, and its length; NULL with *why. */
static char *read_file(const char *path, size_t *len, const char **why)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	char *text = NULL;
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0) {
		*why = strerror(errno);
	} else if (!S_ISREG(st.st_mode) || st.st_size > APPVERSIONS_MAX) {
		*why = "no file, or too large";
	} else {
		text = malloc(APPVERSIONS_MAX);
		if (!text)
			abort();
		n = read(fd, text, APPVERSIONS_MAX);
		*len = n > 0 ? (size_t)n : 0;
	}
	if (fd >= 0)
		close(fd);
	return text;
}

char *appversions_read(const char *path, const char **why)
{
	size_t len = 0;
	char *text = read_file(path, &len, why), *line = NULL;
	json_t *json = text ? json_loadb(text, len, 0, NULL) : NULL;

	if (json)
		line = json_dumps(json, JSON_COMPACT | JSON_ENSURE_ASCII);
	else if (text)
		*why = "it is no JSON";
	json_decref(json);
	free(text);
	return line;
}
