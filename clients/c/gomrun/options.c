/* The command lines of gomrun, and of `gom run` and `gom attach`, as values. */
#define _GNU_SOURCE
#include "options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum request wrong(struct options *o, const char *format, const char *word) {
    snprintf(o->problem, sizeof o->problem, format, word);
    return REQUEST_WRONG;
}

/* The bytes in `500M`, `2g`, `4096`; -1 for what is no size. */
static int64_t size_of(const char *text) {
    size_t digits = strspn(text, "0123456789"), length = strlen(text + digits);
    const char *unit = text + digits;
    static const char units[] = "KMGT";
    if (digits < 1 || digits > 15) return -1;
    if (length && unit[length - 1] == 'B') length--;
    if (length && unit[length - 1] == 'i') length--;
    if (length > 1) return -1;
    const char *found = length ? strchr(units, *unit & ~0x20) : NULL;
    if (length && (!found || !*found)) return -1;
    int64_t value = atoll(text);
    int shift = found ? 10 * (int)(found - units + 1) : 0;
    return value > INT64_MAX >> shift ? -1 : value << shift;
}

static int escape_of(const char *text, int *escape) {
    if (strcmp(text, "none") == 0) *escape = NO_ESCAPE;
    else if (text[0] && !text[1] && !((unsigned char)text[0] & 0x80)) *escape = text[0];
    else if (text[0] == '^' && text[1] && !text[2]) {
        char upper = text[1] >= 'a' && text[1] <= 'z' ? (char)(text[1] - 0x20) : text[1];
        if (upper < '@' || upper > '_') return 0;
        *escape = upper & 0x1f;
    } else return 0;
    return 1;
}

static int wants_help(char **words) {
    return words[0] && !words[1] && (strcmp(words[0], "-h") == 0 || strcmp(words[0], "--help") == 0);
}

static enum request parse_attachment(struct options *o, char **words) {
    for (; *words && **words == '-'; words++) {
        if (strcmp(*words, "--") == 0) {
            words++;
            break;
        }
        if (strcmp(*words, "--no-input") == 0) {
            o->no_input = 1;
        } else if (strcmp(*words, "-e") != 0) {
            return wrong(o, "there is no option %.100s of attach", *words);
        } else if (!*++words) {
            return wrong(o, "%s needs a value", "-e");
        } else if (!escape_of(*words, &o->escape)) {
            return wrong(o, "-e takes one character, ^X for a control character, or none, not %.40s", *words);
        }
    }
    if (!words[0] || words[1]) return wrong(o, "%s takes the number of one job: gom attach JOB", "attach");
    o->job = *words;
    return REQUEST_ATTACH;
}

/* An option that has a value: the value, NULL without it; *equals: it stood behind a =. */
static const char *value_of(const char *option, size_t name, char ***words) {
    if (option[name] == '=') return option + name + 1;
    return (*words)[1] ? *++*words : NULL;
}

static enum request set_value(struct options *o, const char *name, const char *value, size_t *carried) {
    if (!*value && (strcmp(name, "-n") == 0 || strcmp(name, "-j") == 0 || strcmp(name, "--carry") == 0))
        return wrong(o, "%s needs a value, not an empty word", name);
    if (!*value && strcmp(name, "-c") == 0) return wrong(o, "%s needs an endpoint, not an empty word", name);
    if (strcmp(name, "-n") == 0) o->node = value;
    else if (strcmp(name, "-j") == 0) o->nodes = value;
    else if (strcmp(name, "-c") == 0) o->endpoint = value;
    else if (strcmp(name, "--token") == 0) o->token = value;
    else if (strcmp(name, "--attach") == 0) o->job = value;
    else if (strcmp(name, "--carry") == 0) {
        const char **longer = realloc(o->carry, (*carried + 2) * sizeof *longer);
        if (!longer) return wrong(o, "out of memory for %s", name);
        o->carry = longer;
        o->carry[(*carried)++] = value;
        o->carry[*carried] = NULL;
    } else if (strcmp(name, "-e") == 0) {
        if (!escape_of(value, &o->escape)) return wrong(o, "-e takes one character, ^X for a control character, or none, not %.40s", value);
    } else {
        int64_t size = size_of(value);
        if (size < 0) {
            snprintf(o->problem, sizeof o->problem, "%s takes a size such as 500M or 2G, not %.40s", name, value);
            return REQUEST_WRONG;
        }
        if (strcmp(name, "--mem") == 0) o->memory = size;
        else o->memory_max = size ? size : 1; /* which is refused, as any limit below 4M */
    }
    return REQUEST_RUN;
}

