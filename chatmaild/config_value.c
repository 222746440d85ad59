#include "chatmaild/config_value.h"

#include <arpa/inet.h>
#include <math.h>
#include <stdlib.h>

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Underscores are allowed between digits, nowhere else. */
static bool underscores_fit(struct span s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (s.data[i] == '_' &&
		    (i == 0 || i + 1 == s.len || !is_digit(s.data[i - 1]) ||
			!is_digit(s.data[i + 1])))
			return false;
	}
	return true;
}

bool config_parse_integer(struct span text, int64_t *value)
{
	struct span s = span_trim(text);
	bool negative = s.len && s.data[0] == '-';
	int64_t n = 0;

	if (s.len && (s.data[0] == '-' || s.data[0] == '+'))
		s = span_skip(s, 1);
	if (s.len == 0 || !underscores_fit(s))
		return false;
	for (size_t i = 0; i < s.len; i++) {
		int digit = s.data[i] - '0';

		if (s.data[i] == '_')
			continue;
		if (!is_digit(s.data[i]))
			return false;
		n = n > (INT64_MAX - digit) / 10 ? INT64_MAX : n * 10 + digit;
	}
	*value = negative ? -n : n;
	return true;
}

static bool ends_in(struct span s, const char *two)
{
	return s.len && (s.data[s.len - 1] == two[0] || s.data[s.len - 1] == two[1]);
}

bool config_parse_size(struct span text, int64_t *value)
{
	struct span s = span_trim(text);
	int64_t factor = 1, n;

	if (ends_in(s, "bB"))
		s.len--;
	if (ends_in(s, "gG")) {
		factor = 1024;
		s.len--;
	} else if (ends_in(s, "mM")) {
		s.len--;
	}
	if (!config_parse_integer(s, &n))
		return false;
	if (n > INT64_MAX / factor || n < -(INT64_MAX / factor))
		factor = 1; /* beyond all limits with and without */
	*value = n * factor;
	return true;
}

/* strtod() alone would also take "0x1p3", "inf" and "nan". */
bool config_parse_decimal(struct span text, double *value)
{
	struct span s = span_trim(text);
	char buf[64], *end;
	size_t len = 0;
	double d;

	if (s.len == 0 || s.len >= sizeof(buf) || !underscores_fit(s))
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (!is_digit(s.data[i]) && !memchr("+-._eE", s.data[i], 6))
			return false;
		if (s.data[i] != '_')
			buf[len++] = s.data[i];
	}
	buf[len] = '\0';
	d = strtod(buf, &end);
	if (end != buf + len || !isfinite(d))
		return false;
	*value = d;
	return true;
}

bool config_is_ipv4(const char *text)
{
	struct in_addr addr;

	return inet_pton(AF_INET, text, &addr) == 1;
}

/* Bytes of the UTF-8 sequence at s, RFC 3629 section 4; 0 if there is none. */
static size_t utf8_sequence(struct span s)
{
	const unsigned char *p = (const unsigned char *)s.data;
	unsigned char low = 0x80, high = 0xbf;
	size_t n;

	if (p[0] < 0x80)
		return 1;
	if (p[0] >= 0xc2 && p[0] <= 0xdf)
		n = 2;
	else if (p[0] >= 0xe0 && p[0] <= 0xef)
		n = 3;
	else if (p[0] >= 0xf0 && p[0] <= 0xf4)
		n = 4;
	else
		return 0;
	if (p[0] == 0xe0)
		low = 0xa0; /* else it were overlong */
	else if (p[0] == 0xed)
		high = 0x9f; /* surrogates */
	else if (p[0] == 0xf0)
		low = 0x90;
	else if (p[0] == 0xf4)
		high = 0x8f; /* beyond U+10FFFF */
	if (s.len < n || p[1] < low || p[1] > high)
		return 0;
	for (size_t i = 2; i < n; i++) {
		if (p[i] < 0x80 || p[i] > 0xbf)
			return 0;
	}
	return n;
}

