/*
 * What the programs that check the parsers share: they count what held, print what did not, and end when a file of vectors
 * is not as they expect it.
 */
#ifndef GOMD_TESTS_EXPECT_H
#define GOMD_TESTS_EXPECT_H

#include <stdio.h>
#include <stdlib.h>

static int held, failed;

static void expect(int good, const char *what, const char *which) {
    if (good) held++;
    else {
        failed++;
        printf("%s: %s\n", which, what);
    }
}

#define MUST(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "the vectors are not as this program expects them: %s\n", #condition); \
            exit(2); \
        } \
    } while (0)

#endif
