/*
 * Quoting for the shell. Every word is put in single quotes, also one that would not need
 * them: so that "if", "a=b" or "~" stay words wherever they stand.
 */
#include "deploy/quote.h"

#include <stdarg.h>
#include <stdlib.h>

void quote_shell(struct text *to, struct span word)
{
	const char *at;

	if (word.len > 0 && memchr(word.data, '\0', word.len))
		abort();
	text_add(to, "'");
	while (word.len > 0 && (at = memchr(word.data, '\'', word.len))) {
		size_t n = (size_t)(at - word.data);

		text_add_span(to, span_make(word.data, n));
		text_add(to, "'\\''");
		word = span_skip(word, n + 1);
	}
	text_add_span(to, word);
	text_add(to, "'");
}

void quote_command(struct text *to, const char *format, ...)
{
	struct span rest = span_of(format), part;
	va_list ap;

	va_start(ap, format);
	span_cut(&rest, '%', &part);
	text_add_span(to, part);
	while (rest.data) {
		switch (rest.len ? *rest.data : '\0') {
		case 's':
			quote_shell(to, span_of(va_arg(ap, const char *)));
			break;
		case 'r':
			text_add(to, va_arg(ap, const char *));
			break;
		case 'u':
			text_printf(to, "%u", va_arg(ap, unsigned));
			break;
		case '%':
			text_add(to, "%");
			break;
		default:
			abort();
		}
		rest = span_skip(rest, 1);
		if (!span_cut(&rest, '%', &part))
			break;
		text_add_span(to, part);
	}
	va_end(ap);
}
