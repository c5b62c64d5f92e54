/* What the generator is to do: a text file of lines `key = value`, the same for every program that is measured. */
#ifndef ANET_CONFIGURATION_H
#define ANET_CONFIGURATION_H

#include <stdbool.h>
#include <stdint.h>

enum order {
    ORDER_SEQUENTIAL,
    ORDER_RANDOM,
    ORDER_NEW, /* every packet opens a flow that was not there before */
};

enum choice {
    CHOICE_FIRST, /* IPv4; UDP; forward */
    CHOICE_SECOND, /* IPv6; TCP; reverse */
    CHOICE_BOTH,
};

/* Beyond any frame that is generated: 1518 bytes and outer headers. */
enum { FRAME_MAX = 1600 };

struct configuration {
    uint64_t generation; /* given back in the results once this configuration is in force */
    char guest[64]; /* device names */
    char underlay[64];
    uint32_t queues; /* receive queues of each device; nothing starts before they are all there */
    bool run; /* no: everything stands still */
    bool establish; /* every flow once in each direction before the measured order begins */
    bool tunnelled; /* VXLAN on the underlay; no: plain frames on both sides */
    bool check; /* look at every byte that comes out */
    bool crossed; /* reverse packets of every other flow come on the next queue */
    enum order order;
    enum choice direction;
    enum choice family;
    enum choice protocol;
    uint32_t flows;
    uint32_t forbidden_every; /* 0: none; N: every Nth flow goes to a port that no rule allows */
    uint32_t size; /* bytes without frame check sequence; 0: IMIX */
    uint32_t peers; /* remote stations, consecutive MAC and IP addresses; a power of two */
    double pace; /* packets per second and direction; 0: as fast as the program takes them */
    double establish_pace;
    uint8_t guest_mac[6], peer_mac[6]; /* inner */
    uint8_t guest_ipv4[4], peer_ipv4[4];
    uint8_t guest_ipv6[16], peer_ipv6[16];
    uint8_t local_mac[6], remote_mac[6]; /* outer: the measured program, and the far end of the tunnel */
    uint8_t local_ipv4[4], remote_ipv4[4];
    uint32_t vni;
    uint32_t udp_port; /* of VXLAN */
};

/* Reads `path`. Gives false with the reason in `error`. */
bool configuration_read(const char *path, struct configuration *out, char *error, unsigned error_size);

#endif