const char *config_check_bytes(struct span text, size_t *at)
{
	for (size_t i = 0; i < text.len;) {
		struct span rest = span_skip(text, i);
		unsigned char c = (unsigned char)rest.data[0];
		size_t n = utf8_sequence(rest);
		bool line_end =
		    c == '\n' || (c == '\r' && rest.len > 1 && rest.data[1] == '\n');

		*at = i;
		if (n == 0)
			return "a byte that is no UTF-8; save the file as UTF-8";
		if (c == 0)
			return "a NUL byte; take it out";
		if ((c < 0x20 && c != '\t' && !line_end) || c == 0x7f)
			return "a control character; take it out";
		i += n;
	}
	return NULL;
}

static bool is_domain_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) ||
	       c == '-' || c == '_';
}

/* A label of a name that becomes a directory, a command's argument, a DNS name. */
static bool is_label(struct span label)
{
	if (label.len == 0 || label.len > 63 || label.data[0] == '-' ||
	    label.data[label.len - 1] == '-')
		return false;
	for (size_t i = 0; i < label.len; i++) {
		if (!is_domain_byte(label.data[i]))
			return false;
	}
	return true;
}

const char *config_check_domain(const char *value)
{
	struct span rest = span_of(value), label;

	if (rest.len == 0)
		return "it is empty; write e.g. mail_domain = chat.example.org";
	if (rest.data[0] == '[')
		return "it has brackets; write an IPv4 address without, e.g. "
		       "mail_domain = 192.0.2.1";
	if (config_is_ipv4(value))
		return NULL;
	if (strspn(value, "0123456789.") == rest.len && strchr(value, '.'))
		return "it is no IPv4 address; write four numbers from 0 to 255, e.g. "
		       "mail_domain = 192.0.2.1";
	if (rest.len > 253)
		return "it is longer than 253 letters; write e.g. "
		       "mail_domain = chat.example.org";
	while (span_cut(&rest, '.', &label)) {
		if (!is_label(label))
			return "it is no domain name: parts of letters, digits, - and "
			       "_, "
			       "joined by single dots; write e.g. "
			       "mail_domain = chat.example.org";
	}
	return NULL;
}

const char *config_check_path(const char *value)
{
	return value[0] == '/' ? NULL : "it is no absolute path; start it with /";
}

/* Words may be parted by any blank or control character: line breaks travel as one. */
const char *config_check_cert_and_key(const char *value)
{
	size_t words = 0;

	for (const char *p = value; *p; p++) {
		bool begins = (unsigned char)*p > ' ' &&
			      (p == value || (unsigned char)p[-1] <= ' ');

		words += begins;
		if (begins && (words > 2 || *p != '/'))
			words = 3; /* stays too many */
	}
	return words == 2 ? NULL
			  : "must have two space-separated paths: CERT_PATH KEY_PATH";
}

/* As useradd(8) takes names by default. */
const char *config_check_user(const char *value)
{
	struct span s = span_of(value);
	bool good =
	    s.len > 0 && s.len <= 32 && s.data[0] != '-' && !is_digit(s.data[0]);

	for (size_t i = 0; i < s.len && good; i++)
		good = is_domain_byte(s.data[i]);
	return good ? NULL : "it is no name of a user; write e.g. mail_user = vmail";
}

const char *config_check_https(const char *value)
{
	struct span s = span_of(value);

	if (!span_starts(s, "https://") || s.len == strlen("https://") ||
	    strpbrk(value, " \t"))
		return "it is no https URL; start it with https://";
	return NULL;
}

bool config_parse_time(const char *text, int *minutes)
{
	unsigned digits[5];

	if (strlen(text) != 5 || text[2] != ':')
		return false;
	for (unsigned i = 0; i < 5; i++) {
		digits[i] = (unsigned)text[i] - '0';
		if (i != 2 && digits[i] > 9)
			return false;
	}
	*minutes =
	    (int)((digits[0] * 10 + digits[1]) * 60 + digits[3] * 10 + digits[4]);
	return digits[0] * 10 + digits[1] < 24 && digits[3] < 6;
}

const char *config_check_time(const char *value)
{
	int minutes;

	return config_parse_time(value, &minutes)
		   ? NULL
		   : "it is no time of day; write e.g. expiry_time = 00:02";
}

const char *config_check_registration(const char *value)
{
	if (strcmp(value, "open") == 0 || strcmp(value, "invite") == 0)
		return NULL;
	return "it is neither open nor invite; write one of them";
}
