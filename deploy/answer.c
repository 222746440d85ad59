#include "deploy/answer.h"

bool answer_next(struct answer_reader *r, struct span *value)
{
	struct span line, key;

	while (span_cut(&r->rest, '\n', &line)) {
		if (!span_cut(&line, ' ', &key) || !span_is(key, r->key) || !line.data)
			continue;
		*value = line;
		return true;
	}
	return false;
}

bool answer_find(struct span output, const char *key, struct span *value)
{
	struct answer_reader r = { output, key };

	return answer_next(&r, value);
}

struct span answer_word(struct span *line)
{
	struct span w;

	while (span_cut(line, ' ', &w)) {
		if (w.len > 0)
			return w;
	}
	return span_of("");
}

int64_t answer_number(struct span w)
{
	int64_t n = 0;

	for (size_t i = 0; i < w.len; i++) {
		if (w.data[i] < '0' || w.data[i] > '9' || n > INT64_MAX / 10 - 10)
			return -1;
		n = n * 10 + (w.data[i] - '0');
	}
	return w.len > 0 ? n : -1;
}
