/*
 * Runs a fuzz target without a fuzzer: over every seed, over what is left when a seed
 * is cut short, and over some changed copies, the same in every run. So the targets are
 * part of every test run, with any compiler.
 *
 * usage: replay_NAME FILE|DIRECTORY...
 */
#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>

#include "test/fuzz/fuzz.h"

#define INPUT_MAX (1024 * 1024) /* bytes of a seed */
#define CUTS      64            /* short seeds are cut at every byte */
#define CHANGES   300
#define WORK_MAX                                                                       \
	(16 * 1024 * 1024) /* bytes run per seed, so that large ones end soon */

static void run(const char *bytes, size_t len)
{
	char *input = fuzz_copy(bytes, len);

	LLVMFuzzerTestOneInput((const uint8_t *)input, len);
	free(input);
}

static void run_cut_short(const char *bytes, size_t len)
{
	size_t step = len / CUTS + 1;

	for (size_t n = 0; n < len; n += step)
		run(bytes, n);
}

/* One change that parsers care about: another byte, one more, one less, a piece twice.
 */
static size_t change(char *bytes, size_t len, size_t room, uint64_t *seed)
{
	static const char telling[] = "\r\n\0\001\t .:;,@<>[]()\"\\/+-=#\x7f\x80\xff";
	size_t at = fuzz_random(seed, len + 1), n;
	char c = telling[fuzz_random(seed, sizeof(telling))];

	switch (fuzz_random(seed, 4)) {
	case 0:
		if (at < len)
			bytes[at] = c;
		return len;
	case 1:
		if (len == room)
			return len;
		memmove(bytes + at + 1, bytes + at, len - at);
		bytes[at] = c;
		return len + 1;
	case 2:
		if (at == len)
			return len;
		memmove(bytes + at, bytes + at + 1, len - at - 1);
		return len - 1;
	default:
		n = fuzz_random(seed, len - at + 1);
		if (n > room - len)
			return len;
		memmove(bytes + at + n, bytes + at, len - at);
		return len + n;
	}
}

static void run_changed(const char *bytes, size_t len)
{
	uint64_t seed = fuzz_seed((const uint8_t *)bytes, len);
	size_t room = 2 * len + 64, work = 0;
	char *copy = malloc(room);

	FUZZ_CHECK(copy);
	for (int i = 0; i < CHANGES && work < WORK_MAX; i++) {
		size_t n = len, changes = 1 + fuzz_random(&seed, 4);

		memcpy(copy, bytes, len);
		while (changes-- > 0)
			n = change(copy, n, room, &seed);
		run(copy, n);
		work += n;
	}
	free(copy);
}

static int replay_file(const char *path)
{
	FILE *f = fopen(path, "rbe");
	char *bytes;
	size_t len;

	if (!f) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return -1;
	}
	bytes = malloc(INPUT_MAX);
	FUZZ_CHECK(bytes);
	len = fread(bytes, 1, INPUT_MAX, f);
	fclose(f);

	run(bytes, len);
	run_cut_short(bytes, len);
	run_changed(bytes, len);
	free(bytes);
	return 0;
}

static int is_seed(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/* In the order of their names. An empty directory is a mistake, not a success. */
static int replay_directory(const char *path)
{
	struct dirent **entry;
	int n = scandir(path, &entry, is_seed, alphasort), status = n > 0 ? 0 : -1;

	if (n <= 0)
		fprintf(stderr, "%s: no seeds\n", path);
	for (int i = 0; i < n; i++) {
		char name[4096];

		snprintf(name, sizeof(name), "%s/%s", path, entry[i]->d_name);
		if (replay_file(name) != 0)
			status = -1;
		free(entry[i]);
	}
	if (n >= 0)
		free(entry);
	return status;
}

int main(int argc, char **argv)
{
	int status = argc > 1 ? 0 : 2;

	run("", 0);
	for (int i = 1; i < argc; i++) {
		struct stat st;
		int failed;

		if (stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode))
			failed = replay_directory(argv[i]);
		else
			failed = replay_file(argv[i]);
		if (failed)
			status = 1;
	}
	return status;
}
