/*
 * Short turns on the CPU for the thread that must answer at once.
 */
#ifndef CHATMAILD_SLICE_H
#define CHATMAILD_SLICE_H

/*
 * Ask the kernel to give the calling thread its turns often and short: on waking up it then
 * need not wait for the end of another thread's turn, as for the hash of a new password.
 * Linux before 6.12 takes no notice, and does not keep a waking thread waiting either.
 */
void slice_shorten(void);

#endif
