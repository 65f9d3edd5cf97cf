/*
 * Preloaded into cairn by the tests of machine faults: calls of the disk fail and the clock is set, as a file says.
 *
 * CAIRN_TEST_FAULTS names the file. It is looked at anew at each call, so a test changes the weather while the server runs. A line each:
 *
 *   fail CALL ERRNO PATH AFTER TIMES   CALL fails with errno ERRNO (a number), after AFTER calls that succeed, TIMES times (-1: for ever)
 *   bad ERRNO PATH FROM UNTIL          so do reads of these bytes of a file
 *   short CALL PATH                    the call writes half of what it is given
 *   room BYTES PATH                    files do not grow beyond BYTES each: ENOSPC
 *   clock SECONDS                      the wall clock is off by this
 *
 * CALL is one of open, read, write, sync, truncate; PATH is how the path of a file ends, or, with a star behind it, begins. A line counts its calls
 * for as long as the process lives.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define RULES 64
#define LINE 512

struct counted {
    char line[LINE];
    long calls;
};

static struct counted counted[RULES];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* The rules, by system calls of our own: the C library's are what we stand in for. */
static size_t rules(char *text, size_t room) {
    const char *path = getenv("CAIRN_TEST_FAULTS");
    if (path == NULL) {
        return 0;
    }
    int saved = errno;
    long fd = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
    long length = 0;
    if (fd >= 0) {
        length = syscall(SYS_read, fd, text, room - 1);
        syscall(SYS_close, fd);
    }
    errno = saved;
    length = length < 0 ? 0 : length;
    text[length] = 0;
    return (size_t)length;
}

static int ends_with(const char *text, const char *end) {
    size_t a = strlen(text), b = strlen(end);
    return a >= b && strcmp(text + a - b, end) == 0;
}

static int is_of(const char *path, const char *where) {
    size_t length = strlen(where);
    return length > 0 && where[length - 1] == '*' ? strncmp(path, where, length - 1) == 0 : ends_with(path, where);
}

/* How often the rule of this line was asked for before. */
static long count(const char *line) {
    long calls = 0;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < RULES; i++) {
        if (counted[i].line[0] == 0) {
            strncpy(counted[i].line, line, LINE - 1);
        }
        if (strcmp(counted[i].line, line) == 0) {
            calls = counted[i].calls++;
            break;
        }
    }
    pthread_mutex_unlock(&lock);
    return calls;
}

/* What is to become of a call: 0 it is made, >0 it fails with this errno, -1 it writes half. `end` is where a write would end that makes the file
 * grow, or a read of `length` bytes. */
static int verdict(const char *call, const char *path, off_t end, size_t length) {
    char text[4096];
    if (rules(text, sizeof text) == 0) {
        return 0;
    }
    char *rest = text, *line;
    while ((line = strsep(&rest, "\n")) != NULL) {
        char of[16], where[256];
        int error;
        long after, times;
        long long bytes, until;
        if (sscanf(line, "fail %15s %d %255s %ld %ld", of, &error, where, &after, &times) == 5) {
            if (strcmp(of, call) == 0 && is_of(path, where)) {
                long calls = count(line);
                if (calls >= after && (times < 0 || calls < after + times)) {
                    return error;
                }
            }
        } else if (sscanf(line, "short %15s %255s", of, where) == 2) {
            if (strcmp(of, call) == 0 && is_of(path, where)) {
                return -1;
            }
        } else if (sscanf(line, "room %lld %255s", &bytes, where) == 2) {
            if (length == 0 && is_of(path, where) && end > bytes) {
                return ENOSPC;
            }
        } else if (sscanf(line, "bad %d %255s %lld %lld", &error, where, &bytes, &until) == 4) {
            if (length > 0 && is_of(path, where) && end > bytes && end - (off_t)length < until) {
                return error;
            }
        }
    }
    return 0;
}

static const char *path_of(int fd, char *path, size_t room) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    int saved = errno;
    long length = syscall(SYS_readlinkat, AT_FDCWD, link, path, room - 1);
    errno = saved;
    path[length < 0 ? 0 : length] = 0;
    return path;
}

/* As `verdict`, for a file that is open. Only files are of interest. */
static int of_file(const char *call, int fd, off_t end, size_t length) {
    char path[PATH_MAX];
    if (getenv("CAIRN_TEST_FAULTS") == NULL || path_of(fd, path, sizeof path)[0] != '/') {
        return 0;
    }
    return verdict(call, path, end, length);
}

#define REAL(name) ((__typeof__(&name))real(&real_##name, #name))

static void *real(_Atomic(void *) *known, const char *name) {
    void *found = atomic_load(known);
    if (found == NULL) {
        found = dlsym(RTLD_NEXT, name);
        atomic_store(known, found);
    }
    return found;
}

