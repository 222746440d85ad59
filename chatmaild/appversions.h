/*
 * The latest versions of the apps, which clients ask their relay for: a small JSON file,
 * handed out as it is.
 */
#ifndef CHATMAILD_APPVERSIONS_H
#define CHATMAILD_APPVERSIONS_H

#define APPVERSIONS_MAX (64 * 1024) /* bytes of the file */

/*
 * The file to read: path if it is not empty, else the one that was installed, else that of
 * the source this was built from.
 */
const char *appversions_path(const char *path);

/*
 * Its JSON on one line, in ASCII; the caller frees it. NULL with *why, valid until the
 * next call, if it is missing, too large or no JSON. Reads on the loop, and anew each
 * time: it is small, and whoever replaces it need not tell us.
 */
char *appversions_read(const char *path, const char **why);

#endif
