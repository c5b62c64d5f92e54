/* Flows and their packets. A flow is a number; everything about it follows from the number, so that a million flows need no
 * memory: a packet is a copy of a template with a few words put in. */
#ifndef ANET_PACKET_H
#define ANET_PACKET_H

#include <string.h>

#include "configuration.h"

enum stage { STAGE_DATA, STAGE_SYN, STAGE_SYN_ACK, STAGE_ACK, STAGES };

/* In every payload, at its start; what the far end knows a packet by. */
struct mark {
    uint32_t flow;
    uint32_t stamp; /* lower half of the time stamp counter at generation */
    uint16_t magic;
    uint8_t kind; /* a `stage`, and KIND_REVERSE */
    uint8_t unused;
};

enum { MARK_MAGIC = 0xa9e7, KIND_STAGE = 3, KIND_REVERSE = 4, OUTER_SIZE = 50, SIZES = 3, IMIX_ROUND = 12, PORT_BITS = 29 };

/* A frame with zeros where the flow's own words go, and what is known of its checksums without them. */
struct template {
    uint16_t length;
    uint16_t mac_at; /* last two bytes of the peer's MAC address */
    uint16_t ip_at; /* last two bytes of the peer's IP address */
    uint16_t ip_checksum_at; /* 0 with IPv6 */
    uint16_t guest_port_at;
    uint16_t peer_port_at;
    uint16_t checksum_at;
    uint16_t mark_at;
    uint16_t entropy_at; /* outer source port; 0 without */
    uint32_t ip_sum;
    uint32_t sum;
    _Alignas(64) uint8_t bytes[FRAME_MAX];
};

/* Templates by direction, IPv6, TCP, stage and size. */
struct templates {
    const struct configuration *configuration;
    bool imix;
    struct template all[2][2][2][STAGES][SIZES];
};

struct templates *templates_new(const struct configuration *configuration);

/* A template for one frame of `inner_length` bytes, for who checks: IMIX or not. */
void template_fill(struct template *out, const struct configuration *configuration, bool reverse, bool six, bool tcp,
           enum stage stage, unsigned inner_length);

static inline bool flow_is_six(const struct configuration *c, uint32_t flow)
{
    return c->family == CHOICE_BOTH ? flow >> 1 & 1 : c->family == CHOICE_SECOND;
}

static inline bool flow_is_tcp(const struct configuration *c, uint32_t flow)
{
    return c->protocol == CHOICE_BOTH ? flow >> 2 & 1 : c->protocol == CHOICE_SECOND;
}

static inline bool flow_is_forbidden(const struct configuration *c, uint32_t flow)
{
    return c->forbidden_every != 0 && flow % c->forbidden_every == 0;
}

static inline uint16_t big16(uint16_t value)
{
    return __builtin_bswap16(value);
}

/* Two ports out of a flow's number, each number its own pair, without a pattern in them: ports that follow each other would
 * meet no collision in a hash of the CRC kind, and any cache would look better than it is. */
static inline uint32_t scattered(uint32_t flow)
{
    const uint32_t mask = (1u << PORT_BITS) - 1;
    uint32_t x = (flow * 0x9e3779b1u) & mask;

    x ^= x >> 15;
    x = (x * 0x85ebca6bu) & mask;
    return x ^ (x >> 13);
}

/* The guest's port: 32,768 of them. */
static inline uint16_t guest_port(uint32_t scattered)
{
    return 0x8000 | (scattered & 0x7fff);
}

/* The peer's port, which rules speak of: 16384-32767 is allowed, 8192-16383 is not. */
static inline uint16_t peer_port(uint32_t scattered, bool forbidden)
{
    uint32_t high = scattered >> 15;

    return forbidden ? 0x2000 | (high & 0x1fff) : 0x4000 | (high & 0x3fff);
}

static inline uint16_t folded(uint32_t sum)
{
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

static inline void put16(uint8_t *at, uint16_t value)
{
    memcpy(at, &value, 2);
}

static inline uint16_t get16(const uint8_t *at)
{
    uint16_t value;

    memcpy(&value, at, 2);
    return value;
}


/* Writes the flow's packet to `out`, which has room for t->length bytes. Checksums do not care for the order of bytes: sums
 * are taken of words as they lie in memory. */
static inline void packet_write(const struct template *t, const struct configuration *c, uint32_t flow, uint32_t stamp,
                uint8_t *out)
{
    uint16_t peer = (flow >> 3) & (c->peers - 1);
    uint16_t peer_mac = big16((uint16_t)(big16(get16(c->peer_mac + 4)) + peer));
    uint16_t peer_ip = big16((uint16_t)(big16(get16(t->ip_checksum_at ? c->peer_ipv4 + 2 : c->peer_ipv6 + 14)) + peer));
    uint32_t ports = scattered(flow);
    uint16_t here = big16(guest_port(ports));
    uint16_t there = big16(peer_port(ports, flow_is_forbidden(c, flow)));
    uint32_t sum = t->sum + peer_ip + here + there + (flow & 0xffff) + (flow >> 16) + (stamp & 0xffff) + (stamp >> 16);
    uint16_t checksum = folded(sum);

    if (t->length == 64)
        memcpy(out, t->bytes, 64); /* of a known length: four loads, four stores */
    else
        memcpy(out, t->bytes, t->length);
    put16(out + t->mac_at, peer_mac);
    put16(out + t->ip_at, peer_ip);
    put16(out + t->guest_port_at, here);
    put16(out + t->peer_port_at, there);
    if (t->ip_checksum_at != 0)
        put16(out + t->ip_checksum_at, folded(t->ip_sum + peer_ip));
    /* UDP's zero means «none»; TCP takes either form of zero. */
    put16(out + t->checksum_at, checksum == 0 ? 0xffff : checksum);
    memcpy(out + t->mark_at, &flow, 4);
    memcpy(out + t->mark_at + 4, &stamp, 4);
    if (t->entropy_at != 0)
        put16(out + t->entropy_at, big16(0xc000 | ((flow * 0x9e3779b1u) >> 18)));
}

#endif