static _Atomic(void *) real_pwrite64, real_write, real_pread64, real_read, real_fsync, real_fdatasync, real_ftruncate64, real_open64,
    real_open, real_openat64;

/* Its size now; what a write leaves alone is no growth. */
static off_t size_of(int fd) {
    struct stat status;
    return fstat(fd, &status) == 0 ? status.st_size : 0;
}

static off_t grown(int fd, off_t end) {
    return end > size_of(fd) ? end : 0;
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at) {
    int error = of_file("write", fd, grown(fd, at + (off64_t)length), 0);
    if (error > 0) {
        errno = error;
        return -1;
    }
    return REAL(pwrite64)(fd, bytes, error < 0 && length > 1 ? length / 2 : length, at);
}

ssize_t write(int fd, const void *bytes, size_t length) {
    off_t at = lseek(fd, 0, SEEK_CUR);
    int error = at < 0 ? 0 : of_file("write", fd, grown(fd, at + (off_t)length), 0);
    if (error > 0) {
        errno = error;
        return -1;
    }
    return REAL(write)(fd, bytes, error < 0 && length > 1 ? length / 2 : length);
}

ssize_t pread64(int fd, void *bytes, size_t length, off64_t at) {
    int error = of_file("read", fd, at + (off64_t)length, length);
    if (error > 0) {
        errno = error;
        return -1;
    }
    return REAL(pread64)(fd, bytes, length, at);
}

ssize_t read(int fd, void *bytes, size_t length) {
    int error = lseek(fd, 0, SEEK_CUR) < 0 ? 0 : of_file("read", fd, 0, 0);
    if (error > 0) {
        errno = error;
        return -1;
    }
    return REAL(read)(fd, bytes, length);
}

int fsync(int fd) {
    int error = of_file("sync", fd, 0, 0);
    if (error > 0) {
        errno = error;
        return -1;
    }
    return REAL(fsync)(fd);
}

int fdatasync(int fd) {
    int error = of_file("sync", fd, 0, 0);
    if (error > 0) {
        errno = error;
        return -1;
    }
    return REAL(fdatasync)(fd);
}

int ftruncate64(int fd, off64_t length) {
    int error = of_file("truncate", fd, grown(fd, length), 0);
    if (error > 0) {
        errno = error;
        return -1;
    }
    return REAL(ftruncate64)(fd, length);
}

static int may_open(const char *path, int flags) {
    char absolute[PATH_MAX];
    if (getenv("CAIRN_TEST_FAULTS") == NULL || (flags & (O_WRONLY | O_RDWR | O_CREAT)) == 0) {
        return 0;
    }
    if (path[0] != '/' && getcwd(absolute, sizeof absolute - strlen(path) - 1) != NULL) {
        strcat(strcat(absolute, "/"), path);
        path = absolute;
    }
    return verdict("open", path, 0, 0);
}

#define OPEN(name)                                       \
    int name(const char *path, int flags, ...) {         \
        mode_t mode = 0;                                 \
        if ((flags & (O_CREAT | O_TMPFILE)) != 0) {      \
            va_list more;                                \
            va_start(more, flags);                       \
            mode = va_arg(more, mode_t);                 \
            va_end(more);                                \
        }                                                \
        int error = may_open(path, flags);               \
        if (error > 0) {                                 \
            errno = error;                               \
            return -1;                                   \
        }                                                \
        return REAL(name)(path, flags, mode);            \
    }

OPEN(open64)
OPEN(open)

int openat64(int at, const char *path, int flags, ...) {
    mode_t mode = 0;
    if ((flags & (O_CREAT | O_TMPFILE)) != 0) {
        va_list more;
        va_start(more, flags);
        mode = va_arg(more, mode_t);
        va_end(more);
    }
    return REAL(openat64)(at, path, flags, mode);
}

/* Looked at every ten milliseconds only: clocks are read often. */
static long long offset_seconds(void) {
    static _Atomic long long looked_at = -1, offset = 0;
    struct timespec now;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
    long long at = (long long)now.tv_sec * 100 + now.tv_nsec / 10000000;
    if (atomic_exchange(&looked_at, at) != at) {
        char text[4096];
        long long found = 0;
        if (rules(text, sizeof text) > 0) {
            char *line = strstr(text, "clock ");
            if (line != NULL) {
                sscanf(line, "clock %lld", &found);
            }
        }
        atomic_store(&offset, found);
    }
    return atomic_load(&offset);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    long result = syscall(SYS_clock_gettime, clock, time);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        time->tv_sec += offset_seconds();
    }
    return (int)result;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
    long result = syscall(SYS_gettimeofday, time, zone);
    if (result == 0) {
        time->tv_sec += offset_seconds();
    }
    return (int)result;
}

time_t time(time_t *into) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (into != NULL) {
        *into = now.tv_sec;
    }
    return now.tv_sec;
}
