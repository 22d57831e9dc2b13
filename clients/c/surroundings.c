/* What a program that this process starts would inherit: its directory, umask and resource limits. */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "spec.h"

#define MAX_LINKS 40

char *own_directory(void) {
    const char *shown = getenv("PWD");
    struct stat by_name, here;
    char *real = getcwd(NULL, 0);
    if (!real || !shown || shown[0] != '/' || strlen(shown) >= PATH_MAX) return real;
    if (stat(shown, &by_name) != 0 || stat(real, &here) != 0 || by_name.st_dev != here.st_dev || by_name.st_ino != here.st_ino) return real;
    free(real);
    return strdup(shown);
}

/* Without changing it where the kernel tells. */
mode_t own_umask(void) {
    char line[256];
    unsigned found;
    FILE *file = fopen("/proc/self/status", "re");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "Umask: %o", &found) == 1) {
            fclose(file);
            return (mode_t)found;
        }
    if (file) fclose(file);
    mode_t mask = umask(077);
    umask(mask);
    return mask;
}

static int64_t as_limit(rlim_t value) {
    return value == RLIM_INFINITY || value > (rlim_t)INT64_MAX ? -1 : (int64_t)value;
}

void own_limits(gomd_limit_t limits[LIMITS_COUNT + 1]) {
    static const struct { const char *name; int resource; } known[LIMITS_COUNT] = {
        {"CPU", RLIMIT_CPU}, {"FSIZE", RLIMIT_FSIZE}, {"DATA", RLIMIT_DATA}, {"STACK", RLIMIT_STACK}, {"CORE", RLIMIT_CORE},
        {"RSS", RLIMIT_RSS}, {"NPROC", RLIMIT_NPROC}, {"NOFILE", RLIMIT_NOFILE}, {"MEMLOCK", RLIMIT_MEMLOCK}, {"AS", RLIMIT_AS},
        {"SIGPENDING", RLIMIT_SIGPENDING}, {"MSGQUEUE", RLIMIT_MSGQUEUE}, {"NICE", RLIMIT_NICE}, {"RTPRIO", RLIMIT_RTPRIO},
        {"RTTIME", RLIMIT_RTTIME}};
    size_t count = 0;
    for (size_t i = 0; i < LIMITS_COUNT; i++) {
        struct rlimit found;
        if (getrlimit((__rlimit_resource_t)known[i].resource, &found) != 0) continue;
        limits[count++] = (gomd_limit_t){known[i].name, as_limit(found.rlim_cur), as_limit(found.rlim_max)};
    }
    limits[count].name = NULL;
}

char *real_path(const char *directory, const char *path) {
    char *done = NULL, *rest = NULL, *next = NULL, link[PATH_MAX];
    size_t length = 0;
    int links = 0;
    struct stat status;
    if (asprintf(&rest, "%s/%s", *path == '/' ? "" : directory, path) < 0) return NULL;
    if (strlen(rest) >= 16 * PATH_MAX || !(done = calloc(1, strlen(rest) + 2))) goto failed;
    for (char *at = rest; at;) {
        char *name = strsep(&at, "/");
        if (!*name || strcmp(name, ".") == 0) continue;
        if (strcmp(name, "..") == 0) {
            while (length && done[--length] != '/') {}
            done[length] = 0;
            continue;
        }
        size_t before = length;
        length += (size_t)sprintf(done + length, "/%s", name);
        if (lstat(done, &status) != 0 || !S_ISLNK(status.st_mode)) continue;
        ssize_t size = readlink(done, link, sizeof link - 1);
        if (size <= 0) continue;
        link[size] = 0;
        if (++links > MAX_LINKS) goto failed;
        done[before] = 0;
        if (asprintf(&next, "%s/%s/%s", *link == '/' ? "" : done, link, at ? at : "") < 0) goto failed;
        free(rest);
        free(done);
        rest = at = next;
        length = 0;
        if (!(done = calloc(1, strlen(rest) + 2))) goto failed;
    }
    free(rest);
    if (!*done) strcpy(done, "/");
    return done;
failed:
    free(rest);
    free(done);
    errno = ELOOP;
    return NULL;
}
