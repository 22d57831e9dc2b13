/* The command line of openMosix's mosrun, as `gom run` would say it. */
#define _GNU_SOURCE
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"
#include "relay.h"

#define ANSWER_MS 30000

struct plan {
    const char *place; /* "h", a node id, or NULL */
    const char *nodes;
    int places, locks, force, decays;
    char lock;
};

static enum request failed(struct options *o, const char **failure, int *status, int code, const char *sentence) {
    snprintf(o->problem, sizeof o->problem, "%s", sentence);
    *failure = sentence == mosrun_usage ? mosrun_usage : o->problem;
    *status = code;
    return REQUEST_WRONG;
}

static int is_number(const char *text, size_t most) {
    size_t digits = strspn(text, "0123456789");
    return digits > 0 && digits <= most && !text[digits];
}

/* ID1-ID2,ID3 ... of at most five digits each. */
static int is_list(const char *text) {
    for (;;) {
        for (int part = 0; part < 2; part++) {
            size_t digits = strspn(text, "0123456789");
            if (digits < 1 || digits > 5) return 0;
            text += digits;
            if (part == 1 || *text != '-') break;
            text++;
        }
        if (!*text) return 1;
        if (*text++ != ',') return 0;
    }
}

/* One word of options; 0 when it is none. */
static int take_letters(struct plan *p, const char *letters, char ***words) {
    for (; *letters; letters++) {
        if (strchr("jdt", *letters)) {
            const char *value = letters[1] ? letters + 1 : (*words)[1] ? *++*words : "";
            if (*letters == 'j' && is_list(value)) p->nodes = value, p->places++;
            else if (*letters == 'j' || !is_number(value, 4000)) return 0;
            p->decays |= *letters == 'd';
            return 1;
        }
        if (*letters == 'h') p->place = "h", p->places++;
        else if (strchr("lLk", *letters)) p->lock = *letters, p->locks++;
        else if (*letters == 'F') p->force = 1;
        else if (strchr("cinsf", *letters)) p->decays = 1;
        else if (!strchr("eErRz", *letters)) return 0;
    }
    return 1;
}

static int take_words(struct plan *p, char ***words) {
    for (; **words && ***words == '-' && (**words)[1]; ++*words) {
        const char *letters = **words + 1;
        if (letters[0] == '-') {
            if (letters[1]) return 0;
            ++*words;
            break;
        }
        if (is_number(letters, 4000)) p->place = letters, p->places++;
        else if (!take_letters(p, letters, words)) return 0;
    }
    return **words && ***words && p->places <= 1 && p->locks <= 1;
}

/* The node of a plan, which has to be up. */
static enum request choose(struct options *o, const struct plan *p, const char **failure, int *status) {
    gomd_t *g;
    gomd_rows_t *rows = NULL;
    int home = strcmp(p->place, "h") == 0, error = gomd_connect(&g, NULL, ANSWER_MS);
    if (error == GOMD_OK && o->token && *o->token) error = gomd_auth(g, o->token);
    if (error == GOMD_OK && !home) error = gomd_node(g, p->place, &rows);
    const gomd_node_row_t *node = gomd_rows_node(rows, 0);
    enum request request = REQUEST_RUN;
    char sentence[400];
    if (error == -404 && !home) {
        request = failed(o, failure, status, 1, "Migration Failed: No such device or address");
    } else if (error != GOMD_OK || (!home && !node)) {
        snprintf(sentence, sizeof sentence, "mosrun: %.380s", gomd_error(g));
        request = failed(o, failure, status, error == GOMD_OK ? 3 : status_of(error), sentence);
    } else if (node && node->up != 1 && !p->force) {
        request = failed(o, failure, status, 1, "Migration Failed: Network is unreachable");
    } else {
        snprintf(o->own_node, sizeof o->own_node, "%lld", node && node->up == 1 ? (long long)node->id : (long long)gomd_own_node(g));
        o->node = o->own_node;
    }
    gomd_rows_free(rows);
    gomd_close(g);
    return request;
}

enum request parse_mosrun(struct options *o, int argc, char **argv, const char **failure, int *status) {
    struct plan plan = {0};
    char **words = argc > 0 ? argv + 1 : argv;
    *o = (struct options){.name = "mosrun", .token = getenv("GOMD_TOKEN"), .tty = -1, .escape = '~', .usage = mosrun_usage};
    if (words[0] && !words[1] && strcmp(words[0], "--help") == 0) return REQUEST_HELP;
    if (!take_words(&plan, &words)) return failed(o, failure, status, 1, mosrun_usage);
    o->argv = words;
    o->nodes = plan.nodes;
    char lock = plan.locks ? plan.lock : plan.places || !plan.decays ? 'L' : 'k';
    o->lock = lock == 'L' ? 1 : lock == 'l' ? -1 : 0;
    return plan.place ? choose(o, &plan, failure, status) : REQUEST_RUN;
}
