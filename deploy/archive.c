/* A tar archive that passes by: headers are read, and what they announce is counted. */
#include "deploy/archive.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdlib.h>

#define BLOCK 512

enum step {
	STEP_HEADER,
	STEP_BODY, /* and what fills its last block */
	STEP_END,  /* nothing counts any more */
};

/* Where a header has what: GNU tar's src/tar.h, struct posix_header. */
enum {
	NAME = 0,
	MODE = 100,
	SIZE = 124,
	SUM = 148,
	TYPE = 156,
	LINK = 157,
	MAGIC = 257
};

#define LINK_LEN  100
#define MODE_SUID 06000 /* and as the group */

struct archive {
	enum step step;
	const char *wrong;
	EVP_MD_CTX *hash; /* of all before the manifest */
	char sha256[65];  /* "" before the manifest came */
	unsigned char block[BLOCK];
	size_t filled;
	unsigned zeros;         /* blocks of zeros in a row */
	uint64_t left, padding; /* bytes of the body that are to come */
	struct text *keep;      /* where the body goes; NULL: nowhere */
	struct text name, link; /* long ones, for the member that follows */
	char odd[128];          /* the name of what a backup has not */
	struct text info, manifest;
	struct archive_counts counts;
};

struct archive *archive_create(void)
{
	struct archive *a = calloc(1, sizeof(*a));

	if (!a || !(a->hash = EVP_MD_CTX_new()) ||
	    EVP_DigestInit_ex(a->hash, EVP_sha256(), NULL) != 1)
		abort();
	return a;
}

void archive_free(struct archive *a)
{
	if (!a)
		return;
	EVP_MD_CTX_free(a->hash);
	text_free(&a->name);
	text_free(&a->link);
	text_free(&a->info);
	text_free(&a->manifest);
	free(a);
}

static void hash(struct archive *a, const void *bytes, size_t len)
{
	if (a->sha256[0] == '\0' && EVP_DigestUpdate(a->hash, bytes, len) != 1)
		abort();
}

/* Of what was hashed so far, which may go on. */
static void digest(const struct archive *a, char hex[65])
{
	unsigned char bytes[32];
	EVP_MD_CTX *copy = EVP_MD_CTX_new();

	if (!copy || EVP_MD_CTX_copy_ex(copy, a->hash) != 1 ||
	    EVP_DigestFinal_ex(copy, bytes, NULL) != 1)
		abort();
	EVP_MD_CTX_free(copy);
	for (size_t i = 0; i < sizeof(bytes); i++)
		snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
}

/* Octal digits between blanks, or where they do not suffice base 256 after a byte 0x80. */
static bool read_number(const unsigned char *field, size_t len, uint64_t *value)
{
	size_t i = 0;

	*value = 0;
	if (field[0] == 0x80) {
		for (i = 1; i < len; i++) {
			if (*value >> 54)
				return false;
			*value = *value << 8 | field[i];
		}
		return true;
	}
	while (i < len && field[i] == ' ')
		i++;
	for (; i < len && field[i] >= '0' && field[i] <= '7'; i++)
		*value = *value << 3 | (uint64_t)(field[i] - '0');
	return i == len || field[i] == ' ' || field[i] == '\0';
}

static bool has_sum(const unsigned char block[BLOCK])
{
	uint64_t told, sum = 0;

	for (size_t i = 0; i < BLOCK; i++)
		sum += i >= SUM && i < SUM + 8 ? ' ' : block[i];
	return read_number(block + SUM, 8, &told) && told == sum;
}

static bool is_zero(const unsigned char block[BLOCK])
{
	for (size_t i = 0; i < BLOCK; i++) {
		if (block[i] != 0)
			return false;
	}
	return true;
}

static bool find_line(const struct text *t, const char *key, struct span *value)
{
	struct span rest = text_span(t), line, name;

	while (span_cut(&rest, '\n', &line)) {
		if (span_cut(&line, ' ', &name) && span_is(name, key) && line.data) {
			*value = line;
			return true;
		}
	}
	return false;
}

bool archive_info(const struct archive *a, const char *key, struct span *value)
{
	return find_line(&a->info, key, value);
}

static bool is_below(struct span name, struct span directory)
{
	return name.len > directory.len && name.data[directory.len] == '/' &&
	       span_equal(span_make(name.data, directory.len), directory);
}

