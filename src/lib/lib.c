/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/lib.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <time.h>

int array_reserve(void *array, size_t *cap, size_t need, size_t size)
{
	void **p = array;
	size_t n = *cap ? *cap : 16, bytes;
	void *grown;

	if (need <= *cap)
		return 0;
	while (n < need)
		if (__builtin_mul_overflow(n, 2, &n))
			return -EOVERFLOW;
	if (__builtin_mul_overflow(n, size, &bytes))
		return -EOVERFLOW;
	grown = realloc(*p, bytes);
	if (!grown)
		return -ENOMEM;
	*p = grown;
	*cap = n;
	return 0;
}

int parse_u64(const char *s, uint64_t min, uint64_t max, uint64_t *ret)
{
	unsigned long long v;
	char *end;

	if (!s || !isdigit((unsigned char)*s))
		return -EINVAL;
	errno = 0;
	v = strtoull(s, &end, s[0] == '0' && (s[1] == 'x' || s[1] == 'X') ? 16 : 10);
	if (errno == ERANGE)
		return -ERANGE;
	if (*end)
		return -EINVAL;
	if (v < min || v > max)
		return -ERANGE;
	*ret = v;
	return 0;
}

static int size_shift(char suffix)
{
	static const char units[] = "KMGT";
	const char *u = strchr(units, toupper((unsigned char)suffix));

	return u && suffix ? (int)(u - units + 1) * 10 : -1;
}

int parse_size(const char *s, uint64_t *ret_bytes)
{
	char digits[32];
	size_t len = s ? strlen(s) : 0;
	uint64_t v;
	int shift, err;

	if (!len || len >= sizeof(digits))
		return -EINVAL;
	memcpy(digits, s, len + 1);
	shift = isdigit((unsigned char)digits[len - 1]) ? 0 : size_shift(digits[len - 1]);
	if (shift < 0 || (shift && (digits[1] == 'x' || digits[1] == 'X')))
		return -EINVAL;
	if (shift)
		digits[len - 1] = '\0';
	err = parse_u64(digits, 0, UINT64_MAX, &v);
	if (err)
		return err;
	if (shift && v > UINT64_MAX >> shift)
		return -ERANGE;
	*ret_bytes = v << shift;
	return 0;
}

int parse_seconds(const char *s, uint64_t *ret_ns)
{
	static const uint64_t max_s = 10ULL * 366 * 86400;
	uint64_t whole = 0, frac = 0, unit = 1000000000;

	if (!s || !isdigit((unsigned char)*s))
		return -EINVAL;
	for (; isdigit((unsigned char)*s); s++) {
		whole = whole * 10 + (uint64_t)(*s - '0');
		if (whole > max_s)
			return -ERANGE;
	}
	if (*s == '.') {
		if (!isdigit((unsigned char)*++s))
			return -EINVAL;
		for (; isdigit((unsigned char)*s); s++) {
			unit /= 10;
			frac += (uint64_t)(*s - '0') * unit;
		}
	}
	if (*s)
		return -EINVAL;
	*ret_ns = whole * 1000000000 + frac;
	return 0;
}

int parse_pids(const char *s, int **ret, size_t *ret_n)
{
	_cleanup_free_ int *pids = NULL;
	_cleanup_free_ char *copy = NULL;
	size_t n = 0, cap = 0;
	char *rest, *word;
	uint64_t v;
	int err;

	rest = copy = strdup(s ? s : "");
	if (!copy)
		return -ENOMEM;
	while ((word = strsep(&rest, ","))) {
		err = parse_u64(word, 1, INT_MAX, &v);
		if (!err)
			err = array_reserve(&pids, &cap, n + 1, sizeof(*pids));
		if (err)
			return err;
		pids[n++] = (int)v;
	}
	*ret = take_ptr(pids);
	*ret_n = n;
	return 0;
}

const char *errno_name(int err)
{
	const char *name = strerrorname_np(err < 0 ? -err : err);

	return name ? name : "unknown error";
}

int read_file(const char *path, char **ret, size_t *ret_len)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	_cleanup_free_ char *text = NULL;
	size_t len = 0, cap = 0;
	ssize_t n;
	int err;

	if (fd < 0)
		return -errno;
	do {
		err = array_reserve(&text, &cap, len + 4096 + 1, 1);
		if (err)
			return err;
		n = read(fd, text + len, cap - len - 1);
		if (n < 0 && errno != EINTR)
			return -errno;
		len += n > 0 ? (size_t)n : 0;
	} while (n);
	text[len] = '\0';
	*ret = take_ptr(text);
	if (ret_len)
		*ret_len = len;
	return 0;
}

static uint64_t clock_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

uint64_t clock_mono_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

uint64_t clock_real_ns(void)
{
	return clock_ns(CLOCK_REALTIME);
}