static int set_flag(struct options *o, const char *option) {
    if (strcmp(option, "-b") == 0) return 1;
    if (strcmp(option, "-l") == 0) o->lock = 1;
    else if (strcmp(option, "-L") == 0) o->lock = -1;
    else if (strcmp(option, "-t") == 0) o->tty = 1;
    else if (strcmp(option, "-T") == 0) o->tty = 0;
    else if (strcmp(option, "--detach") == 0) o->detach = 1;
    else if (strcmp(option, "--no-input") == 0) o->no_input = 1;
    else if (strcmp(option, "--shared-tmp") == 0) o->shared_tmp = 1;
    else return 0;
    return 1;
}

/* A long option is named without its value. */
static enum request no_option(struct options *o, const char *word) {
    int named = strncmp(word, "--mem", 5) == 0 || strncmp(word, "--carry", 7) == 0;
    char option[101];
    snprintf(option, sizeof option, "%.*s", named ? (int)strcspn(word, "=") : 100, word);
    return wrong(o, "there is no option %s of run", option);
}

/* `own`: the options of gomrun itself are taken, too. */
static enum request parse_run(struct options *o, char **words, int own) {
    static const char *const valued[] = {"-n", "-j", "-e", "--mem", "--mem-max", "--carry", "-c", "--token", "--attach"};
    size_t carried = 0;
    for (; *words && **words == '-'; words++) {
        if (strcmp(*words, "--") == 0) {
            words++;
            break;
        }
        const char *found = NULL;
        for (size_t i = 0; i < (own ? 9 : 6); i++) {
            size_t length = strlen(valued[i]);
            if (strncmp(*words, valued[i], length) == 0 && (!(*words)[length] || (length > 2 && (*words)[length] == '='))) found = valued[i];
        }
        if (found) {
            const char *value = value_of(*words, strlen(found), &words);
            if (!value) return wrong(o, "%s needs a value", found);
            if (set_value(o, found, value, &carried) == REQUEST_WRONG) return REQUEST_WRONG;
        } else if (!set_flag(o, *words)) {
            return no_option(o, *words);
        }
    }
    if (o->job) return *words ? wrong(o, "%s takes the number of one job, and no command", "--attach") : REQUEST_ATTACH;
    if (o->node && o->nodes) return wrong(o, "%s do not go together", "-n and -j");
    if (o->no_input && o->tty == 1) return wrong(o, "%s do not go together: a terminal without keys has no end", "--no-input and -t");
    if (!*words || !**words) return wrong(o, "a command is missing: %s COMMAND ...", own ? "gomrun" : "gom run");
    o->argv = words;
    return REQUEST_RUN;
}

/* The words of `gom`: run and attach alone, `gom` itself does the rest. */
static enum request parse_gom(struct options *o, char **words) {
    for (; *words && **words == '-'; words++) {
        if (strcmp(*words, "--") == 0) {
            words++;
            break;
        }
        if (strcmp(*words, "--json") == 0) continue;
        int endpoint = strcmp(*words, "-c") == 0;
        if (!endpoint && strcmp(*words, "-t") != 0) return wrong(o, "there is no option %.100s", *words);
        if (!words[1]) return wrong(o, "%s needs a value", *words);
        if (endpoint && !*words[1]) return wrong(o, "%s needs an endpoint, not an empty word", *words);
        if (endpoint) o->endpoint = *++words;
        else o->token = *++words;
    }
    if (*words && strcasecmp(*words, "run") == 0) {
        o->usage = run_usage;
        return wants_help(words + 1) ? REQUEST_HELP : parse_run(o, words + 1, 0);
    }
    if (*words && strcasecmp(*words, "attach") == 0) {
        o->usage = attach_usage;
        return wants_help(words + 1) ? REQUEST_HELP : parse_attachment(o, words + 1);
    }
    return wrong(o, "this is the compiled gom run: it knows run and attach, not %.100s", *words ? *words : "nothing");
}

enum request parse_options(struct options *o, int argc, char **argv) {
    const char *name = argc > 0 && argv[0] ? argv[0] : "gomrun", *slash = strrchr(name, '/');
    char **words = argc > 0 ? argv + 1 : argv;
    const char *token = getenv("GOMD_TOKEN");
    if (slash) name = slash + 1;
    *o = (struct options){.name = strcmp(name, "gom") == 0 ? "gom" : "gomrun", .token = token, .tty = -1, .escape = '~', .usage = gomrun_usage};
    if (strcmp(o->name, "gom") == 0) return parse_gom(o, words);
    if (wants_help(words)) return REQUEST_HELP;
    if (words[0] && !words[1] && strcmp(words[0], "--version") == 0) return REQUEST_VERSION;
    return parse_run(o, words, 1);
}
