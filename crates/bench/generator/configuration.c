#include "configuration.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum kind { NAME, COUNT, COUNT64, RATE, SWITCH, MAC, IPV4, IPV6, ORDER, DIRECTION, FAMILY, PROTOCOL };

struct key {
    const char *name;
    enum kind kind;
    size_t at;
};

#define KEY(name, kind) { #name, kind, offsetof(struct configuration, name) }

static const struct key keys[] = {
    KEY(generation, COUNT64), KEY(guest, NAME), KEY(underlay, NAME), KEY(queues, COUNT), KEY(run, SWITCH),
    KEY(establish, SWITCH), KEY(tunnelled, SWITCH), KEY(check, SWITCH), KEY(crossed, SWITCH), KEY(order, ORDER),
    KEY(direction, DIRECTION), KEY(family, FAMILY), KEY(protocol, PROTOCOL), KEY(flows, COUNT),
    KEY(forbidden_every, COUNT), KEY(size, COUNT), KEY(peers, COUNT), KEY(pace, RATE), KEY(establish_pace, RATE),
    KEY(guest_mac, MAC), KEY(peer_mac, MAC), KEY(guest_ipv4, IPV4), KEY(peer_ipv4, IPV4), KEY(guest_ipv6, IPV6),
    KEY(peer_ipv6, IPV6), KEY(local_mac, MAC), KEY(remote_mac, MAC), KEY(local_ipv4, IPV4),
    KEY(remote_ipv4, IPV4), KEY(vni, COUNT), KEY(udp_port, COUNT),
};

static const char *const order_words[] = { "sequential", "random", "new", NULL };
static const char *const direction_words[] = { "forward", "reverse", "both", NULL };
static const char *const family_words[] = { "ipv4", "ipv6", "both", NULL };
static const char *const protocol_words[] = { "udp", "tcp", "both", NULL };
static const char *const switch_words[] = { "no", "yes", NULL };

/* The position of `word` in `words`, or -1. */
static int word_number(const char *word, const char *const *words)
{
    for (int i = 0; words[i] != NULL; i++)
        if (strcmp(word, words[i]) == 0)
            return i;
    return -1;
}

static bool number(const char *text, uint64_t limit, uint64_t *out)
{
    char *end;

    errno = 0;
    *out = strtoull(text, &end, 10);
    return errno == 0 && end != text && *end == '\0' && *out <= limit;
}

static bool mac(const char *text, uint8_t *out)
{
    int length = 0;
    int found = sscanf(text, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%n", &out[0], &out[1], &out[2], &out[3],
               &out[4], &out[5], &length);

    return found == 6 && text[length] == '\0';
}

static bool chosen(const char *text, const char *const *words, void *out)
{
    int found = word_number(text, words);

    if (found >= 0)
        *(int *)out = found;
    return found >= 0;
}

static bool set(const struct key *key, const char *text, struct configuration *out)
{
    void *field = (char *)out + key->at;
    uint64_t value;
    int found;

    switch (key->kind) {
    case NAME:
        return snprintf(field, sizeof out->guest, "%s", text) < (int)sizeof out->guest;
    case COUNT:
        if (!number(text, UINT32_MAX, &value))
            return false;
        *(uint32_t *)field = (uint32_t)value;
        return true;
    case COUNT64:
        return number(text, UINT64_MAX, field);
    case RATE:
        if (!number(text, UINT32_MAX, &value))
            return false;
        *(double *)field = (double)value;
        return true;
    case SWITCH:
        found = word_number(text, switch_words);
        *(bool *)field = found == 1;
        return found >= 0;
    case MAC:
        return mac(text, field);
    case IPV4:
        return inet_pton(AF_INET, text, field) == 1;
    case IPV6:
        return inet_pton(AF_INET6, text, field) == 1;
    case ORDER:
        return chosen(text, order_words, field);
    case DIRECTION:
        return chosen(text, direction_words, field);
    case FAMILY:
        return chosen(text, family_words, field);
    case PROTOCOL:
        return chosen(text, protocol_words, field);
    }
    return false;
}

/* The text without white space around it, in place. */
static char *trimmed(char *text)
{
    char *end;

    text += strspn(text, " \t\r\n");
    end = text + strlen(text);
    while (end > text && strchr(" \t\r\n", end[-1]) != NULL)
        *--end = '\0';
    return text;
}

static bool line_is_right(char *line, struct configuration *out)
{
    char *equals;
    char *name = trimmed(line);

    if (*name == '\0' || *name == '#')
        return true;
    equals = strchr(name, '=');
    if (equals == NULL)
        return false;
    *equals = '\0';
    name = trimmed(name);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (strcmp(name, keys[i].name) == 0)
            return set(&keys[i], trimmed(equals + 1), out);
    return false;
}

/* True where consecutive peers stay within the last two bytes of the first one's address. */
static bool room(const uint8_t *last_two, uint32_t peers)
{
    return ((uint32_t)last_two[0] << 8) + last_two[1] + peers <= 65536;
}

static const char *what_is_wrong(const struct configuration *c)
{
    if (c->flows == 0)
        return "flows must be 1 or more";
    if (c->queues == 0 || c->queues > 16)
        return "queues must be 1 to 16";
    if (c->flows < 2 * c->queues)
        return "each queue needs two flows";
    if (c->peers == 0 || (c->peers & (c->peers - 1)) != 0)
        return "peers must be a power of two";
    if (!room(c->peer_mac + 4, c->peers) || !room(c->peer_ipv4 + 2, c->peers) || !room(c->peer_ipv6 + 14, c->peers))
        return "the peers' addresses run over their last two bytes";
    if (c->size > 1518)
        return "size must be at most 1518, or 0 for IMIX";
    if (c->forbidden_every == 1)
        return "forbidden_every = 1 would leave nothing that is allowed";
    if (c->vni == 0 || c->vni >= 1u << 24)
        return "vni must be 1 to 16777215";
    return NULL;
}

bool configuration_read(const char *path, struct configuration *out, char *error, unsigned error_size)
{
    char line[256];
    unsigned line_number = 0;
    const char *wrong;
    FILE *file = fopen(path, "re");

    if (file == NULL) {
        snprintf(error, error_size, "%s: %s", path, strerror(errno));
        return false;
    }
    memset(out, 0, sizeof *out);
    while (fgets(line, sizeof line, file) != NULL) {
        line_number++;
        if (!line_is_right(line, out)) {
            snprintf(error, error_size, "line %u is wrong", line_number);
            fclose(file);
            return false;
        }
    }
    fclose(file);
    wrong = what_is_wrong(out);
    if (wrong != NULL)
        snprintf(error, error_size, "%s", wrong);
    return wrong == NULL;
}
