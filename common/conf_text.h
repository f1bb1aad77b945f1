/* SPDX-License-Identifier: MPL-2.0 */
#ifndef PA_CONF_TEXT_H
#define PA_CONF_TEXT_H

#include <stddef.h>

/*
 * What the JSON library does not do for the configuration reader. Pure.
 *
 * Replaces comments (#, //, and C style, outside strings) by blanks; line ends stay, so every line and column holds.
 * Returns 0, or the line (from 1) on which a comment begins that does not end; the rest of the text is blanked then.
 */
unsigned pa_conf_blank_comments(char *text, size_t len);
/*
 * The line (from 1) on which the value of path ("pools[1].prefix"; "" is the whole file) begins, or 0 if there is no such
 * member. text: NUL-terminated, comments blanked, accepted by the JSON parser.
 */
unsigned pa_conf_find_line(const char *text, const char *path);

#endif