/* Files outside of the mailboxes are only weighed. */
static void count_file(struct archive *a, struct span name, uint64_t size)
{
	struct span mailboxes, part, last = span_of(""), parent = span_of("");
	unsigned depth = 0;

	a->counts.bytes += size;
	if (!archive_info(a, "mailboxes", &mailboxes) || mailboxes.len == 0)
		return;
	mailboxes = span_skip(mailboxes, 1);
	if (!is_below(name, mailboxes))
		return;
	name = span_skip(name, mailboxes.len + 1);
	while (span_cut(&name, '/', &part)) {
		parent = last;
		last = part;
		depth++;
	}
	a->counts.accounts += depth == 2 && span_is(last, "password");
	a->counts.messages += span_is(parent, "cur") || span_is(parent, "new");
}

/* From a directory so many levels deep: does path stay below the archive's top? */
static bool stays_inside(struct span path, unsigned depth)
{
	struct span part;

	if (path.len == 0 || path.data[0] == '/')
		return false;
	while (span_cut(&path, '/', &part)) {
		if (!span_is(part, ".."))
			depth += part.len > 0 && !span_is(part, ".");
		else if (depth <= 1)
			return false;
		else
			depth--;
	}
	return true;
}

static unsigned parents_of(struct span name)
{
	unsigned n = 0;

	for (size_t i = 0; i < name.len; i++)
		n += name.data[i] == '/';
	return n;
}

/* Could it, unpacked, be or lead to what is not in the archive? And what is for mail is plain. */
static bool is_safe(struct archive *a, char type, struct span name, struct span link)
{
	struct span mailboxes;
	uint64_t mode;

	if (!stays_inside(name, 0))
		return false;
	switch (type) {
	case '0':
	case '\0':
		return read_number(a->block + MODE, 8, &mode) && !(mode & MODE_SUID);
	case '1':
		return stays_inside(link, 0);
	case '2':
		if (archive_info(a, "mailboxes", &mailboxes) && mailboxes.len > 1 &&
		    is_below(name, span_skip(mailboxes, 1)))
			return false;
		return stays_inside(link, parents_of(name));
	case '5':
		return true;
	default: /* devices, pipes, whatever will be */
		return false;
	}
}

/* What is said of it must do nothing to a terminal. */
static const char *refuse_member(struct archive *a, struct span name)
{
	static const char what[] = "no backup has such a member: ";
	size_t n = strlen(what);

	memcpy(a->odd, what, n);
	for (size_t i = 0; i < name.len && n + 1 < sizeof(a->odd); i++, n++)
		a->odd[n] =
		    name.data[i] > ' ' && name.data[i] < 0x7f ? name.data[i] : '?';
	a->odd[n] = '\0';
	return a->odd;
}

/* The long one that came before, or else that of the header. */
static struct span name_of(const struct text *before, const unsigned char *field)
{
	const char *plain = (const char *)field;

	if (before->len > 0)
		return span_make(before->data, strnlen(before->data, before->len));
	return span_make(plain, strnlen(plain, LINK_LEN));
}

/* A member that is no long name begins. NULL, or what is wrong with it. */
static const char *begin_member(struct archive *a, char type, uint64_t size)
{
	struct span name = name_of(&a->name, a->block + NAME);
	struct span link = name_of(&a->link, a->block + LINK);
	const char *wrong = NULL;

	if (!is_safe(a, type, name, link))
		wrong = refuse_member(a, name);
	if (span_is(name, ARCHIVE_MANIFEST)) {
		digest(a, a->sha256);
		a->keep = &a->manifest;
	} else if (span_is(name, ARCHIVE_INFO)) {
		a->keep = &a->info;
	} else if (type == '0' || type == '\0' || type == '1') {
		count_file(a, name, type == '1' ? 0 : size);
	}
	text_free(&a->name);
	text_free(&a->link);
	return wrong;
}

static const char *take_header(struct archive *a)
{
	char type = (char)a->block[TYPE];
	const char *wrong = NULL;
	uint64_t size;

	if (a->zeros == 1)
		return "there are members behind its end";
	if (memcmp(a->block + MAGIC, "ustar", 5) != 0 || !has_sum(a->block) ||
	    !read_number(a->block + SIZE, 12, &size))
		return "it is no tar archive, or it is damaged";
	a->keep = NULL;
	if (a->sha256[0] != '\0')
		return "there are members behind its manifest";
	if (type == 'L')
		a->keep = &a->name;
	else if (type == 'K')
		a->keep = &a->link;
	else
		wrong = begin_member(a, type, size);
	if (wrong)
		return wrong;
	if (a->keep && (size > ARCHIVE_TEXT_MAX ||
			   ((type == 'L' || type == 'K') && size > ARCHIVE_NAME_MAX)))
		return "a name or a text in it is too long";
	if (a->keep)
		text_free(a->keep);
	hash(a, a->block, BLOCK);
	a->left = size;
	a->padding = (BLOCK - size % BLOCK) % BLOCK;
	a->step = size > 0 ? STEP_BODY : STEP_HEADER;
	return NULL;
}

/* Returns how many bytes it took. */
static size_t feed_header(struct archive *a, struct span bytes, struct text *out)
{
	size_t n = BLOCK - a->filled;

	if (n > bytes.len)
		n = bytes.len;
	memcpy(a->block + a->filled, bytes.data, n);
	a->filled += n;
	if (a->filled < BLOCK)
		return n;
	a->filled = 0;
	if (!is_zero(a->block)) {
		a->wrong = take_header(a);
		if (out && !a->wrong)
			text_add_span(out, span_make((char *)a->block, BLOCK));
	} else if (a->name.len > 0 || a->link.len > 0) {
		a->wrong = "a name in it belongs to nothing";
	} else if (++a->zeros == 2) {
		a->step = STEP_END;
	}
	return n;
}

static size_t feed_body(struct archive *a, struct span bytes, struct text *out)
{
	uint64_t *part = a->left > 0 ? &a->left : &a->padding;
	size_t n = bytes.len < *part ? bytes.len : (size_t)*part;

	if (part == &a->left && a->keep)
		text_add_span(a->keep, span_make(bytes.data, n));
	if (out)
		text_add_span(out, span_make(bytes.data, n));
	hash(a, bytes.data, n);
	*part -= n;
	if (a->left == 0 && a->padding == 0)
		a->step = STEP_HEADER;
	return n;
}

const char *archive_feed(struct archive *a, struct span bytes, struct text *out)
{
	while (bytes.len > 0 && !a->wrong && a->step != STEP_END) {
		size_t n = a->step == STEP_HEADER ? feed_header(a, bytes, out)
						  : feed_body(a, bytes, out);

		bytes = span_skip(bytes, n);
	}
	return a->wrong;
}

bool archive_ended(const struct archive *a)
{
	return a->step == STEP_END && !a->wrong;
}

struct archive_counts archive_counts(const struct archive *a)
{
	return a->counts;
}

static void write_manifest(const struct archive *a, const char *sha256, struct text *to)
{
	text_printf(to,
	    "sha256 %s\naccounts %" PRIu64 "\nmessages %" PRIu64 "\nbytes %" PRIu64
	    "\n",
	    sha256, a->counts.accounts, a->counts.messages, a->counts.bytes);
}

static void add_padding(struct text *to, size_t n)
{
	static const char zeros[BLOCK];

	for (; n > 0; n -= n < BLOCK ? n : BLOCK)
		text_add_span(to, span_make(zeros, n < BLOCK ? n : BLOCK));
}

void archive_seal(const struct archive *a, struct text *to)
{
	unsigned char header[BLOCK] = ARCHIVE_MANIFEST;
	struct text content = { 0 };
	char sha256[65];
	unsigned sum = 0;

	digest(a, sha256);
	write_manifest(a, sha256, &content);
	memcpy(header + 100,
	    "0000600\0"
	    "0000000\0"
	    "0000000\0",
	    24);
	snprintf((char *)header + SIZE, 12, "%011zo", content.len);
	memcpy(header + 136, "00000000000", 11);
	memset(header + SUM, ' ', 8);
	header[TYPE] = '0';
	memcpy(header + MAGIC, "ustar  ", 8);
	memcpy(header + 265, "root", 4);
	memcpy(header + 297, "root", 4);
	for (size_t i = 0; i < BLOCK; i++)
		sum += header[i];
	snprintf((char *)header + SUM, 7, "%06o", sum);
	text_add_span(to, span_make((char *)header, BLOCK));
	text_add_span(to, text_span(&content));
	add_padding(to, (BLOCK - content.len % BLOCK) % BLOCK + (size_t)2 * BLOCK);
	text_free(&content);
}

const char *archive_verify(const struct archive *a)
{
	struct text wanted = { 0 };
	bool same;

	if (a->wrong)
		return a->wrong;
	if (a->step != STEP_END || a->sha256[0] == '\0')
		return "it is cut: its end is missing";
	write_manifest(a, a->sha256, &wanted);
	same = span_equal(text_span(&wanted), text_span(&a->manifest));
	text_free(&wanted);
	return same ? NULL : "it is damaged: its SHA-256 is another one";
}
